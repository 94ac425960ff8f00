//! Which networks of a model reach a magnification.

use crate::units::Scale;

/// Passes that are chained at most; three of x2 reach x8.
pub const MOST: usize = 3;

/// The scales to run, one after the other, for an image that must become at least `times` as large: the smallest that
/// the model has natively, since a network knows best what it was trained for; else the chain that makes the least too
/// much, of as few as may be, the largest first, so that what the next one sees is nearest to an image.
///
/// None at all for 1, unless the model has a network for that. `None` if no chain reaches it.
pub fn passes(natives: &[Scale], times: u32) -> Option<Vec<Scale>> {
    let native = natives.iter().copied().filter(|native| native.factor() >= times).min();
    if times <= 1 {
        return Some(native.into_iter().filter(|native| native.factor() == 1).collect());
    }
    if let Some(native) = native {
        return Some(vec![native]);
    }
    let mut best: Option<(u32, Vec<Scale>)> = None;
    let mut chains: Vec<Vec<Scale>> = vec![Vec::new()];
    for _ in 0..MOST {
        let longer = |chain: &Vec<Scale>| {
            let smallest = chain.last().copied();
            let fits = move |next: &Scale| next.factor() > 1 && smallest.is_none_or(|last| *next <= last);
            let chain = chain.clone();
            natives.iter().copied().filter(fits).map(move |next| [&chain[..], &[next]].concat()).collect::<Vec<_>>()
        };
        chains = chains.iter().flat_map(longer).collect();
        for chain in &chains {
            let product = product(chain);
            if product >= times && best.as_ref().is_none_or(|(least, _)| product < *least) {
                best = Some((product, chain.clone()));
            }
        }
    }
    best.map(|(_, chain)| chain)
}

/// How many times larger these make an image.
pub fn product(scales: &[Scale]) -> u32 {
    scales.iter().map(|scale| scale.factor()).product()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(natives: &[u8], times: u32) -> Option<Vec<u32>> {
        let natives: Vec<Scale> = natives.iter().filter_map(|native| Scale::new(*native)).collect();
        Some(passes(&natives, times)?.iter().map(|scale| scale.factor()).collect())
    }

    #[test]
    fn the_smallest_native_scale_that_reaches_it() {
        for (times, expected) in [(1, vec![]), (2, vec![2]), (3, vec![3]), (4, vec![4])] {
            assert_eq!(chosen(&[2, 3, 4], times), Some(expected));
        }
        assert_eq!(chosen(&[4], 2), Some(vec![4]));
        assert_eq!(chosen(&[8, 2], 3), Some(vec![8]), "one that was trained for it before a chain");
    }

    #[test]
    fn beyond_the_native_ones_a_chain_with_the_largest_first() {
        assert_eq!(chosen(&[2, 3, 4], 5), Some(vec![3, 2]));
        assert_eq!(chosen(&[2, 3, 4], 7), Some(vec![4, 2]));
        assert_eq!(chosen(&[2, 3, 4], 8), Some(vec![4, 2]));
        assert_eq!(chosen(&[4], 8), Some(vec![4, 4]));
        assert_eq!(chosen(&[3], 8), Some(vec![3, 3]));
        assert_eq!(chosen(&[2], 3), Some(vec![2, 2]));
        assert_eq!(chosen(&[2], 8), Some(vec![2, 2, 2]));
    }

    #[test]
    fn a_network_for_one_runs_where_there_is_one() {
        assert_eq!(chosen(&[1, 2], 1), Some(vec![1]));
        assert_eq!(chosen(&[1, 2], 4), Some(vec![2, 2]));
        assert_eq!(chosen(&[1], 2), None);
        assert_eq!(chosen(&[], 1), Some(vec![]));
    }

    proptest! {
        #[test]
        fn always_reached_by_no_more_than_needed(
            natives in prop::collection::btree_set(2u8..=8, 1..5), times in 1u32..=8,
        ) {
            let natives: Vec<Scale> = natives.into_iter().filter_map(Scale::new).collect();
            let chain = passes(&natives, times).expect("a scale above 1 reaches everything");
            prop_assert!(chain.iter().all(|scale| natives.contains(scale)) && chain.len() <= MOST);
            prop_assert!(product(&chain) >= times);
            prop_assert!(chain.is_sorted_by(|a, b| a >= b), "the largest first");
            for left_out in 0..chain.len() {
                let mut fewer = chain.clone();
                fewer.remove(left_out);
                prop_assert!(product(&fewer) < times || times == 1, "{:?} for {}", chain, times);
            }
            if natives.iter().any(|native| native.factor() >= times) {
                prop_assert!(chain.len() <= 1);
            }
            // In another order of the natives it is the same.
            let reversed: Vec<Scale> = natives.iter().rev().copied().collect();
            prop_assert_eq!(passes(&reversed, times), Some(chain));
        }
    }
}

//! Tiles that finish in any order, given out in that of their grid.

use std::collections::VecDeque;

use scheduler::Finished;

/// Puts tiles that finish in any order into that of the grid.
pub(super) struct Reorder {
    copies: usize,
    /// Places that were given out.
    pub(super) delivered: usize,
    /// The places after those, as far as anything of them came; `None` is a part that did not.
    places: VecDeque<Vec<Option<Vec<f32>>>>,
}

impl Reorder {
    pub(super) fn new(copies: usize) -> Self {
        Self { copies, delivered: 0, places: VecDeque::new() }
    }

    pub(super) fn take(&mut self, finished: Finished) {
        let (place, part) = (finished.index / self.copies - self.delivered, finished.index % self.copies);
        while self.places.len() <= place {
            self.places.push_back(vec![None; self.copies]);
        }
        self.places[place][part] = Some(finished.samples);
    }

    /// The parts of the next place, once all of them came.
    pub(super) fn next(&mut self) -> Option<Vec<Vec<f32>>> {
        if !self.places.front()?.iter().all(Option::is_some) {
            return None;
        }
        self.delivered += 1;
        self.places.pop_front().map(|parts| parts.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn finished(index: usize) -> Finished {
        Finished { index, samples: vec![index as f32], queued: Duration::ZERO, ran: Duration::ZERO }
    }

    #[test]
    fn tiles_come_out_in_the_order_of_the_grid() {
        let mut reorder = Reorder::new(1);
        reorder.take(finished(2));
        assert!(reorder.next().is_none());
        reorder.take(finished(0));
        assert_eq!(reorder.next(), Some(vec![vec![0.0]]));
        assert!(reorder.next().is_none());
        reorder.take(finished(1));
        assert_eq!(reorder.next(), Some(vec![vec![1.0]]));
        assert_eq!(reorder.next(), Some(vec![vec![2.0]]));
        assert!(reorder.next().is_none() && reorder.delivered == 3);
    }

    #[test]
    fn a_place_is_out_when_all_its_orientations_are() {
        let mut reorder = Reorder::new(2);
        for index in [3, 1] {
            reorder.take(finished(index));
            assert!(reorder.next().is_none());
        }
        reorder.take(finished(0));
        assert_eq!(reorder.next(), Some(vec![vec![0.0], vec![1.0]]));
        reorder.take(finished(2));
        assert_eq!(reorder.next(), Some(vec![vec![2.0], vec![3.0]]));
    }
}

//! The walk over candidates, fastest first, to the first that opens.

/// The first candidate that opens, with what it opened to. `on_failure` hears of each that did not, why, and which is tried
/// next. If none opens: all of them with their reasons, in the order of the walk.
pub fn first_that_opens<C, T, E>(
    candidates: impl IntoIterator<Item = C>,
    mut open: impl FnMut(&C) -> Result<T, E>,
    mut on_failure: impl FnMut(&C, &E, &C),
) -> Result<(C, T), Vec<(C, E)>> {
    let mut failed: Vec<(C, E)> = Vec::new();
    for candidate in candidates {
        if let Some((last, error)) = failed.last() {
            on_failure(last, error, &candidate);
        }
        match open(&candidate) {
            Ok(opened) => return Ok((candidate, opened)),
            Err(error) => failed.push((candidate, error)),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search over names.
    struct Search<'a> {
        found: Result<&'a str, Vec<(&'a str, String)>>,
        tried: Vec<&'a str>,
        /// Of those that were passed.
        reported: Vec<String>,
    }

    /// Searches names of which only `there` opens.
    fn search<'a>(names: &[&'a str], there: &str) -> Search<'a> {
        let (mut tried, mut reported) = (Vec::new(), Vec::new());
        let open = |name: &&'a str| {
            tried.push(*name);
            if *name == there { Ok(format!("{name} is open")) } else { Err(format!("{name} is dead")) }
        };
        let on_failure =
            |name: &&str, error: &String, next: &&str| reported.push(format!("{name}: {error}, so {next}"));
        let found = first_that_opens(names.iter().copied(), open, on_failure).map(|(name, opened)| {
            assert_eq!(opened, format!("{name} is open"));
            name
        });
        Search { found, tried, reported }
    }

    #[test]
    fn the_first_that_opens_is_the_last_tried() {
        let Search { found, tried, reported } = search(&["cuda", "openvino", "cpu"], "cuda");
        assert_eq!((found, tried), (Ok("cuda"), vec!["cuda"]));
        assert!(reported.is_empty(), "{reported:?}");
    }

    #[test]
    fn behind_one_that_fails_the_next_serves_and_the_reason_is_reported() {
        let Search { found, tried, reported } = search(&["cuda", "openvino", "cpu"], "openvino");
        assert_eq!((found, tried), (Ok("openvino"), vec!["cuda", "openvino"]));
        assert_eq!(reported, ["cuda: cuda is dead, so openvino"]);
        let Search { found, reported, .. } = search(&["cuda", "openvino", "cpu"], "cpu");
        assert_eq!(found, Ok("cpu"));
        assert_eq!(reported, ["cuda: cuda is dead, so openvino", "openvino: openvino is dead, so cpu"]);
    }

    #[test]
    fn where_none_opens_every_reason_comes_back() {
        let Search { found, reported, .. } = search(&["cuda", "openvino"], "nothing");
        let reasons = [("cuda", "cuda is dead".to_owned()), ("openvino", "openvino is dead".to_owned())];
        assert_eq!(found, Err(reasons.to_vec()));
        assert_eq!(reported.len(), 1, "nothing is tried after the last");
        assert_eq!(search(&[], "cuda").found, Err(Vec::new()));
    }

    #[test]
    fn what_is_alone_has_no_second_try() {
        let Search { found, tried, reported } = search(&["cuda"], "cpu");
        assert_eq!((found, tried), (Err(vec![("cuda", "cuda is dead".to_owned())]), vec!["cuda"]));
        assert!(reported.is_empty(), "{reported:?}");
    }
}

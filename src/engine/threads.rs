//! How many workers, and how many threads in each: pure arithmetic on the cores that this process may use.
//!
//! The cores are counted from the cgroup quota and the affinity mask, not from the host: a container with two cores
//! on a machine with 64 that starts 64 threads spends its quota in the first few milliseconds of each period, and then
//! stands still.

use std::num::NonZeroUsize;

/// Most intra-op threads that a worker gets unasked. A tile is small: past this, threads wait for each other more
/// than they compute, and another worker does more.
const THREADS_MAX: usize = 4;

/// Why a wish for workers and threads cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThreadsError {
    /// None of something.
    #[error("--{0} is 0; at least 1 is needed")]
    Zero(&'static str),
    /// More threads than cores: they would take turns, and every batch would take longer for it.
    #[error(
        "{workers} workers of {threads} threads need {} cores, but this process may use {cores}; lower --workers or \
         --threads, or give it more cores", workers.saturating_mul(*threads)
    )]
    TooMany {
        /// Workers wanted or derived.
        workers: usize,
        /// Threads wanted or derived.
        threads: usize,
        /// Cores there are.
        cores: usize,
    },
}

/// Cores that this process may use: affinity mask and cgroup quota (v1 and v2) counted on Linux, at least 1.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Workers and the intra-op threads of each, never more than `cores` together. What is not given follows from the
/// rest: few threads in one worker while they serve one batch well, then more workers.
pub fn plan_threads(
    cores: usize,
    workers: Option<usize>,
    threads: Option<usize>,
) -> Result<(usize, usize), ThreadsError> {
    for (name, given) in [("workers", workers), ("threads", threads)] {
        if given == Some(0) {
            return Err(ThreadsError::Zero(name));
        }
    }
    let cores = cores.max(1);
    let (workers, threads) = match (workers, threads) {
        (Some(workers), Some(threads)) => (workers, threads),
        (Some(workers), None) => (workers, (cores / workers).clamp(1, THREADS_MAX)),
        (None, Some(threads)) => ((cores / threads).max(1), threads),
        (None, None) => {
            let threads = cores.min(THREADS_MAX);
            (cores / threads, threads)
        }
    };
    if workers.saturating_mul(threads) > cores {
        return Err(ThreadsError::TooMany { workers, threads, cores });
    }
    Ok((workers, threads))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn defaults_follow_the_cores() {
        let plan = |cores| plan_threads(cores, None, None).expect("defaults fit");
        assert_eq!(plan(0), (1, 1), "a count that failed still runs");
        assert_eq!(plan(1), (1, 1));
        assert_eq!(plan(2), (1, 2));
        assert_eq!(plan(4), (1, 4));
        assert_eq!(plan(6), (1, 4));
        assert_eq!(plan(16), (4, 4));
    }

    #[test]
    fn one_wish_decides_the_other() {
        assert_eq!(plan_threads(16, Some(2), None), Ok((2, 4)));
        assert_eq!(plan_threads(16, Some(16), None), Ok((16, 1)));
        assert_eq!(plan_threads(16, None, Some(16)), Ok((1, 16)));
        assert_eq!(plan_threads(16, None, Some(5)), Ok((3, 5)));
    }

    #[test]
    fn wishes_end_at_the_cores() {
        assert_eq!(plan_threads(4, Some(2), Some(2)), Ok((2, 2)));
        assert_eq!(plan_threads(4, Some(5), None), Err(ThreadsError::TooMany { workers: 5, threads: 1, cores: 4 }));
        assert_eq!(plan_threads(4, None, Some(5)), Err(ThreadsError::TooMany { workers: 1, threads: 5, cores: 4 }));
        let error = plan_threads(4, Some(5), Some(1)).expect_err("5 > 4");
        assert_eq!(
            error.to_string(),
            "5 workers of 1 threads need 5 cores, but this process may use 4; lower --workers or --threads, or give it \
             more cores"
        );
        assert_eq!(plan_threads(4, Some(0), None), Err(ThreadsError::Zero("workers")));
        assert_eq!(plan_threads(4, None, Some(0)), Err(ThreadsError::Zero("threads")));
    }

    #[test]
    fn this_process_has_a_core() {
        assert!(cores() >= 1);
    }

    proptest! {
        #[test]
        fn never_more_threads_than_cores(
            cores in 1..300_usize,
            workers in proptest::option::of(0..400_usize),
            threads in proptest::option::of(0..400_usize),
        ) {
            match plan_threads(cores, workers, threads) {
                Ok((w, t)) => {
                    prop_assert!(w >= 1 && t >= 1 && w * t <= cores);
                    prop_assert!(workers.is_none_or(|x| x == w) && threads.is_none_or(|x| x == t));
                }
                Err(ThreadsError::Zero(_)) => prop_assert!(workers == Some(0) || threads == Some(0)),
                Err(ThreadsError::TooMany { .. }) => {
                    prop_assert!(workers.unwrap_or(1).saturating_mul(threads.unwrap_or(1)) > cores);
                }
            }
        }
    }
}

//! What fair sharing means in time: when a request would be done among others that take turns with it.
//!
//! While a request receives `s` seconds of service, every other receives at most `s`, or less if it needs less
//! (processor sharing, Kleinrock 1967). So with `work` the seconds of one worker that each admitted request still
//! needs, everybody has received `s` or is done after Σ min(workᵢ, s) / workers seconds, and from this one function
//! follow the finish of each request, of a new request, and the time until there is room for it.

/// The work of all admitted requests, in seconds of one worker.
#[derive(Debug)]
pub(super) struct Share {
    /// Ascending.
    work: Vec<f64>,
    /// `sums[k]`: the first k of `work` together.
    sums: Vec<f64>,
    workers: f64,
}

impl Share {
    pub(super) fn new(work: impl IntoIterator<Item = f64>, workers: usize) -> Self {
        let mut work: Vec<f64> = work.into_iter().filter(|w| *w > 0.0).collect();
        work.sort_by(f64::total_cmp);
        let mut sums = Vec::with_capacity(work.len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for w in &work {
            sum += w;
            sums.push(sum);
        }
        Self { work, sums, workers: workers.max(1) as f64 }
    }

    /// Seconds until every request has received `service` seconds of one worker or is done.
    pub(super) fn time(&self, service: f64) -> f64 {
        let done = self.work.partition_point(|w| *w <= service);
        (self.sums[done] + (self.work.len() - done) as f64 * service) / self.workers
    }

    /// Seconds until everybody is done.
    pub(super) fn total(&self) -> f64 {
        self.time(self.work.last().copied().unwrap_or(0.0))
    }

    /// Seconds until a new request that needs `work` would be done.
    pub(super) fn new_request(&self, work: f64) -> f64 {
        self.time(work) + work / self.workers
    }

    /// Seconds until a new request that needs `work` would be done within `available` seconds, if nobody else came.
    pub(super) fn room(&self, work: f64, available: f64) -> f64 {
        // After `x` of service each, the others hold time(x + work) - time(x) against the new request, falling with x.
        let fits = |x: f64| self.time(x + work) - self.time(x) + work / self.workers <= available;
        let (mut low, mut high) = (0.0, self.work.last().copied().unwrap_or(0.0));
        if fits(low) {
            return 0.0;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if fits(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        self.time(high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thumbnail_pays_for_its_own_size_only() {
        let share = Share::new([200.0], 1);
        assert!((share.new_request(1.0) - 2.0).abs() < 1e-9);
        assert!((share.new_request(300.0) - 500.0).abs() < 1e-9);
        assert!((share.time(200.0) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn workers_divide_the_time() {
        let share = Share::new([10.0, 20.0], 2);
        assert!((share.new_request(10.0) - 15.0).abs() < 1e-9);
        assert!((Share::new([], 2).new_request(10.0) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn room_is_made_once_the_others_are_small_enough() {
        // A new request of 10 has 15 s: the other may hold 5 of its 100, after 95 s.
        let share = Share::new([100.0], 1);
        assert!((share.room(10.0, 15.0) - 95.0).abs() < 1e-6);
        assert!(share.room(10.0, 20.0).abs() < 1e-9);
    }

    proptest! {
        /// The formula against shares dealt out step by step.
        #[test]
        fn agrees_with_turns_taken_one_by_one(
            work in prop::collection::vec(1..30_u32, 0..8), own in 1..30_u32, available in 1..200_u32,
        ) {
            let share = Share::new(work.iter().map(|w| f64::from(*w)), 1);
            let turns: u32 = work.iter().map(|w| (*w).min(own)).sum();
            prop_assert!((share.new_request(f64::from(own)) - f64::from(turns + own)).abs() < 1e-6);

            let (own, available) = (f64::from(own), f64::from(available.max(own)));
            let wait = share.room(own, available);
            let last = work.iter().max().map_or(0.0, |w| share.time(f64::from(*w)));
            prop_assert!((0.0..=last + 1e-6).contains(&wait));
            if share.new_request(own) > available {
                prop_assert!(wait > 0.0);
            }
        }
    }
}

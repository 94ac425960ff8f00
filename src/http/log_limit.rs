//! What may happen many times a second and is logged once in it.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines at least.
const BETWEEN: Duration = Duration::from_secs(1);

/// Lets a line through each [`BETWEEN`] at most.
#[derive(Debug, Default)]
pub struct LogLimit {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogLimit {
    /// If a line is due, how many were not written since the last one.
    pub fn due(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now < last + BETWEEN) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_a_second_and_the_number_of_others() {
        let mut limit = LogLimit::default();
        assert_eq!(limit.due(), Some(0));
        advance(BETWEEN.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!((limit.due(), limit.due()), (None, None));
        advance(Duration::from_millis(1)).await;
        assert_eq!(limit.due(), Some(2));
        assert_eq!(limit.due(), None);
    }
}

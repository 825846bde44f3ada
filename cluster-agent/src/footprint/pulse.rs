//! Whether the agent's loop still turns, by the monotonic clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Beats once per turn of the loop.
#[derive(Debug)]
pub struct Pulse {
    begun: Instant,
    turned_ms: AtomicU64,
    within: Duration,
}

impl Pulse {
    /// Alive for now; dead if it does not beat within `within`.
    pub fn new(within: Duration) -> Self {
        Self { begun: Instant::now(), turned_ms: AtomicU64::new(0), within }
    }

    /// The loop turned.
    pub fn beat(&self) {
        self.beat_at(self.begun.elapsed());
    }

    /// How long ago the loop turned.
    pub fn age(&self) -> Duration {
        self.age_at(self.begun.elapsed())
    }

    /// How long a turn may take.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// Whether the last turn is recent enough.
    pub fn is_alive(&self) -> bool {
        self.age() <= self.within
    }

    fn beat_at(&self, since_begun: Duration) {
        self.turned_ms.store(millis(since_begun), Ordering::Relaxed);
    }

    fn age_at(&self, since_begun: Duration) -> Duration {
        let turned = Duration::from_millis(self.turned_ms.load(Ordering::Relaxed));
        since_begun.saturating_sub(turned)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_as_old_as_its_last_turn() {
        let pulse = Pulse::new(Duration::from_secs(60));
        let second = Duration::from_secs;
        assert_eq!(pulse.age_at(second(61)), second(61));
        pulse.beat_at(second(61));
        assert_eq!(pulse.age_at(second(70)), second(9));
        assert_eq!(pulse.age_at(second(60)), Duration::ZERO, "never before");
    }
}

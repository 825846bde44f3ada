//! A kubelet's pod lifecycle event generator: relists, their histograms, and `last_seen`
//! (rolling.md §4.1).

use super::rng::Rng;

/// Bounds of both relist histograms (`prometheus.DefBuckets`), in microseconds.
pub(super) const BOUNDS_US: [i64; 11] = [
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// The generic PLEG waits this long between the end of a relist and the start of the next.
const RELIST_PERIOD_US: i64 = 1_000_000;

/// A cumulative histogram of durations.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    /// Observations at or below each of [`BOUNDS_US`].
    pub(super) cumulative: [u64; BOUNDS_US.len()],
    pub(super) count: u64,
    pub(super) sum_us: i64,
}

impl Histogram {
    fn observe(&mut self, us: i64) {
        for (bucket, bound) in self.cumulative.iter_mut().zip(BOUNDS_US) {
            *bucket += u64::from(us <= bound);
        }
        self.count += 1;
        self.sum_us += us;
    }
}

/// The relist loop of one kubelet process.
///
/// Inside, time is the node's own: `speed` times as fast as the clock on the wall, so that the
/// histogram of a sped-up node holds what an ordinary node's would.
#[derive(Debug, Clone)]
pub(super) struct Pleg {
    pub(super) duration: Histogram,
    pub(super) interval: Histogram,
    /// Start of the newest relist that returned, wall clock; `None` before the first.
    pub(super) last_seen_ms: Option<i64>,
    pub(super) lag_ms: i64,
    pub(super) stalled: bool,
    speed: i64,
    begun_at_ms: i64,
    /// Node time since `begun_at_ms` at which the relist under way began.
    relist_start_us: i64,
    relist_takes_us: i64,
    previous_start_us: Option<i64>,
}

impl Pleg {
    /// A loop whose first relist begins now.
    pub(super) fn new(now_ms: i64, speed: u32, rng: &mut Rng) -> Self {
        let mut pleg = Self {
            duration: Histogram::default(),
            interval: Histogram::default(),
            last_seen_ms: None,
            lag_ms: 0,
            stalled: false,
            speed: i64::from(speed.max(1)),
            begun_at_ms: now_ms,
            relist_start_us: 0,
            relist_takes_us: 0,
            previous_start_us: None,
        };
        pleg.relist_takes_us = pleg.draw_us(rng);
        pleg
    }

    /// Finishes every relist that is due.
    pub(super) fn advance(&mut self, now_ms: i64, rng: &mut Rng) {
        let now_us = (now_ms - self.begun_at_ms) * 1000 * self.speed;
        while !self.stalled && self.relist_start_us + self.relist_takes_us <= now_us {
            self.duration.observe(self.relist_takes_us);
            if let Some(previous) = self.previous_start_us {
                self.interval.observe(self.relist_start_us - previous);
            }
            self.previous_start_us = Some(self.relist_start_us);
            self.last_seen_ms = Some(self.begun_at_ms + self.relist_start_us / (1000 * self.speed));
            self.relist_start_us += self.relist_takes_us + RELIST_PERIOD_US;
            self.relist_takes_us = self.draw_us(rng);
        }
        if self.stalled {
            // A hung call returns when the fault ends: the longer it hangs, the longer it took.
            self.relist_takes_us = self.relist_takes_us.max(now_us - self.relist_start_us);
        }
    }

    /// The loop of a process that did not run since `since_ms` goes on where it was.
    pub(super) fn skip_pause(&mut self, since_ms: i64, now_ms: i64) {
        let paused_us = (now_ms - since_ms) * 1000 * self.speed;
        let now_us = (now_ms - self.begun_at_ms) * 1000 * self.speed;
        if self.relist_start_us + paused_us <= now_us {
            self.relist_takes_us += paused_us;
        } else {
            self.relist_start_us = self.relist_start_us.max(now_us);
        }
    }

    /// Median 53 ms and 99th percentile 115 ms: a quiet node of the reference (§4.2).
    fn draw_us(&self, rng: &mut Rng) -> i64 {
        if self.lag_ms > 0 {
            return rng.about(self.lag_ms * 1000);
        }
        // The exponential as a power: nothing else in the program wants the C library's mathematics.
        let factor = (1.0 + 0.333 * rng.normal() / 1024.0).powi(1024);
        let us = std::time::Duration::from_millis(53).mul_f64(factor.clamp(0.05, 20.0));
        i64::try_from(us.as_micros()).unwrap_or(RELIST_PERIOD_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ms: i64, speed: u32, change: impl FnOnce(&mut Pleg)) -> Pleg {
        let mut rng = Rng::new(7);
        let mut pleg = Pleg::new(0, speed, &mut rng);
        change(&mut pleg);
        for now in (0..=ms).step_by(50) {
            pleg.advance(now, &mut rng);
        }
        pleg
    }

    #[test]
    fn a_quiet_node_relists_about_every_second_in_about_50_ms() {
        let pleg = after(300_000, 1, |_| ());
        assert!((275..=290).contains(&pleg.duration.count), "{}", pleg.duration.count);
        let [_, _, _, below_50, below_100, below_250, ..] = pleg.duration.cumulative;
        assert!(below_50 * 10 > pleg.duration.count * 3, "{below_50}");
        assert!(below_50 * 10 < pleg.duration.count * 6, "{below_50}");
        assert!(below_100 < pleg.duration.count && below_250 == pleg.duration.count);
        assert_eq!(pleg.interval.count, pleg.duration.count - 1);
        assert!(300_000 - pleg.last_seen_ms.unwrap() < 2500);
    }

    #[test]
    fn speed_brings_more_relists_of_the_same_length() {
        let (slow, fast) = (after(300_000, 1, |_| ()), after(30_000, 10, |_| ()));
        assert_eq!(slow.duration.cumulative, fast.duration.cumulative);
    }

    #[test]
    fn a_hung_relist_freezes_histogram_and_last_seen_until_it_returns() {
        let mut pleg = after(60_000, 1, |pleg| pleg.stalled = true);
        assert_eq!((pleg.duration.count, pleg.last_seen_ms), (0, None));
        pleg.stalled = false;
        pleg.advance(60_050, &mut Rng::new(1));
        assert_eq!((pleg.duration.count, pleg.duration.cumulative), (1, [0; 11]));
        assert!(pleg.duration.sum_us >= 60_000_000);
    }

    #[test]
    fn slow_relists_move_up_the_buckets() {
        let pleg = after(300_000, 1, |pleg| pleg.lag_ms = 4000);
        let [.., below_2_5, below_5, _] = pleg.duration.cumulative;
        // The relist under way when the fault was set still ends in its own time.
        assert_eq!((below_2_5, below_5), (1, pleg.duration.count));
    }
}

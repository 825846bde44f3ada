//! How often and when a delivery is tried again. Pure.

use std::time::Duration;

/// Attempts at an event while a receiver does not answer, or says that it is busy or broken: with the
/// delays below about five hours, enough for a restart or an outage that somebody repairs.
const MAX_ATTEMPTS: u32 = 15;
/// Attempts while a receiver answers that it does not take the event: time for a deployment, no more.
const MAX_REFUSALS: u32 = 5;
/// Longest delay.
const MAX_DELAY_S: u64 = 3600;

/// What a failed attempt says of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// The receiver may recover.
    Long,
    /// The receiver does not want it.
    Short,
}

impl Patience {
    /// What a status other than 2xx means.
    pub fn of(status: u16) -> Self {
        match status {
            408 | 425 | 429 => Self::Long,
            300..=499 => Self::Short,
            _ => Self::Long,
        }
    }
}

/// How long to wait after so many failed attempts; `None` = give up. `jitter` is in thousandths: a
/// receiver that comes back is not met by all hubs at once.
pub fn next_attempt(failures: u32, patience: Patience, jitter: u64) -> Option<Duration> {
    let most = match patience {
        Patience::Long => MAX_ATTEMPTS,
        Patience::Short => MAX_REFUSALS,
    };
    if failures >= most {
        return None;
    }
    let seconds = 1u64 << failures.saturating_sub(1).min(20);
    let delay = Duration::from_secs(seconds.min(MAX_DELAY_S));
    Some(delay + delay * u32::try_from(jitter.min(999)).unwrap_or(0) / 2000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_an_hour_and_end() {
        let delays: Vec<u64> =
            (1..).map_while(|n| next_attempt(n, Patience::Long, 0)).map(|d| d.as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        let refused = (1..).map_while(|n| next_attempt(n, Patience::Short, 0)).count();
        assert_eq!(refused, 4);
    }

    #[test]
    fn jitter_adds_up_to_half() {
        let delay = |jitter| next_attempt(4, Patience::Long, jitter).unwrap().as_millis();
        assert_eq!((delay(0), delay(500)), (8000, 10_000));
        assert!(delay(u64::MAX) < 12_000);
    }

    #[test]
    fn a_busy_receiver_is_waited_for_longer_than_one_that_refuses() {
        for (status, patience) in [
            (500, Patience::Long),
            (503, Patience::Long),
            (429, Patience::Long),
            (408, Patience::Long),
            (404, Patience::Short),
            (301, Patience::Short),
            (410, Patience::Short),
        ] {
            assert_eq!(Patience::of(status), patience, "{status}");
        }
    }
}

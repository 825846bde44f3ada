//! When what is due: an open loop, so a hub that is slow is not asked less. Pure.

use std::time::Duration;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A report of the cluster of this number.
    Report(u32),
    /// A look at the graph.
    Poll,
    /// A person's look at the fleet.
    Read,
}

/// A request and when it is due, from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Duration,
    pub(super) kind: Kind,
}

/// How often what happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Reports in a second.
    pub(super) reports_per_s: f64,
    /// Looks at the graph in a second.
    pub(super) polls_per_s: f64,
    /// Looks at the fleet in a second.
    pub(super) reads_per_s: f64,
    /// So many more reports at once …
    pub(super) burst: u32,
    /// … every so often.
    pub(super) burst_every: Duration,
    /// The end.
    pub(super) duration: Duration,
    /// Clusters; they report in the order of their numbers, as their slots are.
    pub(super) clusters: u32,
    /// The first one to report.
    pub(super) first: u32,
}

/// Everything that is due, in order.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    reports: u64,
    sent: [u64; 2],
    burst_left: u32,
    bursts: u32,
    next_cluster: u32,
}

impl Schedule {
    pub(super) fn new(pace: Pace) -> Self {
        let next_cluster = pace.first % pace.clusters.max(1);
        Self { pace, reports: 0, sent: [0; 2], burst_left: 0, bursts: 1, next_cluster }
    }

    fn cluster(&mut self) -> u32 {
        let number = self.next_cluster;
        self.next_cluster = number.saturating_add(1) % self.pace.clusters.max(1);
        number
    }

    fn burst_at(&self) -> Option<Duration> {
        (self.pace.burst > 0).then(|| self.pace.burst_every.saturating_mul(self.bursts))
    }
}

/// When the `n`th of so many in a second is due; never, if there are none.
fn nth(n: u64, per_s: f64) -> Option<Duration> {
    // Far below the 52 bits in which every number is exact.
    let n = f64::from(u32::try_from(n).ok()?);
    (per_s > 0.0).then(|| Duration::from_secs_f64(n / per_s))
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let pace = self.pace;
        let report_at = nth(self.reports, pace.reports_per_s);
        let burst_at = self.burst_at();
        if self.burst_left == 0
            && let (Some(burst_at), Some(report_at)) = (burst_at, report_at)
            && burst_at <= report_at
        {
            self.burst_left = pace.burst;
        }
        if let Some(at) = burst_at.filter(|_| self.burst_left > 0) {
            self.burst_left -= 1;
            if self.burst_left == 0 {
                self.bursts = self.bursts.saturating_add(1);
            }
            let kind = Kind::Report(self.cluster());
            return (at < pace.duration).then_some(Due { at, kind });
        }
        let [polls, reads] = self.sent;
        let candidates =
            [(report_at, 0), (nth(polls, pace.polls_per_s), 1), (nth(reads, pace.reads_per_s), 2)];
        let due = candidates.into_iter().filter_map(|(at, which)| Some((at?, which)));
        let (at, which) = due.min().filter(|(at, _)| *at < pace.duration)?;
        let kind = match which {
            0 => {
                self.reports += 1;
                Kind::Report(self.cluster())
            }
            1 => {
                self.sent = [polls + 1, reads];
                Kind::Poll
            }
            _ => {
                self.sent = [polls, reads + 1];
                Kind::Read
            }
        };
        Some(Due { at, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace {
            reports_per_s: 10.0,
            polls_per_s: 0.0,
            reads_per_s: 0.0,
            burst: 0,
            burst_every: Duration::from_secs(1),
            duration: Duration::from_secs(2),
            clusters: 15,
            first: 0,
        }
    }

    fn numbers(pace: Pace) -> Vec<u32> {
        Schedule::new(pace)
            .filter_map(|due| match due.kind {
                Kind::Report(number) => Some(number),
                Kind::Poll | Kind::Read => None,
            })
            .collect()
    }

    #[test]
    fn clusters_report_in_order_and_start_over() {
        let expected: Vec<u32> = (0..15).chain(0..5).collect();
        assert_eq!(numbers(pace()), expected);
        assert_eq!(numbers(Pace { first: 14, ..pace() }).get(..3), Some(&[14, 0, 1][..]));
    }

    #[test]
    fn the_rates_are_kept_and_times_never_go_back() {
        let busy = Pace { polls_per_s: 5.0, reads_per_s: 1.0, burst: 7, ..pace() };
        let all: Vec<Due> = Schedule::new(busy).collect();
        let count = |kind: fn(&Kind) -> bool| all.iter().filter(|due| kind(&due.kind)).count();
        assert_eq!(count(|k| matches!(k, Kind::Report(_))), 20 + 7);
        assert_eq!((count(|k| *k == Kind::Poll), count(|k| *k == Kind::Read)), (10, 2));
        assert!(all.windows(2).all(|two| two[0].at <= two[1].at));
        let at_once = all.iter().filter(|due| due.at == Duration::from_secs(1)).count();
        assert!(at_once > 7, "a burst is due in one moment: {at_once}");
    }
}

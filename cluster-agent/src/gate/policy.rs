//! The gates' limits as settings, with the reference's figures as defaults.

/// Limits of the gates. Every default is the figure of rolling.md §9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatePolicy {
    /// Every other voter must be in sync, not only a majority, so that one more failure is
    /// survivable. Default true.
    pub all_other_voters: bool,
    /// Quorums of one or two voters may be rolled, losing availability. Default false.
    pub allow_small_quorum: bool,
    /// A node's own PLEG must be green before it is taken out. Default true.
    pub node_itself_green: bool,
    /// Good probes in a row before a rolled controller counts as in sync. Default 5.
    pub good_probes: u32,
    /// Relists since a rolled kubelet's start before its p99 counts. Default 60.
    pub relists_after_update: u64,
    /// Floor of the p99 limit of a rolled kubelet, milliseconds. Default 1000.
    pub p99_after_update_ms: u64,
    /// The p99 of a rolled kubelet may be this many times its p99 before. Default 10.
    pub p99_baseline_factor: u64,
    /// No confirmed leader for longer than this stops the roll, milliseconds. Default 10 000.
    pub leaderless_stop_ms: u64,
    /// No commit for longer than this stops the roll, milliseconds. Default 10 000.
    pub commit_stop_ms: u64,
    /// Two voters that are bad for longer than this stop the roll, milliseconds. Default 10 000:
    /// an election makes every follower's lag unknown for a few probes, which is no failure.
    pub voters_bad_stop_ms: u64,
    /// Two voters without a good page for longer than this stop the roll, milliseconds. Default
    /// 5000: more than one lost scrape, less than an operator's patience.
    pub voters_lost_stop_ms: u64,
    /// One unit without a good page for longer than this stops the roll, milliseconds. Default
    /// 30 000; units probed less often have their own staleness limit as a floor.
    pub unit_lost_stop_ms: u64,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self {
            all_other_voters: true,
            allow_small_quorum: false,
            node_itself_green: true,
            good_probes: 5,
            relists_after_update: 60,
            p99_after_update_ms: 1000,
            p99_baseline_factor: 10,
            leaderless_stop_ms: 10_000,
            commit_stop_ms: 10_000,
            voters_bad_stop_ms: 10_000,
            voters_lost_stop_ms: 5_000,
            unit_lost_stop_ms: 30_000,
        }
    }
}

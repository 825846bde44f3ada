//! The configuration file as written: every key optional, unknown keys refused.
//!
//! Nothing here has a default or a meaning; `settings` gives both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use channels::rollout::Calendar;
use jiff::Timestamp;
use serde::Deserialize;

use crate::plan::Mode;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fragment {
    pub(super) state_dir: Option<PathBuf>,
    #[serde(default)]
    pub(super) cluster: Cluster,
    #[serde(default)]
    pub(super) hub: Hub,
    #[serde(default)]
    pub(super) listen: super::listen::Listen,
    #[serde(default)]
    pub(super) policy: Policy,
    #[serde(default)]
    pub(super) probes: Probes,
    #[serde(default)]
    pub(super) timings: Timings,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) prometheus: Option<super::prometheus::Prometheus>,
    #[serde(default)]
    pub(super) products: Vec<Product>,
    pub(super) kubernetes: Option<super::kubernetes::Kubernetes>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    pub(super) name: Option<String>,
    pub(super) arch: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hub {
    pub(super) url: Option<String>,
    pub(super) root: Option<PathBuf>,
    pub(super) reports: Option<bool>,
    #[serde(default)]
    pub(super) mirrors: Vec<String>,
    pub(super) proxy: Option<String>,
    pub(super) no_proxy: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) refresh_ms: Option<u64>,
    pub(super) grant_max_age_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) mode: Option<Mode>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probes {
    pub(super) fast_ms: Option<u64>,
    pub(super) idle_ms: Option<u64>,
    pub(super) node_fast_ms: Option<u64>,
    pub(super) node_idle_ms: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) body_max_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timings {
    pub(super) baseline_ms: Option<u64>,
    pub(super) observation_max_ms: Option<u64>,
    pub(super) refused_retry_ms: Option<u64>,
    #[serde(default)]
    pub(super) controller: Step,
    #[serde(default)]
    pub(super) broker: Step,
    #[serde(default)]
    pub(super) node: Step,
    #[serde(default)]
    pub(super) workload: Step,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) await_return_ms: Option<u64>,
    pub(super) await_health_ms: Option<u64>,
    pub(super) soak_ms: Option<u64>,
    pub(super) green_probes: Option<u64>,
    pub(super) expected_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    #[serde(default)]
    pub(super) quorum: QuorumLimits,
    #[serde(default)]
    pub(super) pleg: PlegLimits,
    #[serde(default)]
    pub(super) gate: GateLimits,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "keys of the file: units belong into names")]
pub(super) struct QuorumLimits {
    pub(super) fetch_timeout_ms: Option<u64>,
    pub(super) commit_window_ms: Option<u64>,
    pub(super) applied_lag_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlegLimits {
    pub(super) window_ms: Option<u64>,
    pub(super) min_relists: Option<u64>,
    pub(super) period_ms: Option<u64>,
    pub(super) green_ms: Option<u64>,
    pub(super) red_ms: Option<u64>,
    pub(super) stall_red_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateLimits {
    pub(super) all_other_voters: Option<bool>,
    pub(super) allow_small_quorum: Option<bool>,
    pub(super) node_itself_green: Option<bool>,
    pub(super) good_probes: Option<u64>,
    pub(super) relists_after_update: Option<u64>,
    pub(super) p99_after_update_ms: Option<u64>,
    pub(super) p99_baseline_factor: Option<u64>,
    pub(super) leaderless_stop_ms: Option<u64>,
    pub(super) commit_stop_ms: Option<u64>,
    pub(super) voters_bad_stop_ms: Option<u64>,
    pub(super) voters_lost_stop_ms: Option<u64>,
    pub(super) unit_lost_stop_ms: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "keys of the file")]
pub(super) struct Product {
    pub(super) product: String,
    pub(super) channel: String,
    pub(super) arch: Option<String>,
    pub(super) initial_version: String,
    pub(super) mode: Option<Mode>,
    pub(super) pin: Option<String>,
    #[serde(default)]
    pub(super) hub_may_set_channel: bool,
    #[serde(default)]
    pub(super) accepted_risks: Vec<Risk>,
    #[serde(default)]
    pub(super) windows: Calendar,
    #[serde(default)]
    pub(super) finalize: super::owner::Finalize,
    #[serde(default)]
    pub(super) checks: super::checks::Checks,
    #[serde(default)]
    pub(super) kafka: Option<super::kafka::Kafka>,
    #[serde(default)]
    pub(super) pools: Vec<Pool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Risk {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) until: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) role: channels::wire::Role,
    pub(super) also_broker: Option<bool>,
    pub(super) exec: Option<Exec>,
    pub(super) simulated: Option<Simulated>,
    pub(super) kubernetes: Option<super::kubernetes::PoolTable>,
    pub(super) version_metric: Option<String>,
    pub(super) version_label: Option<String>,
    pub(super) required_signals: Option<Vec<String>>,
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default)]
    pub(super) windows: Calendar,
    #[serde(default)]
    pub(super) zones: Vec<String>,
    #[serde(default)]
    pub(super) hooks: super::owner::Hooks,
    pub(super) units: Vec<Unit>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) metrics_url: Option<String>,
    pub(super) node_id: Option<i64>,
    pub(super) on_node: Option<String>,
    pub(super) hosts_agent: Option<bool>,
    pub(super) zone: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulated {
    pub(super) url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exec {
    pub(super) preflight: Option<Command>,
    pub(super) quiesce: Option<Command>,
    pub(super) mutate: Command,
    pub(super) restore: Option<Command>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "keys of the file")]
pub(super) struct Command {
    pub(super) command: Vec<String>,
    pub(super) timeout_ms: Option<u64>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
}

//! What the file means: defaults, ranges, names, and what contradicts what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use channels::health::{PlegLimits, QuorumLimits};
use channels::names::{Arch, ProductRef};
use channels::wire::{AcceptedRisk, Report, Role};

use super::ConfigError;
use super::checks::checks;
use super::fragments::{self, Fragment};
use super::hub::{HubSettings, Reports, hub};
use super::kafka::kafka_of;
use super::kubernetes::{self, AgentPlace, KubernetesSettings};
use super::owner::{finalize, rules};
use super::pools::{PoolSettings, pools};
use super::prometheus::prometheus;
use super::ranges::{DAY_MS, ranged, ranged_u32};
use crate::driver::CommandSpec;
use crate::gate::GatePolicy;
use crate::kafka::KafkaSettings;
use crate::phase::StepTimings;
use crate::plan::{GATE_GAP_MS, Grants, HubWishes, Mode, Policy, ProductPolicy, Timings};
use crate::prometheus::PrometheusSettings;

/// Units of one cluster: a page per unit and second is what one core can read.
const UNITS_MAX: usize = 2_000;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where memory, keys and metadata are kept.
    pub state_dir: PathBuf,
    /// The cluster's name for people; the state directory remembers it.
    pub cluster_name: String,
    /// The hub.
    pub hub: HubSettings,
    /// Where the agent's own metrics and health are served, if anywhere.
    pub listen: Option<SocketAddr>,
    /// How units are probed.
    pub probes: ProbeSettings,
    /// Waits and windows.
    pub timings: Timings,
    /// Limits of the quorum's signals.
    pub quorum_limits: QuorumLimits,
    /// Limits of the PLEG's signals.
    pub pleg_limits: PlegLimits,
    /// Limits of the gates.
    pub gate: GatePolicy,
    /// The cluster's own Prometheus, if there is one to ask.
    pub prometheus: Option<PrometheusSettings>,
    /// Products by name.
    pub products: BTreeMap<ProductRef, ProductSettings>,
    /// The API server, if this agent uses one.
    pub kubernetes: Option<KubernetesSettings>,
}

/// How units are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Period for controllers, brokers, workloads and the unit that is out, while something moves
    /// or could. Default 500.
    pub fast_ms: u64,
    /// Their period otherwise. Default 5000.
    pub idle_ms: u64,
    /// Period for nodes while something moves or could. Default 2000.
    pub node_fast_ms: u64,
    /// Their period otherwise. Default 30 000.
    pub node_idle_ms: u64,
    /// Longest wait for one page. Default 2000.
    pub timeout_ms: u64,
    /// Largest page read. Default 8 MiB.
    pub body_max_bytes: u64,
}

/// One product.
#[derive(Debug, Clone)]
pub struct ProductSettings {
    /// What its owner allows.
    pub policy: ProductPolicy,
    /// Its pools, in rolling order within a role.
    pub pools: Vec<PoolSettings>,
    /// The command of its finalize step.
    pub finalize: Option<CommandSpec>,
    /// Commands that check before units go, by name.
    pub checks: BTreeMap<String, CommandSpec>,
    /// Its Kafka servers, if they are asked natively.
    pub kafka: Option<KafkaSettings>,
}

impl Settings {
    /// The planner's policy, once it is known who grants.
    pub fn policy(&self, grants: Grants) -> Policy {
        Policy {
            gate: self.gate.clone(),
            timings: self.timings.clone(),
            grants,
            products: self
                .products
                .iter()
                .map(|(product, settings)| (product.clone(), settings.policy.clone()))
                .collect(),
            hosts: self
                .products
                .values()
                .flat_map(|product| &product.pools)
                .flat_map(|pool| &pool.units)
                .filter(|unit| unit.hosts_agent)
                .map(|unit| unit.target.key.clone())
                .collect(),
        }
    }
}

pub(super) fn settings(
    fragment: Fragment,
    place: AgentPlace,
    base: &Path,
) -> Result<Settings, ConfigError> {
    let (kubernetes, scope) = kubernetes::kubernetes(fragment.kubernetes.as_ref(), place, base)?;
    let probes = probes(&fragment.probes)?;
    let hub = hub(&fragment.hub, base)?;
    let timings = timings(&fragment, &probes)?;
    let cluster_name = cluster_name(fragment.cluster.name)?;
    let arch = fragment.cluster.arch.as_deref().unwrap_or("amd64");
    let arch: Arch = arch.parse().map_err(|e| ConfigError::invalid("cluster.arch", e))?;
    let mode = fragment.policy.mode.unwrap_or(Mode::Manual);
    let mut products = BTreeMap::new();
    for product in &fragment.products {
        let (name, settings) =
            one_product(product, &arch, mode, hub.reports, (&probes, &scope), base)?;
        if products.insert(name.clone(), settings).is_some() {
            return Err(ConfigError::invalid("products", format!("{name} is listed twice")));
        }
    }
    check_sizes(&products)?;
    let state_dir = fragment.state_dir.ok_or(ConfigError::Missing {
        key: "state_dir".to_owned(),
        hint: "a directory only this agent uses, e.g. /var/lib/fairway-agent",
    })?;
    Ok(Settings {
        state_dir: base.join(state_dir),
        cluster_name,
        hub,
        listen: fragment.listen.address,
        probes,
        timings,
        quorum_limits: quorum_limits(&fragment.limits.quorum)?,
        pleg_limits: pleg_limits(&fragment.limits.pleg)?,
        gate: gate(&fragment.limits.gate)?,
        prometheus: prometheus(fragment.prometheus.as_ref(), &products, base)?,
        products,
        kubernetes,
    })
}

fn cluster_name(name: Option<String>) -> Result<String, ConfigError> {
    let name = name.ok_or(ConfigError::Missing {
        key: "cluster.name".to_owned(),
        hint: "a name for people, unique at the hub",
    })?;
    if name.is_empty() || name.len() > 63 || name.chars().any(char::is_control) {
        return Err(ConfigError::invalid("cluster.name", "it must have 1 to 63 characters"));
    }
    Ok(name)
}

fn probes(probes: &fragments::Probes) -> Result<ProbeSettings, ConfigError> {
    let fast_ms = ranged("probes.fast_ms", probes.fast_ms, 500, 100..=2_000)?;
    let node_fast_ms = ranged("probes.node_fast_ms", probes.node_fast_ms, 2_000, 100..=10_000)?;
    Ok(ProbeSettings {
        fast_ms,
        idle_ms: ranged("probes.idle_ms", probes.idle_ms, fast_ms.max(5_000), fast_ms..=60_000)?,
        node_fast_ms,
        node_idle_ms: ranged(
            "probes.node_idle_ms",
            probes.node_idle_ms,
            node_fast_ms.max(30_000),
            node_fast_ms..=300_000,
        )?,
        timeout_ms: ranged("probes.timeout_ms", probes.timeout_ms, 2_000, 100..=30_000)?,
        body_max_bytes: ranged(
            "probes.body_max_bytes",
            probes.body_max_bytes,
            8 * 1024 * 1024,
            64 * 1024..=64 * 1024 * 1024,
        )?,
    })
}

fn timings(fragment: &Fragment, probes: &ProbeSettings) -> Result<Timings, ConfigError> {
    let given = &fragment.timings;
    let usual = Timings::default();
    let roles = [
        (Role::Controller, given.controller),
        (Role::Broker, given.broker),
        (Role::Node, given.node),
        (Role::Workload, given.workload),
    ];
    let mut steps = BTreeMap::new();
    let mut expected_ms = BTreeMap::new();
    for (role, step) in roles {
        let given = step_timings(role, &step, usual.step(role))?;
        let deadlines = given.await_return_ms.saturating_add(given.await_health_ms);
        let longest = deadlines.saturating_add(given.soak_ms).min(DAY_MS);
        let key = format!("timings.{role}.expected_ms");
        expected_ms.insert(role, ranged(&key, step.expected_ms, longest, 1_000..=DAY_MS)?);
        steps.insert(role, given);
    }
    // Two seconds by invariant I2; a slower probe than that must still be able to act.
    let fresh_ms = usual.observation_max_ms.max(probes.fast_ms.saturating_mul(2));
    let observation_max_ms =
        ranged("timings.observation_max_ms", given.observation_max_ms, fresh_ms, 500..=60_000)?;
    let page_still_ms = ranged(
        "limits.quorum.commit_window_ms",
        fragment.limits.quorum.commit_window_ms,
        usual.page_still_ms,
        1_000..=60_000,
    )?;
    Ok(Timings {
        // A slow probe must be able to see the offset move at all.
        page_still_ms: page_still_ms.max(probes.idle_ms.saturating_mul(2)),
        node_observation_max_ms: observation_max_ms.saturating_add(probes.node_fast_ms),
        baseline_ms: ranged(
            "timings.baseline_ms",
            given.baseline_ms,
            usual.baseline_ms,
            0..=DAY_MS,
        )?,
        gate_apart_ms: probes.fast_ms,
        // Gates are judged at the fast pace; of its slowest probes two may be late or lost.
        gate_gap_max_ms: GATE_GAP_MS.max(probes.fast_ms.max(probes.node_fast_ms).saturating_mul(3)),
        observation_max_ms,
        grant_max_age_ms: ranged(
            "hub.grant_max_age_ms",
            fragment.hub.grant_max_age_ms,
            usual.grant_max_age_ms,
            1_000..=300_000,
        )?,
        refused_retry_ms: ranged(
            "timings.refused_retry_ms",
            given.refused_retry_ms,
            usual.refused_retry_ms,
            1_000..=DAY_MS,
        )?,
        steps,
        expected_ms,
    })
}

fn step_timings(
    role: Role,
    step: &fragments::Step,
    usual: StepTimings,
) -> Result<StepTimings, ConfigError> {
    let key = |name: &str| format!("timings.{role}.{name}");
    Ok(StepTimings {
        await_return_ms: ranged(
            &key("await_return_ms"),
            step.await_return_ms,
            usual.await_return_ms,
            1_000..=DAY_MS,
        )?,
        await_health_ms: ranged(
            &key("await_health_ms"),
            step.await_health_ms,
            usual.await_health_ms,
            1_000..=DAY_MS,
        )?,
        soak_ms: ranged(&key("soak_ms"), step.soak_ms, usual.soak_ms, 0..=DAY_MS)?,
        green_probes: ranged_u32(
            &key("green_probes"),
            step.green_probes,
            usual.green_probes,
            1..=1_000,
        )?,
    })
}

fn quorum_limits(given: &fragments::QuorumLimits) -> Result<QuorumLimits, ConfigError> {
    let usual = QuorumLimits::default();
    Ok(QuorumLimits {
        fetch_timeout_ms: ranged(
            "limits.quorum.fetch_timeout_ms",
            given.fetch_timeout_ms,
            usual.fetch_timeout_ms,
            500..=60_000,
        )?,
        commit_window_ms: Some(ranged(
            "limits.quorum.commit_window_ms",
            given.commit_window_ms,
            usual.commit_window_ms.unwrap_or(5_000),
            1_000..=60_000,
        )?),
        applied_lag_ms: match given.applied_lag_ms {
            // 0 = do not look: clocks of the controllers are not kept in step here.
            Some(0) => None,
            given => Some(ranged(
                "limits.quorum.applied_lag_ms",
                given,
                usual.applied_lag_ms.unwrap_or(3_000),
                500..=60_000,
            )?),
        },
        ..usual
    })
}

fn pleg_limits(given: &fragments::PlegLimits) -> Result<PlegLimits, ConfigError> {
    let usual = PlegLimits::default();
    let key = |name: &str| format!("limits.pleg.{name}");
    Ok(PlegLimits {
        window_ms: ranged(&key("window_ms"), given.window_ms, usual.window_ms, 5_000..=3_600_000)?,
        min_relists: ranged_u32(
            &key("min_relists"),
            given.min_relists,
            usual.min_relists,
            1..=1_000,
        )?,
        period_ms: ranged(&key("period_ms"), given.period_ms, usual.period_ms, 10..=60_000)?,
        green_ms: ranged(&key("green_ms"), given.green_ms, usual.green_ms, 10..=60_000)?,
        red_ms: ranged(&key("red_ms"), given.red_ms, usual.red_ms, 100..=600_000)?,
        stall_red_ms: ranged(
            &key("stall_red_ms"),
            given.stall_red_ms,
            usual.stall_red_ms,
            500..=600_000,
        )?,
        ..usual
    })
}

fn gate(given: &fragments::GateLimits) -> Result<GatePolicy, ConfigError> {
    let usual = GatePolicy::default();
    let ms = |name: &str, value, default| {
        ranged(&format!("limits.gate.{name}"), value, default, 500..=600_000)
    };
    let count = |name: &str, value, default| {
        ranged(&format!("limits.gate.{name}"), value, default, 0..=100_000)
    };
    Ok(GatePolicy {
        all_other_voters: given.all_other_voters.unwrap_or(usual.all_other_voters),
        allow_small_quorum: given.allow_small_quorum.unwrap_or(usual.allow_small_quorum),
        node_itself_green: given.node_itself_green.unwrap_or(usual.node_itself_green),
        good_probes: ranged_u32(
            "limits.gate.good_probes",
            given.good_probes,
            usual.good_probes,
            1..=1_000,
        )?,
        relists_after_update: count(
            "relists_after_update",
            given.relists_after_update,
            usual.relists_after_update,
        )?,
        p99_after_update_ms: count(
            "p99_after_update_ms",
            given.p99_after_update_ms,
            usual.p99_after_update_ms,
        )?,
        p99_baseline_factor: count(
            "p99_baseline_factor",
            given.p99_baseline_factor,
            usual.p99_baseline_factor,
        )?,
        leaderless_stop_ms: ms(
            "leaderless_stop_ms",
            given.leaderless_stop_ms,
            usual.leaderless_stop_ms,
        )?,
        commit_stop_ms: ms("commit_stop_ms", given.commit_stop_ms, usual.commit_stop_ms)?,
        voters_bad_stop_ms: ms(
            "voters_bad_stop_ms",
            given.voters_bad_stop_ms,
            usual.voters_bad_stop_ms,
        )?,
        voters_lost_stop_ms: ms(
            "voters_lost_stop_ms",
            given.voters_lost_stop_ms,
            usual.voters_lost_stop_ms,
        )?,
        unit_lost_stop_ms: ms(
            "unit_lost_stop_ms",
            given.unit_lost_stop_ms,
            usual.unit_lost_stop_ms,
        )?,
    })
}

fn one_product(
    given: &fragments::Product,
    arch: &Arch,
    mode: Mode,
    reports: Reports,
    (probes, scope): (&ProbeSettings, &kubernetes::Scope),
    base: &Path,
) -> Result<(ProductRef, ProductSettings), ConfigError> {
    let name: ProductRef =
        given.product.parse().map_err(|e| ConfigError::invalid("products.product", e))?;
    let key = |field: &str| format!("products.{name}.{field}");
    let mode = given.mode.unwrap_or(mode);
    if mode == Mode::Hub && reports == Reports::Off {
        let why = "hub needs hub.reports = true, because only a hub grants";
        return Err(ConfigError::invalid(key("mode"), why));
    }
    let mut pools = pools(&name, &given.pools, probes, scope, base)?;
    let (check_rules, checks) = checks(&name, &given.checks, base)?;
    let kafka = kafka_of(given.kafka.as_ref(), &mut pools, &key, base)?;
    let policy = ProductPolicy {
        channel: given.channel.parse().map_err(|e| ConfigError::invalid(key("channel"), e))?,
        arch: match &given.arch {
            Some(arch) => arch.parse().map_err(|e| ConfigError::invalid(key("arch"), e))?,
            None => arch.clone(),
        },
        mode,
        pin: match &given.pin {
            Some(pin) => Some(pin.parse().map_err(|e| ConfigError::invalid(key("pin"), e))?),
            None => None,
        },
        hub: HubWishes { may_set_channel: given.hub_may_set_channel, ..HubWishes::default() },
        accepted_risks: given
            .accepted_risks
            .iter()
            .map(|risk| accepted(&key, risk))
            .collect::<Result<_, _>>()?,
        initial_version: given
            .initial_version
            .parse()
            .map_err(|e| ConfigError::invalid(key("initial_version"), e))?,
        pools: pools.iter().map(|pool| pool.name.clone()).collect(),
        rules: rules(&name, given, &pools, check_rules)?,
    };
    let finalize = finalize(&name, &given.finalize, base)?;
    Ok((name, ProductSettings { policy, pools, finalize, checks, kafka }))
}

fn accepted(
    key: &dyn Fn(&str) -> String,
    risk: &fragments::Risk,
) -> Result<AcceptedRisk, ConfigError> {
    if risk.reason.trim().is_empty() {
        let why = format!("{} needs a reason", risk.name);
        return Err(ConfigError::invalid(key("accepted_risks"), why));
    }
    Ok(AcceptedRisk { name: risk.name.clone(), reason: risk.reason.clone(), until: risk.until })
}

fn check_sizes(products: &BTreeMap<ProductRef, ProductSettings>) -> Result<(), ConfigError> {
    if products.is_empty() || products.len() > Report::MAX_PRODUCTS {
        let why =
            format!("there must be 1 to {}, there are {}", Report::MAX_PRODUCTS, products.len());
        return Err(ConfigError::invalid("products", why));
    }
    let mut nodes = BTreeSet::new();
    let units = products.values().flat_map(|p| &p.pools).flat_map(|pool| &pool.units);
    let mut count = 0_usize;
    for unit in units {
        count += 1;
        if unit.role == Role::Node && !nodes.insert(unit.name.clone()) {
            let why = format!("node {} belongs to two products", unit.name);
            return Err(ConfigError::invalid("products", why));
        }
    }
    if count > UNITS_MAX {
        let why = format!("{count} units are more than one agent observes, {UNITS_MAX}");
        return Err(ConfigError::invalid("products", why));
    }
    Ok(())
}

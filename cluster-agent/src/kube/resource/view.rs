//! What one product's status is made from: values of the agent's mind, without its types' depth.
//!
//! Pure. Built by the loop each round; the publishing task only compares and writes.

use channels::names::ProductRef;
use channels::wire::{HealthVerdict, ProductState, Role};

use super::conditions::whole_second;
use super::status::{
    AgentStatus, ConditionalUpdate, HISTORY_MAX, HistoryEntry, HistoryState, RISKS_MAX, UNITS_MAX,
    UPDATES_MAX, UnitStatus,
};
use crate::agent::Core;
use crate::history::{Pause, ProductHistory};
use crate::observation::{Finding, Observation};
use crate::plan::{Goal, Knowledge, Scene, Severity, Stand, Target, stand};

/// One product as the status shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// As it is reported to the hub.
    pub state: ProductState,
    /// Name of the policy in force.
    pub policy: &'static str,
    /// Health of what serves: all its units but the one that is out.
    pub serving: Serving,
    /// Its units, those that need attention first.
    pub units: Vec<UnitStatus>,
    /// Units that are not in the list.
    pub units_omitted: usize,
    /// What the channel says.
    pub retrieval: Retrieval,
    /// Whether the release it is to run is one that may be run.
    pub acceptance: Acceptance,
    /// The pause, if it is this product's.
    pub pause: Option<Pause>,
    /// Whether a roll is under way.
    pub rolling: bool,
    /// The newest release that was finalized.
    pub finalized: Option<String>,
    /// Moves, newest first.
    pub history: Vec<HistoryEntry>,
    /// Offers without a risk, newest first.
    pub available: Vec<String>,
    /// Offers at a risk, newest first.
    pub conditional: Vec<ConditionalUpdate>,
    /// What came of the resource's spec.
    pub spec: SpecView,
    /// Who shows it.
    pub agent: AgentStatus,
}

/// What came of a resource's spec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecView {
    /// Generation of the spec that was judged last.
    pub generation: Option<i64>,
    /// Why it was refused, if it was: the last valid one stays in force.
    pub refused: Option<String>,
}

/// Health of the units that are not out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// The worst of them.
    pub verdict: HealthVerdict,
    /// What is wrong with that one.
    pub why: Option<String>,
}

/// How the last look at the channel went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retrieval {
    /// Nobody has looked yet.
    NotYet,
    /// A verified graph is there and the last look succeeded.
    Done,
    /// It failed.
    Failed {
        /// Kind of the failure; an attack by its name.
        kind: String,
        /// What happened.
        message: String,
        /// Whether what was offered does not verify, so that nothing starts.
        refused: bool,
    },
}

/// Whether the release to run is acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It is not known yet.
    Unknown,
    /// It is.
    Accepted {
        /// Which.
        version: String,
        /// Digest of its document, where one was needed.
        digest: Option<String>,
    },
    /// It is not.
    Refused {
        /// Name of the gate that says so.
        gate: String,
        /// Why.
        message: String,
    },
}

/// Gates that say that a release is not one this cluster may run from here.
const NOT_ACCEPTABLE: [&str; 9] = [
    "release_missing",
    "edge_not_allowed",
    "edge_withdrawn",
    "no_way",
    "arch_missing",
    "no_component",
    "dependency",
    "finalized",
    "wrong_software",
];

impl View {
    /// The view of the product that `state` is about; `None` for one that is not configured.
    pub fn of(core: &Core, state: &ProductState, spec: SpecView, holder: &str) -> Option<Self> {
        let product = &state.product;
        let policy = core.policy.products.get(product)?;
        let record = core.history.products.get(product)?;
        let known = core.known.get(product);
        let target = core.targets.get(product);
        let (units, units_omitted) = units(core, state, target);
        let (available, conditional) = updates(core, product, record, known);
        let paused = state.phase == channels::wire::Phase::Paused;
        Some(Self {
            policy: policy.mode.as_str(),
            serving: core
                .observation
                .as_ref()
                .map_or_else(Serving::unknown, |seen| serving(seen, state)),
            units,
            units_omitted,
            retrieval: retrieval(known),
            acceptance: acceptance(record, known, target),
            pause: core.history.pause.clone().filter(|_| paused),
            rolling: record.roll.is_some(),
            finalized: record.newest_finalized().map(ToString::to_string),
            history: history(record),
            available,
            conditional,
            spec,
            agent: AgentStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                holder: holder.to_owned(),
            },
            state: state.clone(),
        })
    }
}

impl Serving {
    fn unknown() -> Self {
        Self { verdict: HealthVerdict::Unknown, why: None }
    }
}

fn serving(seen: &Observation, state: &ProductState) -> Serving {
    let units = seen
        .units
        .iter()
        .filter(|(key, _)| key.product == state.product && Some(&key.unit) != state.unit.as_ref())
        .map(|(key, unit)| {
            let why = unit.findings.first().map(|found| format!("{}: {found}", key.unit));
            (unit.verdict, why)
        });
    let quorum = seen.quorums.get(&state.product).into_iter().flat_map(|q| &q.findings);
    let quorum = quorum.map(|found: &Finding| (found.verdict(), Some(found.to_string())));
    let worst = units.chain(quorum).reduce(|worst, next| {
        let changes = worst.0.worst(next.0) != worst.0;
        if changes { next } else { worst }
    });
    worst.map_or_else(Serving::unknown, |(verdict, why)| Serving { verdict, why })
}

fn retrieval(known: Option<&Knowledge>) -> Retrieval {
    let Some(known) = known else { return Retrieval::NotYet };
    match (&known.failure, &known.graph) {
        (Some(trouble), _) => Retrieval::Failed {
            kind: trouble.failure.kind.clone(),
            message: trouble.failure.message.clone(),
            refused: trouble.severity == Severity::Refused,
        },
        (None, Some(_)) => Retrieval::Done,
        (None, None) => Retrieval::NotYet,
    }
}

fn acceptance(
    record: &ProductHistory,
    known: Option<&Knowledge>,
    target: Option<&Target>,
) -> Acceptance {
    let accepted = |version: &channels::version::ReleaseVersion, digest| Acceptance::Accepted {
        version: version.to_string(),
        digest,
    };
    match target {
        Some(Target::Move(goal)) => accepted(&goal.to, Some(goal.release_digest.to_string())),
        Some(Target::Settled) => accepted(&record.version, None),
        Some(Target::Blocked { to, why }) => {
            let refused = why.iter().find(|why| NOT_ACCEPTABLE.contains(&why.gate().as_str()));
            if let Some(why) = refused {
                return Acceptance::Refused { gate: why.gate(), message: why.to_string() };
            }
            let Some(to) = to else { return Acceptance::Unknown };
            match known.and_then(|known| known.releases.get(to)) {
                Some(Ok(release)) => accepted(to, Some(release.digest.to_string())),
                Some(Err(failure)) => Acceptance::Refused {
                    gate: failure.kind.clone(),
                    message: failure.message.clone(),
                },
                None => Acceptance::Unknown,
            }
        }
        None => Acceptance::Unknown,
    }
}

fn history(record: &ProductHistory) -> Vec<HistoryEntry> {
    let under_way = record.roll.as_ref().map(|roll| HistoryEntry {
        state: HistoryState::Partial,
        version: roll.to.to_string(),
        from: Some(record.version.to_string()),
        started_time: whole_second(roll.started_at),
        completion_time: None,
        verified: true,
    });
    // No release is rolled whose document did not verify, so every entry is of a verified one.
    let completed = record.completed.iter().rev().map(|done| HistoryEntry {
        state: HistoryState::Completed,
        version: done.to.to_string(),
        from: Some(done.from.to_string()),
        started_time: whole_second(done.started_at),
        completion_time: Some(whole_second(done.completed_at)),
        verified: true,
    });
    under_way.into_iter().chain(completed).take(HISTORY_MAX).collect()
}

fn updates(
    core: &Core,
    product: &ProductRef,
    record: &ProductHistory,
    known: Option<&Knowledge>,
) -> (Vec<String>, Vec<ConditionalUpdate>) {
    let Some(graph) = known.and_then(|known| known.graph.as_ref()) else {
        return (vec![], vec![]);
    };
    let accepted: Vec<&str> = core
        .policy
        .products
        .get(product)
        .into_iter()
        .flat_map(|policy| &policy.accepted_risks)
        .map(|risk| risk.name.as_str())
        .collect();
    let mut available = Vec::new();
    let mut conditional = Vec::new();
    for offer in graph.targets_of(&record.version).into_iter().rev() {
        if offer.risks.is_empty() {
            available.push(offer.to.to_string());
            continue;
        }
        let names = offer.risks.iter().map(|risk| risk.name.clone());
        let risks: Vec<String> = names.take(RISKS_MAX).collect();
        let taken = risks.iter().filter(|name| accepted.contains(&name.as_str()));
        let taken = taken.cloned().collect();
        conditional.push(ConditionalUpdate {
            version: offer.to.to_string(),
            risks,
            accepted: taken,
        });
    }
    available.truncate(UPDATES_MAX);
    conditional.truncate(UPDATES_MAX);
    (available, conditional)
}

fn units(core: &Core, state: &ProductState, target: Option<&Target>) -> (Vec<UnitStatus>, usize) {
    let Some(observation) = &core.observation else { return (vec![], 0) };
    let scene = core.scene(observation, observation.at);
    let goal = match target {
        Some(Target::Move(goal)) => Some(&**goal),
        Some(Target::Settled | Target::Blocked { .. }) | None => None,
    };
    let all = observation.unit_states(&state.product);
    let omitted = all.len().saturating_sub(UNITS_MAX);
    let listed = all.into_iter().take(UNITS_MAX).map(|unit| UnitStatus {
        phase: unit_phase(&scene, state, goal, &unit.name),
        name: unit.name.to_string(),
        role: role(unit.role).to_owned(),
        pool: unit.pool.to_string(),
        version: unit.version,
        health: unit.health.to_string(),
        why: unit.why,
    });
    (listed.collect(), omitted)
}

fn unit_phase(
    scene: &Scene<'_>,
    state: &ProductState,
    goal: Option<&Goal>,
    unit: &channels::names::UnitName,
) -> String {
    if let Some(out) = &scene.history.out
        && out.key().product == state.product
        && out.key().unit == *unit
    {
        return out.phase.wire().to_string();
    }
    let Some(goal) = goal else { return "idle".to_owned() };
    let key = crate::observation::UnitKey { product: state.product.clone(), unit: unit.clone() };
    match stand(scene, &key, goal) {
        Stand::NotConcerned => "idle",
        Stand::AtGoal => "done",
        Stand::Behind(_) | Stand::Foreign(_) | Stand::Silent => "pending",
    }
    .to_owned()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Controller => "controller",
        Role::Broker => "broker",
        Role::Node => "node",
        Role::Workload => "workload",
    }
}

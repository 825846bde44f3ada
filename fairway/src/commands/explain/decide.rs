//! From what is known of a cluster to why it does not move. Pure.

use channels::names::{Arch, ChannelName, ClusterId, ProductRef, SiteName, UnitName};
use channels::rollout::Name;
use channels::version::ReleaseVersion;
use channels::wire::{
    ClusterRisk, ClusterRow, DriftState, Freshness, HealthSummary, HealthVerdict, Hold, HoldScope,
    Phase, ProductRow, Progress, Reason,
};
use jiff::Timestamp;
use serde::Serialize;

use super::advice::{self, Advice, Who};
use super::gather::{Facts, Turn};
use crate::commands::graph::way::{Ways, ways};
use crate::span::age;

/// The agent's reason for standing still because its hub said so.
const HUB_HOLD: &str = "hub_hold";

/// How a cluster, or one of its products, stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It runs what it should.
    Current,
    /// A unit is out.
    Moving,
    /// It stands still, and goes on by itself.
    Waits,
    /// Somebody has to do something first.
    Blocked,
}

impl Verdict {
    /// The word for tables.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Moving => "moving",
            Self::Waits => "waits",
            Self::Blocked => "blocked",
        }
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    pub(super) name: String,
    pub(super) id: ClusterId,
    /// The worst of its products'.
    pub(super) verdict: Verdict,
    /// One sentence.
    pub(super) summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<SiteName>,
    /// When it last reported; of a dark site, when the site's status was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Timestamp>,
    pub(super) freshness: Freshness,
    /// What concerns all of its products.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) reasons: Vec<Why>,
    pub(super) products: Vec<Explained>,
}

/// One product.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    pub(super) product: ProductRef,
    pub(super) channel: ChannelName,
    pub(super) arch: Arch,
    pub(super) verdict: Verdict,
    pub(super) version: ReleaseVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<ReleaseVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) head: Option<ReleaseVersion>,
    pub(super) drift: DriftState,
    pub(super) phase: Phase,
    pub(super) since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<UnitName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress: Option<Progress>,
    /// When it may go, as far as only time is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) earliest_at: Option<Timestamp>,
    pub(super) reasons: Vec<Why>,
    pub(super) health: HealthSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rollout: Option<Place>,
    /// The way to the head of its channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) way: Option<Ways>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) risks: Vec<ClusterRisk>,
}

/// One reason and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Why {
    /// Who says so: `agent`, `hub`, `hold`, `failure`, `cluster`.
    pub(super) by: &'static str,
    pub(super) code: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// What to do; absent where this tool does not know the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) what_to_do: Option<String>,
    /// Whether it ends by itself.
    pub(super) passes: bool,
}

/// The cluster's place in a rollout.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    pub(super) rollout: u64,
    pub(super) release: ReleaseVersion,
    pub(super) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ring: Option<Name>,
    /// Where that ring stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ring_state: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ring_waits_for: Vec<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ring_opens_at: Option<Timestamp>,
    /// `granted`, `rolling`, `failed`, `acknowledged`; absent where it was not granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt_since: Option<Timestamp>,
}

impl Why {
    fn new(by: &'static str, code: &str, message: String, advice: Option<Advice>) -> Self {
        // A reason that nobody here knows is one for a person.
        let passes = advice.as_ref().is_some_and(|advice| advice.who == Who::Time);
        let what_to_do = advice.map(|advice| advice.text);
        Self { by, code: code.to_owned(), message, since: None, what_to_do, passes }
    }

    fn person(by: &'static str, code: &str, message: String, act: &str) -> Self {
        Self::new(by, code, message, Some(Advice { text: act.to_owned(), who: Who::Person }))
    }
}

/// Explains a cluster.
pub(super) fn explain(facts: &Facts, now: Timestamp) -> Explanation {
    let cluster = &facts.cluster;
    let reasons = of_cluster(cluster, now);
    let lost = !reasons.is_empty();
    let products: Vec<Explained> =
        cluster.products.iter().map(|product| explained(facts, product, lost)).collect();
    let worst = products.iter().map(|product| product.verdict).max();
    let verdict = if lost { Verdict::Blocked } else { worst.unwrap_or(Verdict::Blocked) };
    let summary = summary(verdict, &reasons, &products);
    Explanation {
        name: cluster.name.clone(),
        id: cluster.id,
        verdict,
        summary,
        site: cluster.site.clone(),
        seen: cluster.as_of.or(cluster.last_seen),
        freshness: cluster.freshness,
        reasons,
        products,
    }
}

/// What keeps the whole cluster: nobody hears from it, or nobody believes it.
fn of_cluster(cluster: &ClusterRow, now: Timestamp) -> Vec<Why> {
    let mut reasons = Vec::new();
    let name = &cluster.name;
    if let Some(revoked) = &cluster.key_revoked {
        let message = format!("{} revoked its key: {}", revoked.by, revoked.reason);
        let act = format!("fairway clusters reinvite {name} lets it back in with another key");
        reasons.push(Why {
            since: Some(revoked.at),
            ..Why::person("cluster", "key_revoked", message, &act)
        });
    }
    if let Some(since) = cluster.identity_conflict_since {
        let message = "more than one agent uses its key, and it gets no grants".to_owned();
        let act = format!(
            "find the copy; then fairway clusters reinvite {name}, or fairway clusters trust {name} \
             if the copy is off for good"
        );
        let why = Why::person("cluster", "identity_conflict", message, &act);
        reasons.push(Why { since: Some(since), ..why });
    }
    let seen = cluster.as_of.or(cluster.last_seen);
    let ago = seen.map_or_else(String::new, |at| format!(" for {}", age(at, now)));
    let quiet = match (cluster.freshness, &cluster.site) {
        (Freshness::Fresh | Freshness::Late | Freshness::Carried, _) => None,
        (Freshness::Never, _) => Some((
            "never_reported",
            "it enrolled and has not reported".to_owned(),
            "is its agent running? cluster-agent status says what keeps it".to_owned(),
        )),
        (Freshness::Silent | Freshness::Gone | Freshness::Unknown, Some(site)) => Some((
            "status_old",
            format!("no status of site {site} was carried here{ago}"),
            format!("carry a newer one, or look at the site: fairway sites imports {site}"),
        )),
        (Freshness::Silent | Freshness::Gone | Freshness::Unknown, None) => Some((
            "silent",
            format!("it has not reported{ago}; what is below is from then"),
            "is its agent running, and does it reach the hub? cluster-agent status".to_owned(),
        )),
    };
    reasons.extend(quiet.map(|(code, message, act)| Why::person("cluster", code, message, &act)));
    reasons
}

fn explained(facts: &Facts, product: &ProductRow, lost: bool) -> Explained {
    let head = product.drift.head.clone();
    let is_there = |to: &ReleaseVersion| *to == product.version;
    let reasons = reasons(facts, product);
    let wants_nothing = product.target.as_ref().is_none_or(is_there);
    let verdict = if lost { Verdict::Blocked } else { judge(product, wants_nothing, &reasons) };
    let reasons = match (verdict, reasons.is_empty()) {
        // Its agent knows why, and nothing that it told says it.
        (Verdict::Blocked, true) if !lost => vec![untold(product)],
        (_, _) => reasons,
    };
    let graph = facts.graphs.iter().find(|(known, _)| *known == product.product);
    let way = match (graph, &head) {
        (Some((_, graph)), Some(head)) if !is_there(head) => {
            Some(ways(&product.channel, &product.arch, graph, &product.version, head))
        }
        _ => None,
    };
    Explained {
        product: product.product.clone(),
        channel: product.channel.clone(),
        arch: product.arch.clone(),
        verdict,
        version: product.version.clone(),
        target: product.target.clone().filter(|target| !is_there(target)),
        head,
        drift: product.drift.state,
        phase: product.phase,
        since: product.since,
        unit: product.unit.clone(),
        progress: product.progress,
        earliest_at: product.earliest_at,
        reasons,
        health: product.health.clone(),
        rollout: place(facts, product),
        way,
        risks: facts.risks.iter().filter(|risk| risk.product == product.product).cloned().collect(),
    }
}

fn judge(product: &ProductRow, wants_nothing: bool, reasons: &[Why]) -> Verdict {
    if product.phase.is_rolling() {
        return Verdict::Moving;
    }
    let at_rest = product.phase == Phase::Idle && wants_nothing;
    if product.drift.state == DriftState::Current && at_rest {
        return Verdict::Current;
    }
    let stopped = product.phase == Phase::Paused || product.phase == Phase::Unknown;
    let all_pass = !reasons.is_empty() && reasons.iter().all(|why| why.passes);
    if all_pass && !stopped { Verdict::Waits } else { Verdict::Blocked }
}

/// Why a product is behind whose agent told no reason.
fn untold(product: &ProductRow) -> Why {
    let (code, message, act) = match product.drift.state {
        DriftState::Stranded => (
            "stranded",
            "no way leads from what it runs to the head of its channel",
            "publish an edge; fairway lint says where one is missing",
        ),
        DriftState::OffGraph => (
            "off_graph",
            "what it runs is not in the graph of its channel",
            "is it on the right channel? was the release taken out of the channel?",
        ),
        DriftState::NoGraph => (
            "no_graph",
            "the hub serves no such channel",
            "fairway drift lists channels; fairway clusters set changes a cluster's",
        ),
        DriftState::Current | DriftState::Behind | DriftState::Unknown => (
            "no_reason_told",
            "it stands still and told no reason",
            "ask its agent: cluster-agent status; the unit that is out or was last is named there",
        ),
    };
    Why::person("hub", code, message.to_owned(), act)
}

/// In the order in which a person would look: what failed, who stopped it, the hub, the agent.
fn reasons(facts: &Facts, product: &ProductRow) -> Vec<Why> {
    let mut reasons = Vec::new();
    if let Some(failure) = &product.failure {
        let known = advice::of_gate(&failure.kind);
        let unknown = || Advice {
            text: "look at the unit, then cluster-agent resume".to_owned(),
            who: Who::Person,
        };
        let advice = known.unwrap_or_else(unknown);
        let advice = Advice { who: Who::Person, ..advice };
        let why = Why::new("failure", &failure.kind, failure.message.clone(), Some(advice));
        reasons.push(Why { since: Some(failure.at), ..why });
    }
    for hold in facts.holds.iter().filter(|hold| stops(hold, &facts.cluster, product)) {
        let message = format!("{} held it (hold {}): {}", hold.by, hold.id, hold.reason);
        let act = format!("fairway resume {} --acknowledge TEXT", hold.id);
        let why = Why::person("hold", "held", message, &act);
        reasons.push(Why { since: Some(hold.at), ..why });
    }
    let held = reasons.iter().any(|why| why.by == "hold");
    for reason in &product.why_not {
        // The same hold, once more.
        if reason.code == "held" && held {
            continue;
        }
        let advice = advice::of_hub(&reason.code);
        reasons.push(Why::new("hub", &reason.code, reason.message.clone(), advice));
    }
    for waiting in &product.waiting_on {
        // The agent repeats what the hub told it.
        if waiting.gate == HUB_HOLD && held {
            continue;
        }
        let advice = advice::of_gate(&waiting.gate);
        let why = Why::new("agent", &waiting.gate, waiting.message.clone(), advice);
        reasons.push(Why { since: waiting.since, ..why });
    }
    reasons
}

fn stops(hold: &Hold, cluster: &ClusterRow, product: &ProductRow) -> bool {
    if hold.resumed_at.is_some() {
        return false;
    }
    match &hold.scope {
        HoldScope::Fleet => true,
        HoldScope::Product { product: held } => *held == product.product,
        HoldScope::Channel { product: held, channel } => {
            *held == product.product && *channel == product.channel
        }
        HoldScope::Release { product: held, version } => {
            *held == product.product && product.target.as_ref() == Some(version)
        }
        HoldScope::Cluster { cluster: held } => *held == cluster.id,
    }
}

/// The rollout that it is on its way in, or else the newest that is for it.
fn place(facts: &Facts, product: &ProductRow) -> Option<Place> {
    let own = || facts.turns.iter().filter(|turn| turn.rollout.product == product.product);
    let turn = own().find(|turn| turn.attempt.is_some()).or_else(|| own().next())?;
    let Turn { rollout, ring, attempt } = turn;
    let ring = attempt.as_ref().and_then(|attempt| attempt.ring.clone()).or_else(|| ring.clone());
    let known = rollout.rings.iter().find(|known| Some(&known.name) == ring.as_ref());
    Some(Place {
        rollout: rollout.id,
        release: rollout.release.clone(),
        state: rollout.state.as_str().to_owned(),
        ring,
        ring_state: known.map(|ring| ring.state.as_str().to_owned()),
        ring_waits_for: known.map(|ring| ring.waits_for.clone()).unwrap_or_default(),
        ring_opens_at: known.and_then(|ring| ring.opens_at),
        attempt: attempt.as_ref().map(|attempt| attempt.state.as_str().to_owned()),
        attempt_since: attempt.as_ref().and_then(|attempt| attempt.since),
    })
}

fn summary(verdict: Verdict, reasons: &[Why], products: &[Explained]) -> String {
    if let Some(first) = reasons.first() {
        return first.message.clone();
    }
    let Some(worst) = products.iter().find(|product| product.verdict == verdict) else {
        return "it reported no product".to_owned();
    };
    let Explained { product, version, .. } = worst;
    // What needs a person comes before what passes by itself.
    let why = worst.reasons.iter().find(|why| !why.passes).or(worst.reasons.first());
    let sick = why.and_then(|why| sickness(worst, why));
    let why = why.map_or_else(String::new, |why| format!(": {}", why.message));
    let sentence = match (verdict, &worst.target) {
        (Verdict::Current, _) => format!("{product} runs {version}, the head of its channel"),
        (Verdict::Moving, Some(to)) => format!("{product} moves from {version} to {to}"),
        (Verdict::Moving, None) => format!("{product} {version} has a unit out"),
        (Verdict::Waits, _) => format!("{product} {version} goes on by itself{why}"),
        (Verdict::Blocked, _) => format!("{product} {version} does not move{why}"),
    };
    sentence + &sick.unwrap_or_default()
}

/// What a hold or a turn in a rollout must not hide: the cluster would not go if it might, because it
/// is not well.
fn sickness(product: &Explained, told: &Why) -> Option<String> {
    let is_unhealthy = product.health.verdict == HealthVerdict::Unhealthy;
    if !is_unhealthy || !matches!(told.by, "hold" | "hub") {
        return None;
    }
    let first = product.reasons.iter().find(|why| why.by == "agent" && !why.passes);
    let why = first.map_or_else(String::new, |why| format!(": {}", why.message));
    Some(format!("; and it is unhealthy{why}"))
}

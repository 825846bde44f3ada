//! What a cluster may do next: a pure function of what it asked, who holds what, and what is
//! served.
//!
//! Where a rollout policy governs, the planner's word ([`Turn`]) comes first; without one the hub
//! grants unless something is held. It never grants two products
//! of one cluster at once, never a release it does not serve under the asked digest, and never a
//! step the release's document or the channel's graph does not offer. It reads no clock and no
//! database; the caller persists the returned [`Ledger`] in the commit of the report.

use channels::names::{ChannelName, ClusterId, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{
    Action, Directive, Grant, GrantRequest, Hold, HoldScope, Phase, ProductSettings, Reason,
};
use jiff::{SignedDuration, Timestamp};
use signing::Sha256Digest;

use crate::fleet::ProductRecord;
use crate::rollout::Turn;

#[cfg(test)]
mod tests;

/// Code of the reason that somebody holds a product.
pub const HELD: &str = "held";

/// A cluster's grants: the one that counts, and the counter that makes older ones worthless.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Generation of the newest grant ever given to this cluster.
    pub generation: u64,
    /// The newest grant, unless its product is known to have finished.
    pub current: Option<Grant>,
}

/// One reported product, as far as a decision depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Which product.
    pub product: &'a ProductRef,
    /// The channel it follows.
    pub channel: &'a ChannelName,
    /// What it runs or moves away from.
    pub version: &'a ReleaseVersion,
    /// What it moves to.
    pub target: Option<&'a ReleaseVersion>,
    /// What it is doing.
    pub phase: Phase,
    /// What it asks for.
    pub wants: Option<&'a GrantRequest>,
    /// What the hub serves about the wanted release; meaningless without `wants`.
    pub facts: ReleaseFacts,
    /// Whether the rollout of the wanted release has come to the cluster; meaningless without
    /// `wants`.
    pub turn: &'a Turn,
    /// How far the fleet's owner lets it go.
    pub limits: Limits<'a>,
}

impl<'a> Asked<'a> {
    /// The question of this product, or that it has none.
    pub fn by(
        product: &'a ProductRecord,
        wants: Option<&'a GrantRequest>,
        facts: ReleaseFacts,
        turn: &'a Turn,
        limits: Limits<'a>,
    ) -> Self {
        Self {
            product: &product.graph.product,
            channel: &product.graph.channel,
            version: &product.version,
            target: product.target.as_ref(),
            phase: product.phase,
            wants,
            facts,
            turn,
            limits,
        }
    }
}

/// How far a product may go on one cluster, as the fleet's owner set it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits<'a> {
    /// The release it is pinned to.
    pub pin: Option<&'a ReleaseVersion>,
    /// The newest release it may go to.
    pub max_version: Option<&'a ReleaseVersion>,
}

impl<'a> Limits<'a> {
    /// The limits that settings hold.
    pub fn of(settings: Option<&'a ProductSettings>) -> Self {
        Self {
            pin: settings.and_then(|settings| settings.pin.as_ref()),
            max_version: settings.and_then(|settings| settings.max_version.as_ref()),
        }
    }

    /// The newest release it may have.
    pub fn ceiling(&self) -> Option<&'a ReleaseVersion> {
        [self.pin, self.max_version].into_iter().flatten().min()
    }

    /// Why a step is beyond them. On the way to a pin is whatever lies between; which of those
    /// releases lead there is the graph's to say, and the agent's to follow.
    fn refuse(&self, from: &ReleaseVersion, to: &ReleaseVersion) -> Option<Reason> {
        if let Some(pin) = self.pin {
            let on_the_way =
                if from <= pin { from <= to && to <= pin } else { pin <= to && to < from };
            if !on_the_way {
                let message = format!("the hub pins it to {pin}, {to} is not on the way there");
                return Some(reason("pinned", message));
            }
        }
        let max = self.max_version.filter(|max| to.is_above(max))?;
        Some(reason("above_max", format!("the hub lets it go no further than {max}, not to {to}")))
    }
}

/// What the hub serves about one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// Digest of the wanted release's document, if one is served.
    pub digest: Option<Sha256Digest>,
    /// Whether that document lists the cluster's version.
    pub allowed: bool,
    /// Whether the cluster's channel has the edge.
    pub offered: bool,
}

/// What is the same for every product of a report.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Who asks.
    pub cluster: ClusterId,
    /// Holds in force.
    pub holds: &'a [Hold],
    /// Whether the report lists every product of the cluster.
    pub full: bool,
    /// The hub's time.
    pub now: Timestamp,
    /// Seconds a grant is valid.
    pub ttl_s: u64,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// One per reported product, in the report's order.
    pub directives: Vec<Directive>,
    /// What must be persisted before the answer leaves.
    pub ledger: Ledger,
}

/// Decides for every product of one report.
pub fn decide(situation: &Situation<'_>, before: &Ledger, asked: &[Asked<'_>]) -> Decision {
    let mut ledger = Ledger {
        generation: before.generation,
        current: before.current.clone().filter(|grant| !is_released(situation, grant, asked)),
    };
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_by_key(|&i| asked.get(i).map(|a| precedence(a, &ledger)));
    let mut answers: Vec<(usize, Directive)> = order
        .into_iter()
        .filter_map(|i| asked.get(i).map(|a| (i, answer(situation, &mut ledger, a))))
        .collect();
    answers.sort_by_key(|(i, _)| *i);
    Decision { directives: answers.into_iter().map(|(_, d)| d).collect(), ledger }
}

/// Holds every product of a report for one reason and gives nothing: the grant that was out is void.
pub fn withhold(before: &Ledger, asked: &[Asked<'_>], why: &Reason) -> Decision {
    let held = |asked| directive(asked, Action::Hold, None, vec![why.clone()], None);
    Decision {
        directives: asked.iter().map(held).collect(),
        ledger: Ledger { generation: before.generation, current: None },
    }
}

/// Whether the grant's product says it needs the grant no more: it is idle and asks nothing, or it
/// is gone from a full report. A product that merely waits keeps its turn until the grant expires,
/// so that two half-done rolls never alternate.
fn is_released(situation: &Situation<'_>, grant: &Grant, asked: &[Asked<'_>]) -> bool {
    match asked.iter().find(|a| *a.product == grant.product) {
        Some(holder) => holder.wants.is_none() && holder.phase == Phase::Idle,
        None => situation.full,
    }
}

/// Who is answered first when several ask: the holder, then whoever has a unit out or a grant to
/// renew, then the report's order (the sort is stable).
fn precedence(asked: &Asked<'_>, ledger: &Ledger) -> u8 {
    let holds = ledger.current.as_ref().is_some_and(|g| g.product == *asked.product);
    let renews = asked.wants.is_some_and(|w| w.renews.is_some());
    match (holds, asked.phase.is_rolling() || renews) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

/// Whether a hold covers a product that asks for nothing.
pub fn is_held(holds: &[Hold], cluster: ClusterId, product: &ProductRecord) -> bool {
    let facts = ReleaseFacts::default();
    let asked = Asked::by(product, None, facts, &Turn::Ungoverned, Limits::default());
    holds.iter().any(|hold| covers(hold, cluster, &asked))
}

fn answer(situation: &Situation<'_>, ledger: &mut Ledger, asked: &Asked<'_>) -> Directive {
    let held: Vec<Reason> =
        situation.holds.iter().filter(|h| covers(h, situation.cluster, asked)).map(held).collect();
    if !held.is_empty() {
        return directive(asked, Action::Hold, None, held, None);
    }
    let Some(wants) = asked.wants else {
        return directive(asked, Action::Wait, None, vec![not_asked()], None);
    };
    let beyond = asked.limits.refuse(asked.version, &wants.to);
    if let Some(refused) = beyond.or_else(|| refuse(asked, wants)) {
        return directive(asked, Action::Wait, None, vec![refused], None);
    }
    match asked.turn {
        Turn::Ungoverned | Turn::Go { .. } => {}
        Turn::Wait { reasons, earliest_at, .. } => {
            return directive(asked, Action::Wait, None, reasons.clone(), *earliest_at);
        }
        Turn::Hold { reasons, .. } => {
            return directive(asked, Action::Hold, None, reasons.clone(), None);
        }
    }
    if let Some(other) = elsewhere(situation, ledger, asked) {
        let message =
            format!("{} of this cluster holds the grant until {}", other.product, other.expires_at);
        let earliest = Some(other.expires_at);
        let reasons = vec![reason("grant_elsewhere", message)];
        return directive(asked, Action::Wait, None, reasons, earliest);
    }
    let grant = Grant {
        cluster: situation.cluster,
        product: asked.product.clone(),
        to: wants.to.clone(),
        release_digest: wants.release_digest,
        generation: ledger.generation.saturating_add(1),
        expires_at: after(situation.now, situation.ttl_s),
    };
    ledger.generation = grant.generation;
    ledger.current = Some(grant.clone());
    directive(asked, Action::Proceed, Some(grant), Vec::new(), None)
}

/// A grant of another product that has not expired.
fn elsewhere<'l>(
    situation: &Situation<'_>,
    ledger: &'l Ledger,
    asked: &Asked<'_>,
) -> Option<&'l Grant> {
    ledger.current.as_ref().filter(|g| g.product != *asked.product && g.expires_at > situation.now)
}

fn refuse(asked: &Asked<'_>, wants: &GrantRequest) -> Option<Reason> {
    let (product, to, from) = (asked.product, &wants.to, asked.version);
    let facts = asked.facts;
    match facts.digest {
        None => {
            Some(reason("release_unknown", format!("this hub serves no release {to} of {product}")))
        }
        Some(served) if served != wants.release_digest => Some(reason(
            "digest_mismatch",
            format!("{product} {to} has digest {served} here, not {}", wants.release_digest),
        )),
        Some(_) if !facts.allowed => Some(reason(
            "edge_not_allowed",
            format!("{product} {to} does not list {from} as a version to come from"),
        )),
        Some(_) if !facts.offered => Some(reason(
            "edge_not_offered",
            format!("channel {} of {product} has no edge from {from} to {to}", asked.channel),
        )),
        Some(_) => None,
    }
}

/// Whether a hold covers this product of this cluster.
fn covers(hold: &Hold, cluster: ClusterId, asked: &Asked<'_>) -> bool {
    if hold.resumed_at.is_some() {
        return false;
    }
    match &hold.scope {
        HoldScope::Fleet => true,
        HoldScope::Product { product } => product == asked.product,
        HoldScope::Channel { product, channel } => {
            product == asked.product && channel == asked.channel
        }
        HoldScope::Release { product, version } => {
            product == asked.product
                && (asked.target == Some(version) || asked.wants.is_some_and(|w| w.to == *version))
        }
        HoldScope::Cluster { cluster: held } => *held == cluster,
    }
}

/// What a product is told that asked for nothing.
pub(crate) fn not_asked() -> Reason {
    reason("not_asked", "no grant was asked for".to_owned())
}

fn held(hold: &Hold) -> Reason {
    reason(HELD, format!("held by {}: {} (hold {})", hold.by, hold.reason, hold.id))
}

fn reason(code: &str, message: String) -> Reason {
    Reason { code: code.to_owned(), message }
}

fn directive(
    asked: &Asked<'_>,
    action: Action,
    grant: Option<Grant>,
    reasons: Vec<Reason>,
    earliest_at: Option<Timestamp>,
) -> Directive {
    Directive { product: asked.product.clone(), action, grant, reasons, earliest_at }
}

fn after(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

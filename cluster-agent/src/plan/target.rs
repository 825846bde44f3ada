//! Where each product wants to go, and whether anything verified allows it.
//!
//! Pure. The graph proposes, the owner's policy chooses among proposals, and the release document
//! of the target must allow the move from *every* release that units still run. What cannot be
//! verified is a reason to wait and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use channels::graph::{Graph, Risk};
use channels::names::ProductRef;
use channels::path::{Goal as PathGoal, next_step_where, path};
use channels::version::ReleaseVersion;
use channels::wire::{self, Component, ReleaseDocument, Role};
use signing::Sha256Digest;

use super::policy::{Mode, ProductPolicy};
use super::target_choice::{Chosen, back_to, step, unoffered};
use super::target_risks::{Exposure, RiskAnswers};
use super::waiting_on::WaitingOn;
use super::{Scene, dependencies};
use crate::history::{History, ProductHistory};
use crate::state::Approval;

/// A release document that was verified against the pinned root.
#[derive(Debug, Clone)]
pub struct VerifiedRelease {
    /// Its content.
    pub document: Arc<ReleaseDocument>,
    /// Digest of its bytes.
    pub digest: Sha256Digest,
}

/// Everything verified that is known about one product, and what could not be.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// The last verified graph that has not expired.
    pub graph: Option<Arc<Graph>>,
    /// Release documents asked for.
    pub releases: BTreeMap<ReleaseVersion, Result<VerifiedRelease, wire::Failure>>,
    /// The failure of the last refresh, if it failed.
    pub failure: Option<Trouble>,
}

/// Why the last refresh of a product failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// What happened, by the attack's name where one was met.
    pub failure: wire::Failure,
    /// Whether starts must stop for it.
    pub severity: Severity,
}

/// What a failed refresh means for starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// What was offered does not verify: nothing starts until it does.
    Refused,
    /// Nothing was offered (the network, the server): the last verified graph serves until its
    /// metadata expires.
    Unreachable,
}

/// Knowledge by product.
pub type Known = BTreeMap<ProductRef, Knowledge>;

/// Where one product stands towards its channel.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// There is nothing to do.
    Settled,
    /// There would be, but something forbids it.
    Blocked {
        /// The release it would go to.
        to: Option<ReleaseVersion>,
        /// Why not.
        why: Vec<WaitingOn>,
    },
    /// It wants to move, and everything verified allows it.
    Move(Box<Goal>),
}

/// A verified place to go.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// The release.
    pub to: ReleaseVersion,
    /// Digest of its document.
    pub release_digest: Sha256Digest,
    /// What units of each role take.
    pub components: BTreeMap<Role, Component>,
    /// The release behind each component version that units may still run, by role.
    pub olds: BTreeMap<Role, BTreeMap<String, ReleaseVersion>>,
    /// Its finalize step, if it has one.
    pub finalize: Option<wire::Finalize>,
}

/// Targets by product.
pub type Targets = BTreeMap<ProductRef, Target>;

/// Inputs of target resolution that are the same for all products.
#[derive(Debug)]
pub struct Basis<'a> {
    /// What is known and verified.
    pub known: &'a Known,
    /// The owner's policy.
    pub policy: &'a super::Policy,
    /// The agent's memory.
    pub history: &'a History,
    /// Moves a person approved.
    pub approvals: &'a [Approval],
    /// What the cluster's Prometheus said about risks.
    pub answers: &'a RiskAnswers,
    /// The time.
    pub now: jiff::Timestamp,
}

impl Basis<'_> {
    /// Resolves every product.
    pub fn targets(&self) -> Targets {
        self.policy
            .products
            .iter()
            .map(|(product, policy)| (product.clone(), self.target(product, policy)))
            .collect()
    }

    fn target(&self, product: &ProductRef, policy: &ProductPolicy) -> Target {
        let Some(record) = self.history.products.get(product) else { return Target::Settled };
        let none = Knowledge::default();
        let known = self.known.get(product).unwrap_or(&none);
        let refused = known.failure.as_ref().and_then(refused_metadata);
        let Some(graph) = &known.graph else {
            let why = refused.unwrap_or_else(|| no_metadata(known));
            return Target::Blocked {
                to: record.roll.as_ref().map(|r| r.to.clone()),
                why: vec![why],
            };
        };
        let chosen = self.choose(product, policy, record, graph, known);
        let target = match chosen {
            Chosen::Nothing => Target::Settled,
            Chosen::Blocked { to, why } => Target::Blocked { to, why: vec![why] },
            Chosen::To(to) => self.check(policy, record, known, &to),
        };
        match (refused, target) {
            (None, target) => target,
            (Some(why), Target::Settled) => Target::Blocked { to: None, why: vec![why] },
            (Some(why), Target::Blocked { to, why: mut rest }) => {
                rest.insert(0, why);
                Target::Blocked { to, why: rest }
            }
            (Some(why), Target::Move(goal)) => {
                Target::Blocked { to: Some(goal.to), why: vec![why] }
            }
        }
    }

    /// Which release the product goes to: the one under way, or what graph and policy propose.
    fn choose(
        &self,
        product: &ProductRef,
        policy: &ProductPolicy,
        record: &ProductHistory,
        graph: &Graph,
        known: &Knowledge,
    ) -> Chosen {
        let exposure = policy.exposure(self.answers, self.now);
        let begun = record.roll.as_ref().filter(|roll| roll.touched);
        if let Some(back) = self.back(product, record) {
            return back_to(record, graph, back, &exposure);
        }
        let fresh = self.propose(product, policy, record, graph, &exposure);
        let Some(roll) = begun else { return fresh };
        let unreached = |to: &ReleaseVersion| {
            let froms = running(record);
            let mut others = froms.iter().filter(|from| *from != to);
            others.find_map(|from| unoffered(graph, from, to, &exposure))
        };
        if let Chosen::To(newer) = &fresh
            && *newer != roll.to
            && unreached(newer).is_none()
            && matches!(self.check(policy, record, known, newer), Target::Move(_))
        {
            return fresh;
        }
        let to = &roll.to;
        if let Some(why) = beyond(policy, graph, to) {
            return Chosen::Blocked { to: Some(to.clone()), why };
        }
        match unreached(to) {
            None => Chosen::To(to.clone()),
            Some(why) => Chosen::Blocked { to: Some(to.clone()), why },
        }
    }

    /// The older release that a person ordered the product back to; one that it has left behind
    /// since is over.
    fn back(&self, product: &ProductRef, record: &ProductHistory) -> Option<&ReleaseVersion> {
        let order = self.approvals.iter().find(|a| a.product == *product && a.back)?;
        (order.to <= record.version).then_some(&order.to)
    }

    /// What graph and policy propose to a product at rest.
    fn propose(
        &self,
        product: &ProductRef,
        policy: &ProductPolicy,
        record: &ProductHistory,
        graph: &Graph,
        exposure: &Exposure<'_>,
    ) -> Chosen {
        let from = &record.version;
        let approved = self.approvals.iter().find(|a| a.product == *product).map(|a| a.to.clone());
        let step = |goal: &PathGoal| step(graph, from, goal, exposure);
        // A pin says how far; who decides that the product moves is the mode's business.
        let farthest = policy.farthest();
        let chosen = match (policy.mode, approved) {
            (Mode::Auto | Mode::Hub, _) => step(&farthest),
            (Mode::Manual | Mode::Patch, Some(to)) if to > *from => {
                match beyond(policy, graph, &to) {
                    Some(why) => Chosen::Blocked { to: Some(to), why },
                    None => step(&PathGoal::Version(to)),
                }
            }
            (Mode::Manual, _) => step(&farthest).held_back(|to| WaitingOn::NeedsApproval { to }),
            (Mode::Patch, _) => {
                let patch = match &policy.pin {
                    None => step(&policy.farthest_patch()),
                    Some(_) => step(&farthest).only(|to| line(to) == line(from)),
                };
                let left = |to| WaitingOn::NotAPatch { from: from.clone(), to };
                if patch == Chosen::Nothing { step(&farthest).held_back(left) } else { patch }
            }
        };
        chosen.unless(|to| policy.above_max(to))
    }

    /// The release document decides: it must verify, and list every running release.
    fn check(
        &self,
        policy: &ProductPolicy,
        record: &ProductHistory,
        known: &Knowledge,
        to: &ReleaseVersion,
    ) -> Target {
        let blocked = |why| Target::Blocked { to: Some(to.clone()), why: vec![why] };
        let release = match document(known, to) {
            Ok(release) => release,
            Err(why) => return blocked(*why),
        };
        if let Some(why) = super::finalize::forbids(record, policy, &release.document) {
            return blocked(why);
        }
        for from in running(record).iter().filter(|from| *from != to) {
            if !release.document.allows_from(from) {
                return blocked(WaitingOn::EdgeNotAllowed { from: from.clone(), to: to.clone() });
            }
        }
        let Some(content) = release.document.arches.get(&policy.arch) else {
            let why = WaitingOn::ArchMissing { to: to.clone(), arch: policy.arch.clone() };
            return blocked(why);
        };
        let own = &release.document;
        if let Some(why) = dependencies::unmet(self.history, to, own)
            .or_else(|| dependencies::broken(self.known, self.history, &own.product_ref(), to))
        {
            return blocked(why);
        }
        let mut olds: BTreeMap<Role, BTreeMap<String, ReleaseVersion>> = BTreeMap::new();
        for from in running(record).into_iter().filter(|from| from != to) {
            let old = match document(known, &from) {
                Ok(old) => old,
                Err(why) => return blocked(*why),
            };
            for component in
                old.document.arches.get(&policy.arch).iter().flat_map(|a| &a.components)
            {
                let version = plain(&component.version).to_owned();
                olds.entry(component.role).or_default().insert(version, from.clone());
            }
        }
        let components =
            content.components.iter().map(|c| (c.role, c.clone())).collect::<BTreeMap<_, _>>();
        let release_digest = release.digest;
        let finalize = release.document.finalize.clone();
        Target::Move(Box::new(Goal { to: to.clone(), release_digest, components, olds, finalize }))
    }
}

/// The pin, if a release is not on the way to it; or the highest version, if it is above.
fn beyond(policy: &ProductPolicy, graph: &Graph, to: &ReleaseVersion) -> Option<WaitingOn> {
    if let Some(why) = policy.above_max(to) {
        return Some(why);
    }
    let pin = policy.pin.as_ref().filter(|pin| *pin != to)?;
    let leads = path(graph, to, pin, &|_| true).is_ok();
    (!leads).then(|| WaitingOn::Pinned { pin: pin.clone(), to: to.clone() })
}

/// The minor release that a release is a patch of.
fn line(version: &ReleaseVersion) -> (u64, u64) {
    (version.semver().major, version.semver().minor)
}

/// Releases that units may run at the moment.
pub fn running(record: &ProductHistory) -> BTreeSet<ReleaseVersion> {
    let mut versions = BTreeSet::from([record.version.clone()]);
    if let Some(roll) = record.roll.as_ref().filter(|roll| roll.touched) {
        versions.extend(roll.passed.iter().cloned());
        versions.insert(roll.to.clone());
    }
    versions
}

/// Release documents that must be at hand to decide about a product; the shell fetches them.
pub fn documents_needed(
    product: &ProductRef,
    graph: &Graph,
    policy: &ProductPolicy,
    history: &History,
    approvals: &[Approval],
    exposure: &Exposure<'_>,
) -> BTreeSet<ReleaseVersion> {
    let Some(record) = history.products.get(product) else { return BTreeSet::new() };
    let mut needed = running(record);
    let approved = approvals.iter().filter(|a| a.product == *product).map(|a| a.to.clone());
    let goals = [PathGoal::Head, PathGoal::PatchOnly, policy.farthest(), policy.farthest_patch()]
        .into_iter()
        .chain(approved.map(PathGoal::Version));
    let accept = |risk: &Risk| exposure.passes(risk);
    needed.extend(goals.filter_map(|g| next_step_where(graph, &record.version, &g, &accept).to));
    needed
}

fn document<'k>(
    known: &'k Knowledge,
    version: &ReleaseVersion,
) -> Result<&'k VerifiedRelease, Box<WaitingOn>> {
    let missing = |why: &str| {
        Box::new(WaitingOn::ReleaseMissing { version: version.clone(), why: why.to_owned() })
    };
    match known.releases.get(version) {
        Some(Ok(release)) => Ok(release),
        Some(Err(failure)) if failure.kind == "release_missing" => Err(missing(&failure.message)),
        Some(Err(failure)) => Err(Box::new(WaitingOn::Unverified {
            kind: failure.kind.clone(),
            message: failure.message.clone(),
            since: failure.at,
        })),
        None => Err(missing("it has not been fetched yet")),
    }
}

fn refused_metadata(trouble: &Trouble) -> Option<WaitingOn> {
    match trouble.severity {
        Severity::Refused => Some(WaitingOn::Unverified {
            kind: trouble.failure.kind.clone(),
            message: trouble.failure.message.clone(),
            since: trouble.failure.at,
        }),
        Severity::Unreachable => None,
    }
}

fn no_metadata(known: &Knowledge) -> WaitingOn {
    let why = match &known.failure {
        Some(trouble) => trouble.failure.message.clone(),
        None => "the first fetch has not ended".to_owned(),
    };
    WaitingOn::NoMetadata { why }
}

/// A version without the `v` that Kubernetes components put in front.
pub fn plain(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

/// What one unit runs, seen from a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// The goal has nothing for its role.
    NotConcerned,
    /// It runs what the goal holds for its role.
    AtGoal,
    /// It runs an older (or other known) release.
    Behind(ReleaseVersion),
    /// It reports something that no known release holds.
    Foreign(String),
    /// It does not say, and never has.
    Silent,
}

/// Classifies a unit by the version it reports, or last reported while nobody touched it.
pub fn stand(scene: &Scene<'_>, key: &crate::observation::UnitKey, goal: &Goal) -> Stand {
    let Some(unit) = scene.observation.units.get(key) else { return Stand::Silent };
    let Some(component) = goal.components.get(&unit.role) else { return Stand::NotConcerned };
    let calm = scene.history.calm.get(key).map(|calm| calm.version.as_str());
    let Some(version) = unit.version.as_deref().or(calm).map(plain) else { return Stand::Silent };
    if version == plain(&component.version) {
        return Stand::AtGoal;
    }
    match goal.olds.get(&unit.role).and_then(|olds| olds.get(version)) {
        Some(release) => Stand::Behind(release.clone()),
        None => Stand::Foreign(version.to_owned()),
    }
}

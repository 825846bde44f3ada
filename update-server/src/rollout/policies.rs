//! The policies in force, and which of them governs a product's channel.
//!
//! The most specific one governs: a product's channels, then a product, a vendor's channels, a
//! vendor, everything. Two that are equally specific and overlap are refused when the later one is
//! applied, so there is always one answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use channels::lint::Severity;
use channels::names::{ChannelName, ProductRef};
use channels::rollout::lint::{Fleet, lint_policy};
use channels::rollout::{Name, Policy, Scope};
use jiff::Timestamp;

use super::changes::PolicyRow;
use super::command::RolloutRefusal;

/// Most policies in force: people can still tell which one governs what.
pub const POLICIES_MAX: usize = 1_000;

/// The newest version of a policy.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its row.
    pub row: PolicyRow,
}

impl InForce {
    /// Reads a row; the file is named after the policy in errors.
    pub fn read(row: PolicyRow) -> Result<Self, RolloutRefusal> {
        let policy = Policy::parse(Path::new(row.name.as_str()), &row.text)
            .map_err(RolloutRefusal::Policy)?;
        Ok(Self { policy: Arc::new(policy), row })
    }
}

/// The newest version of every policy, deleted ones included: their rollouts are judged by them
/// to their end.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    named: BTreeMap<Name, InForce>,
    /// Whether any of them has baselines: asked with every report.
    ask_baselines: bool,
}

impl Policies {
    /// Takes rows in any order and keeps the newest of each name.
    pub fn restore(rows: impl IntoIterator<Item = PolicyRow>) -> Result<Self, RolloutRefusal> {
        let mut newest: BTreeMap<Name, PolicyRow> = BTreeMap::new();
        for row in rows {
            let is_newer = newest.get(&row.name).is_none_or(|known| known.version < row.version);
            if is_newer {
                newest.insert(row.name.clone(), row);
            }
        }
        let named = newest
            .into_iter()
            .map(|(name, row)| Ok((name, InForce::read(row)?)))
            .collect::<Result<_, RolloutRefusal>>()?;
        let mut policies = Self { named, ask_baselines: false };
        policies.note_baselines();
        Ok(policies)
    }

    fn note_baselines(&mut self) {
        let mut rings = self.named.values().flat_map(|known| &known.policy.rings);
        self.ask_baselines = rings.any(|ring| !ring.gates.baselines.is_empty());
    }

    /// Whether any ring has baselines.
    pub fn ask_baselines(&self) -> bool {
        self.ask_baselines
    }

    /// A policy, also one that was deleted.
    pub fn get(&self, name: &Name) -> Option<&InForce> {
        self.named.get(name)
    }

    /// Policies that govern, by name.
    pub fn in_force(&self) -> impl Iterator<Item = &InForce> {
        self.named.values().filter(|known| !known.row.deleted)
    }

    /// The policy of a product's channel, if any.
    pub fn governing(&self, product: &ProductRef, channel: &ChannelName) -> Option<&InForce> {
        self.in_force()
            .filter_map(|known| Some((rank(&known.policy, product, channel)?, known)))
            .max_by(|(a, one), (b, other)| a.cmp(b).then(other.row.name.cmp(&one.row.name)))
            .map(|(_, known)| known)
    }

    /// Checks a new version of a policy, and answers with its row.
    pub fn check(
        &self,
        text: &str,
        fleet: &Fleet<'_>,
        by: &str,
        now: Timestamp,
    ) -> Result<InForce, RolloutRefusal> {
        let file = Path::new("policy.yaml");
        let policy = Policy::parse(file, text).map_err(RolloutRefusal::Policy)?;
        let errors: Vec<String> = lint_policy(file, &policy, fleet, now)
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| format!("{}: {}", finding.code.as_str(), finding.message))
            .collect();
        if let Some(first) = errors.first() {
            return Err(RolloutRefusal::Lint { count: errors.len(), first: first.clone() });
        }
        self.overlap(&policy)?;
        let known = self.named.get(&policy.name);
        if known.is_none_or(|known| known.row.deleted) && self.in_force().count() >= POLICIES_MAX {
            return Err(RolloutRefusal::TooManyPolicies);
        }
        let row = PolicyRow {
            name: policy.name.clone(),
            version: known.map_or(1, |known| known.row.version.saturating_add(1)),
            text: text.to_owned(),
            deleted: false,
            at: now,
            by: by.to_owned(),
        };
        Ok(InForce { policy: Arc::new(policy), row })
    }

    fn overlap(&self, policy: &Policy) -> Result<(), RolloutRefusal> {
        for other in self.in_force().filter(|other| other.policy.name != policy.name) {
            if let Some(what) = common(policy, &other.policy) {
                let (name, other) = (policy.name.clone(), other.policy.name.clone());
                return Err(RolloutRefusal::Overlap { name, other, what });
            }
        }
        Ok(())
    }

    pub(super) fn put(&mut self, policy: InForce) {
        self.named.insert(policy.row.name.clone(), policy);
        self.note_baselines();
    }
}

/// How specific a scope is; more is more.
fn specific(scope: &Scope) -> u8 {
    let base = if scope.product.is_some() { 3 } else { 1 };
    base + u8::from(!scope.channels.is_empty())
}

/// How specifically a policy is for a product's channel; `None` if it is not.
fn rank(policy: &Policy, product: &ProductRef, channel: &ChannelName) -> Option<u8> {
    if policy.applies_to.is_empty() {
        return Some(0);
    }
    let for_it = |scope: &&Scope| {
        scope.vendor.as_ref().is_none_or(|vendor| *vendor == product.vendor)
            && scope.product.as_ref().is_none_or(|own| own == product)
            && (scope.channels.is_empty() || scope.channels.contains(channel))
    };
    policy.applies_to.iter().filter(for_it).map(specific).max()
}

/// What two policies are for equally specifically, if anything.
fn common(one: &Policy, other: &Policy) -> Option<String> {
    if one.applies_to.is_empty() && other.applies_to.is_empty() {
        return Some("everything".to_owned());
    }
    let pairs = one.applies_to.iter().flat_map(|a| other.applies_to.iter().map(move |b| (a, b)));
    pairs.filter(|(a, b)| specific(a) == specific(b)).find_map(|(a, b)| {
        let channel = a.channels.iter().find(|channel| b.channels.contains(channel));
        let meet = a.vendor == b.vendor
            && a.product == b.product
            && (a.channels.is_empty() || channel.is_some());
        let product = a.product.as_ref().map(ToString::to_string);
        let what = product.or_else(|| a.vendor.as_ref().map(ToString::to_string))?;
        meet.then(|| channel.map_or(what.clone(), |channel| format!("{what} in {channel}")))
    })
}

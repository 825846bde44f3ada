//! Follows the fleet over the hub's public API and tells what changes.

use std::collections::BTreeMap;

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use channels::wire::{ClusterRow, DriftState, Page, Phase, ProductRow};

use super::scenario::Member;
use crate::error::{CliError, Result};
use crate::hub::{Hub, PAGE_ROWS};
use crate::out::Out;

/// Cluster name and product.
type Key = (String, ProductRef);

/// What was last told about one product of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    version: ReleaseVersion,
    unit: Option<String>,
    why: Option<String>,
}

/// The fleet as last seen.
#[derive(Debug)]
pub(super) struct Watch {
    members: Vec<Member>,
    expected: BTreeMap<ProductRef, ReleaseVersion>,
    seen: BTreeMap<Key, ProductRow>,
    told: BTreeMap<Key, Told>,
    lagging_seen: bool,
}

impl Watch {
    /// Nothing seen yet.
    pub(super) fn new(members: &[Member]) -> Self {
        Self {
            members: members.to_vec(),
            expected: BTreeMap::new(),
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
            lagging_seen: false,
        }
    }

    /// Sets the releases every cluster should end on.
    pub(super) fn expect(&mut self, heads: &[(&str, &str)]) -> Result<()> {
        for (product, version) in heads {
            let product = product.parse().map_err(|e| CliError::because("bad product", &e))?;
            let version = version.parse().map_err(|e| CliError::because("bad version", &e))?;
            self.expected.insert(product, version);
        }
        Ok(())
    }

    /// Looks once and prints what is new.
    pub(super) async fn look(&mut self, hub: &Hub, out: &mut Out) -> Result<()> {
        let query = [("limit", PAGE_ROWS.to_string())];
        let page: Page<ClusterRow> = hub.get("api/v1/clusters", &query).await?;
        for cluster in page.items {
            for row in cluster.products {
                self.tell(&cluster.name, row, out)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, cluster: &str, row: ProductRow, out: &mut Out) -> Result<()> {
        let key = (cluster.to_owned(), row.product.clone());
        let told = Told {
            version: row.version.clone(),
            unit: row.unit.as_ref().filter(|_| row.phase.is_rolling()).map(ToString::to_string),
            why: row
                .waiting_on
                .iter()
                .find(|reason| worth_telling(&reason.gate))
                .filter(|_| !row.phase.is_rolling())
                .map(|reason| reason.gate.clone()),
        };
        self.lagging_seen |= told.why.as_deref() == Some("quorum_lag");
        let before = self.told.insert(key.clone(), told.clone());
        let line = |text: String| format!("{cluster:<11}{:<14} {text}", row.product.to_string());
        match before {
            None => out.line(&line(format!("runs {}", row.version)))?,
            Some(before) => {
                if before.version != told.version {
                    out.line(&line(format!("runs {}", told.version)))?;
                }
                if let Some(unit) = told.unit.as_ref().filter(|u| before.unit.as_ref() != Some(u)) {
                    let target = row.target.as_ref().map(ToString::to_string).unwrap_or_default();
                    let progress = row.progress.map(|p| format!(" ({}/{} done)", p.done, p.total));
                    let progress = progress.unwrap_or_default();
                    out.line(&line(format!("{} → {target}: {unit}{progress}", row.version)))?;
                }
                if told.why.is_some() && before.why != told.why {
                    let why = row
                        .waiting_on
                        .iter()
                        .find(|reason| Some(&reason.gate) == told.why.as_ref());
                    let why = why.map(|reason| reason.message.as_str()).unwrap_or_default();
                    out.line(&line(format!("waits: {why}")))?;
                }
                if row.phase == Phase::Paused
                    && self.seen.get(&key).is_none_or(|s| s.phase != Phase::Paused)
                {
                    let why =
                        row.waiting_on.first().map(|r| r.message.as_str()).unwrap_or_default();
                    out.line(&line(format!("paused: {why}")))?;
                }
            }
        }
        self.seen.insert(key, row);
        Ok(())
    }

    /// Whether every cluster has reported at least once.
    pub(super) fn all_reported(&self) -> bool {
        self.members.iter().all(|member| self.seen.keys().any(|(name, _)| *name == member.name))
    }

    /// Whether the lagging cluster has said why it waits.
    pub(super) fn lagging_seen(&self) -> bool {
        self.lagging_seen
    }

    fn runs(&self, member: &Member, product: &ProductRef, version: &ReleaseVersion) -> bool {
        self.seen.get(&(member.name.clone(), product.clone())).is_some_and(|row| {
            row.version == *version
                && row.phase == Phase::Idle
                && row.drift.state == DriftState::Current
        })
    }

    fn done(&self, member: &Member) -> bool {
        !self.expected.is_empty()
            && self.expected.iter().all(|(product, version)| self.runs(member, product, version))
    }

    /// Share of products that run what they should, over the clusters without a fault.
    pub(super) fn done_percent(&self) -> usize {
        let (mut done, mut total) = (0, 0);
        for member in self.members.iter().filter(|member| !member.lagging) {
            total += self.expected.len();
            let runs = |(product, version)| self.runs(member, product, version);
            done += self.expected.iter().filter(|&expected| runs(expected)).count();
        }
        (done * 100_usize).checked_div(total).unwrap_or(100)
    }

    /// Whether every cluster runs the expected releases and rests.
    pub(super) fn converged(&self) -> bool {
        self.members.iter().all(|member| self.done(member))
    }

    /// One sentence about those who are not done, for an error.
    pub(super) fn unfinished(&self) -> String {
        let mut lines = Vec::new();
        for member in self.members.iter().filter(|member| !self.done(member)) {
            let rows = self.seen.iter().filter(|((name, _), _)| *name == member.name);
            for ((name, product), row) in rows {
                let why = row.waiting_on.first().map(|r| r.message.as_str()).unwrap_or_default();
                lines.push(format!("{name} {product} {} {} {why}", row.version, row.phase));
            }
        }
        format!("the fleet did not converge in time: {}", lines.join("; "))
    }
}

/// Gates that pass by themselves within seconds would only scroll.
fn worth_telling(gate: &str) -> bool {
    !matches!(
        gate,
        "baseline"
            | "gate_once"
            | "grant"
            | "grant_renewal"
            | "hub_wait"
            | "observation_old"
            | "other_product"
    )
}

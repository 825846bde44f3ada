//! What the simulated clusters witnessed, and whether the rules held. Pure.

use channels::wire::Role;
use cluster_agent::sim::ClusterState;

use super::scenario::Member;
use crate::error::{CliError, Result};

/// Counts over the whole fleet.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    restarts: usize,
    max_out: usize,
    broken: Vec<String>,
}

impl Verdict {
    /// Adds one cluster: what its ledger found broken (two units out, leader before its followers,
    /// lost majority, a unit rolled twice), restarts that overlap, and controllers left alone.
    pub(super) fn add(&mut self, member: &Member, state: &ClusterState) {
        let ledger = &state.ledger;
        self.restarts += ledger.restarts.len();
        self.max_out = self.max_out.max(ledger.max_out);
        self.broken.extend(ledger.violations.iter().map(|v| format!("{}: {v}", member.name)));
        for pair in ledger.restarts.windows(2) {
            let [before, after] = pair else { continue };
            if before.up_at_ms.is_none_or(|up| up > after.at_ms) {
                self.broken.push(format!(
                    "{}: {} went down before {} was back",
                    member.name, after.unit, before.unit
                ));
            }
        }
        if !ledger.restarts.iter().any(|restart| restart.role == Role::Controller) {
            self.broken.push(format!("{}: no controller was upgraded", member.name));
        }
    }

    /// The closing lines.
    pub(super) fn summary(&self, clusters: usize, seconds: i64) -> String {
        let rules = if self.broken.is_empty() {
            "every rule held".to_owned()
        } else {
            format!("{} rules broken:\n  {}", self.broken.len(), self.broken.join("\n  "))
        };
        format!(
            "converged  {clusters} clusters in {seconds} s: {} units upgraded, at most {} out at \
             once in a cluster; {rules}\n",
            self.restarts, self.max_out
        )
    }

    /// Fails if a rule was broken.
    pub(super) fn check(&self) -> Result<()> {
        if self.broken.is_empty() && self.max_out <= 1 {
            Ok(())
        } else {
            Err(CliError::no("an invariant broke; see the summary"))
        }
    }
}

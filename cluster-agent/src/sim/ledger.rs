//! What happened to a simulated cluster: the witness for invariants.

use channels::names::UnitName;
use channels::wire::Role;
use serde::{Deserialize, Serialize};

use crate::driver::StepId;

/// Restarts and violations kept; a demo makes a few hundred.
const RECORDS_MAX: usize = 10_000;

/// One restart that was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRecord {
    /// The unit.
    pub unit: UnitName,
    /// What it is.
    pub role: Role,
    /// The step that ordered it.
    pub step_id: StepId,
    /// Component version before.
    pub from: String,
    /// Component version after.
    pub to: String,
    /// When it went down, milliseconds since 1970.
    pub at_ms: i64,
    /// When it was up again.
    pub up_at_ms: Option<i64>,
    /// Who led the quorum at that moment.
    pub leader: Option<UnitName>,
    /// The quorum's epoch at that moment.
    pub epoch: u64,
    /// Other units that were down at that moment, for whatever reason.
    pub others_down: Vec<UnitName>,
}

/// The restarts of one cluster in order, and the rules that were broken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// In order of time.
    pub restarts: Vec<RestartRecord>,
    /// Most units that were restarting at once.
    pub max_out: usize,
    /// Orders to move a unit to the version it already ran or was restarting into.
    pub double_upgrades: u32,
    /// One sentence per broken rule; empty is good.
    pub violations: Vec<String>,
}

/// What the ledger must know to judge a restart.
pub(super) struct Circumstances<'a> {
    /// Units that are restarting at this moment, without the one to be restarted.
    pub(super) restarting: &'a [UnitName],
    /// Other controllers that do not run the version yet; only looked at for the leader.
    pub(super) controllers_behind: &'a [UnitName],
    /// Voters that stay up, and how many of them make a majority; only looked at for controllers.
    pub(super) voters_left: usize,
    /// See `voters_left`.
    pub(super) majority: usize,
}

impl Ledger {
    /// Enters a restart and judges it.
    pub(super) fn enter(&mut self, record: RestartRecord, around: &Circumstances<'_>) {
        let unit = &record.unit;
        self.max_out = self.max_out.max(around.restarting.len() + 1);
        let mut broken = Vec::new();
        for other in around.restarting {
            broken.push(format!("{unit} was restarted while {other} was out"));
        }
        if record.role == Role::Controller {
            if record.leader.as_ref() == Some(unit) {
                for other in around.controllers_behind {
                    broken.push(format!("leader {unit} was restarted before {other}"));
                }
            }
            if around.voters_left < around.majority && around.majority > 1 {
                broken.push(format!("restarting {unit} left the quorum without a majority"));
            }
        }
        if record.from == record.to {
            self.double_upgrades += 1;
            broken.push(format!("{unit} was restarted into {}, which it ran", record.to));
        }
        for sentence in broken {
            if self.violations.len() < RECORDS_MAX {
                self.violations.push(sentence);
            }
        }
        if self.restarts.len() < RECORDS_MAX {
            self.restarts.push(record);
        }
    }

    /// Notes that a step's unit is up again.
    pub(super) fn up_again(&mut self, step: StepId, at_ms: i64) {
        if let Some(record) = self.restarts.iter_mut().rev().find(|r| r.step_id == step) {
            record.up_at_ms = Some(at_ms);
        }
    }
}

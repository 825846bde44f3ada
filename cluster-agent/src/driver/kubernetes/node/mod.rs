//! Nodes: cordon, evict, a Job pinned to the node, uncordon.
//!
//! | stage | begins with | is over when |
//! |---|---|---|
//! | preflight | nothing; it only asks | nothing stands against the drain and the Job |
//! | quiesce | the cordon, marked with the step | no pod is left that a drain takes |
//! | mutate | the Job, named after the step | the Job has ended |
//! | restore | nothing | the node carries no mark of the unit |
//!
//! Everything between is done by `status`, one pass at a time. What is kept in memory only spares
//! requests; a restarted agent does without.

mod mutate;
mod own;
mod permissions;
mod preflight;
mod quiesce;
#[cfg(test)]
mod real;
mod restore;
mod scratch;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;

use serde_json::Value;

use super::super::{DriverError, Pass, Stage, StepId, StepOrder, StepStatus};
use super::job::JobTemplate;
use crate::clock;
use crate::config::NodePool;
use crate::kube::node::NODES;
use crate::kube::node::mark::mark_of;
use crate::kube::node::objects::Node;
use crate::kube::outcome::running;
use crate::kube::{Kube, KubeError};
use scratch::Scratch;

/// How often a change of a node is tried again when somebody else changed it in between: the
/// kubelet writes its status, others their labels.
const CONFLICTS_MAX: u32 = 5;

/// Exit code of a check or of work that cannot go on.
const EXIT_REFUSED: i32 = 1;

/// Changes the nodes of one pool.
#[derive(Debug)]
pub struct NodeDriver {
    kube: Kube,
    pool: NodePool,
    template: JobTemplate,
    scratch: Scratch,
}

impl NodeDriver {
    /// Reads the Job template; asks nothing yet.
    pub fn open(kube: Kube, pool: &NodePool) -> Result<Self, DriverError> {
        let template = JobTemplate::read(&pool.job_template)?;
        Ok(Self { kube, pool: pool.clone(), template, scratch: Scratch::default() })
    }

    /// Every stage does something.
    pub fn has_stage(_stage: Stage) -> bool {
        true
    }

    /// Starts a stage; preflight and restore are done by `status` alone.
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        self.scratch.forget_status();
        match stage {
            Stage::Preflight | Stage::Restore => Ok(()),
            Stage::Quiesce => self.cordon(order).await,
            Stage::Mutate => self.create_job(order).await,
        }
    }

    /// Does what the stage still has to do, if `pass` lets it, and says how it stands. Asked again
    /// within a second, it says the same again.
    pub async fn status(
        &self,
        order: &StepOrder,
        stage: Stage,
        pass: Pass,
    ) -> Result<StepStatus, DriverError> {
        if let Some(status) = self.scratch.status((order.step_id, stage, pass)) {
            return Ok(status);
        }
        let now = clock::now();
        let status = match stage {
            Stage::Preflight => self.preflight(order, pass, now).await,
            Stage::Quiesce => self.drain(order, pass, now).await,
            Stage::Mutate => self.job_status(order, pass, now).await,
            Stage::Restore => self.uncordon(order, pass, now).await,
        }?;
        self.scratch.keep_status((order.step_id, stage, pass), status.clone());
        Ok(status)
    }

    /// Takes in whether the roll was stopped: a drain that still runs then ends, and is undone.
    pub fn supervise(&self, order: &StepOrder, stopped: bool) {
        self.scratch.note_stopped(stopped.then_some(order.step_id));
    }

    async fn node(&self, order: &StepOrder) -> Result<Option<Node>, KubeError> {
        self.kube.get(NODES, order.key.unit.as_str()).await
    }

    /// Changes a node by what `patch` makes of it, again if somebody else changed it in between;
    /// `None` = there is nothing to change.
    async fn change(
        &self,
        order: &StepOrder,
        patch: impl Fn(&Node) -> Result<Option<Value>, DriverError>,
    ) -> Result<(), DriverError> {
        let mut conflicts = 0;
        loop {
            let Some(node) = self.node(order).await? else {
                return Err(DriverError::NoUnit { unit: order.key.unit.to_string() });
            };
            let Some(patch) = patch(&node)? else { return Ok(()) };
            let patched = self.kube.merge::<Node>(NODES, order.key.unit.as_str(), &patch).await;
            match patched {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn done() -> StepStatus {
    StepStatus::Finished { exit_code: 0, log_tail: String::new() }
}

fn refused(why: String) -> StepStatus {
    StepStatus::Finished { exit_code: EXIT_REFUSED, log_tail: why }
}

/// Whether the node is cordoned for this very step.
fn is_marked(node: &Node, step: StepId) -> bool {
    node.spec.unschedulable && mark_of(node, step).is_some()
}

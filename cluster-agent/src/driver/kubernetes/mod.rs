//! The `kubernetes` driver: units that live in a Kubernetes cluster, changed through its API.
//!
//! Every stage is level-triggered: `status` reads how the cluster is and does what is still to do,
//! so an agent that was killed goes on where the cluster stands. What it did is found again by
//! annotations and labels that name the step, never by memory. Nothing is deleted where an eviction
//! was refused.

mod job;
mod node;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;

use std::time::Duration;

use super::{DriverError, Pass, Stage, StepOrder, StepStatus};
use crate::config::KubernetesPool;
use crate::kube::members::StatefulSetMembers;
use crate::kube::outcome::Recent;
use crate::kube::workload::Workloads;
use crate::kube::{Kube, KubeError};
use crate::observation::UnitKey;
pub use node::NodeDriver;

/// A preflight asks a dozen things one after the other, and nothing is out yet: it may take as long
/// as some slow answers.
const PREFLIGHT_REQUESTS: u64 = 4;

/// A pass over a StatefulSet is made at most this often, whatever the agent's pace.
const PASS_EVERY: Duration = Duration::from_secs(1);

/// Changes the units of one pool.
#[derive(Debug)]
pub struct KubernetesDriver {
    of: Of,
    timeout_ms: u64,
    /// What the last pass over a StatefulSet said; losing it costs a pass.
    passes: Recent<(Pass, StepStatus)>,
}

/// What the units are.
#[derive(Debug)]
enum Of {
    /// Nodes.
    Node(NodeDriver),
    /// Pods of a StatefulSet.
    Members(StatefulSetMembers),
    /// Objects that roll their own pods.
    Workloads(Box<Workloads>),
}

impl KubernetesDriver {
    /// Reads the pool's local files; asks nothing yet.
    pub fn open(kube: &Kube, pool: &KubernetesPool) -> Result<Self, DriverError> {
        let timeout_ms = kube.settings().timeout_ms;
        let (kube, boxed) = (kube.clone(), |workloads| Of::Workloads(Box::new(workloads)));
        let of = match pool.clone() {
            KubernetesPool::Node(pool) => Of::Node(NodeDriver::open(kube, &pool)?),
            KubernetesPool::StatefulSet(pool) => Of::Members(StatefulSetMembers::new(kube, pool)),
            KubernetesPool::Strimzi(pool) => boxed(Workloads::strimzi(kube, pool)),
            KubernetesPool::Workload(pool) => boxed(Workloads::built_in(kube, pool)),
            KubernetesPool::Resource(pool) => boxed(Workloads::custom(kube, pool)),
        };
        Ok(Self { of, timeout_ms, passes: Recent::new(PASS_EVERY) })
    }

    /// Starts a stage; see [`super::Driver::start`].
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        self.passes.forget();
        let what = format!("start stage {stage}");
        match &self.of {
            Of::Node(driver) => self.bounded(what, 1, driver.start(order, stage)).await,
            Of::Members(driver) => self.bounded(what, 1, driver.start(order, stage)).await,
            Of::Workloads(driver) => self.bounded(what, 1, driver.start(order, stage)).await,
        }
    }

    /// Does what the stage still has to do, if `pass` lets it, and says how it stands.
    pub async fn status(
        &self,
        order: &StepOrder,
        stage: Stage,
        pass: Pass,
    ) -> Result<StepStatus, DriverError> {
        let what = format!("do a pass of stage {stage}");
        let times = if stage == Stage::Preflight { PREFLIGHT_REQUESTS } else { 1 };
        match &self.of {
            Of::Node(driver) => self.bounded(what, times, driver.status(order, stage, pass)).await,
            // A change of theirs is one write, at the start of the stage.
            Of::Workloads(driver) => self.bounded(what, times, driver.status(order, stage)).await,
            Of::Members(driver) => {
                let step = order.step_id;
                let last = self.passes.of(step).filter(|(of, _)| *of == pass);
                if let Some((_, status)) = last.filter(|_| stage == Stage::Mutate) {
                    return Ok(status);
                }
                let status = driver.status(order, stage, pass);
                let status = self.bounded(what, times, status).await?;
                // What says that nothing was started is not kept: a start follows.
                if stage == Stage::Mutate && status != StepStatus::Absent {
                    self.passes.put(step, (pass, status.clone()));
                }
                Ok(status)
            }
        }
    }

    /// Whether the stage does anything.
    pub fn has_stage(&self, stage: Stage) -> bool {
        match &self.of {
            Of::Node(_) => NodeDriver::has_stage(stage),
            Of::Members(_) | Of::Workloads(_) => {
                matches!(stage, Stage::Preflight | Stage::Mutate)
            }
        }
    }

    /// Tells what rolls by itself to pause; see [`super::Driver::supervise`].
    pub async fn supervise(&self, order: &StepOrder, pause: bool) -> Result<(), DriverError> {
        match &self.of {
            Of::Node(driver) => {
                driver.supervise(order, pause);
                Ok(())
            }
            Of::Members(_) => Ok(()),
            Of::Workloads(driver) => {
                self.bounded("pause".to_owned(), 1, driver.supervise(order, pause)).await
            }
        }
    }

    /// Takes back pauses of this agent's; see [`super::Driver::free`].
    pub async fn free(&self, units: &[UnitKey]) -> Result<(), DriverError> {
        match &self.of {
            Of::Node(_) | Of::Members(_) => Ok(()),
            Of::Workloads(driver) => {
                self.bounded("take pauses back".to_owned(), 1, driver.free(units)).await
            }
        }
    }

    /// Bounds a pass as a whole, to as long as so many answers may take: the agent looks at nothing
    /// else meanwhile, and its lease may run out. What is cut off here was asked for or was not, and
    /// the next pass finds out which.
    async fn bounded<T>(
        &self,
        what: String,
        times: u64,
        act: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let limit_ms = self.timeout_ms.saturating_mul(times);
        let within = Duration::from_millis(limit_ms);
        let timed_out = |_| KubeError::Timeout { what, limit_ms };
        tokio::time::timeout(within, act).await.map_err(timed_out)?
    }
}

//! The `kubernetes` driver: units that live in a Kubernetes cluster, changed through its API.
//!
//! Every stage is level-triggered: `status` reads how the cluster is and does what is still to do,
//! so an agent that was killed goes on where the cluster stands. What it did is found again by
//! annotations and labels that name the step, never by memory. Nothing is deleted where an eviction
//! was refused.

mod job;
mod node;

use super::{DriverError, Pass, Stage, StepOrder, StepStatus};
use crate::config::KubernetesPool;
use crate::kube::Kube;
use crate::kube::members::StatefulSetMembers;
use crate::kube::workload::Workloads;
pub use node::NodeDriver;

/// Changes the units of one pool, by what they are.
#[derive(Debug)]
pub enum KubernetesDriver {
    /// Nodes.
    Node(NodeDriver),
    /// Pods of a StatefulSet.
    Members(StatefulSetMembers),
    /// Objects that roll their own pods.
    Workloads(Workloads),
}

impl KubernetesDriver {
    /// Reads the pool's local files; asks nothing yet.
    pub fn open(kube: &Kube, pool: &KubernetesPool) -> Result<Self, DriverError> {
        match pool {
            KubernetesPool::Node(pool) => NodeDriver::open(kube.clone(), pool).map(Self::Node),
            KubernetesPool::StatefulSet(pool) => {
                Ok(Self::Members(StatefulSetMembers::new(kube.clone(), pool.clone())))
            }
            KubernetesPool::Strimzi(pool) => {
                Ok(Self::Workloads(Workloads::strimzi(kube.clone(), pool.clone())))
            }
            KubernetesPool::Workload(pool) => {
                Ok(Self::Workloads(Workloads::built_in(kube.clone(), pool.clone())))
            }
            KubernetesPool::Resource(pool) => {
                Ok(Self::Workloads(Workloads::custom(kube.clone(), pool.clone())))
            }
        }
    }

    /// Starts a stage; see [`super::Driver::start`].
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        match self {
            Self::Node(driver) => driver.start(order, stage).await,
            Self::Members(driver) => driver.start(order, stage).await,
            Self::Workloads(driver) => driver.start(order, stage).await,
        }
    }

    /// Does what the stage still has to do, if `pass` lets it, and says how it stands.
    pub async fn status(
        &self,
        order: &StepOrder,
        stage: Stage,
        pass: Pass,
    ) -> Result<StepStatus, DriverError> {
        match self {
            Self::Node(driver) => driver.status(order, stage, pass).await,
            Self::Members(driver) => driver.status(order, stage, pass).await,
            // A change of theirs is one write, at the start of the stage.
            Self::Workloads(driver) => driver.status(order, stage).await,
        }
    }

    /// Whether the stage does anything.
    pub fn has_stage(&self, stage: Stage) -> bool {
        match self {
            Self::Node(_) => NodeDriver::has_stage(stage),
            Self::Members(_) | Self::Workloads(_) => {
                matches!(stage, Stage::Preflight | Stage::Mutate)
            }
        }
    }

    /// Tells what rolls by itself to pause, or to go on; see [`super::Driver::supervise`].
    pub async fn supervise(&self, order: &StepOrder, pause: bool) -> Result<(), DriverError> {
        match self {
            Self::Node(driver) => {
                driver.supervise(order, pause);
                Ok(())
            }
            Self::Members(_) => Ok(()),
            Self::Workloads(driver) => driver.supervise(order, pause).await,
        }
    }
}

//! The `kubernetes` driver: units that live in a Kubernetes cluster, changed through its API.
//!
//! Every stage is level-triggered: `status` reads how the cluster is and does what is still to do,
//! so an agent that was killed goes on where the cluster stands. What it did is found again by
//! annotations and labels that name the step, never by memory. Nothing is deleted where an eviction
//! was refused.

mod node;

use super::{DriverError, Stage, StepOrder, StepStatus};
use crate::config::KubernetesPool;
use crate::kube::Kube;
pub use node::NodeDriver;

/// Changes the units of one pool, by what they are.
#[derive(Debug)]
pub enum KubernetesDriver {
    /// Nodes.
    Node(NodeDriver),
}

impl KubernetesDriver {
    /// Reads the pool's local files; asks nothing yet.
    pub fn open(kube: &Kube, pool: &KubernetesPool) -> Result<Self, DriverError> {
        match pool {
            KubernetesPool::Node(pool) => NodeDriver::open(kube.clone(), pool).map(Self::Node),
        }
    }

    /// Starts a stage; see [`super::Driver::start`].
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        match self {
            Self::Node(driver) => driver.start(order, stage).await,
        }
    }

    /// Does what the stage still has to do, and says how it stands.
    pub async fn status(&self, order: &StepOrder, stage: Stage) -> Result<StepStatus, DriverError> {
        match self {
            Self::Node(driver) => driver.status(order, stage).await,
        }
    }

    /// Whether the stage does anything.
    pub fn has_stage(&self, stage: Stage) -> bool {
        match self {
            Self::Node(_) => NodeDriver::has_stage(stage),
        }
    }
}

//! Nodes: cordon, evict, a Job pinned to the node, uncordon.

use super::super::{DriverError, Stage, StepOrder, StepStatus};
use crate::config::NodePool;
use crate::kube::Kube;

/// Changes the nodes of one pool.
#[derive(Debug)]
pub struct NodeDriver {
    kube: Kube,
    pool: NodePool,
}

impl NodeDriver {
    /// Reads the Job template.
    pub fn open(kube: Kube, pool: &NodePool) -> Result<Self, DriverError> {
        Ok(Self { kube, pool: pool.clone() })
    }

    /// Every stage does something.
    pub fn has_stage(_stage: Stage) -> bool {
        true
    }

    /// Starts a stage.
    pub async fn start(&self, _order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        Err(DriverError::StageNotConfigured { stage })
    }

    /// How it stands.
    pub async fn status(
        &self,
        _order: &StepOrder,
        stage: Stage,
    ) -> Result<StepStatus, DriverError> {
        Err(DriverError::StageNotConfigured { stage })
    }
}

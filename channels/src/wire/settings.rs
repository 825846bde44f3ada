//! What a fleet's owner sets at the hub for one cluster.

use serde::{Deserialize, Serialize};

use crate::rollout::LabelPatch;

/// `PUT /api/v1/clusters/{id or name}/labels`: labels with a value are set, labels with `null` are
/// taken away, the others stay (a JSON merge patch). Answered with the cluster as it is then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelsRequest {
    /// The change.
    pub labels: LabelPatch,
}

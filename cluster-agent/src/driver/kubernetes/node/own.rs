//! The agent's own node: once it is drained, the agent goes on elsewhere or not at all.
//!
//! A volume that no other node can mount keeps the agent's pod from starting again while its own
//! node is cordoned, and nobody is left to uncordon it. So such a node is refused by name. Whether
//! the pod fits there for other reasons is not judged.

use ::kube::api::ListParams;

use super::super::super::StepOrder;
use super::NodeDriver;
use crate::kube::node::evidence::is_ready;
use crate::kube::node::objects::{Claim, Node, NodeTerm, PersistentVolume};
use crate::kube::node::{NODES, pods_of};
use crate::kube::object::Pod;
use crate::kube::{Kube, KubeError};

/// Where volumes are.
const VOLUMES: &str = "/api/v1/persistentvolumes";

impl NodeDriver {
    /// Why the agent could not go on elsewhere; `None` if it can, or if the node is not its own.
    pub(super) async fn strands_agent(
        &self,
        order: &StepOrder,
    ) -> Result<Option<String>, KubeError> {
        let place = &self.kube.settings().place;
        let (Some(pod), Some(namespace)) = (&place.pod, &place.namespace) else { return Ok(None) };
        if place.node.as_deref() != Some(order.key.unit.as_str()) {
            return Ok(None);
        }
        match stranded(&self.kube, namespace, pod, order.key.unit.as_str()).await {
            Err(error) if error.refusal().is_some_and(|refusal| refusal.code == 403) => {
                let why = error.chain();
                Ok(Some(format!(
                    "whether the agent's own volume can follow it, is not known: {why}"
                )))
            }
            outcome => outcome,
        }
    }
}

async fn stranded(
    kube: &Kube,
    namespace: &str,
    pod: &str,
    own: &str,
) -> Result<Option<String>, KubeError> {
    let Some(pod) = kube.get::<Pod>(&pods_of(namespace), pod).await? else { return Ok(None) };
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let mut nodes: Option<Vec<Node>> = None;
    for name in pod.spec.volumes.iter().filter_map(|volume| volume.claim()) {
        let claim: Option<Claim> = kube.get(&claims, name).await?;
        let volume = claim.map(|claim| claim.spec.volume_name).filter(|name| !name.is_empty());
        let Some(volume) = volume else { continue };
        let Some(found) = kube.get::<PersistentVolume>(VOLUMES, &volume).await? else { continue };
        let terms = found.spec.node_affinity.required.node_selector_terms;
        if terms.is_empty() {
            continue;
        }
        let nodes = match &mut nodes {
            Some(nodes) => nodes,
            None => nodes.insert(kube.list(NODES, &ListParams::default()).await?),
        };
        if !nodes.iter().any(|node| node.metadata.name != own && takes(node, &terms)) {
            return Ok(Some(format!(
                "the agent's own volume {volume} (claim {namespace}/{name}) can be mounted on no other \
                 node: drained from here, the agent could not go on; move it to storage that follows it"
            )));
        }
    }
    Ok(None)
}

/// Whether a volume with this affinity can be mounted on the node as it is.
fn takes(node: &Node, terms: &[NodeTerm]) -> bool {
    is_ready(node) && !node.spec.unschedulable && terms.iter().any(|term| term.picks(node))
}

//! Nodes: what the API server says of them, and what it takes to empty one.
//!
//! `objects` is what is read, `fate`, `budget`, `hold`, `mark` and `evidence` judge it without I/O;
//! `evict` and `etcd` ask; `look` puts it all together for the prober.

pub(crate) mod budget;
pub(crate) mod etcd;
pub(crate) mod evict;
pub(crate) mod evidence;
pub(crate) mod fate;
pub(crate) mod hold;
mod look;
pub(crate) mod mark;
pub(crate) mod objects;
#[cfg(test)]
#[expect(clippy::needless_pass_by_value, clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;

pub(crate) use look::{NodeLook, NodeWatch, Watched, against_drain, gather_holds};

/// Where nodes are.
pub(crate) const NODES: &str = "/api/v1/nodes";

/// Where all pods are.
pub(crate) const PODS: &str = "/api/v1/pods";

/// Where all disruption budgets are.
pub(crate) const BUDGETS: &str = "/apis/policy/v1/poddisruptionbudgets";

/// Where the pods of a namespace are.
pub(crate) fn pods_of(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// The pods of one node.
pub(crate) fn on_node(node: &str) -> ::kube::api::ListParams {
    ::kube::api::ListParams::default().fields(&format!("spec.nodeName={node}"))
}

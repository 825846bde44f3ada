//! What is made of nodes, pods, budgets and locks, without a server.

mod drains;
mod holds;
mod members;

use serde_json::{Value, json};

use super::objects::Node;
use crate::config::{DrainSettings, NodeEvidence, NodePool};
use crate::kube::object::Pod;

pub(super) fn node(value: Value) -> Node {
    serde_json::from_value(value).unwrap()
}

pub(super) fn pod(name: &str, labels: Value, owner: Option<&str>) -> Pod {
    let owners = owner.map(|kind| json!([{ "kind": kind, "name": "o", "controller": true }]));
    let value = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "labels": labels,
            "ownerReferences": owners.unwrap_or_else(|| json!([])),
        },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    serde_json::from_value(value).unwrap()
}

pub(super) fn drain() -> DrainSettings {
    DrainSettings {
        delete_empty_dir: false,
        force_unmanaged: false,
        grace_s: None,
        timeout_ms: 60_000,
        waived_budgets: std::collections::BTreeSet::new(),
    }
}

pub(super) fn pool() -> NodePool {
    NodePool {
        job_template: "job.yaml".into(),
        namespace: "jobs".to_owned(),
        service_account: "upgrade".to_owned(),
        job_timeout_ms: 60_000,
        job_retries: 2,
        drain: drain(),
        evidence: NodeEvidence::KubeletVersion,
        reboot: true,
    }
}

//! Whether the agent's account may do all that a node's step takes, asked before it begins.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::NodeDriver;
use crate::kube::KubeError;

/// Where to ask.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Rights that were in order are asked for again after this long.
const ASKED_EVERY: Duration = Duration::from_mins(10);

/// A right.
struct Right {
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    verb: &'static str,
    /// Only in the namespace of the Jobs.
    of_jobs: bool,
}

/// Everything a step does. Reading nodes and pods is done by asking already.
const RIGHTS: [Right; 7] = [
    Right { group: "", resource: "nodes", subresource: "", verb: "patch", of_jobs: false },
    Right { group: "", resource: "pods", subresource: "eviction", verb: "create", of_jobs: false },
    Right { group: "batch", resource: "jobs", subresource: "", verb: "create", of_jobs: true },
    Right { group: "batch", resource: "jobs", subresource: "", verb: "get", of_jobs: true },
    Right { group: "batch", resource: "jobs", subresource: "", verb: "patch", of_jobs: true },
    Right { group: "", resource: "pods", subresource: "", verb: "list", of_jobs: true },
    Right { group: "", resource: "pods", subresource: "log", verb: "get", of_jobs: true },
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Review {
    status: ReviewStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReviewStatus {
    allowed: bool,
}

impl NodeDriver {
    /// The rights that are missing, in words.
    pub(super) async fn missing_rights(&self) -> Result<Vec<String>, KubeError> {
        if self.scratch.was_permitted(ASKED_EVERY) {
            return Ok(vec![]);
        }
        let mut missing = Vec::new();
        for right in &RIGHTS {
            let namespace = if right.of_jobs { self.pool.namespace.as_str() } else { "" };
            let body = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": { "resourceAttributes": {
                    "group": right.group,
                    "resource": right.resource,
                    "subresource": right.subresource,
                    "verb": right.verb,
                    "namespace": namespace,
                }},
            });
            let review: Review = self.kube.create(REVIEWS, &body).await?;
            if !review.status.allowed {
                missing.push(describe(right, namespace));
            }
        }
        if missing.is_empty() {
            self.scratch.note_permitted();
        }
        Ok(missing)
    }
}

fn describe(right: &Right, namespace: &str) -> String {
    let mut text = format!("the agent's account may not {} {}", right.verb, right.resource);
    if !right.subresource.is_empty() {
        text.push('/');
        text.push_str(right.subresource);
    }
    if !namespace.is_empty() {
        text.push_str(" in namespace ");
        text.push_str(namespace);
    }
    text
}

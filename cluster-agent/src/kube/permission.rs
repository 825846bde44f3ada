//! What this agent's account may do, asked before it is tried.

use serde::Deserialize;
use serde_json::json;

use super::{Kube, KubeError};

/// Something a step will have to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    verb: &'static str,
    group: String,
    resource: String,
    subresource: &'static str,
}

#[derive(Debug, Deserialize)]
struct Review {
    #[serde(default)]
    status: ReviewStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReviewStatus {
    allowed: bool,
    reason: String,
}

impl Need {
    /// To patch objects of a group (empty for the core group), by their plural.
    pub(crate) fn patch(group: &str, resource: &str) -> Self {
        let (group, resource) = (group.to_owned(), resource.to_owned());
        Self { verb: "patch", group, resource, subresource: "" }
    }

    /// To ask pods to go.
    pub(crate) fn evict() -> Self {
        let (group, resource) = (String::new(), "pods".to_owned());
        Self { verb: "create", group, resource, subresource: "eviction" }
    }

    /// Why it is not allowed in that namespace; `None` = it is.
    pub(crate) async fn refused(
        &self,
        kube: &Kube,
        namespace: &str,
    ) -> Result<Option<String>, KubeError> {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": namespace,
                "verb": self.verb,
                "group": self.group,
                "resource": self.resource,
                "subresource": self.subresource,
            } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let review: Review = kube.create(path, &body).await?;
        if review.status.allowed {
            return Ok(None);
        }
        let Self { verb, resource, subresource, .. } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let what = format!("this agent's account may not {verb} {resource}{slash}{subresource}");
        let why = review.status.reason;
        let tail = if why.is_empty() { String::new() } else { format!(" ({why})") };
        Ok(Some(format!("{what} in namespace {namespace}{tail}")))
    }
}

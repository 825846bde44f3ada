//! What this agent's account may do, asked before it is tried.

use serde::Deserialize;
use serde_json::json;

use super::{Kube, KubeError};

/// Something a step will have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need<'a> {
    /// `get`, `patch`, `create`.
    pub(crate) verb: &'a str,
    /// The API group; empty for the core group.
    pub(crate) group: &'a str,
    /// The kind of objects, in the plural.
    pub(crate) resource: &'a str,
    /// A part of them, or empty.
    pub(crate) subresource: &'a str,
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

impl Need<'_> {
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

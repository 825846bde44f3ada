//! Replacing an object, or a subresource of it, as it was read.
//!
//! The `metadata.resourceVersion` of the body fences the write: if somebody changed the object
//! since, the server answers 409 and nothing is written.

use ::kube::api::PostParams;
use ::kube::core::Request;
use serde::de::DeserializeOwned;

use super::KubeError;
use super::client::{Kube, made};

impl Kube {
    /// Replaces an object below `path`, or its `subresource`.
    pub async fn replace<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        subresource: Option<&str>,
        body: &serde_json::Value,
    ) -> Result<T, KubeError> {
        let suffix = subresource.map_or_else(String::new, |sub| format!("/{sub}"));
        let what = format!("replace {path}/{name}{suffix}");
        let bytes = body.to_string().into_bytes();
        let params = PostParams::default();
        let request = match subresource {
            None => Request::new(path).replace(name, &params, bytes),
            Some(sub) => Request::new(path).replace_subresource(sub, name, &params, bytes),
        };
        let request = made(&what, request)?;
        let client = self.client().await?;
        self.bounded(&what, client.request(request)).await
    }
}

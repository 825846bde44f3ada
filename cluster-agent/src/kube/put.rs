//! Replacing an object, or a subresource of it, as it was read.
//!
//! The `metadata.resourceVersion` of the body fences the write: if somebody changed the object
//! since, the server answers 409 and nothing is written.

use std::time::Duration;

use ::kube::api::PostParams;
use ::kube::core::Request;
use serde::de::DeserializeOwned;

use super::{Kube, KubeError};

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
        let request = request.map_err(|source| KubeError::Request {
            what: what.clone(),
            source: Box::new(source),
        })?;
        let client = self.client().await?;
        let limit_ms = self.settings().timeout_ms;
        let answer = client.request::<T>(request);
        match tokio::time::timeout(Duration::from_millis(limit_ms), answer).await {
            Ok(answer) => answer.map_err(|error| KubeError::of(&what, error)),
            Err(_) => Err(KubeError::Timeout { what, limit_ms }),
        }
    }
}

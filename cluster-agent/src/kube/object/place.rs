//! Where objects of one kind are, and the requests made there.

use ::kube::api::{ListParams, Patch, PatchParams};
use ::kube::core::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::FIELD_MANAGER;
use crate::kube::client::made;
use crate::kube::{Kube, KubeError};

/// The collection of one kind in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `/apis/apps/v1/namespaces/x/statefulsets`.
    path: String,
    /// What one of them is called, for people.
    kind: String,
}

/// How a patch is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lists of built-in kinds by key: containers by name.
    Strategic,
    /// Lists as a whole; the only one that custom resources know.
    Merge,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is done.
    Done,
    /// The object is not as it was when this was decided.
    Changed,
}

impl Place {
    /// Objects of a group and version (`apps/v1`; the core group is `v1`).
    pub(crate) fn new(api_version: &str, plural: &str, namespace: &str, kind: &str) -> Self {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let path = format!("/{root}/{api_version}/namespaces/{namespace}/{plural}");
        Self { path, kind: kind.to_owned() }
    }

    /// What one is called: `StatefulSet kafka`.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{} {name}", self.kind)
    }

    /// One object, which must be there.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        kube: &Kube,
        name: &str,
    ) -> Result<T, KubeError> {
        let found = kube.get(&self.path, name).await?;
        found.ok_or_else(|| KubeError::Missing { what: self.named(name) })
    }

    /// The objects that a label selector names.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        kube: &Kube,
        selector: &str,
    ) -> Result<Vec<T>, KubeError> {
        kube.list(&self.path, &ListParams::default().labels(selector)).await
    }

    /// Patches an object; the body carries the resource version it was decided on.
    pub(crate) async fn patch(
        &self,
        kube: &Kube,
        name: &str,
        form: Form,
        body: Value,
    ) -> Result<Written, KubeError> {
        let what = format!("patch {}", self.named(name));
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = match form {
            Form::Strategic => Patch::Strategic(body),
            Form::Merge => Patch::Merge(body),
        };
        let request = made(&what, Request::new(&self.path).patch(name, &params, &patch))?;
        let client = kube.client().await?;
        match kube.bounded(&what, client.request::<Value>(request)).await {
            Ok(_) => Ok(Written::Done),
            Err(error) if error.is_conflict() => Ok(Written::Changed),
            Err(error) => Err(error),
        }
    }
}

//! One resource as the API server has it.

use channels::names::ProductRef;
use serde::Deserialize;
use serde_json::Value;

use super::Found;
use crate::kube::resource::order::{SpecError, shape};
use crate::kube::resource::status::ClusterUpdateStatus;

/// An object, of which only what is written back is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Object {
    pub(super) metadata: Value,
    #[serde(default)]
    pub(super) spec: Value,
    #[serde(default)]
    status: Value,
}

impl Object {
    pub(super) fn text(&self, field: &str) -> &str {
        self.metadata.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn generation(&self) -> i64 {
        self.metadata.get("generation").and_then(Value::as_i64).unwrap_or(0)
    }

    /// The product that its name says: no label of a product has a dot.
    pub(super) fn product(&self) -> Option<ProductRef> {
        self.text("name").replacen('.', "/", 1).parse().ok()
    }

    pub(super) fn found(&self) -> Found {
        Found {
            uid: self.text("uid").to_owned(),
            generation: self.generation(),
            spec: shape(&self.spec).and_then(|spec| {
                let named = self.text("name").replacen('.', "/", 1);
                if named == spec.product {
                    return Ok(spec);
                }
                let why = format!("the resource of {} has another name", spec.product);
                Err(SpecError::Field { field: "product", why })
            }),
        }
    }

    /// The status that is there; one that another version wrote and cannot be read is none.
    pub(super) fn status(&self) -> Option<ClusterUpdateStatus> {
        let there = self.status.as_object().is_some_and(|fields| !fields.is_empty());
        there.then(|| serde_json::from_value(self.status.clone()).ok()).flatten()
    }
}

/// The name of a product's resource.
pub(super) fn object_name(product: &ProductRef) -> String {
    product.to_string().replacen('/', ".", 1)
}

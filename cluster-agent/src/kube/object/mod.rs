//! Kubernetes objects, as far as this agent looks at them.
//!
//! Own small types instead of whole API types: a list of pods is read for a dozen of its fields,
//! whatever else the server sends. Every write carries the resource version it was decided on, so
//! that nothing is changed on the strength of an object that is not like that any more. Nothing
//! here decides, and nothing here is ever retried without being decided again.

mod image;
mod mark;
mod meta;
mod place;
mod pods;
mod strategy;
mod template;

pub(crate) use image::{checked_version, image_name};
pub(crate) use mark::Mark;
pub(crate) use meta::{Condition, Meta, condition};
pub(crate) use place::{Form, Place, Written};
pub(crate) use pods::{Pod, grace_needed};
pub(crate) use strategy::Strategy;
pub(crate) use template::{Said, Template};

/// Annotation: what the step that is named beside it is about, see [`Mark`].
pub(crate) const MARK: &str = "fairway.dev/mark";

/// Annotation of pod templates and pods: the digest of the image that the version is about.
pub(crate) const DIGEST: &str = "fairway.dev/digest";

/// The label where charts write a version; read only where there is no version annotation.
pub(crate) const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// Who writes, as the API server remembers it field by field.
pub(crate) const FIELD_MANAGER: &str = "fairway-agent";

//! The Kubernetes API: the client, and what it says about units that live in the cluster.
//!
//! The API server is asked with bounds on time and without hidden retries: a refusal is an answer
//! that somebody waits for. What a document says never reaches a namespace, a name or a command.

mod client;
mod error;
pub mod events;
#[cfg(test)]
pub(crate) mod fake;
pub mod lease;
pub mod manifests;
pub mod members;
pub(crate) mod node;
pub(crate) mod object;
pub(crate) mod outcome;
mod permission;
mod put;
#[cfg(test)]
pub(crate) mod real;
pub mod resource;
mod watch;
pub mod workload;

pub use client::{Kube, connect};
pub use error::{KubeError, Refusal};
pub use watch::{Gathered, Look, Watcher};

/// Annotation of an object that a step made or changed: the step's id.
pub const STEP_ANNOTATION: &str = "fairway.dev/step";

/// Annotation of a node that this agent cordoned: the step's id and how the node was before.
pub const CORDONED_BY_ANNOTATION: &str = "fairway.dev/cordoned-by";

/// Annotation of an object that a step changed: the version it was changed to.
pub const VERSION_ANNOTATION: &str = "fairway.dev/version";

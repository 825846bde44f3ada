//! Pools of workloads: a Deployment, StatefulSet or DaemonSet each, or a custom resource each.

use channels::wire::Role;
use serde::Deserialize;

use super::fields::{FieldTable, fields};
use super::members::{SetTable, registry, wanted};
use super::{
    Allowed, ConfigError, DAY_MS, Field, KubernetesKind, Pointer, Registry, Wanted, ranged,
};

/// A rollout without any progress for so long is stuck; Kubernetes' own default for Deployments.
const STUCK_AFTER_MS: u64 = 10 * 60_000;

/// `kind = "deployment"` or `"daemonset"` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Table {
    namespace: Option<String>,
    container: String,
    #[serde(default)]
    init_containers: Vec<String>,
    registry: String,
    stuck_after_ms: Option<u64>,
}

/// `kind = "resource"` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ResourceTable {
    namespace: Option<String>,
    api_version: String,
    resource_kind: String,
    fields: Vec<FieldTable>,
    registry: Option<String>,
    version_pointer: Option<String>,
    ready_condition: Option<String>,
    failed_condition: Option<String>,
    stuck_after_ms: Option<u64>,
}

/// Which kind of object a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet with `RollingUpdate`.
    StatefulSet,
    /// A DaemonSet with `RollingUpdate`.
    DaemonSet,
}

impl WorkloadKind {
    /// The kind as the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// A pool whose units are objects of one kind that roll their own pods; a unit's name is the
/// object's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadPool {
    /// The kind.
    pub kind: WorkloadKind,
    /// Namespace of the objects.
    pub namespace: String,
    /// The containers that run the component.
    pub wanted: Wanted,
    /// Where its images are pulled from.
    pub registry: Registry,
    /// A rollout that does not get on for this long has failed, milliseconds. Default 10 min.
    pub stuck_after_ms: u64,
}

/// A pool whose units are custom resources; a unit's name is the resource's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePool {
    /// Namespace of the resources.
    pub namespace: String,
    /// Their group and version.
    pub api_version: String,
    /// Their kind.
    pub resource_kind: String,
    /// What is written.
    pub fields: Vec<Field>,
    /// Where images are pulled from, if a field holds one.
    pub registry: Option<Registry>,
    /// Where the resource says which version runs; `None` = the annotation that is written with the
    /// fields, once its operator has done its work.
    pub version_pointer: Option<Pointer>,
    /// The condition that holds when the operator has done its work. Default `Ready`.
    pub ready_condition: String,
    /// A condition that holds when it has failed for good.
    pub failed_condition: Option<String>,
    /// A rollout that does not get on for this long has failed, milliseconds. Default 10 min.
    pub stuck_after_ms: u64,
}

fn is_workload(role: Role, key: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    if role == Role::Workload {
        return Ok(());
    }
    let why = format!("units of this kind are workloads, not {role}s");
    Err(ConfigError::invalid(key("kubernetes.kind"), why))
}

fn stuck_after(given: Option<u64>, key: &dyn Fn(&str) -> String) -> Result<u64, ConfigError> {
    ranged(&key("kubernetes.stuck_after_ms"), given, STUCK_AFTER_MS, 1_000..=DAY_MS)
}

/// Checks Deployments or DaemonSets.
pub(super) fn workload(
    role: Role,
    (kind, name): (WorkloadKind, KubernetesKind),
    given: &Table,
    allowed: &Allowed<'_>,
    key: &dyn Fn(&str) -> String,
) -> Result<WorkloadPool, ConfigError> {
    is_workload(role, key)?;
    allowed.kind(name)?;
    Ok(WorkloadPool {
        kind,
        namespace: allowed.namespace(&key("kubernetes.namespace"), given.namespace.as_ref())?,
        wanted: wanted(&given.container, &given.init_containers, key)?,
        registry: registry(&given.registry, key)?,
        stuck_after_ms: stuck_after(given.stuck_after_ms, key)?,
    })
}

/// Checks StatefulSets that roll by themselves.
pub(super) fn stateful_set(
    given: &SetTable,
    allowed: &Allowed<'_>,
    key: &dyn Fn(&str) -> String,
) -> Result<WorkloadPool, ConfigError> {
    allowed.kind(KubernetesKind::Statefulset)?;
    if let Some(field) = given.member_key() {
        let why = "it is for controllers and brokers; a workload's units are the StatefulSets";
        return Err(ConfigError::invalid(key(&format!("kubernetes.{field}")), why));
    }
    Ok(WorkloadPool {
        kind: WorkloadKind::StatefulSet,
        namespace: allowed.namespace(&key("kubernetes.namespace"), given.namespace())?,
        wanted: wanted(&given.container, &given.init_containers, key)?,
        registry: registry(&given.registry, key)?,
        stuck_after_ms: stuck_after(given.stuck_after_ms, key)?,
    })
}

/// Checks custom resources.
pub(super) fn resource(
    role: Role,
    given: &ResourceTable,
    allowed: &Allowed<'_>,
    key: &dyn Fn(&str) -> String,
) -> Result<ResourcePool, ConfigError> {
    is_workload(role, key)?;
    allowed.kind(KubernetesKind::Resource)?;
    if !given.api_version.contains('/') {
        let why = "it must be group/version, e.g. apps.example/v1";
        return Err(ConfigError::invalid(key("kubernetes.api_version"), why));
    }
    let registry = given.registry.as_deref().map(|text| registry(text, key)).transpose()?;
    let version_pointer = given.version_pointer.as_deref().map(str::parse).transpose();
    Ok(ResourcePool {
        namespace: allowed.namespace(&key("kubernetes.namespace"), given.namespace.as_ref())?,
        api_version: given.api_version.clone(),
        resource_kind: given.resource_kind.clone(),
        fields: fields(&given.fields, registry.as_ref(), key)?,
        registry,
        version_pointer: version_pointer
            .map_err(|why| ConfigError::invalid(key("kubernetes.version_pointer"), why))?,
        ready_condition: given.ready_condition.clone().unwrap_or_else(|| "Ready".to_owned()),
        failed_condition: given.failed_condition.clone(),
        stuck_after_ms: stuck_after(given.stuck_after_ms, key)?,
    })
}

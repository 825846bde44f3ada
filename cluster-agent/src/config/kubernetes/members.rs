//! Pools of controllers and brokers: members of a StatefulSet, or of a Kafka cluster of Strimzi's.

use channels::wire::Role;
use serde::Deserialize;

use super::fields::{FieldTable, FieldValue, fields};
use super::{
    Allowed, ConfigError, DAY_MS, Field, KubernetesKind, Pointer, Registry, Wanted, check_name,
    ranged, ranged_u32,
};

/// From the beginning of a change until the pod has been made anew: a stop within its grace period
/// and a budget that lets it go; starting is waited for afterwards.
const TIMEOUT_MS: u64 = 15 * 60_000;

/// Strimzi tries for five minutes per pod, and again two minutes later; three such rounds without
/// any pod moving on are a standstill.
const STRIMZI_STUCK_AFTER_MS: u64 = 20 * 60_000;

/// Where a Kafka resource says which version to run.
const KAFKA_VERSION: &str = "/spec/kafka/version";

/// `kind = "statefulset"` as written; for controllers and brokers, and for workloads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SetTable {
    namespace: Option<String>,
    name: Option<String>,
    pub(super) container: String,
    #[serde(default)]
    pub(super) init_containers: Vec<String>,
    pub(super) registry: String,
    grace_s: Option<u64>,
    timeout_ms: Option<u64>,
    evidence: Option<MemberEvidence>,
    mend: Option<bool>,
    pub(super) stuck_after_ms: Option<u64>,
}

impl SetTable {
    /// The namespace it names.
    pub(super) fn namespace(&self) -> Option<&String> {
        self.namespace.as_ref()
    }

    /// Keys that only make sense for members.
    pub(super) fn member_key(&self) -> Option<&'static str> {
        [
            ("name", self.name.is_some()),
            ("grace_s", self.grace_s.is_some()),
            ("timeout_ms", self.timeout_ms.is_some()),
            ("evidence", self.evidence.is_some()),
            ("mend", self.mend.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

/// Whose word says which version a member runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberEvidence {
    /// Its own: version and start time on its metrics page. What was asked of Kubernetes is not
    /// what runs until the process itself says so.
    #[default]
    Page,
    /// The pod's: its version annotation, which its image must bear out, and its uid.
    Pod,
}

/// A pool whose units are the pods of one StatefulSet with `OnDelete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatefulSetPool {
    /// Namespace of the set.
    pub namespace: String,
    /// Its name; the units are its pods, `<name>-<ordinal>`.
    pub name: String,
    /// The containers that run the component.
    pub wanted: Wanted,
    /// Where its images are pulled from.
    pub registry: Registry,
    /// A pod is given at least this long to stop, seconds. Default and minimum 30.
    pub grace_s: u32,
    /// Longest time from the beginning of a change until the pod has been made anew, milliseconds.
    /// Default 15 min.
    pub timeout_ms: u64,
    /// Whose word says which version a member runs. Default its page.
    pub evidence: MemberEvidence,
    /// The template may change while the very member whose step it is is not Ready, so that a
    /// release can mend it. Default false: all must be.
    pub mend: bool,
}

/// `kind = "strimzi"` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct StrimziTable {
    namespace: Option<String>,
    api_version: Option<String>,
    fields: Option<Vec<FieldTable>>,
    registry: Option<String>,
    stuck_after_ms: Option<u64>,
}

/// A pool whose units are `Kafka` resources: each one a whole Kafka cluster that Strimzi rolls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrimziPool {
    /// Namespace of the resources.
    pub namespace: String,
    /// Their group and version; `None` = the one that the API server prefers.
    pub api_version: Option<String>,
    /// What is written. Default the component's version at `/spec/kafka/version`.
    pub fields: Vec<Field>,
    /// Where images are pulled from, if a field holds one.
    pub registry: Option<Registry>,
    /// A roll in which no pod moves on for this long has failed, milliseconds. Default 20 min.
    pub stuck_after_ms: u64,
}

/// Checks members of a StatefulSet.
pub(super) fn stateful_set(
    role: Role,
    given: &SetTable,
    allowed: &Allowed<'_>,
    key: &dyn Fn(&str) -> String,
) -> Result<StatefulSetPool, ConfigError> {
    if !matches!(role, Role::Controller | Role::Broker) {
        let why = format!("members of a StatefulSet are controllers or brokers, not {role}s");
        return Err(ConfigError::invalid(key("kubernetes.kind"), why));
    }
    allowed.kind(KubernetesKind::Statefulset)?;
    let name = given.name.clone().ok_or(ConfigError::Missing {
        key: key("kubernetes.name"),
        hint: "the StatefulSet whose pods the units are",
    })?;
    check_name(&key("kubernetes.name"), &name)?;
    if given.stuck_after_ms.is_some() {
        let why = "it is for workloads; members have timeout_ms";
        return Err(ConfigError::invalid(key("kubernetes.stuck_after_ms"), why));
    }
    let ms = |field: &str, value, usual| ranged(&key(field), value, usual, 1_000..=DAY_MS);
    Ok(StatefulSetPool {
        namespace: allowed.namespace(&key("kubernetes.namespace"), given.namespace.as_ref())?,
        name,
        wanted: wanted(&given.container, &given.init_containers, key)?,
        registry: registry(&given.registry, key)?,
        grace_s: ranged_u32(&key("kubernetes.grace_s"), given.grace_s, 30, 30..=3_600)?,
        timeout_ms: ms("kubernetes.timeout_ms", given.timeout_ms, TIMEOUT_MS)?,
        evidence: given.evidence.unwrap_or_default(),
        mend: given.mend.unwrap_or(false),
    })
}

/// Checks Kafka clusters of Strimzi's.
pub(super) fn strimzi(
    role: Role,
    given: &StrimziTable,
    allowed: &Allowed<'_>,
    key: &dyn Fn(&str) -> String,
) -> Result<StrimziPool, ConfigError> {
    if role != Role::Workload {
        let why = format!(
            "Strimzi rolls a cluster as a whole, in its own order: its units are workloads, one per Kafka resource, not {role}s"
        );
        return Err(ConfigError::invalid(key("kubernetes.kind"), why));
    }
    allowed.kind(KubernetesKind::Strimzi)?;
    let registry = given.registry.as_deref().map(|text| registry(text, key)).transpose()?;
    let fields = if let Some(given) = &given.fields {
        fields(given, registry.as_ref(), key)?
    } else {
        let pointer: Pointer =
            KAFKA_VERSION.parse().map_err(|e| ConfigError::invalid(key("kubernetes.fields"), e))?;
        vec![Field { pointer, value: FieldValue::ComponentVersion }]
    };
    let stuck_after_ms = ranged(
        &key("kubernetes.stuck_after_ms"),
        given.stuck_after_ms,
        STRIMZI_STUCK_AFTER_MS,
        1_000..=DAY_MS,
    )?;
    Ok(StrimziPool {
        namespace: allowed.namespace(&key("kubernetes.namespace"), given.namespace.as_ref())?,
        api_version: given.api_version.clone(),
        fields,
        registry,
        stuck_after_ms,
    })
}

/// Checks a registry.
pub(super) fn registry(given: &str, key: &dyn Fn(&str) -> String) -> Result<Registry, ConfigError> {
    given.parse().map_err(|why| ConfigError::invalid(key("kubernetes.registry"), why))
}

/// Checks names of containers.
pub(super) fn wanted(
    container: &str,
    init_containers: &[String],
    key: &dyn Fn(&str) -> String,
) -> Result<Wanted, ConfigError> {
    check_name(&key("kubernetes.container"), container)?;
    for name in init_containers {
        check_name(&key("kubernetes.init_containers"), name)?;
    }
    Ok(Wanted { container: container.to_owned(), init_containers: init_containers.to_vec() })
}

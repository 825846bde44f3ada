//! A pool of nodes: how they are drained, which Job changes them, what proves the change.

use std::collections::BTreeSet;
use std::path::PathBuf;

use channels::wire::Role;
use serde::Deserialize;

use super::{Allowed, ConfigError, DAY_MS, KubernetesKind, ranged, ranged_u32};

/// A drain that has not ended by then is given up and undone; it is tried again later. The machine
/// config operator raises its alarm after the same time.
const DRAIN_TIMEOUT_MS: u64 = 60 * 60_000;

/// A Job may take this long; an image pull, an upgrade and a reboot fit.
const JOB_TIMEOUT_MS: u64 = 30 * 60_000;

/// As written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Table {
    job_template: PathBuf,
    namespace: Option<String>,
    service_account: String,
    job_timeout_ms: Option<u64>,
    job_retries: Option<u64>,
    #[serde(default)]
    drain: Drain,
    evidence: Option<Evidence>,
    reboot: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    delete_empty_dir: Option<bool>,
    force_unmanaged: Option<bool>,
    grace_s: Option<u64>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    waived_budgets: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, tag = "from", rename_all = "snake_case")]
enum Evidence {
    KubeletVersion {},
    OsImage {
        #[serde(default)]
        prefix: String,
    },
    Label {
        key: String,
    },
    Annotation {
        key: String,
    },
}

/// A checked pool of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePool {
    /// Local file with the Job that changes a node.
    pub job_template: PathBuf,
    /// Namespace of the Jobs.
    pub namespace: String,
    /// Service account of the Jobs' pods.
    pub service_account: String,
    /// How long a Job may take, milliseconds. Default 30 min.
    pub job_timeout_ms: u64,
    /// How often a Job's pod is started again after a failure. Default 2.
    pub job_retries: u32,
    /// How the node is drained.
    pub drain: DrainSettings,
    /// Where the node's version shows.
    pub evidence: NodeEvidence,
    /// Whether the change comes with a reboot: then another boot id is needed as evidence.
    pub reboot: bool,
}

/// How a node is drained. Evictions only, always: what is refused is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainSettings {
    /// Pods with an `emptyDir` may go; its content is lost. Default false.
    pub delete_empty_dir: bool,
    /// Pods without a controller may go; nobody starts them again. Default false.
    pub force_unmanaged: bool,
    /// Grace period of evicted pods, seconds; `None` = the pod's own.
    pub grace_s: Option<u32>,
    /// A drain that takes longer is undone, milliseconds. Default 1 h.
    pub timeout_ms: u64,
    /// Budgets (`namespace/name`) that allow nothing because somebody else moves their pods once an
    /// eviction was refused (Strimzi's drain cleaner).
    pub waived_budgets: BTreeSet<String>,
}

/// Where a node's version shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvidence {
    /// `status.nodeInfo.kubeletVersion`.
    KubeletVersion,
    /// `status.nodeInfo.osImage` without this prefix.
    OsImage {
        /// What stands before the version (`Fedora CoreOS `).
        prefix: String,
    },
    /// A label.
    Label {
        /// Its key.
        key: String,
    },
    /// An annotation.
    Annotation {
        /// Its key.
        key: String,
    },
}

pub(super) fn pool(
    role: Role,
    given: &Table,
    allowed: &Allowed<'_>,
    key: &dyn Fn(&str) -> String,
) -> Result<NodePool, ConfigError> {
    if role != Role::Node {
        let why = format!("kind node needs role node, the pool's is {role}");
        return Err(ConfigError::invalid(key("kubernetes.kind"), why));
    }
    allowed.kind(KubernetesKind::Node)?;
    let drain = &given.drain;
    let grace_s = drain
        .grace_s
        .map(|grace| ranged_u32(&key("kubernetes.drain.grace_s"), Some(grace), 30, 0..=86_400));
    Ok(NodePool {
        job_template: allowed.template(&given.job_template)?,
        namespace: allowed.namespace(&key("kubernetes.namespace"), given.namespace.as_ref())?,
        service_account: allowed
            .service_account(&key("kubernetes.service_account"), &given.service_account)?,
        job_timeout_ms: ranged(
            &key("kubernetes.job_timeout_ms"),
            given.job_timeout_ms,
            JOB_TIMEOUT_MS,
            1_000..=DAY_MS,
        )?,
        job_retries: ranged_u32(&key("kubernetes.job_retries"), given.job_retries, 2, 0..=20)?,
        drain: DrainSettings {
            delete_empty_dir: drain.delete_empty_dir.unwrap_or(false),
            force_unmanaged: drain.force_unmanaged.unwrap_or(false),
            grace_s: grace_s.transpose()?,
            waived_budgets: drain.waived_budgets.iter().cloned().collect(),
            timeout_ms: ranged(
                &key("kubernetes.drain.timeout_ms"),
                drain.timeout_ms,
                DRAIN_TIMEOUT_MS,
                1_000..=DAY_MS,
            )?,
        },
        evidence: match &given.evidence {
            None | Some(Evidence::KubeletVersion {}) => NodeEvidence::KubeletVersion,
            Some(Evidence::OsImage { prefix }) => NodeEvidence::OsImage { prefix: prefix.clone() },
            Some(Evidence::Label { key }) => NodeEvidence::Label { key: key.clone() },
            Some(Evidence::Annotation { key }) => NodeEvidence::Annotation { key: key.clone() },
        },
        reboot: given.reboot,
    })
}

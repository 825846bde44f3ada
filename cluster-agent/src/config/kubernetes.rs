//! `[kubernetes]`, and pools whose units live in a Kubernetes cluster.
//!
//! Which kinds of objects, namespaces, Job templates and service accounts a product may use is said
//! here, by the owner of the cluster, and nowhere else: `[kubernetes.allow."vendor/product"]`. A
//! pool outside of what its product may use is refused when the file is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::names::ProductRef;
use channels::wire::Role;
use serde::Deserialize;

use super::ConfigError;
use super::ranges::{DAY_MS, ranged, ranged_u32};
use crate::observation::{EvidenceFrom, WitnessSource};
use crate::telemetry::KubeletAccess;

mod fields;
mod members;
mod node;
mod registry;
#[cfg(test)]
mod tests;
mod workload;

pub use fields::{Field, FieldValue, Pointer};
pub use members::{MemberEvidence, StatefulSetPool, StrimziPool};
pub use node::{DrainSettings, NodeEvidence, NodePool};
pub use registry::{Registry, Wanted};
pub use workload::{ResourcePool, WorkloadKind, WorkloadPool};

/// Longest name of an object (RFC 1123 subdomain).
const NAME_MAX_BYTES: usize = 253;

/// `[kubernetes]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubernetes {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    period_ms: Option<u64>,
    timeout_ms: Option<u64>,
    namespace: Option<String>,
    lease: Option<String>,
    etcd: Option<Etcd>,
    kubelet: Option<Kubelet>,
    kured: Option<String>,
    #[serde(default)]
    allow: BTreeMap<String, Allow>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Etcd {
    #[serde(default)]
    metrics_urls: Vec<String>,
    check: Option<bool>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    max_pending: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kubelet {
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    insecure: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allow {
    kinds: Vec<KubernetesKind>,
    namespaces: Vec<String>,
    #[serde(default)]
    templates: Vec<PathBuf>,
    #[serde(default)]
    service_accounts: Vec<String>,
}

/// `[products.pools.kubernetes]` as written, by kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum PoolTable {
    Node(node::Table),
    Statefulset(members::SetTable),
    Strimzi(members::StrimziTable),
    Deployment(workload::Table),
    Daemonset(workload::Table),
    Resource(workload::ResourceTable),
}

/// What the units of a pool are in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KubernetesKind {
    /// Nodes, drained and changed by a Job.
    Node,
    /// Members of a StatefulSet with `OnDelete`.
    Statefulset,
    /// Members of a Kafka cluster of Strimzi's.
    Strimzi,
    /// A Deployment.
    Deployment,
    /// A DaemonSet.
    Daemonset,
    /// A field of a custom resource.
    Resource,
}

impl KubernetesKind {
    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Statefulset => "statefulset",
            Self::Strimzi => "strimzi",
            Self::Deployment => "deployment",
            Self::Daemonset => "daemonset",
            Self::Resource => "resource",
        }
    }
}

/// The API server and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// Kubeconfig; `None` = the service account of the agent's pod.
    pub kubeconfig: Option<PathBuf>,
    /// Its context; `None` = the current one.
    pub context: Option<String>,
    /// How often it is asked while something moves or could, milliseconds. Default 2000.
    pub period_ms: u64,
    /// Longest wait for one answer, milliseconds. Default 5000.
    pub timeout_ms: u64,
    /// The agent's own namespace: Lease, Jobs, `ClusterUpdate`. Default `fairway-system`.
    pub namespace: String,
    /// Name of the Lease by which one agent acts. Default `fairway-agent`.
    pub lease: String,
    /// The etcd members behind the API server, if their metrics can be asked for.
    pub etcd: Option<EtcdSettings>,
    /// How kubelets' metrics pages are fetched.
    pub kubelet: KubeletAccess,
    /// Where kured keeps its reboot lock.
    pub kured: KuredSettings,
    /// Where this agent runs.
    pub place: AgentPlace,
}

/// The etcd members of the control plane: asked before a control-plane node goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// Whether they are asked at all; false for an etcd that is none of the nodes' business.
    pub check: bool,
    /// Metrics page of every member.
    pub metrics_urls: Vec<String>,
    /// Certificate authority of the pages, PEM.
    pub ca: Option<PathBuf>,
    /// Client certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Most proposals that may be pending at a member. Default 0.
    pub max_pending: u64,
}

/// The DaemonSet of kured, whose annotation is its reboot lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KuredSettings {
    /// Its namespace. Default `kube-system`.
    pub namespace: String,
    /// Its name. Default `kured`.
    pub name: String,
}

/// Where this agent itself runs in the cluster, by its environment (`FAIRWAY_NODE_NAME`,
/// `FAIRWAY_POD_NAME`, `FAIRWAY_POD_NAMESPACE`, set from the downward API).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentPlace {
    /// Its node: goes last of its role.
    pub node: Option<String>,
    /// Its pod: evicted last.
    pub pod: Option<String>,
    /// The namespace of its pod.
    pub namespace: Option<String>,
}

impl AgentPlace {
    /// Reads the environment.
    pub(super) fn from_env() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            node: read("FAIRWAY_NODE_NAME"),
            pod: read("FAIRWAY_POD_NAME"),
            namespace: read("FAIRWAY_POD_NAMESPACE"),
        }
    }
}

/// A pool whose units live in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubernetesPool {
    /// Nodes.
    Node(NodePool),
    /// Pods of a StatefulSet with `OnDelete`.
    StatefulSet(StatefulSetPool),
    /// Kafka clusters that Strimzi rolls.
    Strimzi(StrimziPool),
    /// Deployments, StatefulSets or DaemonSets that roll their own pods.
    Workload(WorkloadPool),
    /// Custom resources.
    Resource(ResourcePool),
}

impl KubernetesPool {
    /// What its units are.
    pub fn kind(&self) -> KubernetesKind {
        match self {
            Self::Node(_) => KubernetesKind::Node,
            Self::StatefulSet(_) => KubernetesKind::Statefulset,
            Self::Strimzi(_) => KubernetesKind::Strimzi,
            Self::Workload(pool) => match pool.kind {
                WorkloadKind::Deployment => KubernetesKind::Deployment,
                WorkloadKind::StatefulSet => KubernetesKind::Statefulset,
                WorkloadKind::DaemonSet => KubernetesKind::Daemonset,
            },
            Self::Resource(_) => KubernetesKind::Resource,
        }
    }

    /// Whether its units must have a metrics page of their own.
    pub(super) fn needs_page(&self) -> bool {
        match self {
            // The PLEG's figures, and the quorum's, are nowhere else.
            Self::Node(_) | Self::StatefulSet(_) => true,
            Self::Strimzi(_) | Self::Workload(_) | Self::Resource(_) => false,
        }
    }

    /// Whose word says which version its units run.
    pub(super) fn evidence_from(&self) -> EvidenceFrom {
        match self {
            Self::StatefulSet(pool) if pool.evidence == MemberEvidence::Page => EvidenceFrom::Page,
            Self::Node(_)
            | Self::StatefulSet(_)
            | Self::Strimzi(_)
            | Self::Workload(_)
            | Self::Resource(_) => EvidenceFrom::Witness(WitnessSource::Kubernetes),
        }
    }
}

/// What pools may use, while the file is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// `[kubernetes]` is there.
    present: bool,
    allow: BTreeMap<ProductRef, Allow>,
    /// Directory that relative paths start from.
    base: PathBuf,
    /// Where the agent runs.
    pub(super) place: AgentPlace,
    /// The agent's own namespace.
    namespace: String,
}

const NAMESPACE: &str = "fairway-system";

/// The token of a pod's service account.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Checks `[kubernetes]`.
pub(super) fn kubernetes(
    given: Option<&Kubernetes>,
    place: AgentPlace,
    base: &Path,
) -> Result<(Option<KubernetesSettings>, Scope), ConfigError> {
    let Some(given) = given else { return Ok((None, Scope { place, ..Scope::default() })) };
    let namespace = given.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned());
    let lease = given.lease.clone().unwrap_or_else(|| "fairway-agent".to_owned());
    check_name("kubernetes.namespace", &namespace)?;
    check_name("kubernetes.lease", &lease)?;
    let mut allow = BTreeMap::new();
    for (product, allowed) in &given.allow {
        let name: ProductRef =
            product.parse().map_err(|e| ConfigError::invalid("kubernetes.allow", e))?;
        let mut allowed = allowed.clone();
        for template in &mut allowed.templates {
            *template = base.join(&*template);
        }
        allow.insert(name, allowed);
    }
    let period_ms = ranged("kubernetes.period_ms", given.period_ms, 2_000, 500..=60_000)?;
    let timeout_ms = ranged("kubernetes.timeout_ms", given.timeout_ms, 5_000, 100..=60_000)?;
    let settings = KubernetesSettings {
        kubeconfig: given.kubeconfig.as_ref().map(|path| base.join(path)),
        context: given.context.clone(),
        period_ms,
        timeout_ms,
        namespace: namespace.clone(),
        lease,
        etcd: given.etcd.as_ref().map(|etcd| etcd_settings(etcd, base)).transpose()?,
        kubelet: kubelet_access(given, base)?,
        kured: kured_settings(given.kured.as_deref().unwrap_or("kube-system/kured"))?,
        place: place.clone(),
    };
    let scope = Scope { present: true, allow, base: base.to_owned(), place, namespace };
    Ok((Some(settings), scope))
}

fn etcd_settings(given: &Etcd, base: &Path) -> Result<EtcdSettings, ConfigError> {
    let check = given.check.unwrap_or(true);
    if check && given.metrics_urls.is_empty() {
        return Err(ConfigError::Missing {
            key: "kubernetes.etcd.metrics_urls".to_owned(),
            hint: "the metrics page of every etcd member (or check = false)",
        });
    }
    for url in &given.metrics_urls {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            let why = format!("{url:?} must begin with http:// or https://");
            return Err(ConfigError::invalid("kubernetes.etcd.metrics_urls", why));
        }
    }
    let identity = match (&given.cert, &given.key) {
        (Some(cert), Some(key)) => Some((base.join(cert), base.join(key))),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(ConfigError::invalid("kubernetes.etcd.cert", "cert and key come together"));
        }
    };
    Ok(EtcdSettings {
        check,
        metrics_urls: given.metrics_urls.clone(),
        ca: given.ca.as_ref().map(|path| base.join(path)),
        identity,
        max_pending: ranged("kubernetes.etcd.max_pending", given.max_pending, 0, 0..=1_000)?,
    })
}

/// A pod asks kubelets as what it is; elsewhere a token must be named.
fn kubelet_access(given: &Kubernetes, base: &Path) -> Result<KubeletAccess, ConfigError> {
    let own = given.kubeconfig.is_none().then(|| PathBuf::from(OWN_TOKEN));
    let Some(kubelet) = &given.kubelet else {
        return Ok(KubeletAccess { token_file: own, ca: None, insecure: false });
    };
    let insecure = kubelet.insecure.unwrap_or(false);
    if insecure && kubelet.ca.is_some() {
        let why = "with ca set, serving certificates are checked: leave insecure out";
        return Err(ConfigError::invalid("kubernetes.kubelet.insecure", why));
    }
    Ok(KubeletAccess {
        token_file: kubelet.token_file.as_ref().map(|path| base.join(path)).or(own),
        ca: kubelet.ca.as_ref().map(|path| base.join(path)),
        insecure,
    })
}

fn kured_settings(given: &str) -> Result<KuredSettings, ConfigError> {
    let Some((namespace, name)) = given.split_once('/') else {
        return Err(ConfigError::invalid("kubernetes.kured", "it must be namespace/daemonset"));
    };
    check_name("kubernetes.kured", namespace)?;
    check_name("kubernetes.kured", name)?;
    Ok(KuredSettings { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// Checks `[products.pools.kubernetes]`, and that its product may use what it names.
pub(super) fn pool(
    product: &ProductRef,
    role: Role,
    given: &PoolTable,
    scope: &Scope,
    key: &dyn Fn(&str) -> String,
) -> Result<KubernetesPool, ConfigError> {
    if !scope.present {
        return Err(ConfigError::Missing {
            key: "kubernetes".to_owned(),
            hint: "a pool with a kubernetes table needs [kubernetes]",
        });
    }
    let Some(allow) = scope.allow.get(product) else {
        return Err(ConfigError::Missing {
            key: format!("kubernetes.allow.\"{product}\""),
            hint: "what this product may use: kinds, namespaces, templates, service_accounts",
        });
    };
    let allowed = Allowed { product, allow, scope };
    match given {
        PoolTable::Node(table) => node::pool(role, table, &allowed, key).map(KubernetesPool::Node),
        PoolTable::Statefulset(table) if role == Role::Workload => {
            workload::stateful_set(table, &allowed, key).map(KubernetesPool::Workload)
        }
        PoolTable::Statefulset(table) => {
            members::stateful_set(role, table, &allowed, key).map(KubernetesPool::StatefulSet)
        }
        PoolTable::Strimzi(table) => {
            members::strimzi(role, table, &allowed, key).map(KubernetesPool::Strimzi)
        }
        PoolTable::Deployment(table) => {
            let kind = (WorkloadKind::Deployment, KubernetesKind::Deployment);
            workload::workload(role, kind, table, &allowed, key).map(KubernetesPool::Workload)
        }
        PoolTable::Daemonset(table) => {
            let kind = (WorkloadKind::DaemonSet, KubernetesKind::Daemonset);
            workload::workload(role, kind, table, &allowed, key).map(KubernetesPool::Workload)
        }
        PoolTable::Resource(table) => {
            workload::resource(role, table, &allowed, key).map(KubernetesPool::Resource)
        }
    }
}

/// One product's part of `[kubernetes.allow]`.
#[derive(Debug, Clone, Copy)]
struct Allowed<'a> {
    product: &'a ProductRef,
    allow: &'a Allow,
    scope: &'a Scope,
}

impl Allowed<'_> {
    fn refused(&self, field: &str, value: &str) -> ConfigError {
        let key = format!("kubernetes.allow.\"{}\".{field}", self.product);
        ConfigError::invalid(key, format!("{value:?} is not among them, but a pool uses it"))
    }

    fn kind(&self, kind: KubernetesKind) -> Result<(), ConfigError> {
        let known = self.allow.kinds.contains(&kind);
        if known { Ok(()) } else { Err(self.refused("kinds", kind.as_str())) }
    }

    /// The namespace of a pool; the agent's own unless given.
    fn namespace(&self, key: &str, given: Option<&String>) -> Result<String, ConfigError> {
        let namespace = given.unwrap_or(&self.scope.namespace).clone();
        check_name(key, &namespace)?;
        let known = self.allow.namespaces.contains(&namespace);
        if known { Ok(namespace) } else { Err(self.refused("namespaces", &namespace)) }
    }

    fn template(&self, given: &Path) -> Result<PathBuf, ConfigError> {
        let path = self.scope.base.join(given);
        let known = self.allow.templates.contains(&path);
        if known { Ok(path) } else { Err(self.refused("templates", &path.display().to_string())) }
    }

    fn service_account(&self, key: &str, given: &str) -> Result<String, ConfigError> {
        check_name(key, given)?;
        let known = self.allow.service_accounts.iter().any(|name| name == given);
        if known { Ok(given.to_owned()) } else { Err(self.refused("service_accounts", given)) }
    }
}

/// Names of objects: lower-case letters, digits, `-` and `.` (RFC 1123).
pub(super) fn check_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let good = name.len() <= NAME_MAX_BYTES
        && name.bytes().all(inner)
        && edge(name.bytes().next())
        && edge(name.bytes().last());
    if good {
        return Ok(());
    }
    let why = format!("{name:?} is no name of a Kubernetes object (lower case, digits, - and .)");
    Err(ConfigError::invalid(key, why))
}

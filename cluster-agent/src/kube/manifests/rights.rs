//! The rights of the agent's account, each with why it is needed.
//!
//! One role per part, so that a cluster grants no more than its pools need. Rights over members
//! and workloads are not bound to the whole cluster but to the namespaces that hold them.

use std::fmt::Write as _;

use super::ACCOUNT;
use crate::kube::events::EVENT_NAMESPACE;

/// What an agent may be allowed to roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Controllers and brokers of a `StatefulSet` with `OnDelete`.
    Members,
    /// A Kafka cluster of Strimzi's.
    Strimzi,
    /// Deployments, `StatefulSet`s and `DaemonSet`s.
    Workloads,
}

/// One rule of a role.
#[derive(Debug, Clone, Copy)]
struct Rule {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
}

const fn rule(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Rule {
    Rule { group, resources, verbs, why }
}

/// Every agent in a cluster.
const BASE: &[Rule] = &[
    rule(
        "fairway.dev",
        &["clusterupdates"],
        &["get", "list"],
        "read what people ordered; the agent never makes, changes or removes an order",
    ),
    rule("fairway.dev", &["clusterupdates/status"], &["update"], "show how products are"),
];

/// In the agent's own namespace.
const OWN: &[Rule] = &[
    rule(
        "coordination.k8s.io",
        &["leases"],
        &["create", "get", "update"],
        "one agent acts: take, watch, renew and give back the Lease",
    ),
    rule(
        "batch",
        &["jobs"],
        &["create", "get", "patch"],
        "change a node by a Job of the local template, see how it ends, let it expire once all is well",
    ),
    rule("", &["pods"], &["get", "list"], "find the pod of that Job, and its own"),
    rule(
        "",
        &["persistentvolumeclaims"],
        &["get"],
        "see which volume holds its state, before its own node is drained",
    ),
    rule("", &["pods/log"], &["get"], "say why that Job failed"),
];

/// In the namespace that holds events of resources without a namespace.
const EVENTS: &[Rule] = &[rule(
    "",
    &["events"],
    &["create", "get", "patch"],
    "tell transitions; count up the same one instead of making another",
)];

/// Pools of nodes.
const NODES: &[Rule] = &[
    rule(
        "",
        &["nodes"],
        &["get", "list", "patch"],
        "read readiness, versions and foreign cordons; cordon, and uncordon what it cordoned",
    ),
    rule("", &["nodes/metrics"], &["get"], "read the kubelets' metrics pages (PLEG)"),
    rule("", &["pods"], &["list"], "find the pods of a node, and see that they are gone"),
    rule("", &["pods/eviction"], &["create"], "drain a node; pods are evicted, never deleted"),
    rule(
        "policy",
        &["poddisruptionbudgets"],
        &["list"],
        "name a budget that could never allow a drain before any cordon",
    ),
    rule(
        "",
        &["persistentvolumes"],
        &["get"],
        "see whether that volume can follow it to another node",
    ),
    rule("apps", &["daemonsets"], &["get"], "see whether kured holds its lock"),
    rule("batch", &["jobs"], &["list"], "see whether an upgrade plan of another controller runs"),
    rule(
        "nodemaintenance.medik8s.io",
        &["nodemaintenances"],
        &["list"],
        "leave a node alone that somebody else maintains",
    ),
];

/// Members of a `StatefulSet`.
const MEMBERS: &[Rule] = &[
    rule(
        "apps",
        &["statefulsets"],
        &["get", "patch"],
        "read the update strategy; set the new image in the template",
    ),
    rule("", &["pods"], &["list"], "see which member runs what, and whether it is ready"),
    rule("", &["pods/eviction"], &["create"], "restart one member, which OnDelete asks for"),
    rule(
        "policy",
        &["poddisruptionbudgets"],
        &["list"],
        "name a budget that could never allow it before anything is changed",
    ),
];

/// Strimzi.
const STRIMZI: &[Rule] = &[
    rule(
        "kafka.strimzi.io",
        &["kafkas"],
        &["get", "patch"],
        "set the new version; pause the operator when a gate turns red",
    ),
    rule("", &["pods"], &["list"], "see which pod is out, and when it is back"),
];

/// Workloads.
const WORKLOADS: &[Rule] = &[rule(
    "apps",
    &["deployments", "statefulsets", "daemonsets"],
    &["get", "patch"],
    "set the new image; see the rollout complete",
)];

impl Part {
    const ALL: [Self; 3] = [Self::Members, Self::Strimzi, Self::Workloads];

    fn name(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Strimzi => "strimzi",
            Self::Workloads => "workloads",
        }
    }

    fn rules(self) -> &'static [Rule] {
        match self {
            Self::Members => MEMBERS,
            Self::Strimzi => STRIMZI,
            Self::Workloads => WORKLOADS,
        }
    }
}

/// Account, roles and bindings of an agent in `namespace`, as YAML with a reason beside each rule.
/// `bind` gives it a part in a namespace.
pub fn rbac(namespace: &str, bind: &[(Part, String)]) -> String {
    let mut text = String::from("# Written by `cluster-agent manifests rbac`.\n");
    let out = &mut text;
    account(out, namespace);
    role(out, "ClusterRole", ACCOUNT, None, BASE);
    cluster_binding(out, ACCOUNT, namespace);
    role(out, "Role", ACCOUNT, Some(namespace), OWN);
    binding(out, "Role", ACCOUNT, namespace, namespace);
    let events = format!("{ACCOUNT}-events");
    role(out, "Role", &events, Some(EVENT_NAMESPACE), EVENTS);
    binding(out, "Role", &events, EVENT_NAMESPACE, namespace);
    let nodes = format!("{ACCOUNT}-nodes");
    role(out, "ClusterRole", &nodes, None, NODES);
    cluster_binding(out, &nodes, namespace);
    for part in Part::ALL {
        role(out, "ClusterRole", &format!("{ACCOUNT}-{}", part.name()), None, part.rules());
    }
    for (part, place) in bind {
        binding(out, "ClusterRole", &format!("{ACCOUNT}-{}", part.name()), place, namespace);
    }
    text
}

// Writing to a String cannot fail; results are dropped in one place.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
    out.push('\n');
}

fn head(out: &mut String, api: &str, kind: &str, name: &str, namespace: Option<&str>) {
    line(out, format_args!("---"));
    line(out, format_args!("apiVersion: {api}"));
    line(out, format_args!("kind: {kind}"));
    line(out, format_args!("metadata:"));
    line(out, format_args!("  name: {name}"));
    if let Some(namespace) = namespace {
        line(out, format_args!("  namespace: {namespace}"));
    }
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn account(out: &mut String, namespace: &str) {
    head(out, "v1", "ServiceAccount", ACCOUNT, Some(namespace));
}

fn role(out: &mut String, kind: &str, name: &str, namespace: Option<&str>, rules: &[Rule]) {
    head(out, RBAC, kind, name, namespace);
    line(out, format_args!("rules:"));
    for rule in rules {
        line(out, format_args!("  # {}", rule.why));
        line(out, format_args!("  - apiGroups: [{:?}]", rule.group));
        line(out, format_args!("    resources: [{}]", rule.resources.join(", ")));
        line(out, format_args!("    verbs: [{}]", rule.verbs.join(", ")));
    }
}

fn cluster_binding(out: &mut String, role: &str, namespace: &str) {
    head(out, RBAC, "ClusterRoleBinding", role, None);
    bound(out, "ClusterRole", role, namespace);
}

fn binding(out: &mut String, kind: &str, role: &str, place: &str, namespace: &str) {
    head(out, RBAC, "RoleBinding", role, Some(place));
    bound(out, kind, role, namespace);
}

fn bound(out: &mut String, kind: &str, role: &str, namespace: &str) {
    line(out, format_args!("roleRef:"));
    line(out, format_args!("  apiGroup: rbac.authorization.k8s.io"));
    line(out, format_args!("  kind: {kind}"));
    line(out, format_args!("  name: {role}"));
    line(out, format_args!("subjects:"));
    line(out, format_args!("  - kind: ServiceAccount"));
    line(out, format_args!("    name: {ACCOUNT}"));
    line(out, format_args!("    namespace: {namespace}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_says_why_and_none_is_a_wildcard() {
        let parts = Part::ALL.map(Part::rules);
        for rules in [BASE, OWN, EVENTS, NODES].into_iter().chain(parts) {
            for rule in rules {
                assert!(rule.why.len() > 10, "{rule:?}");
                let all = rule.resources.iter().chain(rule.verbs).chain([&rule.group]);
                assert!(all.into_iter().all(|word| !word.contains('*')), "{rule:?}");
            }
        }
    }

    #[test]
    fn a_part_is_bound_only_where_it_is_asked_for() {
        let unbound = rbac("here", &[]);
        assert!(!unbound.contains("namespace: kafka"), "{unbound}");
        let bound = rbac("here", &[(Part::Members, "kafka".to_owned())]);
        let binding =
            "kind: RoleBinding\nmetadata:\n  name: fairway-agent-members\n  namespace: kafka\n";
        assert!(bound.contains(binding), "{bound}");
    }
}

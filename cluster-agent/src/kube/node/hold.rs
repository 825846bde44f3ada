//! Who else has a node in hand: cordons, reboot locks, maintenance, other upgraders. Pure.
//!
//! Whatever is found is respected, never undone: the node is somebody else's for the time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::mark::{Marked, marked};
use super::objects::{Job, Maintenance, Node, Object};
use crate::observation::Finding;

/// Annotation of kured's DaemonSet that holds its reboot lock.
const KURED_LOCK: &str = "weave.works/kured-node-lock";

/// Annotation of a node that kured reboots.
const KURED_REBOOT: &str = "weave.works/kured-reboot-in-progress";

/// Label of the system-upgrade-controller's Jobs: the node.
const SUC_NODE: &str = "upgrade.cattle.io/node";

/// Label of the system-upgrade-controller's Jobs: the plan.
pub(crate) const SUC_PLAN: &str = "upgrade.cattle.io/plan";

/// Taints by which others say that a node is going away.
const TAINTS: [(&str, &str); 3] = [
    ("ToBeDeletedByClusterAutoscaler", "the cluster autoscaler"),
    ("karpenter.sh/disrupted", "Karpenter"),
    ("medik8s.io/drain", "medik8s"),
];

/// Who holds which node, by node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    by_node: BTreeMap<String, Vec<(String, String)>>,
    /// Nodes that kured has locked: while it reboots one, none of the others may go.
    locked: BTreeSet<String>,
}

/// One lock of kured's.
#[derive(Debug, Deserialize)]
struct Lock {
    #[serde(rename = "nodeID")]
    node: String,
    #[serde(default)]
    created: Option<Timestamp>,
    /// Nanoseconds; 0 = for ever.
    #[serde(default, rename = "TTL")]
    ttl_ns: i64,
}

/// Several locks, as kured writes them with a concurrency above one.
#[derive(Debug, Deserialize)]
struct Locks {
    locks: Vec<Lock>,
}

impl Holds {
    fn add(&mut self, node: &str, by: String, what: String) {
        self.by_node.entry(node.to_owned()).or_default().push((by, what));
    }

    /// Adds kured's reboot lock; `Err` if its annotation cannot be read.
    pub(crate) fn kured(&mut self, set: &Object, now: Timestamp) -> Result<(), String> {
        let Some(text) = set.metadata.annotations.get(KURED_LOCK) else { return Ok(()) };
        let locks = match serde_json::from_str::<Locks>(text) {
            Ok(several) => several.locks,
            Err(_) => match serde_json::from_str::<Lock>(text) {
                Ok(one) => vec![one],
                Err(_) => {
                    return Err(format!("{KURED_LOCK} of {} is no lock", set.metadata.place()));
                }
            },
        };
        for lock in locks {
            let lapsed = lock.ttl_ns > 0
                && lock.created.is_some_and(|created| {
                    now.duration_since(created) > jiff::SignedDuration::from_nanos(lock.ttl_ns)
                });
            if !lapsed && !lock.node.is_empty() {
                self.add(&lock.node, "kured".to_owned(), "its reboot lock".to_owned());
                self.locked.insert(lock.node);
            }
        }
        Ok(())
    }

    /// Adds the `NodeMaintenance` objects of medik8s.
    pub(crate) fn maintenances(&mut self, found: &[Maintenance]) {
        for maintenance in found {
            let spec = &maintenance.spec;
            let by = format!("NodeMaintenance {}", maintenance.metadata.name);
            let what = if spec.reason.is_empty() { "maintenance" } else { &spec.reason };
            self.add(&spec.node_name, by, what.to_owned());
        }
    }

    /// Adds the running Jobs of the system-upgrade-controller.
    pub(crate) fn upgrade_jobs(&mut self, jobs: &[Job]) {
        for job in jobs.iter().filter(|job| job.status.active > 0) {
            let labels = &job.metadata.labels;
            let (Some(node), Some(plan)) = (labels.get(SUC_NODE), labels.get(SUC_PLAN)) else {
                continue;
            };
            let by = "the system-upgrade-controller".to_owned();
            self.add(node, by, format!("plan {plan}, Job {}", job.metadata.place()));
        }
    }

    /// What keeps every node from going, whichever it is about: kured's lock is one for them all.
    pub(crate) fn of_all(&self) -> Vec<Finding> {
        let of_lock = |node: &String| Finding::ForeignMaintenance {
            by: "kured".to_owned(),
            what: format!("its reboot lock (node {node})"),
        };
        self.locked.iter().map(of_lock).collect()
    }

    /// What others hold of a node that is in no pool, said with its name. A mark of this agent's
    /// counts as well: no step that is under way can have left it there.
    pub(crate) fn of_stranger(&self, node: &Node) -> Vec<Finding> {
        let name = &node.metadata.name;
        let mut findings = self.findings(node);
        for finding in &mut findings {
            if let Finding::ForeignMaintenance { what: said, .. }
            | Finding::ForeignCordon { by: said } = finding
            {
                *said = format!("{said} (node {name})");
            }
        }
        if let Marked::By(mark) = marked(node) {
            let by = format!("step {} of this agent (node {name}, in no pool)", mark.step);
            findings.push(Finding::ForeignCordon { by });
        }
        findings
    }

    /// What others hold of this node, and a cordon that is not of this agent's making.
    pub(crate) fn findings(&self, node: &Node) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .by_node
            .get(&node.metadata.name)
            .into_iter()
            .flatten()
            .map(|(by, what)| Finding::ForeignMaintenance { by: by.clone(), what: what.clone() })
            .collect();
        if node.metadata.annotations.contains_key(KURED_REBOOT) {
            let (by, what) = ("kured".to_owned(), "a reboot in progress".to_owned());
            findings.push(Finding::ForeignMaintenance { by, what });
        }
        for taint in &node.spec.taints {
            if let Some((key, by)) = TAINTS.iter().find(|(key, _)| *key == taint.key) {
                let what = format!("the taint {key}");
                findings.push(Finding::ForeignMaintenance { by: (*by).to_owned(), what });
            }
        }
        let by = match marked(node) {
            Marked::Unreadable => Some("a mark that cannot be read".to_owned()),
            Marked::No if node.spec.unschedulable => Some(self.cordoner(node)),
            Marked::No | Marked::By(_) => None,
        };
        findings.extend(by.map(|by| Finding::ForeignCordon { by }));
        findings
    }

    /// Who cordoned a node that this agent did not.
    fn cordoner(&self, node: &Node) -> String {
        let holder = self.by_node.get(&node.metadata.name).and_then(|holds| holds.first());
        if let Some((by, _)) = holder {
            return by.clone();
        }
        let manager = node.metadata.managed_fields.iter().find(|fields| {
            fields.fields.spec.unschedulable.is_some() && !fields.manager.is_empty()
        });
        match manager {
            Some(fields) => format!("someone (field manager {})", fields.manager),
            None => "someone".to_owned(),
        }
    }
}

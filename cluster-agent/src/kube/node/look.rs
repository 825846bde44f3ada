//! One look at all nodes: a word about each configured one, and what stands against its going.
//!
//! A look is gathered in the background ([`NodeWatch::gather`]) and judged when it is in
//! ([`NodeLook::judge`], pure), because which unit is out may have changed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::kube::api::ListParams;
use channels::wire::Role;
use jiff::Timestamp;

use super::budget::permanent;
use super::etcd::EtcdWatch;
use super::evidence::{is_control_plane, is_ready, witness};
use super::fate::{Fate, daemon_sets, fate};
use super::hold::{Holds, SUC_PLAN};
use super::mark::{Mark, Marked, marked};
use super::objects::{Budget, Job, Maintenance, Node, Object};
use super::{BUDGETS, NODES, PODS, on_node};
use crate::config::{KuredSettings, NodePool};
use crate::kube::object::Pod;
use crate::kube::{Kube, KubeError};
use crate::observation::{ClusterGate, Finding, GateScope, Heard, UnitKey};

/// Nodes whose pods are read in one look, so that a large cluster is gone through in some minutes
/// and a look stays small; the driver's preflight reads them again in any case.
const PODS_PER_LOOK: usize = 5;

/// A large cluster is gone through in this many looks.
const LOOKS_PER_ROUND: usize = 20;

/// Findings about pods that are kept of one node.
const FINDINGS_MAX: usize = 20;

/// Findings about nodes of no pool that are kept; one is enough to hold all others up.
const HELD_MAX: usize = 20;

/// `NodeMaintenance` objects, where medik8s is installed.
const MAINTENANCES: &str = "/apis/nodemaintenance.medik8s.io/v1beta1/nodemaintenances";

/// Jobs of all namespaces.
const JOBS: &str = "/apis/batch/v1/jobs";

/// A configured node.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// Its unit; the unit's name is the node's.
    pub(crate) key: UnitKey,
    /// Its pool.
    pub(crate) pool: NodePool,
}

/// What the pods of a node say.
#[derive(Debug, Clone, Default, PartialEq)]
struct PodsSeen {
    /// When.
    at: Timestamp,
    /// Against its being drained.
    findings: Vec<Finding>,
    /// DaemonSet pods that are Ready.
    ready: u64,
    /// DaemonSets whose pods are not.
    unready: Vec<String>,
}

/// Asks the API server about nodes.
#[derive(Debug)]
pub(crate) struct NodeWatch {
    kube: Kube,
    watched: Vec<Watched>,
    etcd: Option<EtcdWatch>,
    pods: BTreeMap<String, PodsSeen>,
    /// The nodes that were of the control plane when nodes could be listed last.
    control_plane: BTreeSet<String>,
    /// Nodes in the order in which their pods were read last, the oldest first.
    turns: Vec<String>,
}

/// Everything one look found.
#[derive(Debug)]
pub(crate) struct NodeLook {
    at: Timestamp,
    /// The unit that was out when the look began.
    out: Option<UnitKey>,
    watched: Vec<Watched>,
    nodes: Result<Vec<Node>, String>,
    holds: Holds,
    pods: BTreeMap<String, PodsSeen>,
    control_plane: BTreeSet<String>,
    /// Sources that could not be asked, with why.
    failed: Vec<(&'static str, String)>,
    /// `None`: not configured.
    etcd: Option<Vec<Finding>>,
    /// No etcd is to be asked.
    without_etcd: bool,
}

impl NodeWatch {
    pub(crate) fn new(kube: Kube, watched: Vec<Watched>) -> Self {
        let timeout = Duration::from_millis(kube.settings().timeout_ms);
        let etcd = kube.settings().etcd.clone().filter(|etcd| etcd.check);
        let etcd = etcd.map(|settings| EtcdWatch::new(settings, timeout));
        let turns = watched.iter().map(|node| node.key.unit.to_string()).collect();
        let control_plane = BTreeSet::new();
        Self { kube, watched, etcd, pods: BTreeMap::new(), control_plane, turns }
    }

    /// Whether there is anything to ask about.
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Asks for everything; what cannot be asked is said, and never stops the rest.
    pub(crate) async fn gather(&mut self, out: Option<&UnitKey>, now: Timestamp) -> NodeLook {
        let Self { kube, etcd, .. } = self;
        let all = ListParams::default();
        let holding = async {
            let (mut holds, mut failed) = (Holds::default(), Vec::new());
            gather_holds(kube, &mut holds, &mut failed, now).await;
            (holds, failed)
        };
        let of_etcd = async {
            match etcd {
                Some(etcd) => Some(etcd.look(now).await),
                None => None,
            }
        };
        // Side by side: none says anything about another, and one that is away costs its time once.
        let (nodes, (holds, mut failed), etcd) =
            tokio::join!(kube.list::<Node>(NODES, &all), holding, of_etcd);
        let nodes = nodes.map_err(|error| error.chain());
        if let Ok(nodes) = &nodes {
            let of_control_plane = nodes.iter().filter(|node| is_control_plane(node));
            self.control_plane = of_control_plane.map(|node| node.metadata.name.clone()).collect();
            self.gather_pods(nodes, &mut failed, now).await;
        }
        NodeLook {
            at: now,
            out: out.cloned(),
            watched: self.watched.clone(),
            nodes,
            holds,
            pods: self.pods.clone(),
            control_plane: self.control_plane.clone(),
            failed,
            etcd,
            without_etcd: self.kube.settings().etcd.as_ref().is_some_and(|etcd| !etcd.check),
        }
    }

    /// Reads the pods of marked nodes and of those that were not read for longest.
    async fn gather_pods(
        &mut self,
        nodes: &[Node],
        failed: &mut Vec<(&'static str, String)>,
        now: Timestamp,
    ) {
        let budgets = match self.kube.list::<Budget>(BUDGETS, &ListParams::default()).await {
            Ok(budgets) => budgets,
            Err(error) => {
                failed.push(("disruption_budgets", error.chain()));
                return;
            }
        };
        let marked_now: Vec<String> = nodes
            .iter()
            .filter(|node| marked(node) != Marked::No)
            .map(|node| node.metadata.name.clone())
            .collect();
        let per_look = PODS_PER_LOOK.max(self.watched.len() / LOOKS_PER_ROUND);
        let (first, rest): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.turns).into_iter().partition(|n| marked_now.contains(n));
        let turn: Vec<String> = first.into_iter().chain(rest).collect();
        let (looked, later) = turn.split_at(per_look.min(turn.len()));
        for name in looked {
            let Some(watched) = self.watched.iter().find(|w| w.key.unit.as_str() == name) else {
                continue;
            };
            match self.kube.list::<Pod>(PODS, &on_node(name)).await {
                Ok(pods) => {
                    let seen = pods_seen(&pods, &budgets, &watched.pool, now);
                    self.pods.insert(name.clone(), seen);
                }
                Err(error) => {
                    self.pods.remove(name);
                    failed.push(("pods", error.chain()));
                    break;
                }
            }
        }
        self.turns = later.iter().chain(looked).cloned().collect();
    }
}

fn pods_seen(pods: &[Pod], budgets: &[Budget], pool: &NodePool, at: Timestamp) -> PodsSeen {
    let (ready, unready) = daemon_sets(pods);
    let mut findings = against_drain(pods, budgets, pool);
    findings.truncate(FINDINGS_MAX);
    PodsSeen { at, findings, ready, unready }
}

/// Everything about a node's pods that would keep a drain from ever ending.
pub(crate) fn against_drain(pods: &[Pod], budgets: &[Budget], pool: &NodePool) -> Vec<Finding> {
    let drain = &pool.drain;
    pods.iter()
        .filter_map(|pod| match fate(pod, drain, None) {
            Fate::Stays | Fate::CameBack | Fate::Leaving => None,
            Fate::Evicted => permanent(pod, budgets, &drain.waived_budgets),
            Fate::Unmovable(why) => {
                let pod = pod.metadata.place();
                Some(Finding::PodUnmovable { pod, why: why.to_owned() })
            }
        })
        .collect()
}

/// Asks who else has nodes in hand. What is not installed holds nothing.
pub(crate) async fn gather_holds(
    kube: &Kube,
    holds: &mut Holds,
    failed: &mut Vec<(&'static str, String)>,
    now: Timestamp,
) {
    let KuredSettings { namespace, name } = &kube.settings().kured;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets");
    match kube.get::<Object>(&path, name).await {
        Ok(Some(set)) => {
            if let Err(why) = holds.kured(&set, now) {
                failed.push(("kured", why));
            }
        }
        Ok(None) => {}
        Err(error) => failed.push(("kured", error.chain())),
    }
    match installed(kube.list::<Maintenance>(MAINTENANCES, &ListParams::default()).await) {
        Ok(found) => holds.maintenances(&found),
        Err(why) => failed.push(("node_maintenance", why)),
    }
    let plans = ListParams::default().labels(SUC_PLAN);
    match kube.list::<Job>(JOBS, &plans).await {
        Ok(jobs) => holds.upgrade_jobs(&jobs),
        Err(error) => failed.push(("upgrade_plans", error.chain())),
    }
}

/// A kind of objects that is not installed has none.
fn installed<T>(found: Result<Vec<T>, KubeError>) -> Result<Vec<T>, String> {
    match found {
        Ok(found) => Ok(found),
        Err(error) if error.is_not_found() => Ok(vec![]),
        Err(error) => Err(error.chain()),
    }
}

impl NodeLook {
    /// Words about the configured nodes, and gates, given the unit that is out when it is judged.
    pub(crate) fn judge(
        &self,
        out: Option<&UnitKey>,
    ) -> (BTreeMap<UnitKey, Heard>, Vec<ClusterGate>) {
        let nodes = match &self.nodes {
            Ok(nodes) => nodes,
            Err(why) => return self.without_nodes(why),
        };
        let mut words = BTreeMap::new();
        let mut gates = self.unasked();
        let mut known = BTreeSet::new();
        for watched in &self.watched {
            let name = watched.key.unit.as_str();
            known.insert(name);
            let Some(node) = nodes.iter().find(|node| node.metadata.name == name) else {
                words.insert(watched.key.clone(), Err(format!("there is no node {name}")));
                continue;
            };
            words.insert(watched.key.clone(), Ok(self.word(watched, node, out)));
            gates.extend(self.pod_gates(watched));
            gates.extend(self.etcd_gates(watched, is_control_plane(node)));
        }
        let strangers = || nodes.iter().filter(|node| !known.contains(node.metadata.name.as_str()));
        let held = strangers().flat_map(|node| self.holds.of_stranger(node));
        let held = held.chain(self.holds.of_all()).take(HELD_MAX);
        for gate in held.map(of_all).chain(others_ready(strangers())) {
            if !gates.contains(&gate) {
                gates.push(gate);
            }
        }
        (words, gates)
    }

    /// Nodes could not be listed: none may go, and what was found last is said with its time.
    fn without_nodes(&self, why: &str) -> (BTreeMap<UnitKey, Heard>, Vec<ClusterGate>) {
        let silent = |watched: &Watched| (watched.key.clone(), Err(why.to_owned()));
        let words = self.watched.iter().map(silent).collect();
        let mut gates = self.unasked();
        gates.push(of_all(unknown("nodes", why)));
        gates.extend(self.holds.of_all().into_iter().take(HELD_MAX).map(of_all));
        for watched in &self.watched {
            let name = watched.key.unit.as_str();
            let seen_at = self.pods.get(name).map(|seen| seen.at);
            gates.extend(self.pod_gates(watched).into_iter().map(|gate| match seen_at {
                Some(at) => ClusterGate { finding: dated(gate.finding, at), ..gate },
                None => gate,
            }));
            gates.extend(self.etcd_gates(watched, self.control_plane.contains(name)));
        }
        (words, gates)
    }

    fn word(
        &self,
        watched: &Watched,
        node: &Node,
        out: Option<&UnitKey>,
    ) -> crate::observation::Witness {
        let mut findings = self.holds.findings(node);
        if let Marked::By(mark) = marked(node) {
            let is_out = [out, self.out.as_ref()].contains(&Some(&watched.key));
            if is_out {
                findings.extend(self.daemon_sets_back(watched, &mark));
            } else {
                let by = format!("step {} of this agent, which is not under way", mark.step);
                findings.push(Finding::ForeignCordon { by });
            }
        }
        witness(node, &watched.pool, findings, self.at)
    }

    /// DaemonSet pods that were Ready before the step cordoned the node and are not now.
    fn daemon_sets_back(&self, watched: &Watched, mark: &Mark) -> Option<Finding> {
        let seen = self.pods.get(watched.key.unit.as_str())?;
        let ours: Vec<&str> = seen
            .unready
            .iter()
            .filter(|name| !mark.unready.contains(name))
            .map(String::as_str)
            .collect();
        if ours.is_empty() {
            return None;
        }
        let limit = seen.ready.saturating_add(u64::try_from(ours.len()).unwrap_or(u64::MAX));
        let what = format!("DaemonSet pods ({} not)", ours.join(", "));
        Some(Finding::PodsNotReady { what, observed: seen.ready, limit })
    }

    fn pod_gates(&self, watched: &Watched) -> Vec<ClusterGate> {
        let scope = GateScope::Unit(watched.key.clone());
        let gate = |finding| ClusterGate { scope: scope.clone(), finding, stops: false };
        match self.pods.get(watched.key.unit.as_str()) {
            Some(seen) => seen.findings.iter().cloned().map(gate).collect(),
            None => vec![gate(unknown("drain", "its pods have not been read yet"))],
        }
    }

    fn etcd_gates(&self, watched: &Watched, is_control_plane: bool) -> Vec<ClusterGate> {
        if !is_control_plane || self.without_etcd {
            return vec![];
        }
        let scope = GateScope::Unit(watched.key.clone());
        let gate = |finding| ClusterGate { scope: scope.clone(), finding, stops: false };
        if let Some(findings) = &self.etcd {
            return findings.iter().cloned().map(gate).collect();
        }
        let why = "kubernetes.etcd is not configured, and this is a control-plane node";
        vec![gate(Finding::Etcd { why: why.to_owned() })]
    }

    /// A source that cannot be asked may have something to say.
    fn unasked(&self) -> Vec<ClusterGate> {
        self.failed.iter().map(|(name, why)| of_all(unknown(name, why))).collect()
    }
}

fn unknown(gate: &str, why: &str) -> Finding {
    Finding::QueryUnknown { gate: gate.to_owned(), why: why.to_owned() }
}

/// A gate of all nodes.
fn of_all(finding: Finding) -> ClusterGate {
    ClusterGate { scope: GateScope::Role(Role::Node), finding, stops: false }
}

/// What was found at that time and could not be looked at since.
fn dated(mut finding: Finding, at: Timestamp) -> Finding {
    if let Finding::DisruptionBudget { why, .. } | Finding::PodUnmovable { why, .. } = &mut finding
    {
        *why = format!("{why} (as of {at})");
    }
    finding
}

/// No node goes while one that is in no pool is down: the cluster has less room than it seems.
fn others_ready<'a>(others: impl Iterator<Item = &'a Node>) -> Option<ClusterGate> {
    let (ready, down): (Vec<&Node>, Vec<&Node>) = others.partition(|node| is_ready(node));
    if down.is_empty() {
        return None;
    }
    let names: Vec<&str> = down.iter().take(5).map(|node| node.metadata.name.as_str()).collect();
    let count = |nodes: usize| u64::try_from(nodes).unwrap_or(u64::MAX);
    let finding = Finding::PodsNotReady {
        what: format!("nodes of no pool ({} not)", names.join(", ")),
        observed: count(ready.len()),
        limit: count(ready.len().saturating_add(down.len())),
    };
    Some(of_all(finding))
}

//! Which units are probed when: fast while something moves, slowly otherwise.
//!
//! Kubelet pages are large, so nodes have a slower pace of their own; the unit that is out is
//! always probed at the fastest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use channels::wire::Role;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::clock;
use crate::config::{ProbeSettings, Settings};
use crate::footprint::ScrapeTally;
use crate::kafka::Witnesses;
use crate::kube::{Kube, Watcher};
use crate::observation::{
    ClusterGate, Observation, Observer, ObserverSettings, UnitKey, WitnessSource,
};
use crate::phase::elapsed_ms;
use crate::plan::CheckSource;
use crate::prometheus::Prometheus;
use crate::telemetry::{Probe, ScrapeError, ScrapeLimits, Scraper};

use super::lookout::Lookout;
use super::{AgentError, Core};

/// Whether something moves or could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It does.
    Engaged,
    /// It does not.
    Idle,
}

/// What came of a round.
type Pages = BTreeMap<UnitKey, Result<Probe, ScrapeError>>;

/// Probes units when they are due.
#[derive(Debug)]
pub struct Prober {
    observer: Observer,
    /// Of nodes, whose pages are large.
    scraper: Scraper,
    /// Of all others: whoever does not answer must not make their pages too old to act on.
    members: Scraper,
    kafka: Witnesses,
    settings: ProbeSettings,
    members_at: Option<Timestamp>,
    nodes_at: Option<Timestamp>,
    prometheus: Option<Prometheus>,
    /// The API server, and how often it is asked while something moves or could.
    lookout: Option<(Lookout, u64)>,
    /// Its last word about the cluster as a whole.
    kube_gates: Vec<ClusterGate>,
    /// Pages of nodes on their way: a hundred slow kubelets must not keep the voters waiting.
    nodes: Option<JoinHandle<Pages>>,
    tally: ScrapeTally,
}

/// Longest wait for a connection: a unit that accepts none in this time is away.
const CONNECT_TIMEOUT_MS_MAX: u64 = 500;

impl Prober {
    /// Knows every configured unit; nothing has been probed yet. Asks the API server only if there
    /// is one. Starts the tasks that ask Prometheus, if one is configured, on the runtime that calls
    /// it.
    pub fn new(settings: &Settings, kube: Option<Kube>) -> Result<Self, AgentError> {
        let targets = settings
            .products
            .values()
            .flat_map(|product| &product.pools)
            .flat_map(|pool| &pool.units)
            .map(|unit| unit.target.clone())
            .collect();
        let limits = ObserverSettings {
            quorum: settings.quorum_limits.clone(),
            pleg: settings.pleg_limits.clone(),
        };
        let observer =
            Observer::new(targets, limits).map_err(|source| AgentError::Observer { source })?;
        let probes = settings.probes;
        let scrape = ScrapeLimits {
            connect_timeout_ms: probes.timeout_ms.min(CONNECT_TIMEOUT_MS_MAX),
            total_timeout_ms: probes.timeout_ms,
            max_bytes: usize::try_from(probes.body_max_bytes).unwrap_or(usize::MAX),
        };
        let member_ms = in_time_ms(&probes, settings.timings.observation_max_ms);
        let short = ScrapeLimits {
            connect_timeout_ms: member_ms.min(CONNECT_TIMEOUT_MS_MAX),
            total_timeout_ms: member_ms,
            ..scrape
        };
        let open = |limits| Scraper::new(limits, clock::now);
        let members = open(short).map_err(|source| AgentError::Scrape { source })?;
        let mut scraper = open(scrape).map_err(|source| AgentError::Scrape { source })?;
        if let Some(kubernetes) = &settings.kubernetes {
            let urls = kubelets(settings);
            scraper = scraper
                .with_kubelets(kubernetes.kubelet.clone(), urls)
                .map_err(|source| AgentError::Scrape { source })?;
        }
        let lookout = kube.and_then(|kube| {
            let period_ms = kube.settings().period_ms;
            Some((Lookout::new(Watcher::new(kube, settings)?), period_ms))
        });
        let kafka = Witnesses::new(settings.witness_targets())
            .map_err(|source| AgentError::Kafka { source })?;
        let prometheus = settings.prometheus.clone().map(Prometheus::start);
        Ok(Self {
            observer,
            scraper,
            members,
            settings: probes,
            members_at: None,
            nodes_at: None,
            kafka,
            prometheus,
            lookout,
            kube_gates: vec![],
            nodes: None,
            tally: ScrapeTally::default(),
        })
    }

    /// Carries questions of the core to Prometheus, and what came of them back.
    pub fn exchange(&mut self, core: &mut Core, now: Timestamp) {
        let Some(prometheus) = &mut self.prometheus else { return };
        prometheus.measure(&core.measures);
        core.measured = Some(prometheus.measured(now));
        if let Some(answers) = prometheus.answers() {
            core.answers(answers, now);
        }
        prometheus.ask(core.questions(now));
        let checks = prometheus.checks(core.api_subjects(), now);
        core.checks(CheckSource::Prometheus, checks);
    }

    /// Whether a question about a risk is under way.
    pub fn is_asking(&self) -> bool {
        self.prometheus.as_ref().is_some_and(Prometheus::is_asking)
    }

    /// What stands against the cluster as a whole.
    fn cluster_gates(&self, now: Timestamp) -> Vec<ClusterGate> {
        let asked = self.prometheus.iter().flat_map(|asked| asked.gates(now));
        self.kube_gates.iter().cloned().chain(asked).collect()
    }

    /// Every unit's page as it is now, read for the families that matter, and judged by nobody.
    pub async fn pages(&self) -> Pages {
        self.scraper.probe_all(self.observer.probe_targets(|_| true)).await
    }

    /// Pages asked for since the start.
    pub(super) fn tally(&self) -> &ScrapeTally {
        &self.tally
    }

    fn periods(&self, pace: Pace) -> (u64, u64) {
        match pace {
            Pace::Engaged => (self.settings.fast_ms, self.settings.node_fast_ms),
            Pace::Idle => (self.settings.idle_ms, self.settings.node_idle_ms),
        }
    }

    /// Probes what is due; `None` if nothing is.
    pub(super) async fn probe(
        &mut self,
        pace: Pace,
        out: Option<&UnitKey>,
        now: Timestamp,
    ) -> Option<Observation> {
        let (member_ms, node_ms) = self.periods(pace);
        if !is_due(self.members_at, member_ms, now) {
            return None;
        }
        self.members_at = Some(now);
        self.ask_cluster(pace, out, now).await;
        let members = self.observer.probe_targets(|target| target.role != Role::Node);
        let node = self
            .observer
            .probe_targets(|target| target.role == Role::Node && Some(&target.key) == out);
        // Side by side: leader, followers and the leader's word must be of the same moment.
        let (mut results, node, looks) = tokio::join!(
            self.members.probe_all(members),
            self.scraper.probe_all(node),
            self.kafka.look(now)
        );
        results.extend(node);
        self.tally.note(&results);
        for look in looks {
            self.observer.hear(WitnessSource::Kafka, look.words);
            self.observer.hear_quorum(&look.product, look.quorum, look.gates);
            if let Some(told) = look.partitions {
                self.observer.hear_partitions(&look.product, told);
            }
        }
        self.take_nodes(out, node_ms).await;
        let gates = self.cluster_gates(clock::now());
        self.observer.gates(gates);
        let seen = self.observer.apply(results, member_ms, clock::now());
        if is_due(self.nodes_at, node_ms, now) && self.nodes.is_none() {
            self.nodes_at = Some(now);
            let nodes = self
                .observer
                .probe_targets(|target| target.role == Role::Node && Some(&target.key) != out);
            let scraper = self.scraper.clone();
            self.nodes = Some(tokio::spawn(async move { scraper.probe_all(nodes).await }));
        }
        Some(seen)
    }

    /// Takes what the API server said, and asks again if it is time.
    async fn ask_cluster(&mut self, pace: Pace, out: Option<&UnitKey>, now: Timestamp) {
        let Some((lookout, period_ms)) = &mut self.lookout else { return };
        let period_ms = match pace {
            Pace::Engaged => *period_ms,
            Pace::Idle => self.settings.idle_ms.max(*period_ms),
        };
        if let Some(look) = lookout.poll(period_ms, out, now).await {
            self.observer.hear(WitnessSource::Kubernetes, look.words);
            self.observer.place(look.places);
            self.kube_gates = look.gates;
        }
    }

    /// Takes in the pages of nodes, if their round has ended. The unit that is out may have gone
    /// meanwhile; it is probed with the members, and an older page of it says nothing.
    async fn take_nodes(&mut self, out: Option<&UnitKey>, node_ms: u64) {
        let Some(ended) = self.nodes.take_if(|running| running.is_finished()) else { return };
        // A round that failed as a whole says nothing, and its nodes grow stale.
        let Ok(mut results) = ended.await else { return };
        self.tally.note(&results);
        results.retain(|key, _| Some(key) != out);
        // The observation is put together once, with the members' pages.
        drop(self.observer.apply(results, node_ms, clock::now()));
    }

    /// Probes at the fast pace, for a look outside the loop.
    pub async fn probe_engaged(
        &mut self,
        out: Option<&UnitKey>,
        now: Timestamp,
    ) -> Option<Observation> {
        self.probe(Pace::Engaged, out, now).await
    }

    /// How long until something is due.
    pub(super) fn due_in(&self, pace: Pace, now: Timestamp) -> Duration {
        let (member_ms, _) = self.periods(pace);
        let Some(last) = self.members_at else { return Duration::ZERO };
        Duration::from_millis(member_ms.saturating_sub(elapsed_ms(last, now)))
    }
}

/// How long a member may take to answer: a round with one that does not must be over while the pages
/// of the others are still a ground to act on (I2), or a hung unit could never be rolled (I5). What
/// is left is for the rest of the round and for what is asked beside it.
fn in_time_ms(probes: &ProbeSettings, observation_max_ms: u64) -> u64 {
    let rest_ms = probes.fast_ms.saturating_mul(2).min(observation_max_ms / 2);
    probes.timeout_ms.min(observation_max_ms.saturating_sub(rest_ms))
}

/// The pages that are asked for with the kubelets' credentials.
fn kubelets(settings: &Settings) -> BTreeSet<String> {
    let pools = settings.products.values().flat_map(|product| &product.pools);
    let nodes = pools.filter(|pool| pool.role == Role::Node).flat_map(|pool| &pool.units);
    nodes
        .filter_map(|unit| unit.target.metrics_url.clone())
        .filter(|url| url.starts_with("https://"))
        .collect()
}

fn is_due(last: Option<Timestamp>, period_ms: u64, now: Timestamp) -> bool {
    // A clock that went back must not stop probing.
    last.is_none_or(|last| last > now || elapsed_ms(last, now) >= period_ms)
}

//! Which units are probed when: fast while something moves, slowly otherwise.
//!
//! Kubelet pages are large, so nodes have a slower pace of their own; the unit that is out is
//! always probed at the fastest.

use std::time::Duration;

use channels::wire::Role;
use jiff::Timestamp;

use crate::clock;
use crate::config::{ProbeSettings, Settings};
use crate::kafka::Witnesses;
use crate::observation::{Observation, Observer, ObserverSettings, UnitKey, WitnessSource};
use crate::phase::elapsed_ms;
use crate::telemetry::{ScrapeLimits, Scraper};

use super::AgentError;

/// Whether something moves or could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It does.
    Engaged,
    /// It does not.
    Idle,
}

/// Probes units when they are due.
#[derive(Debug)]
pub struct Prober {
    observer: Observer,
    scraper: Scraper,
    kafka: Witnesses,
    settings: ProbeSettings,
    members_at: Option<Timestamp>,
    nodes_at: Option<Timestamp>,
}

/// Longest wait for a connection: a unit that accepts none in this time is away.
const CONNECT_TIMEOUT_MS_MAX: u64 = 500;

impl Prober {
    /// Knows every configured unit; nothing has been probed yet.
    pub fn new(settings: &Settings) -> Result<Self, AgentError> {
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
        let scraper =
            Scraper::new(scrape, clock::now).map_err(|source| AgentError::Scrape { source })?;
        let kafka = Witnesses::new(settings.witness_targets())
            .map_err(|source| AgentError::Kafka { source })?;
        Ok(Self { observer, scraper, kafka, settings: probes, members_at: None, nodes_at: None })
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
        let nodes_due = is_due(self.nodes_at, node_ms, now);
        let members = self
            .observer
            .probe_targets(|target| target.role != Role::Node || Some(&target.key) == out);
        // Side by side: leader, followers and the leader's word must be of the same moment.
        let (results, looks) = tokio::join!(self.scraper.probe_all(members), self.kafka.look(now));
        for look in looks {
            self.observer.hear(WitnessSource::Kafka, look.words);
            self.observer.hear_quorum(&look.product, look.quorum, look.gates);
        }
        let mut seen = self.observer.apply(results, member_ms, clock::now());
        if nodes_due {
            self.nodes_at = Some(now);
            let nodes = self
                .observer
                .probe_targets(|target| target.role == Role::Node && Some(&target.key) != out);
            let results = self.scraper.probe_all(nodes).await;
            seen = self.observer.apply(results, node_ms, clock::now());
        }
        Some(seen)
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

fn is_due(last: Option<Timestamp>, period_ms: u64, now: Timestamp) -> bool {
    // A clock that went back must not stop probing.
    last.is_none_or(|last| last > now || elapsed_ms(last, now) >= period_ms)
}

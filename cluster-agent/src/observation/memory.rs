//! What the observer remembers of one unit between probes, and how one probe changes it.

use channels::health::{PlegReading, PlegSample, PlegTracker, elapsed_ms};
use channels::names::UnitName;
use channels::wire::HealthVerdict;
use jiff::Timestamp;

use super::broker::broker_findings;
use super::observer::ObserverSettings;
use super::reading::{Reading, read};
use super::witness::Words;
use super::{
    EvidenceFrom, Finding, Heard, LagSource, Placement, Target, UnitObservation, WitnessSource,
};
use crate::telemetry::{AliasMap, Probe, ScrapeError, Signal};

/// One unit's memory.
#[derive(Debug)]
pub(super) struct UnitMemory {
    pub target: Target,
    pub seen: UnitObservation,
    /// When the last good page was received; the moment its figures are about.
    pub received_at: Option<Timestamp>,
    /// When the last good page was asked for.
    pub requested_at: Option<Timestamp>,
    /// `LastAppliedRecordLagMs` of the last good page.
    pub applied_lag_ms: Option<f64>,
    /// Findings of the last probe, without those that depend on the time now.
    pub probe_findings: Vec<Finding>,
    words: Words,
    /// Readiness by the page.
    page_ready: Option<bool>,
    good_probes: u32,
    aliases: AliasMap,
    pleg: PlegTracker,
}

impl UnitMemory {
    pub(super) fn new(target: Target) -> Self {
        let seen = UnitObservation {
            role: target.role,
            pool: target.pool.clone(),
            node_id: target.node_id,
            placement: target.placement.clone(),
            last_good: None,
            version: None,
            process_start: None,
            incarnation: None,
            evidence_from: target.evidence_from,
            verdict: HealthVerdict::Unknown,
            bad_since: None,
            findings: vec![Finding::NotObserved],
            quorum_lag_ms: None,
            pleg_lag_ms: None,
            is_leader: false,
            node_ready: None,
            stale_after_ms: target.stale_after_ms,
            voter: None,
            broker: None,
            also_broker: target.also_broker,
            recovering: None,
            pleg: None,
        };
        // What has no page is known by its witnesses alone.
        let probe_findings =
            if target.metrics_url.is_some() { vec![Finding::NotObserved] } else { vec![] };
        Self {
            target,
            seen,
            received_at: None,
            requested_at: None,
            applied_lag_ms: None,
            probe_findings,
            words: Words::default(),
            page_ready: None,
            good_probes: 0,
            aliases: AliasMap::new(),
            pleg: PlegTracker::new(),
        }
    }

    /// Takes one probe's outcome; the verdict follows in [`UnitMemory::settle`].
    pub(super) fn take(
        &mut self,
        outcome: Result<Probe, ScrapeError>,
        probe_ms: u64,
        settings: &ObserverSettings,
    ) {
        self.forget_figures();
        let probe = match outcome {
            Ok(probe) => probe,
            Err(error) => {
                self.probe_findings = vec![Finding::Unreachable { why: error.to_string() }];
                return;
            }
        };
        match &probe.page {
            Err(error) => {
                let family = "page".to_owned();
                self.probe_findings = vec![Finding::Unreadable { family, why: error.to_string() }];
            }
            Ok(page) => {
                let signals: Vec<Signal> = self.target.signals().into_iter().collect();
                self.aliases.resolve(page, &signals);
                let mut reading = read(page, &self.aliases, &self.target);
                if restarted(self.seen.process_start, reading.process_start) {
                    // A new process may come with a new exporter configuration.
                    self.aliases = AliasMap::new();
                    self.aliases.resolve(page, &signals);
                    reading = read(page, &self.aliases, &self.target);
                    self.good_probes = 0;
                }
                self.take_reading(reading, &probe, probe_ms, settings);
            }
        }
    }

    fn forget_figures(&mut self) {
        self.seen.voter = None;
        self.seen.broker = None;
        self.seen.recovering = None;
        self.seen.pleg = None;
        self.seen.quorum_lag_ms = None;
        self.seen.pleg_lag_ms = None;
        self.seen.is_leader = false;
        self.page_ready = None;
        self.applied_lag_ms = None;
        self.probe_findings.clear();
    }

    fn take_reading(
        &mut self,
        reading: Reading,
        probe: &Probe,
        probe_ms: u64,
        settings: &ObserverSettings,
    ) {
        let mut findings = reading.findings;
        if let Ok(page) = &probe.page
            && let Some(oldest) = page.oldest_timestamp_ms()
        {
            let target_now = probe.received_at.as_millisecond().saturating_add(offset_ms(probe));
            let age_ms = u64::try_from(target_now.saturating_sub(oldest)).unwrap_or(0);
            let limit_ms = self.target.stale_after_ms;
            if age_ms > limit_ms {
                findings.push(Finding::Stale { age_ms, limit_ms });
            }
        }
        if let Some(view) = reading.kubelet {
            let before = self.received_at.map_or(0, |last| elapsed_ms(last, probe.received_at));
            let family = self.aliases.name(Signal::RelistDuration);
            let sample = PlegSample {
                at: probe.received_at,
                probe_ms: before.max(probe_ms),
                clock_offset_ms: offset_ms(probe),
                process_start: reading.process_start,
                relists: view.relists,
                last_seen_s: view.last_seen_s,
                discards: view.discards,
                evented: view.evented,
            };
            match self.pleg.record(sample, &settings.pleg) {
                Some(pleg) => {
                    findings.extend(pleg_findings(&pleg, settings));
                    self.seen.pleg_lag_ms = pleg.lag_ms;
                    self.seen.pleg = Some(pleg);
                }
                None => findings.push(Finding::Unreadable {
                    family: family.unwrap_or("kubelet_pleg_relist_latency_microseconds").to_owned(),
                    why: "its counts are not those of a histogram".to_owned(),
                }),
            }
        }
        if let Some(broker) = &reading.broker {
            findings.extend(broker_findings(broker));
            self.seen.recovering = broker.recovering();
        }
        if reading.node_ready == Some(false) {
            findings.push(Finding::NotReady);
        }
        if self.target.evidence_from == EvidenceFrom::Page {
            self.seen.version = reading.version;
        }
        self.seen.process_start = reading.process_start;
        self.seen.voter = reading.voter;
        self.seen.broker = reading.broker;
        self.page_ready = reading.node_ready;
        self.applied_lag_ms = reading.applied_lag_ms;
        self.seen.last_good = Some(probe.received_at);
        self.received_at = Some(probe.received_at);
        self.requested_at = Some(probe.requested_at);
        self.probe_findings = findings;
    }

    /// Takes on which node it is, unless the configuration says so.
    pub(super) fn place(&mut self, node: Option<UnitName>) {
        if self.target.placement == Placement::Unknown {
            self.seen.placement = node.map_or(Placement::Unknown, Placement::OnNode);
        }
    }

    /// Takes what a source other than the page says; the verdict follows in [`UnitMemory::settle`].
    pub(super) fn hear(&mut self, source: WitnessSource, heard: Heard) {
        self.words.take(source, heard);
        let Some(word) = self.words.of(source) else { return };
        if self.target.evidence_from == EvidenceFrom::Witness(source) {
            self.seen.version = word.version.clone();
            self.seen.incarnation = word.incarnation.clone();
        }
        if self.target.metrics_url.is_none() {
            self.seen.last_good = self.seen.last_good.max(Some(word.at));
        }
    }

    /// Counts probes in a row with a lag inside the limit.
    pub(super) fn note_sync(&mut self, in_sync: bool) {
        self.good_probes = if in_sync { self.good_probes.saturating_add(1) } else { 0 };
        if let Some(voter) = &mut self.seen.voter {
            voter.good_probes = self.good_probes;
        }
    }

    /// Findings and verdict at `now`.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let mut findings = self.probe_findings.clone();
        let required = self.target.witnesses.iter();
        findings.extend(self.words.findings(required, self.target.stale_after_ms, now));
        let ready = self.words.of(WitnessSource::Kubernetes).and_then(|word| word.ready);
        self.seen.node_ready = worse(self.page_ready, ready);
        if ready == Some(false) && !findings.contains(&Finding::NotReady) {
            findings.push(Finding::NotReady);
        }
        let answered = !findings.iter().any(Finding::is_down);
        if let (true, Some(last_good)) = (answered, self.seen.last_good) {
            let (age_ms, limit_ms) = (elapsed_ms(last_good, now), self.target.stale_after_ms);
            if age_ms > limit_ms {
                findings.push(Finding::Stale { age_ms, limit_ms });
            }
        }
        self.seen.verdict = findings
            .iter()
            .map(Finding::verdict)
            .fold(HealthVerdict::Healthy, HealthVerdict::worst);
        self.seen.bad_since = match self.seen.verdict {
            HealthVerdict::Healthy => None,
            HealthVerdict::Unhealthy | HealthVerdict::Unknown => self.seen.bad_since.or(Some(now)),
        };
        self.seen.findings = findings;
    }
}

/// The worse of two words about readiness.
fn worse(page: Option<bool>, witness: Option<bool>) -> Option<bool> {
    match (page, witness) {
        (Some(page), Some(witness)) => Some(page && witness),
        (word, None) | (None, word) => word,
    }
}

fn restarted(before: Option<f64>, after: Option<f64>) -> bool {
    matches!((before, after), (Some(old), Some(new)) if old.total_cmp(&new).is_ne())
}

/// Target's clock minus agent's clock, by the `Date` header; 0 without one, where a clock that is
/// behind reads as a lag and one that is ahead hides only what the stall shows anyway.
fn offset_ms(probe: &Probe) -> i64 {
    probe
        .date
        .map_or(0, |date| date.as_millisecond().saturating_sub(probe.received_at.as_millisecond()))
}

fn pleg_findings(pleg: &PlegReading, settings: &ObserverSettings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let limits = &settings.pleg;
    if pleg.p99_ms.is_none() {
        findings.push(Finding::TooFewRelists {
            observed: pleg.relists_in_window,
            limit: u64::from(limits.min_relists),
        });
    }
    if pleg.stall_ms >= pleg.stall_limit_ms {
        findings
            .push(Finding::PlegStall { observed_ms: pleg.stall_ms, limit_ms: pleg.stall_limit_ms });
    }
    if pleg.new_discards > 0 {
        findings.push(Finding::PlegDiscards { observed: pleg.new_discards, limit: 0 });
    }
    match pleg.lag_ms {
        Some(observed_ms) if observed_ms >= limits.green_ms => findings.push(Finding::PlegLag {
            observed_ms,
            limit_ms: limits.green_ms,
            source_of_lag: lag_source(pleg, observed_ms),
        }),
        Some(_) | None => {}
    }
    findings
}

fn lag_source(pleg: &PlegReading, lag_ms: u64) -> LagSource {
    if pleg.p99_ms == Some(lag_ms) {
        LagSource::P99
    } else if pleg.stall_excess_ms == lag_ms {
        LagSource::Stall
    } else {
        LagSource::Age
    }
}

//! The tasks that ask: for alerts and gates, for risks, for what the hub wants measured. None decides anything, and the
//! loop never waits for them: it takes what they last said, with its age.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use channels::wire::{Measure, MeasureId, Measured};
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use signing::causes::chain;
use tokio::sync::watch;

use super::alert::{AlertRule, watchdog_query, watchdog_silent};
use super::asker::{Asker, AskerTimes};
use super::deprecated::{ApiCheck, ApiSubject};
use super::deprecated_task::{Results, check_apis, results_for};
use super::gate::{GateAnswers, GateMemory, GateRule};
use super::measure::{MeasureTimes, Measurer};
use super::risk::risk_outcome;
use super::{Answer, Client, Endpoint};
use crate::clock;
use crate::observation::ClusterGate;
use crate::phase::elapsed_ms;
use crate::plan::{CheckOutcome, RiskAnswers, RiskOutcome};

/// Queries of one look that are under way at once: Prometheus serves twenty, and has other users.
const QUERIES_AT_ONCE: usize = 4;

/// A look that is this many periods late (and the time of one query) no longer counts. A look that
/// takes longer than a period makes periods as long as itself.
const LATE_PERIODS: u64 = 3;

/// However long looks take, an answer of more than this ago, milliseconds, is from the past: it is
/// as far back as Prometheus itself looks for samples.
const LOOK_AGE_MAX_MS: u64 = 300_000;

/// How often the risk task looks whether something is due.
const LOOK: Duration = Duration::from_millis(250);

/// Everything asked of one Prometheus.
#[derive(Debug, Clone)]
pub struct PrometheusSettings {
    /// Where.
    pub endpoint: Endpoint,
    /// How often alerts and gates are asked for, milliseconds.
    pub period_ms: u64,
    /// How far its clock may be from the agent's, milliseconds.
    pub skew_ms: u64,
    /// The pace of risks.
    pub risks: AskerTimes,
    /// An alert that always fires, as proof that alerting rules are evaluated.
    pub watchdog: Option<String>,
    /// Alerts that keep units from going.
    pub alerts: Vec<AlertRule>,
    /// Gates of the operator's own.
    pub gates: Vec<GateRule>,
    /// Removed APIs to look for.
    pub apis: Vec<ApiCheck>,
}

impl PrometheusSettings {
    /// How old a look may be: many queries to a slow server are no silence.
    fn look_max_age_ms(&self, look: &Look) -> u64 {
        let late =
            |ms: u64| ms.saturating_mul(LATE_PERIODS).saturating_add(self.endpoint.timeout_ms);
        let configured = late(self.period_ms);
        late(look.took_ms.max(self.period_ms)).min(LOOK_AGE_MAX_MS.max(configured))
    }

    /// The gates as of a look, unless it is too long ago.
    fn standing(&self, look: Option<&Look>, now: Timestamp) -> Vec<ClusterGate> {
        let Some(look) = look else {
            return self.all_unknown("Prometheus has not been asked yet");
        };
        let limit_ms = self.look_max_age_ms(look);
        let age_ms = elapsed_ms(look.at, now);
        if age_ms <= limit_ms {
            return look.gates.clone();
        }
        let Look { took_ms, queries, .. } = look;
        self.all_unknown(&format!(
            "the last answer is {age_ms} ms old, limit {limit_ms} ms ({queries} queries took \
             {took_ms} ms)"
        ))
    }

    /// Every gate, because nothing can be told.
    fn all_unknown(&self, why: &str) -> Vec<ClusterGate> {
        let alerts = self.alerts.iter().map(|rule| rule.unknown(why.to_owned()));
        let gates = self.gates.iter().map(|rule| rule.unknown(why.to_owned()));
        alerts.chain(gates).collect()
    }
}

/// What one look found.
#[derive(Debug, Clone)]
struct Look {
    /// When it began: no answer is older.
    at: Timestamp,
    took_ms: u64,
    queries: usize,
    gates: Vec<ClusterGate>,
}

/// The loop's ends of the tasks; they end when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    settings: Arc<PrometheusSettings>,
    look: watch::Receiver<Option<Look>>,
    questions: watch::Sender<BTreeSet<String>>,
    answers: watch::Receiver<RiskAnswers>,
    subjects: watch::Sender<Vec<ApiSubject>>,
    found: watch::Receiver<Results>,
    measures: watch::Sender<Vec<Measure>>,
    measured: watch::Receiver<Measurer>,
}

impl Prometheus {
    /// Starts the tasks on the runtime that calls it.
    pub fn start(settings: PrometheusSettings) -> Self {
        let settings = Arc::new(settings);
        let client = Client::new(settings.endpoint.clone());
        let (looked, look) = watch::channel(None);
        if !settings.alerts.is_empty() || !settings.gates.is_empty() {
            tokio::spawn(look_again_and_again(Arc::clone(&settings), client.clone(), looked));
        }
        let (questions, asked) = watch::channel(BTreeSet::new());
        let asker = Asker::new(settings.risks);
        let (answered, answers) = watch::channel(asker.answers());
        tokio::spawn(ask_risks(asker, client.clone(), asked, answered));
        let (subjects, wanted) = watch::channel(vec![]);
        let (told, found) = watch::channel(Results::new());
        if !settings.apis.is_empty() {
            let (apis, skew_ms) = (settings.apis.clone(), settings.skew_ms);
            tokio::spawn(check_apis(apis, skew_ms, client.clone(), wanted, told));
        }
        let (measures, to_measure) = watch::channel(vec![]);
        let measurer = || Measurer::new(MeasureTimes::default(), settings.skew_ms);
        let (told, measured) = watch::channel(measurer());
        tokio::spawn(measure(measurer(), client, to_measure, told));
        Self { settings, look, questions, answers, subjects, found, measures, measured }
    }

    /// What the hub wants measured, in place of what it wanted before.
    pub fn measure(&self, measures: &[Measure]) {
        self.measures.send_if_modified(|wanted| {
            let differs = wanted != measures;
            if differs {
                *wanted = measures.to_vec();
            }
            differs
        });
    }

    /// What is known of it at `now`.
    pub fn measured(&self, now: Timestamp) -> BTreeMap<MeasureId, Measured> {
        self.measured.borrow().measured(now)
    }

    /// The gates as of the last look; every one of them unknown if that is too long ago.
    pub fn gates(&self, now: Timestamp) -> Vec<ClusterGate> {
        self.settings.standing(self.look.borrow().as_ref(), now)
    }

    /// What the next decisions depend on, in place of what was asked for before.
    pub fn ask(&self, questions: BTreeSet<String>) {
        self.questions.send_if_modified(|asked| {
            let differs = *asked != questions;
            *asked = questions;
            differs
        });
    }

    /// Answers that are new since the last call.
    pub fn answers(&mut self) -> Option<RiskAnswers> {
        let changed = self.answers.has_changed().unwrap_or(false);
        changed.then(|| self.answers.borrow_and_update().clone())
    }

    /// What checks of removed APIs say about the releases that products want to move to; one that
    /// has not been looked at is still running.
    pub fn checks(&self, subjects: Vec<ApiSubject>, now: Timestamp) -> Results {
        let results = results_for(&self.settings.apis, &subjects, &self.found.borrow(), now);
        self.subjects.send_if_modified(|wanted| {
            let differs = *wanted != subjects;
            *wanted = subjects;
            differs
        });
        results
    }

    /// Whether something has not been asked yet, or is being asked.
    pub fn is_asking(&self) -> bool {
        let looks = !self.settings.alerts.is_empty() || !self.settings.gates.is_empty();
        let answers = self.answers.borrow();
        let results = results_for(
            &self.settings.apis,
            &self.subjects.borrow(),
            &self.found.borrow(),
            Timestamp::UNIX_EPOCH,
        );
        looks && self.look.borrow().is_none()
            || self.questions.borrow().iter().any(|query| !answers.by_query.contains_key(query))
            || results.values().flatten().any(|result| result.outcome == CheckOutcome::Running)
    }
}

async fn look_again_and_again(
    settings: Arc<PrometheusSettings>,
    client: Client,
    looked: watch::Sender<Option<Look>>,
) {
    let mut memories = vec![GateMemory::default(); settings.gates.len()];
    let period = Duration::from_millis(settings.period_ms);
    loop {
        let started = tokio::time::Instant::now();
        let at = clock::now();
        let queries = queries(&settings);
        let count = queries.len();
        let gates = look(&settings, queries, &client, &mut memories).await;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if looked.send(Some(Look { at, took_ms, queries: count, gates })).is_err() {
            return;
        }
        tokio::select! {
            () = looked.closed() => return,
            () = tokio::time::sleep_until(started + period) => {}
        }
    }
}

/// Everything that one look asks.
fn queries(settings: &PrometheusSettings) -> BTreeSet<String> {
    let watchdog = settings.watchdog.as_ref().map(|alert| watchdog_query(alert));
    let mut queries: BTreeSet<String> = watchdog.into_iter().collect();
    queries.extend(settings.alerts.iter().map(|rule| rule.matchers.firing()));
    for rule in &settings.gates {
        queries.insert(rule.query.clone());
        queries.extend(rule.fresh.up_query());
        queries.extend(rule.fresh.age_query());
    }
    queries
}

/// Asks for everything once, side by side, and judges it together.
async fn look(
    settings: &PrometheusSettings,
    queries: BTreeSet<String>,
    client: &Client,
    memories: &mut [GateMemory],
) -> Vec<ClusterGate> {
    let watchdog = settings.watchdog.as_ref().map(|alert| watchdog_query(alert));
    let asked = stream::iter(queries).map(|query| async move {
        let answer = client.query(&query).await.map_err(|error| chain(&error));
        (query, answer)
    });
    let answers: BTreeMap<String, Result<Answer, String>> =
        asked.buffer_unordered(QUERIES_AT_ONCE).collect().await;
    let (now, skew_ms) = (clock::now(), settings.skew_ms);
    let answer = |query: &str| match answers.get(query) {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(why)) => Err(why.clone()),
        None => Err("it has not been asked yet".to_owned()),
    };
    let silent = settings
        .watchdog
        .as_ref()
        .zip(watchdog)
        .and_then(|(alert, query)| watchdog_silent(alert, answer(&query), skew_ms, now));
    let mut gates = Vec::new();
    for rule in &settings.alerts {
        let fires = rule.judge(answer(&rule.matchers.firing()), skew_ms, now);
        match &silent {
            // Silence proves nothing; what fires, fires all the same.
            Some(why) if fires.is_empty() => gates.push(rule.unknown(why.clone())),
            Some(_) | None => gates.extend(fires),
        }
    }
    for (rule, memory) in settings.gates.iter().zip(memories) {
        let given = |query: Option<String>| query.and_then(|query| answers.get(&query).cloned());
        let answers = GateAnswers {
            value: answers.get(&rule.query).cloned(),
            up: given(rule.fresh.up_query()),
            age: given(rule.fresh.age_query()),
        };
        gates.extend(rule.judge(&answers, memory, skew_ms, now));
    }
    gates
}

async fn ask_risks(
    mut asker: Asker,
    client: Client,
    questions: watch::Receiver<BTreeSet<String>>,
    answered: watch::Sender<RiskAnswers>,
) {
    loop {
        let wanted = questions.borrow().clone();
        if let Some(query) = asker.next(&wanted, clock::now()) {
            let outcome = match client.query(&query).await {
                Ok(answer) => risk_outcome(&answer),
                Err(error) => RiskOutcome::Failed { why: chain(&error) },
            };
            tracing::debug!(query, ?outcome, "asked about a risk");
            asker.take(query, outcome, clock::now());
            if answered.send(asker.answers()).is_err() {
                return;
            }
        }
        tokio::select! {
            () = answered.closed() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn measure(
    mut measurer: Measurer,
    client: Client,
    measures: watch::Receiver<Vec<Measure>>,
    told: watch::Sender<Measurer>,
) {
    loop {
        let wanted = measures.borrow().clone();
        if let Some((id, part, query)) = measurer.next(&wanted, clock::now()) {
            let answer = client.query(&query).await.map_err(|error| chain(&error));
            tracing::debug!(query, measured = answer.is_ok(), "measured for the hub");
            measurer.take(id, part, answer.as_ref().map_err(Clone::clone), clock::now());
            if told.send(measurer.clone()).is_err() {
                return;
            }
        }
        tokio::select! {
            () = told.closed() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

#[cfg(test)]
mod tests;

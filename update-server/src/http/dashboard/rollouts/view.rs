//! The page of one rollout. Pure: facts in, what the template prints out.

use askama::Template;
use channels::rollout::FailureKind;
use channels::wire::{Reason, RingState, RolloutCluster, RolloutRing};
use jiff::Timestamp;

use super::super::holds::covers;
use super::super::shell::{Shell, When};
use super::super::words::{self, Pill, Tone};
use super::chart::{self, Chart};
use super::gates::{Reading, readings};
use super::list;
use super::totals::{Part, Totals, bars};
use super::{Facts, FailureFacts, May};
use crate::rollout::{RingView, RolloutStatus};

#[derive(Debug, Template)]
#[template(path = "rollout.html")]
pub(super) struct Page {
    shell: Shell,
    id: u64,
    policy: String,
    policy_version: u64,
    digest: String,
    digest_short: String,
    state: Pill,
    emergency: Option<String>,
    done: Option<&'static str>,
    why: Vec<Notice>,
    counts: Vec<Count>,
    facts: Vec<Fact>,
    actions: Vec<Action>,
    may: May,
    chart: Option<Lines>,
    rings: Vec<Ring>,
    narrowed: bool,
    failures: Vec<Failure>,
    failures_total: usize,
    lists: [List; 2],
    rollback_offers: Vec<String>,
}

/// Why it stands as it does.
#[derive(Debug)]
struct Notice {
    tone: Tone,
    text: String,
    /// Where to do something about it, and what.
    link: Option<(String, String)>,
}

#[derive(Debug, Clone)]
struct Count {
    tone: Tone,
    label: &'static str,
    value: u64,
}

#[derive(Debug)]
struct Fact {
    label: &'static str,
    text: String,
    when: Option<When>,
}

/// A form that can be opened from here.
#[derive(Debug)]
struct Action {
    href: String,
    label: String,
    tone: Tone,
}

#[derive(Debug)]
struct Lines {
    chart: Chart,
    from: String,
    to: String,
    label: String,
    rows: Vec<[String; 5]>,
}

#[derive(Debug)]
struct Ring {
    name: String,
    state: Pill,
    share: String,
    bars: Vec<Part>,
    counts: Vec<Count>,
    /// What the reasons below it are about.
    waits: &'static str,
    waits_for: Vec<Reason>,
    opens: Option<When>,
    held: Option<String>,
    gates: Vec<Reading>,
    open: bool,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Failure {
    cluster: String,
    name: String,
    why: &'static str,
    numbers: Vec<String>,
    message: Option<String>,
    at: When,
    acknowledged: bool,
}

/// Clusters that have something in common.
#[derive(Debug)]
struct List {
    anchor: &'static str,
    heading: &'static str,
    none: &'static str,
    rows: Vec<Cluster>,
}

#[derive(Debug)]
struct Cluster {
    id: String,
    name: String,
    ring: String,
    version: String,
    state: String,
    since: Option<When>,
    why: Vec<Reason>,
    earliest: Option<When>,
}

impl Page {
    pub(super) fn new(shell: Shell, facts: &Facts) -> Self {
        let Facts { at, view, row, .. } = facts;
        let totals = Totals::of(&view.rings);
        let steers = facts.may == May::Steer;
        let emergency = view.emergency.as_ref();
        Self {
            id: view.id.0,
            policy: view.policy.to_string(),
            policy_version: view.policy_version,
            digest: view.digest.hex(),
            digest_short: view.digest.hex().chars().take(12).collect(),
            state: list::state(view.status),
            emergency: emergency
                .map(|said| format!("An emergency, says {}: {}", said.by, said.reason)),
            done: facts.done,
            why: why(facts),
            counts: counts(totals),
            facts: key_facts(facts),
            actions: if steers { actions(facts) } else { Vec::new() },
            may: facts.may,
            chart: lines(facts),
            rings: view
                .rings
                .iter()
                .zip(&row.rings)
                .enumerate()
                .map(|(index, (ring, row))| one_ring(facts, index, ring, row))
                .collect(),
            narrowed: facts.gates.is_none(),
            failures: facts.failures.iter().map(|failure| one_failure(failure, *at)).collect(),
            failures_total: view.failures.len(),
            lists: [
                List {
                    anchor: "on-the-way",
                    heading: "On the way",
                    none: "No cluster is on the way.",
                    rows: clusters(&facts.on_the_way, *at),
                },
                List {
                    anchor: "waiting",
                    heading: "Waiting",
                    none: "No cluster waits.",
                    rows: clusters(&facts.waiting, *at),
                },
            ],
            rollback_offers: row.rollback_offers.iter().map(ToString::to_string).collect(),
            shell,
        }
    }
}

fn why(facts: &Facts) -> Vec<Notice> {
    let view = &facts.view;
    let plain = |tone, text: String| Notice { tone, text, link: None };
    let mut all = Vec::new();
    let waiting = view.failures.iter().filter(|(_, seen)| !seen).count();
    match view.status {
        RolloutStatus::Halted => {
            let failures = if waiting == 1 { "1 failure halts".to_owned() } else { format!("{waiting} failures halt") };
            all.push(Notice {
                tone: Tone::Bad,
                text: format!("{failures} it. Look at them; to go on, acknowledge them."),
                link: Some(("#failures".to_owned(), "The failures".to_owned())),
            });
        }
        RolloutStatus::Blind => all.push(plain(
            Tone::Bad,
            "The health of too many clusters is unknown, so nobody starts. It goes on by itself once \
             it is known again: see the gate “Unknown health” of the rings."
                .to_owned(),
        )),
        RolloutStatus::Closed => all.push(plain(
            Tone::Mute,
            format!("Its policy {} is in force no more: nobody starts in it.", view.policy),
        )),
        RolloutStatus::Superseded => {
            let link = view.superseded_by.map(|id| (format!("/rollouts/{id}"), format!("Rollout {id}")));
            let text = "A newer release took its place. Only clusters that need this one as a step \
                        still start."
                .to_owned();
            all.push(Notice { tone: Tone::Mute, text, link });
        }
        RolloutStatus::Held
        | RolloutStatus::Converged
        | RolloutStatus::Scheduled
        | RolloutStatus::Running => {}
    }
    all.extend(view.held.as_ref().map(|said| {
        let since = words::relative(facts.at, said.at);
        plain(Tone::Warn, format!("Held by {}, {since}: {}", said.by, said.reason))
    }));
    all.extend(facts.covered_by.iter().map(|hold| {
        let what = covers(&hold.scope);
        Notice {
            tone: Tone::Warn,
            text: format!("Hold {} of {what} covers it, by {}: {}", hold.id, hold.by, hold.reason),
            link: Some((format!("/holds/{}/resume", hold.id), "Lift it".to_owned())),
        }
    }));
    all
}

fn counts(totals: Totals) -> Vec<Count> {
    let all = [
        (Tone::Plain, "clusters", totals.members),
        (Tone::Good, "succeeded", totals.succeeded),
        (Tone::Good, "ran it already", totals.there),
        (Tone::Move, "rolling", totals.rolling),
        (Tone::Move, "granted", totals.granted),
        (Tone::Bad, "failed", totals.failed),
        (Tone::Warn, "failed, acknowledged", totals.acknowledged),
        (Tone::Warn, "of unknown health", totals.unknown),
        (Tone::Mute, "not started", totals.not_started),
    ];
    all.map(|(tone, label, value)| Count { tone, label, value }).to_vec()
}

fn key_facts(facts: &Facts) -> Vec<Fact> {
    let (now, view, course) = (facts.at, &facts.view, &facts.course);
    let when =
        |label, at: Timestamp| Fact { label, text: String::new(), when: Some(When::new(now, at)) };
    let text = |label, text: String| Fact { label, text, when: None };
    let mut all = vec![when("Opened", view.opened_at)];
    all.push(when(if view.starts_at > now { "Starts" } else { "Started" }, view.starts_at));
    all.extend(view.converged_at.map(|at| when("Every member ran it", at)));
    match (view.status, course.all_open_at, course.done_at) {
        (RolloutStatus::Running | RolloutStatus::Scheduled, Some(open), Some(done)) => {
            all.push(when("Last cluster may go, at the earliest", open));
            all.push(when("Last one has soaked, at the earliest", done));
        }
        (RolloutStatus::Running | RolloutStatus::Scheduled, _, _) => {
            let ring = view.rings.iter().find(|ring| ring.needs_approval);
            let end = match ring {
                Some(ring) => format!("once somebody approves ring {}", ring.name),
                None => "further off than can be said".to_owned(),
            };
            all.push(text("Ends", end));
        }
        (RolloutStatus::Halted | RolloutStatus::Held | RolloutStatus::Blind, _, _) => {
            all.push(text("Ends", "not while it stands still".to_owned()));
        }
        (RolloutStatus::Closed | RolloutStatus::Superseded | RolloutStatus::Converged, _, _) => {}
    }
    let caps = &view.caps;
    let concurrent = caps.concurrent.map_or_else(String::new, |most| format!(" of at most {most}"));
    all.push(text("Between grant and end", format!("{}{concurrent}", view.in_flight)));
    all.extend(
        caps.per_period
            .map(|cap| text("Grants", format!("at most {} within {}", cap.grants, cap.period))),
    );
    all.extend(caps.per_failure_domain.as_ref().map(|cap| {
        text("In one failure domain", format!("at most {} per {}", cap.concurrent, cap.label))
    }));
    all
}

fn actions(facts: &Facts) -> Vec<Action> {
    let view = &facts.view;
    let action = |verb: &str, label: String, tone| Action {
        href: format!("/rollouts/{}/{verb}", view.id),
        label,
        tone,
    };
    let failures = view.failures.iter().filter(|(_, seen)| !seen).count();
    let mut all = Vec::new();
    if failures > 0 {
        let label = format!("Acknowledge {failures} and resume…");
        all.push(action("resume", label, Tone::Plain));
    } else if view.held.is_some() {
        all.push(action("resume", "Resume…".to_owned(), Tone::Plain));
    }
    let is_over = match view.status {
        RolloutStatus::Closed | RolloutStatus::Superseded | RolloutStatus::Converged => true,
        RolloutStatus::Halted
        | RolloutStatus::Held
        | RolloutStatus::Blind
        | RolloutStatus::Scheduled
        | RolloutStatus::Running => false,
    };
    if view.held.is_none() && (!is_over || view.in_flight > 0) {
        all.push(action("hold", "Hold…".to_owned(), Tone::Bad));
    }
    if view.emergency.is_none() && !is_over {
        all.push(action("emergency", "Hurry: emergency…".to_owned(), Tone::Plain));
    }
    all
}

fn lines(facts: &Facts) -> Option<Lines> {
    let chart = chart::draw(&facts.course)?;
    let figure = |figure: Option<u32>| figure.map_or_else(|| "–".to_owned(), |one| one.to_string());
    let last = facts.course.actual.last();
    let (started, done) = last.map_or((0, 0), |last| (last.started, last.done));
    let rows = chart.rows.iter().map(|row| {
        let figures = [row.planned, row.started, row.done, row.expected].map(figure);
        let [planned, started, done, expected] = figures;
        [row.at.to_string(), planned, started, done, expected]
    });
    Some(Lines {
        label: format!(
            "Clusters over time: {started} of {} started, {done} succeeded and soaked; the table \
             below has all points",
            facts.course.clusters
        ),
        from: short(chart.from),
        to: short(chart.to),
        rows: rows.collect(),
        chart,
    })
}

fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn ring_state(state: RingState) -> Pill {
    let (tone, text) = match state {
        RingState::Closed => (Tone::Mute, "closed"),
        RingState::AwaitsApproval => (Tone::Warn, "awaits approval"),
        RingState::Open => (Tone::Move, "open"),
        RingState::Held => (Tone::Warn, "held"),
        RingState::Halted => (Tone::Bad, "halted"),
        RingState::Passed => (Tone::Good, "passed"),
        RingState::Unknown => (Tone::Warn, "unknown"),
    };
    Pill::new(tone, text)
}

fn one_ring(facts: &Facts, index: usize, ring: &RingView, row: &RolloutRing) -> Ring {
    let view = &facts.view;
    let gates = facts.gates.as_ref().and_then(|gates| gates.get(index));
    let action = |verb: &str, label: &str| Action {
        href: format!("/rollouts/{}/{verb}?ring={}", view.id, ring.name),
        label: format!("{label} ring {}…", ring.name),
        tone: Tone::Plain,
    };
    let mut actions = Vec::new();
    if facts.may == May::Steer {
        if ring.needs_approval {
            actions.push(action("approve", "Approve"));
        }
        actions.push(if ring.held.is_some() {
            action("resume", "Resume")
        } else {
            action("hold", "Hold")
        });
    }
    let held = ring.held.as_ref();
    Ring {
        name: ring.name.to_string(),
        state: ring_state(row.state),
        share: format!("{} %", row.open_share_percent),
        bars: bars(std::slice::from_ref(ring)),
        counts: counts(Totals::of([ring])),
        waits: if ring.open.is_some() {
            "The next ring waits:"
        } else {
            "It waits for the ring before:"
        },
        waits_for: row.waits_for.clone(),
        opens: row.opens_at.map(|at| When::new(facts.at, at)),
        held: held.map(|said| format!("Held by {}: {}", said.by, said.reason)),
        gates: gates.map(|gates| readings(gates, ring, facts.at)).unwrap_or_default(),
        // What passed is seldom looked at again.
        open: matches!(
            row.state,
            RingState::Open | RingState::Halted | RingState::Held | RingState::AwaitsApproval
        ),
        actions,
    }
}

/// How a cluster failed, for people.
pub(in super::super) fn failure_kind(why: FailureKind) -> &'static str {
    match why {
        FailureKind::Error => "it reported an error",
        FailureKind::RolledBack => "it was rolled back",
        FailureKind::DeadlinePassed => "it took longer than its deadline",
        FailureKind::Silent => "it fell silent after it began",
        FailureKind::HealthRegression => "it is worse than before",
    }
}

fn one_failure(facts: &FailureFacts, now: Timestamp) -> Failure {
    let mut numbers = Vec::new();
    if facts.failure.why == FailureKind::HealthRegression {
        numbers.extend(
            facts.worse.as_ref().map(|worse| {
                format!("{}: {} before, {} after", worse.name, worse.before, worse.now)
            }),
        );
        for (name, (before, after)) in ["quorum lag", "PLEG lag"].into_iter().zip(facts.lags) {
            if let (Some(before), Some(after)) = (before, after) {
                numbers.push(format!(
                    "{name}: {} before, {} now",
                    words::lag(before),
                    words::lag(after)
                ));
            }
        }
    }
    Failure {
        cluster: facts.failure.cluster.to_string(),
        name: facts.name.clone(),
        why: failure_kind(facts.failure.why),
        numbers,
        message: facts.message.clone(),
        at: When::new(now, facts.failure.at),
        acknowledged: facts.acknowledged,
    }
}

fn clusters(all: &[RolloutCluster], now: Timestamp) -> Vec<Cluster> {
    let one = |cluster: &RolloutCluster| Cluster {
        id: cluster.cluster.to_string(),
        name: cluster.name.clone(),
        ring: cluster.ring.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string),
        version: cluster.version.to_string(),
        state: cluster.state.as_str().replace('_', " "),
        since: cluster.since.map(|at| When::new(now, at)),
        why: cluster.why_not.clone(),
        earliest: cluster.earliest_at.map(|at| When::new(now, at)),
    };
    all.iter().map(one).collect()
}

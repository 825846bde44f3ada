//! The page of one cluster. Pure: facts in, what the template prints out.

use askama::Template;
use channels::wire::{
    AuditRow, ClusterRisk, HealthSummary, ProductRow, Progress, Reason, UnitState, WaitingOn,
};
use jiff::Timestamp;

use super::super::holds::covers;
use super::super::rollouts::status_pill;
use super::super::shell::{Shell, When};
use super::super::words::{self, Pill, Tone};
use super::accepted::{self, Accepted};
use super::lags::{self, Chart, Figures};
use super::way::Way;
use super::{Facts, InRollout, May, ProductFacts, own_hold};
use crate::store::HistoryRow;

/// Changes listed; the lags of more are in the drawing.
const MAX_LISTED: usize = 60;

#[derive(Debug, Template)]
#[template(path = "cluster.html")]
pub(super) struct Page {
    shell: Shell,
    id: String,
    done: Option<&'static str>,
    notices: Vec<Notice>,
    pairs: Vec<Pair>,
    labels: Vec<String>,
    links: Vec<(String, &'static str)>,
    products: Vec<Product>,
    history: Vec<Change>,
    actions: Vec<Deed>,
    may: May,
    is_dark: bool,
}

#[derive(Debug)]
struct Notice {
    tone: Tone,
    text: String,
    link: Option<String>,
}

#[derive(Debug)]
struct Pair {
    label: &'static str,
    text: String,
    when: Option<When>,
    pill: Option<Pill>,
}

#[derive(Debug)]
struct Product {
    anchor: String,
    name: String,
    channel: String,
    arch: String,
    channel_href: String,
    version: String,
    target: Option<String>,
    phase: Pill,
    since: When,
    unit: Option<String>,
    progress: Option<Progress>,
    health: Pill,
    drift: String,
    age: Option<String>,
    failure: Option<Failure>,
    waits: Vec<Wait>,
    why_not: Vec<Reason>,
    earliest: Option<When>,
    rollout: Option<Rollout>,
    settings: Vec<String>,
    set_href: Option<String>,
    units: Vec<Unit>,
    figures: Vec<LagRow>,
    chart: Option<Lines>,
    way: WayView,
    risks: Vec<RiskRow>,
    accepted: Vec<Accepted>,
}

#[derive(Debug)]
struct Failure {
    kind: String,
    message: String,
    at: When,
}

/// A reason of the agent.
#[derive(Debug)]
struct Wait {
    text: String,
    code: String,
    /// Observed and limit, where it has them.
    numbers: Option<String>,
    since: Option<When>,
}

#[derive(Debug)]
struct Rollout {
    id: u64,
    state: Pill,
    ring: String,
    attempt: String,
}

#[derive(Debug)]
struct Unit {
    name: String,
    role: String,
    pool: String,
    version: String,
    health: Pill,
    why: String,
    is_out: bool,
}

#[derive(Debug)]
struct LagRow {
    name: &'static str,
    unit: String,
    cells: [String; 3],
}

#[derive(Debug)]
struct Lines {
    chart: Chart,
    most: String,
    from: String,
    to: String,
    rows: Vec<[String; 5]>,
}

/// The way to the head, as it is shown.
#[derive(Debug)]
enum WayView {
    Said(String),
    Steps(Vec<(String, Vec<String>)>),
}

#[derive(Debug)]
struct RiskRow {
    name: String,
    message: String,
    url: Option<String>,
    to: String,
    applies: &'static str,
    blocked: bool,
    accepted: bool,
    said: Option<String>,
}

#[derive(Debug)]
struct Change {
    at: When,
    product: String,
    version: String,
    target: Option<String>,
    phase: Pill,
    unit: String,
    health: Pill,
    quorum: String,
    pleg: String,
}

#[derive(Debug)]
struct Deed {
    at: When,
    actor: String,
    action: String,
    detail: String,
}

impl Page {
    pub(super) fn new(shell: Shell, facts: &Facts) -> Self {
        let now = facts.at;
        let product = |product: &ProductFacts| one_product(facts, product);
        Self {
            shell,
            id: facts.row.id.to_string(),
            done: facts.done,
            notices: notices(facts),
            pairs: pairs(facts),
            labels: facts.row.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            links: links(facts),
            products: facts.products.iter().map(product).collect(),
            history: facts.history.iter().take(MAX_LISTED).map(|row| change(row, now)).collect(),
            actions: facts.actions.iter().map(|row| deed(row, now)).collect(),
            may: facts.may,
            is_dark: facts.row.site.is_some(),
        }
    }
}

fn notices(facts: &Facts) -> Vec<Notice> {
    let (now, row) = (facts.at, &facts.row);
    let mut all = Vec::new();
    all.extend(row.key_revoked.as_ref().map(|revoked| Notice {
        tone: Tone::Bad,
        text: format!(
            "Its key was revoked by {}, {}: {}. Nothing it reports is taken until it enrols again: \
             fairway clusters reinvite.",
            revoked.by,
            words::relative(now, revoked.at),
            revoked.reason
        ),
        link: None,
    }));
    all.extend(row.identity_conflict_since.map(|since| Notice {
        tone: Tone::Bad,
        text: format!(
            "More than one agent uses its key, known {}. It gets no grants until somebody decides: \
             fairway clusters trust, or revoke.",
            words::relative(now, since)
        ),
        link: None,
    }));
    all.extend(facts.holds.iter().map(|hold| Notice {
        tone: Tone::Warn,
        text: format!(
            "Held: {}. Hold {} by {}, {}: {}",
            covers(&hold.scope),
            hold.id,
            hold.by,
            words::relative(now, hold.at),
            hold.reason
        ),
        link: (facts.may != May::Look).then(|| format!("/holds/{}/resume", hold.id)),
    }));
    all
}

fn pairs(facts: &Facts) -> Vec<Pair> {
    let (now, row) = (facts.at, &facts.row);
    let text = |label, text: String| Pair { label, text, when: None, pill: None };
    let when =
        |label, at| Pair { label, text: String::new(), when: Some(When::new(now, at)), pill: None };
    let mut all = Vec::new();
    let heard = row.as_of.or(row.last_seen);
    all.push(Pair {
        pill: words::freshness(row.freshness),
        ..match heard {
            Some(at) => when(if row.as_of.is_some() { "As of" } else { "Last report" }, at),
            None => text("Last report", "none yet".to_owned()),
        }
    });
    all.extend(row.site.as_ref().map(|site| text("Dark site", site.to_string())));
    all.push(text("Agent", row.agent_version.clone()));
    all.push(when("Enrolled", row.enrolled_at));
    all
}

fn links(facts: &Facts) -> Vec<(String, &'static str)> {
    let id = facts.row.id;
    let mut all = Vec::new();
    if facts.may != May::Look {
        all.push(match own_hold(&facts.holds, id) {
            Some(hold) => (format!("/holds/{}/resume", hold.id), "Resume…"),
            None => (format!("/clusters/{id}/hold"), "Hold…"),
        });
        all.push((format!("/clusters/{id}/retire"), "Retire…"));
    }
    all
}

fn one_product(facts: &Facts, product: &ProductFacts) -> Product {
    let (now, row) = (facts.at, &product.row);
    let changes: Vec<&HistoryRow> =
        facts.history.iter().rev().filter(|change| change.product == row.product).collect();
    let target = row.target.as_ref().filter(|target| **target != row.version);
    let settings = facts.row.settings.iter().find(|own| own.product == row.product);
    let mut set = Vec::new();
    if let Some(own) = settings {
        set.extend(own.channel.as_ref().map(|channel| format!("channel {channel}")));
        set.extend(own.pin.as_ref().map(|pin| format!("pinned to {pin}")));
        set.extend(own.max_version.as_ref().map(|most| format!("at most {most}")));
    }
    Product {
        anchor: format!("{}-{}", row.product.vendor, row.product.product),
        name: row.product.to_string(),
        channel: row.channel.to_string(),
        arch: row.arch.to_string(),
        channel_href: format!("/channels/{}/{}/{}", row.product, row.channel, row.arch),
        version: row.version.to_string(),
        target: target.map(ToString::to_string),
        phase: words::phase(row.phase),
        since: When::new(now, row.since),
        unit: row.unit.as_ref().map(ToString::to_string),
        progress: row.progress,
        health: words::health(row.health.verdict),
        drift: words::drift(&row.drift),
        age: row.drift.age_days.filter(|days| *days > 0).map(|days| match days {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        }),
        failure: row.failure.as_ref().map(|failure| Failure {
            kind: failure.kind.clone(),
            message: failure.message.clone(),
            at: When::new(now, failure.at),
        }),
        waits: row.waiting_on.iter().map(|why| wait(why, now)).collect(),
        why_not: row.why_not.clone(),
        earliest: row.earliest_at.map(|at| When::new(now, at)),
        rollout: product.rollout.as_ref().map(|rollout| in_rollout(rollout, now)),
        settings: set,
        set_href: (facts.may == May::Set)
            .then(|| format!("/clusters/{}/set?product={}", facts.row.id, row.product)),
        units: row.units.iter().map(|one| unit(one, row)).collect(),
        figures: figures(&changes, product),
        chart: lines(&changes, row, now),
        way: match &product.way {
            None => WayView::Said("The hub has no graph of its channel.".to_owned()),
            Some(Way::Head) => WayView::Said("It runs the head of its channel.".to_owned()),
            Some(Way::None(why)) => WayView::Said(format!("No way to the head: {why}.")),
            Some(Way::Steps(steps)) => WayView::Steps(
                steps.iter().map(|step| (step.to.to_string(), step.risks.clone())).collect(),
            ),
        },
        risks: product.risks.iter().map(|one| risk(one, row, now)).collect(),
        accepted: row.accepted_risks.iter().map(|risk| Accepted::new(risk, now)).collect(),
    }
}

fn wait(why: &WaitingOn, now: Timestamp) -> Wait {
    let text = match &why.unit {
        Some(unit) => format!("{unit}: {}", why.message),
        None => why.message.clone(),
    };
    let numbers = match (why.observed, why.limit) {
        (Some(observed), Some(limit)) => Some(format!("{observed}, limit {limit}")),
        (Some(observed), None) => Some(observed.to_string()),
        (None, Some(limit)) => Some(format!("limit {limit}")),
        (None, None) => None,
    };
    let since = why.since.map(|at| When::new(now, at));
    Wait { text, code: why.gate.clone(), numbers, since }
}

fn in_rollout(rollout: &InRollout, now: Timestamp) -> Rollout {
    use channels::rollout::ClusterState;
    let attempt = &rollout.attempt;
    let state = match attempt.state {
        ClusterState::NotStarted => "has not started".to_owned(),
        ClusterState::Granted { at } => format!("was granted {}", words::relative(now, at)),
        ClusterState::Rolling { began_at } => format!("began {}", words::relative(now, began_at)),
        ClusterState::Succeeded { at } => {
            format!("succeeded {}, and soaks", words::relative(now, at))
        }
        ClusterState::Failed { why, at } => {
            let seen = if attempt.acknowledged { ", acknowledged" } else { "" };
            let why = super::super::rollouts::failure_kind(why);
            format!("failed {}{seen}: {why}", words::relative(now, at))
        }
    };
    Rollout {
        id: rollout.id.0,
        state: status_pill(rollout.status),
        ring: attempt.ring.to_string(),
        attempt: state,
    }
}

fn unit(unit: &UnitState, product: &ProductRow) -> Unit {
    Unit {
        name: unit.name.to_string(),
        role: format!("{:?}", unit.role).to_lowercase(),
        pool: unit.pool.to_string(),
        version: unit.version.clone().unwrap_or_else(|| "–".to_owned()),
        health: words::health(unit.health),
        why: unit.why.clone().unwrap_or_default(),
        is_out: product.unit.as_ref() == Some(&unit.name) && product.phase.is_rolling(),
    }
}

fn figures(changes: &[&HistoryRow], product: &ProductFacts) -> Vec<LagRow> {
    type OfRow = fn(&HistoryRow) -> Option<u64>;
    type OfHealth = fn(&HealthSummary) -> Option<u64>;
    let health = &product.row.health;
    let granted = product.rollout.as_ref().and_then(|rollout| rollout.before.as_ref());
    let all: [(&'static str, _, OfRow, OfHealth); 2] = [
        (
            "Quorum lag",
            &health.quorum_lag_unit,
            |row| row.quorum_lag_ms,
            |health| health.quorum_lag_ms,
        ),
        ("PLEG lag", &health.pleg_lag_unit, |row| row.pleg_lag_ms, |health| health.pleg_lag_ms),
    ];
    let row = |(name, unit, of_row, of_health): (_, &Option<_>, OfRow, OfHealth)| {
        let Figures { before, during, now } =
            lags::figures(changes, granted, of_health(health), of_row, of_health);
        let cell = |ms: Option<u64>| ms.map_or_else(|| "–".to_owned(), words::lag);
        let known = [before, during, now].iter().any(Option::is_some);
        let unit = unit.as_ref().map_or_else(String::new, ToString::to_string);
        known.then(|| LagRow { name, unit, cells: [before, during, now].map(cell) })
    };
    all.into_iter().filter_map(row).collect()
}

fn lines(changes: &[&HistoryRow], row: &ProductRow, now: Timestamp) -> Option<Lines> {
    let chart = lags::draw(changes, &row.health, now)?;
    let short = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let cell = |ms: Option<u64>| ms.map_or_else(|| "–".to_owned(), |ms| ms.to_string());
    let told = |change: &&HistoryRow| {
        [
            change.at.to_string(),
            words::phase(change.phase).text,
            change.unit.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
            cell(change.quorum_lag_ms),
            cell(change.pleg_lag_ms),
        ]
    };
    let mut rows: Vec<[String; 5]> = changes.iter().map(told).collect();
    let unit = row.unit.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
    rows.push([
        now.to_string(),
        words::phase(row.phase).text,
        unit,
        cell(row.health.quorum_lag_ms),
        cell(row.health.pleg_lag_ms),
    ]);
    Some(Lines {
        most: words::lag(chart.most_ms),
        from: short(chart.from),
        to: short(chart.to),
        rows,
        chart,
    })
}

fn risk(risk: &ClusterRisk, product: &ProductRow, now: Timestamp) -> RiskRow {
    // A vendor wrote the address; what is no page is not made a link.
    let is_page = risk.url.starts_with("https://") || risk.url.starts_with("http://");
    RiskRow {
        name: risk.risk.clone(),
        message: risk.message.clone(),
        url: is_page.then(|| risk.url.clone()),
        to: risk.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        applies: if risk.always { "to every cluster" } else { "if its metrics say so" },
        blocked: risk.blocked,
        accepted: accepted::is_accepted(product, &risk.risk, now),
        said: risk.said.as_ref().map(|said| said.message.clone()),
    }
}

fn change(row: &HistoryRow, now: Timestamp) -> Change {
    let lag = |ms: Option<u64>| ms.map_or_else(|| "–".to_owned(), words::lag);
    let target = row.target.as_ref().filter(|target| **target != row.version);
    Change {
        at: When::new(now, row.at),
        product: row.product.to_string(),
        version: row.version.to_string(),
        target: target.map(ToString::to_string),
        phase: words::phase(row.phase),
        unit: row.unit.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
        health: words::health(row.health),
        quorum: lag(row.quorum_lag_ms),
        pleg: lag(row.pleg_lag_ms),
    }
}

fn deed(row: &AuditRow, now: Timestamp) -> Deed {
    Deed {
        at: When::new(now, row.at),
        actor: row.actor.clone(),
        action: row.action.replace('_', " "),
        detail: row.detail.clone(),
    }
}

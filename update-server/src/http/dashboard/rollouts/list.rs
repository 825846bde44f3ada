//! The list of rollouts. Pure.

use askama::Template;
use jiff::Timestamp;

use super::super::shell::{Shell, When};
use super::super::words::{Pill, Tone};
use super::Listed;
use super::totals::{Part, Totals, bars, bars_label};
use crate::http::api::rollouts::is_over;
use crate::rollout::RolloutStatus;

#[derive(Debug, Template)]
#[template(path = "rollouts.html")]
pub(super) struct Page {
    shell: Shell,
    tables: Vec<Table>,
    /// Policies in force; shown while there is no rollout.
    policies: Vec<String>,
}

#[derive(Debug)]
struct Table {
    id: &'static str,
    caption: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    id: u64,
    product: String,
    version: String,
    policy: String,
    state: Pill,
    bars: Vec<Part>,
    bars_label: String,
    share: String,
    on_the_way: u64,
    failures: u64,
    acknowledged: u64,
    end: End,
    opened: When,
}

/// When a rollout ends, or did.
#[derive(Debug)]
enum End {
    At(When),
    Said(&'static str),
}

/// How a rollout stands, in a word.
pub(in super::super) fn state(status: RolloutStatus) -> Pill {
    let (tone, text) = match status {
        RolloutStatus::Halted => (Tone::Bad, "halted"),
        RolloutStatus::Held => (Tone::Warn, "held"),
        RolloutStatus::Blind => (Tone::Bad, "health unknown"),
        RolloutStatus::Closed => (Tone::Mute, "closed"),
        RolloutStatus::Superseded => (Tone::Mute, "superseded"),
        RolloutStatus::Converged => (Tone::Good, "converged"),
        RolloutStatus::Scheduled => (Tone::Plain, "scheduled"),
        RolloutStatus::Running => (Tone::Move, "running"),
    };
    Pill::new(tone, text)
}

impl Page {
    pub(super) fn new(
        shell: Shell,
        listed: &[Listed],
        policies: Vec<String>,
        now: Timestamp,
    ) -> Self {
        let (over, active): (Vec<&Listed>, Vec<&Listed>) =
            listed.iter().partition(|listed| is_over(&listed.view));
        let table = |id, caption, rows: Vec<&Listed>| Table {
            id,
            caption,
            rows: rows.into_iter().map(|listed| row(listed, now)).collect(),
        };
        let tables = [table("active", "Under way", active), table("over", "Over", over)];
        Self {
            shell,
            tables: tables.into_iter().filter(|table| !table.rows.is_empty()).collect(),
            policies,
        }
    }
}

fn row(Listed { view, course }: &Listed, now: Timestamp) -> Row {
    let totals = Totals::of(&view.rings);
    let seen = |wanted: bool| view.failures.iter().filter(|(_, seen)| *seen == wanted).count();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Row {
        id: view.id.0,
        product: view.product.to_string(),
        version: view.version.to_string(),
        policy: view.policy.to_string(),
        state: state(view.status),
        bars: bars(&view.rings),
        bars_label: bars_label(&view.rings),
        share: format!("{} of {}", totals.on_release(), totals.members),
        on_the_way: totals.granted + totals.rolling,
        failures: count(seen(false)),
        acknowledged: count(seen(true)),
        end: end(view.status, course.as_ref().and_then(|course| course.done_at), now),
        opened: When::new(now, view.opened_at),
    }
}

fn end(status: RolloutStatus, done_at: Option<Timestamp>, now: Timestamp) -> End {
    match status {
        RolloutStatus::Running | RolloutStatus::Scheduled => match done_at {
            Some(at) => End::At(When::new(now, at)),
            None => End::Said("waits for a person"),
        },
        RolloutStatus::Halted | RolloutStatus::Held | RolloutStatus::Blind => {
            End::Said("stands still")
        }
        RolloutStatus::Closed | RolloutStatus::Superseded | RolloutStatus::Converged => {
            End::Said("over")
        }
    }
}

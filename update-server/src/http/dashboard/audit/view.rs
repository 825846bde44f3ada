//! From the rows to what the template prints.

use askama::Template;
use channels::wire::AuditRow;
use jiff::Timestamp;

use super::AuditFacts;
use super::filter::Asked;
use crate::http::dashboard::shell::Shell;
use crate::http::dashboard::words::{self, Pill, Tone, count};
use crate::store::Run;

/// Details longer than this are folded, characters.
const MAX_DETAIL: usize = 120;

/// The page.
#[derive(Debug, Template)]
#[template(path = "audit.html")]
pub(super) struct AuditPage {
    shell: Shell,
    asked: Asked,
    wrong: Vec<String>,
    chain: Pill,
    chain_text: String,
    check: String,
    rows: Vec<Row>,
    first: String,
    older: Option<String>,
    is_all: bool,
}

#[derive(Debug)]
struct Row {
    id: u64,
    at: String,
    at_short: String,
    relative: String,
    actor: String,
    actor_href: String,
    action: String,
    action_href: String,
    object: String,
    object_href: String,
    detail: String,
    /// The begin of a long one.
    short: Option<String>,
    hash: String,
}

impl AuditPage {
    pub(super) fn new(shell: Shell, asked: &Asked, facts: &AuditFacts, now: Timestamp) -> Self {
        let (chain, chain_text) = chain(asked, facts);
        let wrong = asked.unread_days();
        let check = asked.address(asked.before);
        let joint = if check.contains('?') { '&' } else { '?' };
        Self {
            shell,
            wrong: wrong
                .iter()
                .map(|day| format!("{day:?} is no day: write 2026-12-31."))
                .collect(),
            chain,
            chain_text,
            check: format!("{check}{joint}check=1"),
            rows: facts.found.rows.iter().map(|found| row(asked, found, now)).collect(),
            first: asked.address(None),
            older: facts.found.go_on.map(|before| asked.address(Some(before))),
            is_all: asked.is_all(),
            asked: asked.clone(),
        }
    }
}

fn row(asked: &Asked, row: &AuditRow, now: Timestamp) -> Row {
    let is_long = row.detail.chars().count() > MAX_DETAIL;
    let begin = || row.detail.chars().take(MAX_DETAIL).chain(['…']).collect();
    Row {
        id: row.id,
        at: row.at.to_string(),
        at_short: row.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        relative: words::relative(now, row.at),
        actor_href: asked.only(|asked| asked.actor.clone_from(&row.actor)),
        actor: row.actor.clone(),
        action_href: asked.only(|asked| asked.action.clone_from(&row.action)),
        action: row.action.clone(),
        object_href: asked.only(|asked| asked.object.clone_from(&row.object)),
        object: row.object.clone(),
        short: is_long.then(begin),
        detail: row.detail.clone(),
        hash: row.hash.clone(),
    }
}

/// What is known of the chain: of all of it if somebody asked, else of the rows on the page, which
/// follow each other where nothing is filtered.
fn chain(asked: &Asked, facts: &AuditFacts) -> (Pill, String) {
    if let Some(check) = &facts.check {
        return match check.broken_at {
            None => (
                Pill::new(Tone::Good, "whole"),
                format!("{} checked, newest hash {}", count(check.rows, "row"), check.head),
            ),
            Some(id) => (
                Pill::new(Tone::Bad, "broken"),
                format!(
                    "row {id} does not follow row {}: it or one before it was changed or removed",
                    check.rows
                ),
            ),
        };
    }
    let mut run = Run::default();
    if asked.is_all() {
        facts.found.rows.iter().for_each(|row| run.take(row));
    }
    match run.broken_at {
        Some(id) => (
            Pill::new(Tone::Bad, "broken"),
            format!("row {id} was changed, or does not follow the one below it"),
        ),
        None if run.rows > 0 => (
            Pill::new(Tone::Plain, "rows of this page fit"),
            format!("{} to {}, newest hash {}", run.oldest, run.newest, run.head),
        ),
        None => (Pill::new(Tone::Mute, "not checked"), String::new()),
    }
}

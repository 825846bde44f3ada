//! The explanation for people, and its reasons as rows.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::decide::{Explained, Explanation, Place, Why};
use crate::colour::{Colour, Tone};
use crate::commands::clusters::render::health;
use crate::commands::graph::way;
use crate::out::printable;
use crate::span::{age, until};
use crate::table::{Table, cell};

/// Lines of one page.
struct Page {
    text: String,
    colour: Colour,
}

impl Page {
    fn line(&mut self, label: &str, value: &str) {
        let value = self.colour.paint(Tone::of(label, value), &printable(value));
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.text, "{}", format!("{label:<10} {value}").trim_end());
    }

    fn reason(&mut self, why: &Why, now: Timestamp) {
        let since = why.since.map_or_else(String::new, |at| format!(" (for {})", age(at, now)));
        self.line("why", &format!("{}{since} [{} {}]", why.message, why.by, why.code));
        self.line("  do", why.what_to_do.as_deref().unwrap_or("see the message"));
    }
}

/// The whole answer.
pub(super) fn page(answer: &Explanation, now: Timestamp, colour: Colour) -> String {
    let mut page = Page { text: String::new(), colour };
    page.line("cluster", &answer.name);
    page.line("verdict", answer.verdict.as_str());
    page.line("in short", &answer.summary);
    let seen = match answer.seen {
        Some(at) => format!("{} ago ({})", age(at, now), answer.freshness.as_str()),
        None => "never".to_owned(),
    };
    page.line("seen", &seen);
    if let Some(site) = &answer.site {
        page.line("site", &format!("{site}, by a status file"));
    }
    answer.reasons.iter().for_each(|why| page.reason(why, now));
    for product in &answer.products {
        page.text.push('\n');
        one(product, now, &mut page);
    }
    page.text
}

fn one(product: &Explained, now: Timestamp, page: &mut Page) {
    page.line("product", &format!("{}, {} {}", product.product, product.channel, product.arch));
    let moving = product.target.as_ref().map_or_else(String::new, |to| format!(" -> {to}"));
    let head = product.head.as_ref().map_or_else(String::new, |head| format!(" (head {head})"));
    page.line("version", &format!("{}{moving}{head}", product.version));
    page.line("verdict", product.verdict.as_str());
    let unit = product.unit.as_ref().map_or_else(String::new, |unit| format!(", unit {unit}"));
    let done = product.progress.map_or_else(String::new, |progress| {
        format!(", {} of {} units done", progress.done, progress.total)
    });
    page.line("phase", &format!("{} for {}{unit}{done}", product.phase, age(product.since, now)));
    product.reasons.iter().for_each(|why| page.reason(why, now));
    if let Some(at) = product.earliest_at {
        page.line("may go", &ahead(at, now));
    }
    if let Some(place) = &product.rollout {
        in_rollout(place, now, page);
    }
    page.line("health", &health(&product.health));
    for line in product.way.iter().flat_map(way::lines) {
        page.line("way", line.trim_start());
    }
    for risk in &product.risks {
        let to: Vec<String> = risk.to.iter().map(ToString::to_string).collect();
        let decided = match (&risk.said, risk.always) {
            (Some(said), _) => said.message.clone(),
            (None, true) => "it applies to everybody".to_owned(),
            (None, false) => "its own metrics decide".to_owned(),
        };
        let text = format!(
            "{} before {}: {} ({decided}) {}",
            risk.risk,
            to.join(", "),
            risk.message,
            risk.url
        );
        page.line("risk", &text);
    }
}

fn in_rollout(place: &Place, now: Timestamp, page: &mut Page) {
    let ring = match (&place.ring, &place.ring_state) {
        (Some(ring), Some(state)) => format!(", ring {ring} is {state}"),
        (Some(ring), None) => format!(", ring {ring}"),
        (None, _) => String::new(),
    };
    let opens = place.ring_opens_at.filter(|at| *at > now);
    let opens = opens.map_or_else(String::new, |at| format!(", opens {}", ahead(at, now)));
    let text = format!("{} ({}) is {}{ring}{opens}", place.rollout, place.release, place.state);
    page.line("rollout", &text);
    for reason in &place.ring_waits_for {
        page.line("  ring", &reason.message);
    }
    if let Some(attempt) = &place.attempt {
        let since = place
            .attempt_since
            .map_or_else(String::new, |at| format!(" since {at} ({} ago)", age(at, now)));
        page.line("grant", &format!("{attempt}{since}"));
    }
}

fn ahead(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("in {} ({at})", until(at, now)) }
}

/// One row per reason; a product without any still has a row.
pub(super) fn reasons(answer: &Explanation) -> Table {
    let mut table = Table::new(&[
        "cluster",
        "product",
        "verdict",
        "version",
        "target",
        "head",
        "phase",
        "earliest_at",
        "by",
        "code",
        "since",
        "message",
        "what_to_do",
    ]);
    let why = |why: &Why| {
        vec![
            why.by.to_owned(),
            why.code.clone(),
            cell(why.since.as_ref()),
            why.message.clone(),
            cell(why.what_to_do.as_ref()),
        ]
    };
    let name = || vec![answer.name.clone()];
    for reason in &answer.reasons {
        let mut row = name();
        row.extend([String::new(), answer.verdict.as_str().to_owned()]);
        row.resize(8, String::new());
        row.extend(why(reason));
        table.row(row);
    }
    for product in &answer.products {
        let start = || {
            let mut row = name();
            row.extend([
                product.product.to_string(),
                product.verdict.as_str().to_owned(),
                product.version.to_string(),
                cell(product.target.as_ref()),
                cell(product.head.as_ref()),
                product.phase.to_string(),
                cell(product.earliest_at.as_ref()),
            ]);
            row
        };
        if product.reasons.is_empty() {
            table.row(start());
        }
        for reason in &product.reasons {
            let mut row = start();
            row.extend(why(reason));
            table.row(row);
        }
    }
    table
}

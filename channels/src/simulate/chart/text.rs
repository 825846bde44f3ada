//! The report as plain text, 80 columns wide.

use std::fmt::Write as _;

use super::{length_s, mark, point_at, span, tick_s};
use crate::simulate::report::{Ending, Harm, Report, RingReport};

/// Columns of the plot; with the scale on its left that makes 78.
const COLUMNS: u64 = 72;
/// Rows of the plot.
const ROWS: u64 = 14;
/// Longest list of events that is shown whole; the JSON has all.
const EVENTS_SHOWN: usize = 40;
/// Width of a line.
const WIDTH: usize = 80;

/// The whole report for a terminal.
pub fn text(report: &Report) -> String {
    let mut page = String::new();
    head(&mut page, report);
    plot(&mut page, report);
    rings(&mut page, report);
    if let Some(harm) = &report.harm {
        exposure(&mut page, report, harm);
    }
    waits(&mut page, report);
    events(&mut page, report);
    page
}

fn line(page: &mut String, text: &str) {
    page.push_str(text.trim_end());
    page.push('\n');
}

fn head(page: &mut String, report: &Report) {
    let Report { policy, release, fleet, clusters, starts_at, step, seed, .. } = report;
    line(page, &format!("policy {policy}, release {release}, fleet {fleet}: {clusters} clusters"));
    line(page, &format!("start {starts_at}, step {step}, seed {seed}"));
    for fault in &report.faults {
        line(page, &format!("fault {fault}"));
    }
    if report.already_there > 0 {
        line(page, &format!("{} more clusters run the release already", report.already_there));
    }
    if report.in_no_ring > 0 {
        let clusters = report.in_no_ring;
        line(page, &format!("{clusters} more clusters are in no ring and never get the release"));
    }
    let how = ending(report.ended);
    let totals = &report.totals;
    line(page, &format!("end   after {}: {how}", span(report.ended_after_s)));
    line(
        page,
        &format!(
            "      {} succeeded, {} failed, {} under way, {} never began",
            totals.succeeded, totals.failed, totals.in_flight, totals.not_started
        ),
    );
    let largest = &report.largest_step;
    line(
        page,
        &format!(
            "      most at once: {} clusters ({}) became eligible within {step}, after {}",
            largest.clusters,
            largest.share,
            span(largest.after_s)
        ),
    );
    line(page, &format!("      most under way at a time: {}", report.in_flight_most));
    line(page, "");
}

fn ending(ended: Ending) -> &'static str {
    match ended {
        Ending::Converged => "every cluster ended",
        Ending::Halted => "halted, and nobody resumes it",
        Ending::Held => "held to the end",
        Ending::Stuck => "stuck: nothing moves any more",
        Ending::OutOfSteps => "not over within the steps simulated; take a longer --step",
    }
}

/// Height in half rows.
fn height(report: &Report, clusters: u32) -> u64 {
    let whole = u64::from(report.clusters.max(1));
    (u64::from(clusters) * ROWS * 2).div_ceil(whole).min(ROWS * 2)
}

fn plot(page: &mut String, report: &Report) {
    let length = length_s(report);
    let columns: Vec<(u64, u64)> = (0..COLUMNS)
        .map(|column| {
            let point = point_at(report, length * column / (COLUMNS - 1));
            point.map_or((0, 0), |point| {
                (height(report, point.planned), height(report, point.begun))
            })
        })
        .collect();
    for row in (0..ROWS).rev() {
        let label = match row {
            row if row + 1 == ROWS => "100%",
            row if row + 1 == ROWS / 2 => " 50%",
            _ => "    ",
        };
        let cells = columns.iter().map(|&(planned, begun)| {
            let is_plan = planned > row * 2 && planned <= row * 2 + 2;
            match begun.saturating_sub(row * 2) {
                _ if is_plan => 'o',
                0 => ' ',
                1 => '▄',
                _ => '█',
            }
        });
        line(page, &format!("{label} │{}", cells.collect::<String>()));
    }
    line(page, &format!("  0% └{}", "─".repeat(usize::try_from(COLUMNS).unwrap_or(0))));
    axis(page, length);
    marks(page, report, length);
    line(page, "     o planned (share eligible)   █ simulated (share begun)");
    line(page, "");
}

fn column(after_s: u64, length: u64) -> usize {
    usize::try_from(after_s * (COLUMNS - 1) / length).unwrap_or(0)
}

/// Writes `text` into a row of blanks, unless something stands there.
fn place(row: &mut [char], at: usize, text: &str) {
    let cells = row.iter().skip(at).take(text.chars().count() + 1);
    if cells.clone().count() >= text.chars().count() && cells.into_iter().all(|cell| *cell == ' ') {
        for (cell, letter) in row.iter_mut().skip(at).zip(text.chars()) {
            *cell = letter;
        }
    }
}

fn blank() -> Vec<char> {
    vec![' '; usize::try_from(COLUMNS).unwrap_or(0)]
}

fn axis(page: &mut String, length: u64) {
    let mut row = blank();
    let tick = tick_s(length, 9);
    for after in (0..).map(|number| number * tick).take_while(|after| *after <= length) {
        place(&mut row, column(after, length), &span(after));
    }
    line(page, &format!("      {}", row.iter().collect::<String>()));
}

/// A row of ring names where they open, and one of marks where something stopped or went on.
fn marks(page: &mut String, report: &Report, length: u64) {
    let mut row = blank();
    for ring in &report.rings {
        if let Some(after) = ring.opened_s {
            place(&mut row, column(after, length), &format!("^{}", ring.name));
        }
    }
    line(page, &format!("rings {}", row.iter().collect::<String>()));
    let mut row = blank();
    let mut legend: Vec<String> = Vec::new();
    for event in &report.events {
        let Some((sign, name)) = mark(&event.what) else { continue };
        if let Some(cell) = row.get_mut(column(event.after_s, length)) {
            // What stops the rollout is worth more than what lets it go on.
            if *cell == ' ' || *cell == '>' {
                *cell = sign;
            }
        }
        let entry = format!("{sign} {name}");
        if !legend.contains(&entry) {
            legend.push(entry);
        }
    }
    if !legend.is_empty() {
        line(page, &format!("stops {}", row.iter().collect::<String>()));
        line(page, &format!("      {}", legend.join("   ")));
    }
}

fn or_dash(after_s: Option<u64>) -> String {
    after_s.map_or_else(|| "-".to_owned(), span)
}

fn rings(page: &mut String, report: &Report) {
    line(
        page,
        &format!(
            "{:<17} {:>8} {:>10} {:>10} {:>10} {:>7} {:>8}",
            "RING", "CLUSTERS", "PLANNED", "OPENED", "CONVERGED", "BEGUN", "FAILED"
        ),
    );
    for ring in &report.rings {
        let RingReport { name, clusters, planned_s, opened_s, converged_s, begun, failed, .. } =
            ring;
        let name: String = name.as_str().chars().take(17).collect();
        let [planned, opened, converged] = [*planned_s, *opened_s, *converged_s].map(or_dash);
        line(
            page,
            &format!(
                "{name:<17} {clusters:>8} {planned:>10} {opened:>10} {converged:>10} {begun:>7} \
                 {failed:>8}"
            ),
        );
    }
    line(page, "");
}

fn exposure(page: &mut String, report: &Report, harm: &Harm) {
    let Harm { before_halt, at_end, .. } = harm;
    line(page, &format!("BAD RELEASE: it would harm {} clusters", harm.harmed));
    let whole = |clusters| report.share(clusters);
    match (harm.halted_s, harm.time_to_halt_s) {
        (Some(halted), Some(time)) => {
            let (halted, time) = (span(halted), span(time));
            line(page, &format!("  halted after {halted}, {time} after it hit the first cluster"));
        }
        (Some(halted), None) => line(page, &format!("  halted after {}", span(halted))),
        (None, _) => line(page, "  never halted"),
    }
    line(
        page,
        &format!(
            "  {:<10} {} began ({}), {} hit ({})",
            if harm.halted_s.is_some() { "by then" } else { "in all" },
            before_halt.begun,
            whole(before_halt.begun),
            before_halt.hit,
            before_halt.hit_share
        ),
    );
    for ring in harm.by_ring.iter().filter(|ring| ring.begun > 0) {
        line(page, &format!("    {:<20} {} began, {} hit", ring.ring, ring.begun, ring.hit));
    }
    if at_end != before_halt {
        line(page, &format!("  at the end {} hit ({})", at_end.hit, at_end.hit_share));
    }
    for (what, shadow) in [
        ("if no health can be read", &harm.if_unreadable),
        ("if harm looks healthy", &harm.if_unseen),
    ] {
        let end = &shadow.at_end;
        line(page, &format!("  {what}: {} hit ({})", end.hit, end.hit_share));
        let after = shadow.hit_after.iter().map(|hit| format!("{} {}", span(hit.after_s), hit.hit));
        line(page, &format!("    after {}", after.collect::<Vec<_>>().join(", ")));
        if shadow.ended != Ending::Converged {
            line(page, &format!("    {}", ending(shadow.ended)));
        }
    }
    line(page, "");
}

fn waits(page: &mut String, report: &Report) {
    if report.waits.is_empty() {
        return;
    }
    line(page, &format!("{:<20} {:>14} {:>8}  FIRST", "WAITED FOR", "CLUSTER-HOURS", "MOST"));
    for wait in &report.waits {
        let first = span(wait.first_s);
        line(
            page,
            &format!("{:<20} {:>14} {:>8}  {first}", wait.reason, wait.cluster_hours, wait.most),
        );
    }
    line(page, "");
}

fn events(page: &mut String, report: &Report) {
    line(page, &format!("{:>12}  EVENT", "AFTER"));
    for event in report.events.iter().take(EVENTS_SHOWN) {
        let mut text = event.what.replace('_', " ");
        if let Some(ring) = &event.ring {
            // Writing to a String cannot fail.
            let _infallible = write!(text, ": {ring}");
        }
        if let Some(detail) = &event.detail {
            let _infallible = write!(text, " ({detail})");
        }
        let cut: String =
            format!("{:>12}  {text}", span(event.after_s)).chars().take(WIDTH).collect();
        line(page, &cut);
    }
    let rest = report.events.len().saturating_sub(EVENTS_SHOWN);
    if rest > 0 {
        line(page, &format!("{:>12}  {rest} more are in the JSON", ""));
    }
}

//! The report as an SVG: planned against simulated, rings as bands, halts as lines.
//!
//! It stands alone: no script, no font, no link. What colours say is also said in words.

use std::fmt::Write as _;

use super::{length_s, mark, span, tick_s};
use crate::simulate::report::{CurvePoint, Report};

/// The picture, in pixels.
const WIDTH: u64 = 900;
const HEIGHT: u64 = 460;
/// The plot inside it.
const LEFT: u64 = 60;
const TOP: u64 = 70;
const PLOT_WIDTH: u64 = 810;
const PLOT_HEIGHT: u64 = 310;
/// Names of more rings than this would stand on each other.
const NAMES_MAX: usize = 12;
/// Labels of more stops than this would, too; the lines are all drawn.
const LABELS_MAX: usize = 16;

const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-size:16px}\
.band{fill:#eef2f7}.band.odd{fill:#dde6f0}.stopped{fill:#c00;fill-opacity:.12}\
.grid{stroke:#999;stroke-width:.5}.plan{fill:none;stroke:#555;stroke-width:2;stroke-dasharray:6 4}\
.begun{fill:#1769aa;fill-opacity:.25}.line{fill:none;stroke:#1769aa;stroke-width:2}\
.failed{fill:none;stroke:#c00;stroke-width:2}.mark{stroke:#c00;stroke-width:1.5}\
@media(prefers-color-scheme:dark){svg{background:#161b22}text{fill:#ddd}.band{fill:#1c2430}\
.band.odd{fill:#243044}.plan{stroke:#bbb}.begun{fill:#58a6ff}.line{stroke:#58a6ff}}";

/// The chart.
pub fn svg(report: &Report) -> String {
    let title = escaped(&format!(
        "Rollout of {} to {} under policy {}",
        report.release, report.fleet, report.policy
    ));
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title desc\">\n<title id=\"title\">{title}</title>\n\
         <desc id=\"desc\">{}</desc>\n<style>{STYLE}</style>\n",
        escaped(&description(report))
    );
    let _infallible = writeln!(page, "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{title}</text>");
    bands(&mut page, report);
    stopped(&mut page, report);
    axes(&mut page, report);
    curves(&mut page, report);
    marks(&mut page, report);
    legend(&mut page);
    page.push_str("</svg>\n");
    page
}

fn description(report: &Report) -> String {
    let totals = &report.totals;
    let stops = report.events.iter().filter(|event| event.what == "halted").count();
    format!(
        "{} clusters over {}: {} succeeded, {} failed, {} never began; {stops} halts.",
        report.clusters,
        span(report.ended_after_s),
        totals.succeeded,
        totals.failed,
        totals.not_started
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter if letter.is_control() => safe.push(char::REPLACEMENT_CHARACTER),
            letter => safe.push(letter),
        }
    }
    safe
}

fn x(report: &Report, after_s: u64) -> u64 {
    LEFT + after_s.min(length_s(report)) * PLOT_WIDTH / length_s(report)
}

fn y(report: &Report, clusters: u32) -> u64 {
    let up = u64::from(clusters) * PLOT_HEIGHT / u64::from(report.clusters.max(1));
    TOP + PLOT_HEIGHT - up.min(PLOT_HEIGHT)
}

fn rect(page: &mut String, class: &str, from: u64, to: u64) {
    let width = to.saturating_sub(from);
    let _infallible = writeln!(
        page,
        "<rect class=\"{class}\" x=\"{from}\" y=\"{TOP}\" width=\"{width}\" height=\"{PLOT_HEIGHT}\"/>"
    );
}

/// From the opening of each ring to that of the next.
fn bands(page: &mut String, report: &Report) {
    let opened: Vec<(&str, u64)> = report
        .rings
        .iter()
        .filter_map(|ring| Some((ring.name.as_str(), x(report, ring.opened_s?))))
        .collect();
    for (index, (name, from)) in opened.iter().enumerate() {
        let to = opened.get(index + 1).map_or(LEFT + PLOT_WIDTH, |(_, next)| *next);
        rect(page, if index % 2 == 0 { "band" } else { "band odd" }, *from, to);
        if opened.len() <= NAMES_MAX {
            let (from, row) = (from + 3, TOP - 20 + 12 * u64::from(index % 2 == 1));
            let name = escaped(name);
            let _infallible = writeln!(page, "<text x=\"{from}\" y=\"{row}\">{name}</text>");
        }
    }
}

/// Where the rollout stands still.
fn stopped(page: &mut String, report: &Report) {
    let mut since: Option<u64> = None;
    for point in &report.curve {
        let here = x(report, point.after_s);
        match (since, point.stopped) {
            (None, true) => since = Some(here),
            (Some(from), false) => {
                rect(page, "stopped", from, here);
                since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    if let Some(from) = since {
        rect(page, "stopped", from, LEFT + PLOT_WIDTH);
    }
}

fn axes(page: &mut String, report: &Report) {
    let right = LEFT + PLOT_WIDTH;
    for quarter in 0..=4 {
        let (y, percent) = (TOP + PLOT_HEIGHT - PLOT_HEIGHT * quarter / 4, quarter * 25);
        let _infallible = writeln!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{percent}%</text>",
            LEFT - 6,
            y + 4
        );
    }
    let (length, bottom) = (length_s(report), TOP + PLOT_HEIGHT);
    let tick = tick_s(length, 12);
    for after in (0..).map(|number| number * tick).take_while(|after| *after <= length) {
        let (x, label) = (x(report, after), span(after));
        let _infallible = writeln!(
            page,
            "<line class=\"grid\" x1=\"{x}\" y1=\"{bottom}\" x2=\"{x}\" y2=\"{}\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            bottom + 5,
            bottom + 19
        );
    }
}

fn points(report: &Report, figure: fn(&CurvePoint) -> u32) -> String {
    let points = report
        .curve
        .iter()
        .map(|point| format!("{},{}", x(report, point.after_s), y(report, figure(point))));
    points.collect::<Vec<_>>().join(" ")
}

fn curves(page: &mut String, report: &Report) {
    let (bottom, right) = (TOP + PLOT_HEIGHT, LEFT + PLOT_WIDTH);
    let begun = points(report, |point| point.begun);
    let planned = points(report, |point| point.planned);
    let failed = points(report, |point| point.failed);
    let _infallible = writeln!(
        page,
        "<polygon class=\"begun\" points=\"{LEFT},{bottom} {begun} {right},{bottom}\"/>\n\
         <polyline class=\"line\" points=\"{begun}\"/>\n\
         <polyline class=\"plan\" points=\"{planned}\"/>\n\
         <polyline class=\"failed\" points=\"{failed}\"/>"
    );
}

fn marks(page: &mut String, report: &Report) {
    let stops = report.events.iter().filter_map(|event| Some((event, mark(&event.what)?.1)));
    for (number, (event, name)) in stops.enumerate() {
        let (x, bottom) = (x(report, event.after_s), TOP + PLOT_HEIGHT);
        let _infallible = writeln!(
            page,
            "<line class=\"mark\" x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{bottom}\">\
             <title>{name} after {}</title></line>",
            span(event.after_s)
        );
        if number < LABELS_MAX {
            let row = TOP + 14 + 14 * u64::try_from(number).unwrap_or(0);
            // A label at the right edge ends at its line.
            let (x, anchor) = if x > WIDTH - 150 { (x - 4, "end") } else { (x + 4, "start") };
            let _infallible = writeln!(
                page,
                "<text x=\"{x}\" y=\"{row}\" text-anchor=\"{anchor}\">{name}</text>"
            );
        }
    }
}

fn legend(page: &mut String) {
    let y = HEIGHT - 22;
    let (line, text) = (y, y + 4);
    for (x, class, name) in [
        (LEFT, "plan", "planned (eligible)"),
        (LEFT + 220, "begun", "simulated (begun)"),
        (LEFT + 440, "failed", "failed"),
        (LEFT + 580, "stopped", "stopped"),
    ] {
        let (from, to) = (line - 6, x + 30);
        let _infallible = writeln!(
            page,
            "<path class=\"{class}\" d=\"M{x} {from}H{to}V{}H{x}Z\"/><text x=\"{}\" y=\"{text}\">{name}</text>",
            line + 6,
            to + 6
        );
    }
}

//! SVG: one lane per minor, old releases on the left and at the top, risks numbered on the lines
//! and listed below.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::edges::{Drawn, drawn};
use super::layout::{BOX_HEIGHT, HEADER, Layout, MARGIN};
use super::{DrawError, MAX_DRAWN_NODES};
use crate::graph::{Graph, Node};

/// Height of one line of the list of risks.
const LEGEND_ROW: i64 = 24;
/// Longest line of the list of risks, in characters; the rest is in the graph itself.
const LEGEND_CHARACTERS: usize = 96;
/// Narrowest picture: the description fits on it.
const MIN_WIDTH: i64 = 760;

/// Colours follow the reader's scheme; nothing is told by colour alone.
const STYLE: &str = "\
svg{--ink:#1b1f24;--dim:#59636e;--paper:#fff;--lane:#f3f5f7;--line:#57606a;--risk:#9a4b00;\
background:var(--paper);font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}\
@media(prefers-color-scheme:dark){svg{--ink:#e6edf3;--dim:#9198a1;--paper:#0d1117;--lane:#161b22;\
--line:#8b949e;--risk:#f0a35e}}\
text{fill:var(--ink)}.dim{fill:var(--dim);font-size:11px}.name{font-weight:700;font-size:15px}\
.lane{fill:var(--lane)}.box{fill:var(--paper);stroke:var(--line)}.head .box{stroke-width:3}\
.withdrawn .box{stroke-dasharray:4 3}.withdrawn .version{text-decoration:line-through}\
.edge{fill:none;stroke:var(--line);stroke-width:1.3;marker-end:url(#fw-arrow)}\
.risk{stroke:var(--risk);stroke-dasharray:6 4;marker-end:url(#fw-arrow-risk)}\
.back{stroke-dasharray:1 4;stroke-linecap:round}\
.badge{fill:var(--paper);stroke:var(--risk)}.number{fill:var(--risk);font-size:11px}\
.arrow{fill:var(--line)}.arrow-risk{fill:var(--risk)}";

/// The graph as one SVG document, with a title and a description for those who cannot see it.
pub fn svg(graph: &Graph) -> Result<String, DrawError> {
    let nodes = graph.nodes().len();
    if nodes > MAX_DRAWN_NODES {
        return Err(DrawError::TooLarge { nodes, limit: MAX_DRAWN_NODES });
    }
    let (layout, edges) = (Layout::new(graph), drawn(graph));
    let groups: Vec<usize> =
        edges.iter().filter_map(|edge| edge.group).collect::<BTreeSet<_>>().into_iter().collect();
    let legend = i64::try_from(groups.len()).unwrap_or(0) * LEGEND_ROW;
    let width = layout.width.max(MIN_WIDTH);
    let height = layout.bottom + MARGIN + legend + MARGIN;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _infallible = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"fw-title fw-desc\">"
    );
    let (title, description) = (title(graph), description(graph, &edges));
    let _infallible = writeln!(text, "<title id=\"fw-title\">{}</title>", xml(&title));
    let _infallible = writeln!(text, "<desc id=\"fw-desc\">{}</desc>", xml(&description));
    let _infallible = writeln!(text, "<style>{STYLE}</style>");
    text.push_str("<defs>\n");
    for (id, class) in [("fw-arrow", "arrow"), ("fw-arrow-risk", "arrow-risk")] {
        let _infallible = writeln!(
            text,
            "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
             markerHeight=\"8\" orient=\"auto\"><path class=\"{class}\" d=\"M0 0L8 4L0 8z\"/>\
             </marker>"
        );
    }
    text.push_str("</defs>\n");
    let (x, name) = (MARGIN, xml(&title));
    let _infallible = writeln!(text, "<text class=\"name\" x=\"{x}\" y=\"28\">{name}</text>");
    let description = xml(&description);
    let _infallible = writeln!(text, "<text class=\"dim\" x=\"{x}\" y=\"48\">{description}</text>");
    lanes(&mut text, &layout);
    lines(&mut text, graph, &layout, &edges);
    for (index, node) in graph.nodes().iter().enumerate() {
        release(&mut text, node, graph.head_index() == Some(index), &layout, index);
    }
    badges(&mut text, &layout, &edges, &groups);
    risks(&mut text, graph, &groups, layout.bottom + MARGIN);
    text.push_str("</svg>\n");
    Ok(text)
}

fn title(graph: &Graph) -> String {
    graph.origin().map_or_else(
        || "Release graph".to_owned(),
        |origin| format!("{} {} {}", origin.product, origin.channel, origin.arch),
    )
}

fn description(graph: &Graph, edges: &[Drawn]) -> String {
    let number = |count: usize, one: &str| {
        if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
    };
    let nodes = graph.nodes();
    let all: usize = (0..nodes.len()).map(|index| graph.offers_at(index).count()).sum();
    let risky: usize = graph.conditional().iter().map(|group| group.edges.len()).sum();
    let withdrawn = nodes.iter().filter(|node| node.is_tombstone()).count();
    let head = graph.head().map_or_else(String::new, |head| format!(", head {head}"));
    format!(
        "{}{head}, {withdrawn} withdrawn. {}, {risky} with risks; {} drawn, longer ways imply the \
         rest.",
        number(nodes.len(), "release"),
        number(all, "edge"),
        edges.len()
    )
}

fn lanes(text: &mut String, layout: &Layout) {
    let (top, height) = (HEADER - 36, layout.bottom - HEADER + 48);
    for lane in &layout.lanes {
        let (x, width) = (lane.x - 12, layout.box_width + 24);
        let _infallible = writeln!(
            text,
            "<rect class=\"lane\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
             rx=\"8\"/><text class=\"name\" x=\"{}\" y=\"{}\">{}</text>",
            lane.x,
            top + 22,
            xml(&lane.name)
        );
    }
}

fn lines(text: &mut String, graph: &Graph, layout: &Layout, edges: &[Drawn]) {
    for edge in edges {
        let (from, to) = (&graph.nodes()[edge.from].version, &graph.nodes()[edge.to].version);
        let risks = edge.group.map_or_else(String::new, |group| {
            let risks = graph.conditional()[group].risks.iter().map(|risk| risk.name.as_str());
            format!(": {}", risks.collect::<Vec<_>>().join(", "))
        });
        let class = match (edge.group.is_some(), edge.to < edge.from) {
            (true, _) => "edge risk",
            (false, true) => "edge back",
            (false, false) => "edge",
        };
        let title = xml(&format!("{from} to {to}{risks}"));
        let path = layout.curve(edge).path();
        let _infallible =
            writeln!(text, "<path class=\"{class}\" d=\"{path}\"><title>{title}</title></path>");
    }
}

fn release(text: &mut String, node: &Node, head: bool, layout: &Layout, index: usize) {
    let place = layout.places[index];
    let class = match (node.is_tombstone(), head) {
        (true, _) => "withdrawn",
        (false, true) => "head",
        (false, false) => "plain",
    };
    let told = [
        (node.is_tombstone(), "withdrawn"),
        (head, "head"),
        (node.barrier().is_some(), "barrier"),
        (node.dead_end().is_some(), "dead end"),
    ];
    let words: Vec<&str> = told.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    let word = words.join(", ");
    let mut spoken = String::new();
    for more in
        [Some(word.as_str()).filter(|word| !word.is_empty()), node.barrier(), node.dead_end()]
    {
        spoken.extend(more.iter().flat_map(|more| [", ".to_owned(), xml(more)]));
    }
    if let Some(day) = node.eol() {
        let _infallible = write!(spoken, ", end of life {day}");
    }
    let (x, y, width) = (place.x, place.y, layout.box_width);
    let (middle, version) = (x + width / 2, xml(&node.version.to_string()));
    let _infallible = writeln!(
        text,
        "<g class=\"{class}\"><title>{version}{spoken}</title><rect class=\"box\" x=\"{x}\" \
         y=\"{y}\" width=\"{width}\" height=\"{BOX_HEIGHT}\" rx=\"5\"/><text class=\"version\" \
         x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{version}</text>",
        y + 20
    );
    if !word.is_empty() {
        let _infallible = writeln!(
            text,
            "<text class=\"dim\" x=\"{}\" y=\"{}\">{word}</text>",
            x + 2,
            y + BOX_HEIGHT + 12
        );
    }
    text.push_str("</g>\n");
}

fn badges(text: &mut String, layout: &Layout, edges: &[Drawn], groups: &[usize]) {
    for edge in edges {
        let Some(number) = edge.group.and_then(|group| groups.binary_search(&group).ok()) else {
            continue;
        };
        let (x, y) = layout.curve(edge).quarter();
        badge(text, x, y, number + 1);
    }
}

fn badge(text: &mut String, x: i64, y: i64, number: usize) {
    let _infallible = writeln!(
        text,
        "<circle class=\"badge\" cx=\"{x}\" cy=\"{y}\" r=\"9\"/><text class=\"number\" x=\"{x}\" \
         y=\"{}\" text-anchor=\"middle\">{number}</text>",
        y + 4
    );
}

/// The list of risks by number.
fn risks(text: &mut String, graph: &Graph, groups: &[usize], top: i64) {
    let mut y = top + LEGEND_ROW / 2;
    for (number, group) in groups.iter().enumerate() {
        let group = &graph.conditional()[*group];
        let names: Vec<String> =
            group.risks.iter().map(|risk| format!("{}: {}", risk.name, risk.message)).collect();
        let mut line: String = names.join("; ");
        if line.chars().count() > LEGEND_CHARACTERS {
            line = line.chars().take(LEGEND_CHARACTERS - 1).chain(['…']).collect();
        }
        badge(text, MARGIN + 9, y - 4, number + 1);
        let _infallible =
            writeln!(text, "<text x=\"{}\" y=\"{y}\">{}</text>", MARGIN + 28, xml(&line));
        y += LEGEND_ROW;
    }
}

/// Text as XML 1.0 may hold it: marks escaped, line breaks as spaces, other control characters
/// replaced.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\r' | '\t' => safe.push(' '),
            '\u{fffe}' | '\u{ffff}' => safe.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() => safe.push(char::REPLACEMENT_CHARACTER),
            c => safe.push(c),
        }
    }
    safe
}

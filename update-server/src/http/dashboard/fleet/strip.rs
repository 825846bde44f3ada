//! The heat strip: every cluster a cell, the worst first; in a large fleet a cell is several.
//!
//! The table beside it holds the same figures.

use std::fmt::Write as _;

use channels::names::ProductRef;

use super::ask::Ask;
use crate::fleet::{Heat, HeatBy, HeatCell, HeatGroup, HeatMark, MAX_NEAR_HOPS};

/// Most cells of one product: more are too small to see.
const MAX_CELLS: u64 = 2000;
/// Side of a cell with its gap, in the drawing's own unit.
const PITCH: u64 = 10;
/// Side of a cell.
const SIDE: u64 = 8;
/// A full line where there is room, pixels: what is left of a desk's screen beside the names.
const FULL_WIDTH: u64 = 1000;

/// The clusters of one product.
#[derive(Debug)]
pub(super) struct Strip {
    /// How many clusters one cell stands for, at most.
    pub(super) per_cell: u64,
    /// What the table's columns are called.
    pub(super) columns: Vec<String>,
    pub(super) groups: Vec<Group>,
}

/// One group of them.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) clusters: u64,
    pub(super) width: u64,
    pub(super) height: u64,
    /// How wide it is shown where there is room.
    pub(super) pixels: u64,
    pub(super) runs: Vec<Run>,
    /// The group's line of the table, a number for each column.
    pub(super) figures: Vec<Figure>,
}

/// Cells beside each other that are alike, and lead to the list of their clusters.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) href: String,
    /// A class of the style sheet.
    pub(super) class: String,
    /// The name of the pattern above the colour, or nothing.
    pub(super) pattern: &'static str,
    pub(super) label: String,
    /// All cells as one path.
    pub(super) path: String,
}

/// A number that leads to the clusters it counts.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) clusters: u64,
    pub(super) href: Option<String>,
}

/// The strip of a product; `None` without clusters.
pub(super) fn strip(product: &ProductRef, groups: &[HeatGroup], ask: &Ask) -> Option<Strip> {
    let groups: Vec<&HeatGroup> = groups.iter().filter(|group| group.product == *product).collect();
    let all: u64 = groups.iter().map(|group| group.clusters()).sum();
    if all == 0 {
        return None;
    }
    let per_cell = round_up(all.div_ceil(MAX_CELLS));
    let widest = groups.iter().map(|group| group.clusters().div_ceil(per_cell)).max().unwrap_or(1);
    let columns = columns(widest);
    let shown = shown(&groups);
    Some(Strip {
        per_cell,
        columns: shown.iter().map(|column| column.name()).collect(),
        groups: groups.iter().map(|group| drawn(group, &shown, (per_cell, columns), ask)).collect(),
    })
}

/// 1, 2, 5, 10, 20, 50 …
fn round_up(number: u64) -> u64 {
    let mut scale: u64 = 1;
    loop {
        for step in [1, 2, 5] {
            let rounded = scale.saturating_mul(step);
            if rounded >= number {
                return rounded;
            }
        }
        scale = scale.saturating_mul(10);
    }
}

/// Cells in a line: few are large, many are small.
fn columns(widest: u64) -> u64 {
    match widest {
        0..=100 => 50,
        101..=600 => 80,
        _ => 125,
    }
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// Active ones, stuck or not.
    At(Heat),
    Stuck,
    Silent,
}

impl Column {
    fn name(self) -> String {
        match self {
            Self::At(heat) => words(heat),
            Self::Stuck => "of these stuck".to_owned(),
            Self::Silent => "silent".to_owned(),
        }
    }

    fn holds(self, mark: HeatMark, heat: Heat) -> bool {
        match self {
            Self::At(wanted) => wanted == heat && mark != HeatMark::Silent,
            Self::Stuck => mark == HeatMark::Stuck,
            Self::Silent => mark == HeatMark::Silent,
        }
    }

    fn filter(self) -> Vec<(&'static str, String)> {
        match self {
            Self::At(heat) => {
                let mut filter = distance(heat);
                filter.push(("activity", "active".to_owned()));
                filter
            }
            Self::Stuck => Vec::new(),
            Self::Silent => vec![("activity", "silent".to_owned())],
        }
    }
}

/// Those that any group has.
fn shown(groups: &[&HeatGroup]) -> Vec<Column> {
    let all = Heat::all().map(Column::At).chain([Column::Stuck, Column::Silent]);
    let is_there = |column: &Column| {
        let mut keys = groups.iter().flat_map(|group| group.cells.keys());
        keys.any(|(mark, heat)| column.holds(*mark, *heat))
    };
    all.filter(is_there).collect()
}

fn words(heat: Heat) -> String {
    match heat {
        Heat::OffGraph => "not in the graph".to_owned(),
        Heat::Stranded => "stranded".to_owned(),
        Heat::Behind(1) => "1 hop behind".to_owned(),
        Heat::Behind(MAX_NEAR_HOPS) => format!("{MAX_NEAR_HOPS} hops or more"),
        Heat::Behind(hops) => format!("{hops} hops behind"),
        Heat::Current => "on the head".to_owned(),
        Heat::NoGraph => "no graph".to_owned(),
    }
}

fn class(heat: Heat) -> String {
    match heat {
        Heat::OffGraph => "heat-off".to_owned(),
        Heat::Stranded => "heat-stranded".to_owned(),
        Heat::Behind(hops) => format!("heat-{hops}"),
        Heat::Current => "heat-0".to_owned(),
        Heat::NoGraph => "heat-none".to_owned(),
    }
}

/// The parameters of the list that select this distance.
fn distance(heat: Heat) -> Vec<(&'static str, String)> {
    let state = |name: &str| vec![("drift", name.to_owned())];
    match heat {
        Heat::OffGraph => state("off_graph"),
        Heat::Stranded => state("stranded"),
        Heat::Current => state("current"),
        Heat::NoGraph => state("no_graph"),
        Heat::Behind(hops) => {
            let mut filter = vec![("drift", "behind".to_owned()), ("hops_min", hops.to_string())];
            if hops < MAX_NEAR_HOPS {
                filter.push(("hops_max", hops.to_string()));
            }
            filter
        }
    }
}

/// Stuck ones first, then the others from the worst on, silent ones last.
fn order(group: &HeatGroup) -> Vec<(HeatMark, Heat, &HeatCell)> {
    let mut order = Vec::new();
    for mark in [HeatMark::Stuck, HeatMark::Plain, HeatMark::Silent] {
        for heat in Heat::all() {
            if let Some(cell) = group.cells.get(&(mark, heat)) {
                order.push((mark, heat, cell));
            }
        }
    }
    order
}

fn drawn(group: &HeatGroup, shown: &[Column], (per_cell, columns): (u64, u64), ask: &Ask) -> Group {
    let within = within(group, ask);
    let link = |filter: Vec<(&'static str, String)>| {
        let within = within.as_ref()?;
        let mut pairs: Vec<(&str, &str)> =
            within.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        pairs.extend(filter.iter().map(|(key, value)| (*key, value.as_str())));
        Some(ask.listing(&pairs))
    };
    let mut runs = Vec::new();
    let mut begin = 0;
    for (mark, heat, cell) in order(group) {
        let end = begin + cell.clusters.div_ceil(per_cell);
        let (pattern, href, said) = match mark {
            HeatMark::Stuck => ("stuck", Some("#stuck".to_owned()), "stuck, "),
            HeatMark::Silent => ("silent", link(Column::Silent.filter()), "silent, "),
            HeatMark::Plain => ("", link(Column::At(heat).filter()), ""),
        };
        let names = if cell.names.is_empty() {
            String::new()
        } else {
            format!(": {}", cell.names.join(", "))
        };
        runs.push(Run {
            href: href.unwrap_or_else(|| "#clusters".to_owned()),
            class: class(heat),
            pattern,
            label: format!("{} {said}{}{names}", cell.clusters, words(heat)),
            path: path(begin, end, columns),
        });
        begin = end;
    }
    let figure = |column: &Column| {
        let cells = group.cells.iter().filter(|((mark, heat), _)| column.holds(*mark, *heat));
        let clusters: u64 = cells.map(|(_, cell)| cell.clusters).sum();
        let href = match column {
            Column::Stuck => Some("#stuck".to_owned()),
            Column::At(_) | Column::Silent => link(column.filter()),
        };
        Figure { clusters, href: href.filter(|_| clusters > 0) }
    };
    // No wider than its cells, so that the few of a small fleet keep their size on a phone.
    let used = begin.min(columns).max(1);
    Group {
        name: name(group, &ask.by()),
        clusters: group.clusters(),
        width: used * PITCH,
        pixels: used * (FULL_WIDTH / columns),
        height: begin.div_ceil(columns).max(1) * PITCH,
        runs,
        figures: shown.iter().map(figure).collect(),
    }
}

fn name(group: &HeatGroup, by: &HeatBy) -> String {
    match (&group.name, by) {
        (Some(name), _) => name.clone(),
        (None, _) if group.is_rest => "all others".to_owned(),
        (None, HeatBy::Label(label)) => format!("without {label}"),
        (None, HeatBy::Channel) => String::new(),
    }
}

/// The parameters of the list that select the group; `None` where none do.
fn within(group: &HeatGroup, ask: &Ask) -> Option<Vec<(String, String)>> {
    if group.is_rest {
        return None;
    }
    let mut within = vec![("product".to_owned(), group.product.to_string())];
    match (ask.by(), &group.name) {
        (HeatBy::Channel, Some(channel)) => within.push(("channel".to_owned(), channel.clone())),
        (HeatBy::Channel, None) => {}
        (HeatBy::Label(label), value) => {
            let term = match value {
                Some(value) => format!("{label}={value}"),
                None => format!("!{label}"),
            };
            let terms = match ask.field("selector") {
                "" => term,
                others => format!("{others},{term}"),
            };
            within.push(("selector".to_owned(), terms));
        }
    }
    Some(within)
}

/// Squares from one place in the grid to another.
fn path(begin: u64, end: u64, columns: u64) -> String {
    let mut path = String::new();
    for place in begin..end {
        let (x, y) = (place % columns * PITCH, place / columns * PITCH);
        // Into a string: never fails.
        let _ = write!(path, "M{x} {y}h{SIDE}v{SIDE}h-{SIDE}z");
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn group(name: &str, counts: &[(HeatMark, Heat, u64)]) -> HeatGroup {
        let cell = |clusters| HeatCell { clusters, names: Vec::new() };
        HeatGroup {
            product: "acme/kafka".parse().unwrap(),
            name: Some(name.to_owned()),
            is_rest: false,
            cells: counts
                .iter()
                .map(|(mark, heat, n)| ((*mark, *heat), cell(*n)))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    fn of(groups: &[HeatGroup], query: &str) -> Strip {
        strip(&"acme/kafka".parse().unwrap(), groups, &Ask::read(query).unwrap()).unwrap()
    }

    fn cells(run: &Run) -> usize {
        run.path.matches('M').count()
    }

    #[test]
    fn every_cluster_is_a_cell_the_worst_first_and_nobody_is_left_out() {
        let groups = [group(
            "stable",
            &[
                (HeatMark::Plain, Heat::Current, 7),
                (HeatMark::Plain, Heat::Behind(2), 3),
                (HeatMark::Stuck, Heat::Behind(1), 1),
                (HeatMark::Silent, Heat::Current, 2),
            ],
        )];
        let strip = of(&groups, "");
        assert_eq!(strip.per_cell, 1);
        let drawn: Vec<_> =
            strip.groups[0].runs.iter().map(|run| (run.label.as_str(), cells(run))).collect();
        assert_eq!(
            drawn,
            [
                ("1 stuck, 1 hop behind", 1),
                ("3 2 hops behind", 3),
                ("7 on the head", 7),
                ("2 silent, on the head", 2)
            ]
        );
        let figures: Vec<u64> =
            strip.groups[0].figures.iter().map(|figure| figure.clusters).collect();
        assert_eq!(
            strip.columns,
            ["2 hops behind", "1 hop behind", "on the head", "of these stuck", "silent"]
        );
        assert_eq!(figures, [3, 1, 7, 1, 2]);
    }

    #[test]
    fn in_a_large_fleet_a_cell_is_several_and_one_stuck_cluster_still_has_its_own() {
        let groups = [group(
            "stable",
            &[(HeatMark::Plain, Heat::Current, 99_999), (HeatMark::Stuck, Heat::Current, 1)],
        )];
        let strip = of(&groups, "");
        assert_eq!(strip.per_cell, 50);
        let drawn: Vec<usize> = strip.groups[0].runs.iter().map(cells).collect();
        assert_eq!(drawn, [1, 2000]);
        assert_eq!(strip.groups[0].height, 17 * PITCH);
    }

    #[test]
    fn the_few_cells_of_a_small_fleet_are_no_smaller_on_a_phone() {
        let strip = of(&[group("stable", &[(HeatMark::Plain, Heat::Current, 12)])], "");
        let drawn = &strip.groups[0];
        assert_eq!((drawn.width, drawn.pixels), (12 * PITCH, 240));
        let full = of(&[group("stable", &[(HeatMark::Plain, Heat::Current, 4000)])], "");
        assert_eq!((full.groups[0].width, full.groups[0].pixels), (125 * PITCH, FULL_WIDTH));
    }

    #[test]
    fn a_run_leads_to_the_list_of_its_clusters() {
        let groups = [group("eu", &[(HeatMark::Plain, Heat::Behind(2), 3)])];
        let href = |query: &str| of(&groups, query).groups[0].runs[0].href.clone();
        assert_eq!(
            href(""),
            "/?product=acme%2Fkafka&channel=eu&drift=behind&hops_min=2&hops_max=2&activity=active#clusters"
        );
        assert_eq!(
            href("group=region&selector=ring"),
            "/?group=region&product=acme%2Fkafka&selector=ring%2Cregion%3Deu&drift=behind&hops_min=2\
             &hops_max=2&activity=active#clusters"
        );
    }

    #[test]
    fn numbers_of_clusters_per_cell_are_round() {
        for (number, rounded) in [(0, 1), (1, 1), (3, 5), (6, 10), (11, 20), (50, 50), (501, 1000)]
        {
            assert_eq!(round_up(number), rounded);
        }
    }
}

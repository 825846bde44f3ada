//! The drift matrix: which versions the active clusters run, and how many days behind that is.

use std::collections::BTreeMap;

use channels::names::ProductRef;
use channels::version::ReleaseVersion;

use super::ask::Ask;
use super::strip::Figure;
use crate::fleet::Standing;

/// Versions with a line of their own, the newest.
const MAX_VERSIONS: usize = 20;
/// Ages, in days: a week, a month, a quarter, half a year.
const AGES: [(&str, u64, Option<u64>); 6] = [
    ("0", 0, Some(0)),
    ("1–7", 1, Some(7)),
    ("8–30", 8, Some(30)),
    ("31–90", 31, Some(90)),
    ("91–180", 91, Some(180)),
    ("over 180", 181, None),
];
/// Of what has no way to the head nobody knows how old it is.
const NO_AGE: &str = "not known";

/// Versions by age of one product.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) ages: Vec<&'static str>,
    pub(super) lines: Vec<Line>,
    /// The sums of the columns.
    pub(super) sums: Vec<u64>,
    pub(super) all: u64,
}

/// One version, or all older ones.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) version: String,
    /// Whether some channel's head is this.
    pub(super) is_head: bool,
    pub(super) cells: Vec<Shaded>,
    pub(super) sum: Figure,
}

/// A number with a shade that says how large a share it is, 0 to 4.
#[derive(Debug)]
pub(super) struct Shaded {
    pub(super) figure: Figure,
    pub(super) shade: u64,
}

/// Counts by place in [`AGES`]; one more for what is not known.
type Counts = [u64; AGES.len() + 1];

fn place(age_days: Option<u64>) -> usize {
    let Some(days) = age_days else { return AGES.len() };
    let fits = |(_, least, most): &(&str, u64, Option<u64>)| {
        days >= *least && most.is_none_or(|most| days <= most)
    };
    AGES.iter().position(fits).unwrap_or(AGES.len())
}

/// The matrix of a product; `None` where nothing is counted.
pub(super) fn matrix(product: &ProductRef, standings: &[Standing], ask: &Ask) -> Option<Matrix> {
    let mut versions: BTreeMap<&ReleaseVersion, (Counts, bool)> = BTreeMap::new();
    let about = |standing: &&Standing| {
        standing.graph.product == *product
            && ask.channel.as_ref().is_none_or(|channel| *channel == standing.graph.channel)
    };
    for standing in standings.iter().filter(about) {
        let (counts, is_head) = versions.entry(&standing.version).or_default();
        if let Some(count) = counts.get_mut(place(standing.drift.age_days)) {
            *count += standing.clusters;
        }
        *is_head |= standing.drift.head.as_ref() == Some(&standing.version);
    }
    let mut sums = Counts::default();
    for (counts, _) in versions.values() {
        add(&mut sums, counts);
    }
    let all: u64 = sums.iter().sum();
    if all == 0 {
        return None;
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut older = Counts::default();
    for (number, (version, (counts, is_head))) in versions.into_iter().rev().enumerate() {
        if number < MAX_VERSIONS {
            lines.push(line(product, Some(version), &counts, (is_head, all), ask));
        } else {
            add(&mut older, &counts);
        }
    }
    if older.iter().any(|count| *count > 0) {
        lines.push(line(product, None, &older, (false, all), ask));
    }
    let ages = AGES.iter().map(|(name, ..)| *name).chain([NO_AGE]).collect();
    Some(Matrix { ages, lines, sums: sums.to_vec(), all })
}

fn add(sum: &mut Counts, counts: &Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}

fn line(
    product: &ProductRef,
    version: Option<&ReleaseVersion>,
    counts: &Counts,
    (is_head, all): (bool, u64),
    ask: &Ask,
) -> Line {
    let product = product.to_string();
    let text = version.map(ToString::to_string);
    let link = |ages: &[(&str, String)]| {
        let mut filter = vec![("product", product.as_str()), ("activity", "active")];
        filter.push(("version", text.as_deref()?));
        filter.extend(ages.iter().map(|(key, value)| (*key, value.as_str())));
        Some(ask.listing(&filter))
    };
    let bounds = |place: usize| {
        let (_, least, most) = AGES.get(place)?;
        let mut bounds = vec![("age_min_days", least.to_string())];
        bounds.extend(most.map(|most| ("age_max_days", most.to_string())));
        Some(bounds)
    };
    let cells = counts.iter().enumerate().map(|(place, &clusters)| {
        let href = bounds(place).and_then(|bounds| link(&bounds)).filter(|_| clusters > 0);
        Shaded { figure: Figure { clusters, href }, shade: shade(clusters, all) }
    });
    let cells = cells.collect();
    let sum = Figure { clusters: counts.iter().sum(), href: link(&[]) };
    Line { version: text.unwrap_or_else(|| "older".to_owned()), is_head, cells, sum }
}

/// Nothing, up to 1 %, 10 %, 40 %, more.
fn shade(part: u64, all: u64) -> u64 {
    let percent = part.saturating_mul(100).div_ceil(all.max(1));
    match percent {
        0 => 0,
        1 => 1,
        2..=10 => 2,
        11..=40 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use channels::wire::{Drift, DriftState};

    use super::*;
    use crate::fleet::GraphKey;

    fn standing(channel: &str, version: &str, age_days: Option<u64>, clusters: u64) -> Standing {
        let graph = GraphKey {
            product: "acme/kafka".parse().unwrap(),
            channel: channel.parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        };
        let drift = Drift {
            state: DriftState::Behind,
            age_days,
            head: Some("2.0.0".parse().unwrap()),
            ..Drift::no_graph()
        };
        Standing { graph, version: version.parse().unwrap(), drift, clusters }
    }

    fn of(standings: &[Standing], query: &str) -> Matrix {
        matrix(&"acme/kafka".parse().unwrap(), standings, &Ask::read(query).unwrap()).unwrap()
    }

    #[test]
    fn versions_stand_newest_first_by_age_and_every_sum_is_right() {
        let standings = [
            standing("stable", "1.0.0", Some(40), 5),
            standing("fast", "1.0.0", Some(12), 2),
            standing("stable", "2.0.0", Some(0), 9),
            standing("stable", "0.9.0", None, 1),
        ];
        let matrix = of(&standings, "");
        let versions: Vec<_> = matrix.lines.iter().map(|line| line.version.as_str()).collect();
        assert_eq!(versions, ["2.0.0", "1.0.0", "0.9.0"]);
        assert!(matrix.lines[0].is_head && !matrix.lines[1].is_head);
        let counts =
            |line: &Line| line.cells.iter().map(|cell| cell.figure.clusters).collect::<Vec<_>>();
        assert_eq!(counts(&matrix.lines[1]), [0, 0, 2, 5, 0, 0, 0]);
        assert_eq!((matrix.sums, matrix.all), (vec![9, 0, 2, 5, 0, 0, 1], 17));
        let fast = of(&standings, "channel=fast");
        assert_eq!((fast.lines.len(), fast.all), (1, 2));
    }

    #[test]
    fn a_number_leads_to_its_clusters_and_one_of_unknown_age_to_none() {
        let standings =
            [standing("stable", "1.0.0", Some(200), 5), standing("stable", "1.0.0", None, 1)];
        let matrix = of(&standings, "ring=a");
        let cells = &matrix.lines[0].cells;
        assert_eq!(
            cells[5].figure.href.as_deref(),
            Some(
                "/?ring=a&product=acme%2Fkafka&activity=active&version=1.0.0&age_min_days=181#clusters"
            )
        );
        assert_eq!((cells[6].figure.clusters, &cells[6].figure.href), (1, &None));
        assert_eq!(cells[0].figure.href, None, "nothing to see");
    }

    #[test]
    fn many_versions_end_in_a_line_for_the_rest() {
        let standings: Vec<Standing> =
            (0..25).map(|n| standing("stable", &format!("1.{n}.0"), Some(n), 1)).collect();
        let matrix = of(&standings, "");
        assert_eq!(matrix.lines.len(), MAX_VERSIONS + 1);
        let last = matrix.lines.last().unwrap();
        assert_eq!((last.version.as_str(), last.sum.clusters, &last.sum.href), ("older", 5, &None));
    }

    #[test]
    fn every_age_has_its_column() {
        for (days, column) in
            [(0, 0), (1, 1), (7, 1), (8, 2), (90, 3), (180, 4), (181, 5), (9999, 5)]
        {
            assert_eq!(place(Some(days)), column, "{days}");
        }
    }
}

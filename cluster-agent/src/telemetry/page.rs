//! One metrics page, read for the wanted families through `prometheus-parse`.

use std::collections::BTreeMap;

use prometheus_parse::{Scrape, Value};

use super::filter::{FamilyLines, filter};
use super::wanted::{FamilyKind, Wanted};

/// The page as a whole cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Too large to be looked at.
    #[error("the page is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// The last line has no end, so lines may be missing behind it.
    #[error("the page is cut off: its last line is not terminated")]
    Truncated,
}

/// One sample; bucket and quantile lines of one label set are folded into one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Family name for folded samples, the line's own name (`…_count`) otherwise.
    pub name: String,
    /// Labels without `le` and `quantile` of folded samples.
    pub labels: BTreeMap<String, String>,
    /// Its value; `NaN` and infinities are passed on as they are.
    pub value: SampleValue,
}

/// A sample's value.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A plain number.
    Number(f64),
    /// Upper bound and cumulative count, ascending.
    Buckets(Vec<(f64, f64)>),
    /// Quantile and value, ascending.
    Quantiles(Vec<(f64, f64)>),
}

impl Sample {
    /// The number of a plain sample.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            SampleValue::Number(number) => Some(number),
            SampleValue::Buckets(_) | SampleValue::Quantiles(_) => None,
        }
    }

    fn leaves(&self) -> usize {
        match &self.value {
            SampleValue::Number(_) => 1,
            SampleValue::Buckets(leaves) | SampleValue::Quantiles(leaves) => leaves.len(),
        }
    }
}

/// What the page says about one wanted family.
#[derive(Debug, Clone, PartialEq)]
pub enum FamilyReading {
    /// Every sample of it, at least one.
    Read(Vec<Sample>),
    /// The page has none.
    Absent,
    /// It has some, but they cannot all be read right: unknown, never absent or healthy.
    Unreadable {
        /// The rule its line breaks.
        why: String,
        /// The first such line, from 1; 0 if no single line is to blame.
        line_no: usize,
    },
}

/// A page read for wanted families.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    families: BTreeMap<String, FamilyReading>,
    oldest_timestamp_ms: Option<i64>,
}

impl Page {
    /// Reads `body` for the wanted families.
    pub fn read(body: &[u8], wanted: &Wanted) -> Result<Self, PageError> {
        let filtered = filter(body, wanted)?;
        let mut parsed = parse(&filtered, wanted);
        let mut oldest_timestamp_ms: Option<i64> = None;
        let mut families = BTreeMap::new();
        for (index, ((name, _), lines)) in wanted.families().zip(&filtered).enumerate() {
            let samples = parsed.remove(&index).unwrap_or_default();
            if let Some(ms) = lines.oldest_timestamp_ms {
                oldest_timestamp_ms = Some(oldest_timestamp_ms.map_or(ms, |old| old.min(ms)));
            }
            families.insert(name.to_owned(), reading(lines, samples));
        }
        Ok(Self { families, oldest_timestamp_ms })
    }

    /// What was read of `family`; families that were not wanted are absent.
    pub fn family(&self, family: &str) -> &FamilyReading {
        self.families.get(family).unwrap_or(&FamilyReading::Absent)
    }

    /// Every wanted family, by name.
    pub fn readings(&self) -> impl Iterator<Item = (&str, &FamilyReading)> {
        self.families.iter().map(|(name, reading)| (name.as_str(), reading))
    }

    /// The oldest explicit sample timestamp of all wanted families, unix milliseconds.
    pub fn oldest_timestamp_ms(&self) -> Option<i64> {
        self.oldest_timestamp_ms
    }
}

fn reading(lines: &FamilyLines<'_>, samples: Vec<Sample>) -> FamilyReading {
    if let Some((why, line_no)) = lines.refused {
        return FamilyReading::Unreadable { why: why.to_owned(), line_no };
    }
    let leaves: usize = samples.iter().map(Sample::leaves).sum();
    if leaves != lines.lines.len() {
        let why = format!("{} samples went into the parser, {leaves} came out", lines.lines.len());
        return FamilyReading::Unreadable { why, line_no: 0 };
    }
    if samples.is_empty() { FamilyReading::Absent } else { FamilyReading::Read(samples) }
}

/// Runs the crate over the lines that passed; samples by index of their family.
fn parse(filtered: &[FamilyLines<'_>], wanted: &Wanted) -> BTreeMap<usize, Vec<Sample>> {
    let mut text: Vec<String> = Vec::new();
    for ((name, kind), lines) in wanted.families().zip(filtered) {
        if lines.refused.is_some() || lines.lines.is_empty() {
            continue;
        }
        match kind {
            FamilyKind::Number => {}
            FamilyKind::Histogram => text.push(format!("# TYPE {name} histogram")),
            FamilyKind::Summary => text.push(format!("# TYPE {name} summary")),
        }
        text.extend(lines.lines.iter().map(|&line| line.to_owned()));
    }
    let mut by_family: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
    #[expect(clippy::default_trait_access, reason = "the type belongs to a crate we do not use")]
    // The default time is the epoch: explicit timestamps are the filter's business.
    let scrape = Scrape::parse_at(text.into_iter().map(Ok), Default::default());
    let Ok(scrape) = scrape else { return by_family };
    for sample in scrape.samples {
        let sample = convert(sample);
        let name = sample.name.as_bytes();
        let owner = match sample.value {
            SampleValue::Number(_) => wanted.line(name).map(|(index, _)| index),
            SampleValue::Buckets(_) | SampleValue::Quantiles(_) => {
                wanted.family(name).map(|(index, _)| index)
            }
        };
        if let Some(index) = owner {
            by_family.entry(index).or_default().push(sample);
        }
    }
    for samples in by_family.values_mut() {
        samples.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
    }
    by_family
}

fn convert(sample: prometheus_parse::Sample) -> Sample {
    let value = match sample.value {
        Value::Counter(number) | Value::Gauge(number) | Value::Untyped(number) => {
            SampleValue::Number(number)
        }
        Value::Histogram(buckets) => {
            let leaves = buckets.into_iter().map(|bucket| (bucket.less_than, bucket.count));
            SampleValue::Buckets(ascending(leaves.collect()))
        }
        Value::Summary(quantiles) => {
            let leaves = quantiles.into_iter().map(|value| (value.quantile, value.count));
            SampleValue::Quantiles(ascending(leaves.collect()))
        }
    };
    let labels = BTreeMap::from_iter((*sample.labels).clone());
    Sample { name: sample.metric, labels, value }
}

fn ascending(mut leaves: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    leaves.sort_by(|a, b| a.0.total_cmp(&b.0));
    leaves
}

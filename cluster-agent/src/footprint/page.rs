//! A page of metrics being written: families in order, as Prometheus's plain text.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Names and values of one sample's labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// What counters are called in the text beyond what the library calls them.
const COUNTER_SUFFIX: &str = "_total";

/// A page being written.
#[derive(Debug, Default)]
pub(super) struct Page {
    registry: Registry,
}

impl Page {
    /// A family of gauges; nothing is written of one without samples.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).set(value);
        }
        self.registry.register(name, help, family);
    }

    /// A single gauge, if it has a value.
    pub(super) fn single(&mut self, name: &str, help: &str, value: Option<f64>) {
        let Some(value) = value else { return };
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }

    /// A family of counters; `name` without `_total`.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let family = Family::<Labels, Counter<f64, AtomicU64>>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).inc_by(value);
        }
        self.registry.register(name, help, family);
    }

    /// A single counter; `name` without `_total`.
    pub(super) fn sum(&mut self, name: &str, help: &str, value: f64) {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(value);
        self.registry.register(name, help, counter);
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        let mut written = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut written, &self.registry);
        plain(&written)
    }
}

/// OpenMetrics as the older text form, which every scraper reads: counters carry their suffix in
/// the lines that describe them, and units and the end are not marked.
fn plain(openmetrics: &str) -> String {
    let described = |line: &str| {
        let rest = line.strip_prefix("# TYPE ").or_else(|| line.strip_prefix("# HELP "))?;
        rest.split_once(' ').map(|(name, _)| name.to_owned())
    };
    let counters: Vec<String> = openmetrics
        .lines()
        .filter(|line| line.starts_with("# TYPE ") && line.ends_with(" counter"))
        .filter_map(described)
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        match described(line).filter(|name| counters.contains(name)) {
            Some(name) => {
                text.push_str(&line.replacen(&name, &format!("{name}{COUNTER_SUFFIX}"), 1));
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_under_the_name_their_samples_have() {
        let mut page = Page::default();
        page.counter("pages", "Pages fetched", [(vec![("result", "ok".to_owned())], 3.0)]);
        page.single("started_seconds", "When", Some(2.5));
        page.single("unknown_seconds", "When", None);
        let expected = "# HELP pages_total Pages fetched.\n\
                        # TYPE pages_total counter\n\
                        pages_total{result=\"ok\"} 3.0\n\
                        # HELP started_seconds When.\n\
                        # TYPE started_seconds gauge\n\
                        started_seconds 2.5\n";
        assert_eq!(page.finish(), expected);
    }
}

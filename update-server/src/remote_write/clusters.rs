//! What is said of one cluster: lags, verdict and version of each product.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use channels::wire::HealthVerdict;

use super::config::Allowed;
use crate::fleet::ClusterRecord;

const HEALTH: &str = "fairway_cluster_health";
const INFO: &str = "fairway_cluster_info";
const PLEG_LAG: &str = "fairway_cluster_pleg_lag_seconds";
const QUORUM_LAG: &str = "fairway_cluster_quorum_lag_seconds";

/// Words that many clusters share, each kept once: at a million clusters the difference between a
/// hundred megabytes and a gigabyte.
#[derive(Debug, Default)]
pub(super) struct Words(BTreeSet<Arc<str>>);

impl Words {
    fn of(&mut self, word: String) -> Arc<str> {
        if let Some(known) = self.0.get(word.as_str()) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        self.0.insert(Arc::clone(&word));
        word
    }

    /// Forgets words that nobody uses any more.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|word| Arc::strong_count(word) > 1);
    }
}

/// What was said of a cluster last: enough to say what has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    name: Box<str>,
    products: Box<[Product]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Product {
    name: Arc<str>,
    channel: Arc<str>,
    version: Arc<str>,
    verdict: HealthVerdict,
    quorum_lag_ms: Option<u64>,
    pleg_lag_ms: Option<u64>,
}

/// One series of a cluster: its labels without the constant ones, and its value's bits.
pub(super) type Series = (Vec<(&'static str, String)>, u64);

impl Told {
    /// What there is to say of a cluster.
    pub(super) fn of(record: &ClusterRecord, words: &mut Words) -> Self {
        let products = record.products.iter().map(|product| Product {
            name: words.of(product.graph.product.to_string()),
            channel: words.of(product.graph.channel.to_string()),
            version: words.of(product.version.to_string()),
            verdict: product.health.verdict,
            quorum_lag_ms: product.health.quorum_lag_ms,
            pleg_lag_ms: product.health.pleg_lag_ms,
        });
        Self { name: record.name.as_str().into(), products: products.collect() }
    }

    /// Its series, as far as they are allowed.
    pub(super) fn series(&self, allowed: &Allowed) -> Vec<Series> {
        let mut series = Vec::new();
        for product in &self.products {
            let mut add = |name: &'static str, value: f64, more: Vec<(&'static str, String)>| {
                if allowed.has(name) {
                    let mut labels = vec![
                        ("__name__", name.to_owned()),
                        ("cluster", self.name.to_string()),
                        ("product", product.name.to_string()),
                    ];
                    labels.extend(more);
                    series.push((labels, value.to_bits()));
                }
            };
            let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
            add(HEALTH, verdict(product.verdict), Vec::new());
            let running = vec![
                ("channel", product.channel.to_string()),
                ("version", product.version.to_string()),
            ];
            add(INFO, 1.0, running);
            if let Some(lag_ms) = product.quorum_lag_ms {
                add(QUORUM_LAG, seconds(lag_ms), Vec::new());
            }
            if let Some(lag_ms) = product.pleg_lag_ms {
                add(PLEG_LAG, seconds(lag_ms), Vec::new());
            }
        }
        series
    }
}

/// As the agent's own metrics have it.
fn verdict(verdict: HealthVerdict) -> f64 {
    match verdict {
        HealthVerdict::Healthy => 1.0,
        HealthVerdict::Unhealthy => 0.0,
        HealthVerdict::Unknown => -1.0,
    }
}

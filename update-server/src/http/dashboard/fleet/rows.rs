//! The list of clusters: a line for each product of each.

use channels::wire::{ClusterRow, ProductRow, Progress};
use jiff::Timestamp;

use super::super::words::{self, Pill};
use super::ask::Ask;

/// Reasons shown per row; the cluster's own page has all of them.
const MAX_REASONS: usize = 3;

/// One product of one cluster.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) product: String,
    pub(super) channel: String,
    pub(super) site: Option<String>,
    pub(super) version: String,
    pub(super) target: Option<String>,
    pub(super) drift: String,
    pub(super) phase: Pill,
    pub(super) since: String,
    pub(super) unit: Option<String>,
    pub(super) progress: Option<Progress>,
    pub(super) health: Pill,
    pub(super) quorum_lag: Option<Lag>,
    pub(super) pleg_lag: Option<Lag>,
    pub(super) why: Vec<Why>,
    pub(super) seen: String,
    pub(super) freshness: Option<Pill>,
    pub(super) quiet: bool,
}

/// A lag and whose it is.
#[derive(Debug)]
pub(super) struct Lag {
    pub(super) value: String,
    pub(super) unit: String,
}

/// One reason.
#[derive(Debug)]
pub(super) struct Why {
    pub(super) text: String,
    pub(super) code: String,
}

/// A cluster that enrolled and has told of no product.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) agent: String,
    pub(super) enrolled: String,
}

/// The page of a cluster.
pub(super) fn href(id: impl std::fmt::Display) -> String {
    format!("/clusters/{id}")
}

/// A line for each product that is asked for, by name: lines must not jump about under a page that
/// refreshes itself.
pub(super) fn rows(clusters: &[ClusterRow], ask: &Ask, now: Timestamp) -> Vec<Row> {
    let asked = |product: &ProductRow| {
        ask.product.as_ref().is_none_or(|wanted| *wanted == product.product)
            && ask.channel.as_ref().is_none_or(|wanted| *wanted == product.channel)
    };
    let mut rows: Vec<Row> = Vec::new();
    for cluster in clusters {
        let products = cluster.products.iter().filter(|product| asked(product));
        rows.extend(products.map(|product| row(cluster, product, now)));
    }
    rows.sort_by(|a, b| (&a.name, &a.product).cmp(&(&b.name, &b.product)));
    rows
}

/// Those that have told of no product yet.
pub(super) fn waiting(clusters: &[ClusterRow], now: Timestamp) -> Vec<Waiting> {
    let waiting = clusters.iter().filter(|cluster| cluster.products.is_empty());
    let line = |cluster: &ClusterRow| Waiting {
        name: cluster.name.clone(),
        href: href(cluster.id),
        agent: cluster.agent_version.clone(),
        enrolled: words::relative(now, cluster.enrolled_at),
    };
    waiting.map(line).collect()
}

fn row(cluster: &ClusterRow, product: &ProductRow, now: Timestamp) -> Row {
    let lag = |milliseconds: Option<u64>, unit: Option<String>| {
        milliseconds.map(|ms| Lag { value: words::lag(ms), unit: unit.unwrap_or_default() })
    };
    let health = &product.health;
    let quorum_unit = health.quorum_lag_unit.as_ref().map(ToString::to_string);
    let pleg_unit = health.pleg_lag_unit.as_ref().map(ToString::to_string);
    let freshness = words::freshness(cluster.freshness);
    Row {
        name: cluster.name.clone(),
        href: href(cluster.id),
        product: product.product.to_string(),
        channel: product.channel.to_string(),
        site: cluster.site.as_ref().map(ToString::to_string),
        version: product.version.to_string(),
        target: product
            .target
            .as_ref()
            .filter(|target| **target != product.version)
            .map(ToString::to_string),
        drift: words::drift(&product.drift),
        phase: words::phase(product.phase),
        since: words::relative(now, product.since),
        unit: product.unit.as_ref().map(ToString::to_string),
        progress: product.progress,
        health: words::health(health.verdict),
        quorum_lag: lag(health.quorum_lag_ms, quorum_unit),
        pleg_lag: lag(health.pleg_lag_ms, pleg_unit),
        why: why(product),
        seen: cluster
            .as_of
            .or(cluster.last_seen)
            .map_or_else(|| "–".to_owned(), |at| words::relative(now, at)),
        quiet: freshness.is_some(),
        freshness,
    }
}

/// The failure first, then what the agent waits on, then what the hub says.
fn why(product: &ProductRow) -> Vec<Why> {
    let failure = product
        .failure
        .iter()
        .map(|failure| Why { text: failure.message.clone(), code: failure.kind.clone() });
    let waiting = product.waiting_on.iter().map(|waiting| Why {
        text: match &waiting.unit {
            Some(unit) => format!("{unit}: {}", waiting.message),
            None => waiting.message.clone(),
        },
        code: waiting.gate.clone(),
    });
    let hub = product
        .why_not
        .iter()
        .map(|reason| Why { text: reason.message.clone(), code: reason.code.clone() });
    failure.chain(waiting).chain(hub).take(MAX_REASONS).collect()
}

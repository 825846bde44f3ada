//! Series under the names of OpenShift's cluster version operator, for dashboards and alerts that
//! were made for it. A label `product` tells apart what a cluster version has only one of.

use channels::wire::HealthVerdict;
use jiff::Timestamp;

use super::page::{Labels, Page};
use super::snapshot::{ConditionSnapshot, ProductSnapshot, Snapshot};

/// What its own series about the cluster version are named after.
const VERSION: &str = "version";

pub(super) fn write(page: &mut Page, shown: &Snapshot) {
    let help = "Versions of a product: current, completed, updating, desired, failure and initial; \
                the value is when that came about, seconds since the epoch, 0 if not known";
    page.gauge("cluster_version", help, shown.products.iter().flat_map(versions));
    let available = shown.products.iter().filter_map(|product| {
        let labels = vec![
            ("upstream", shown.facts.upstream.clone()),
            ("channel", product.state.channel.to_string()),
            ("product", product.state.product.to_string()),
        ];
        Some((labels, number(product.available?)))
    });
    let help = "Releases that the channel offers from the current version, without a risk";
    page.gauge("cluster_version_available_updates", help, available);
    let help = "Units that run the version being applied, and units that do not yet";
    page.gauge("cluster_version_payload", help, shown.products.iter().flat_map(payload));
    let help = "Whether every unit of a pool, but the one that is out, is healthy";
    page.gauge("cluster_operator_up", help, pools(shown));
    let help = "Conditions of a product: 1 is True, 0 is False, unknown ones are left out";
    page.gauge("cluster_operator_conditions", help, shown.products.iter().flat_map(conditions));
    let retrieved =
        shown.facts.verified_at.map(|at| (vec![("name", VERSION.to_owned())], seconds(at)));
    let help = "When updates were last retrieved and verified, seconds since the epoch";
    page.gauge("cluster_version_operator_update_retrieval_timestamp_seconds", help, retrieved);
}

fn versions(product: &ProductSnapshot) -> Vec<(Labels, f64)> {
    let moves = &product.moves;
    let state = &product.state;
    let running = state.version.to_string();
    let mut series = Vec::new();
    let mut add = |kind: &str, version: &str, image: &str, from: &str, at: Option<Timestamp>| {
        let labels = vec![
            ("type", kind.to_owned()),
            ("version", version.to_owned()),
            ("image", image.to_owned()),
            ("from_version", from.to_owned()),
            ("product", state.product.to_string()),
        ];
        series.push((labels, at.map_or(0.0, seconds)));
    };
    let completed = moves.newest.as_ref();
    if let Some(done) = completed {
        let from = done.from.to_string();
        add("completed", &done.to.to_string(), "", &from, Some(done.completed_at));
    }
    if let Some(roll) = &moves.roll {
        let (to, image) = (roll.to.to_string(), roll.release_digest.to_string());
        add("current", &to, &image, &running, Some(roll.started_at));
        add("updating", &to, &image, &running, Some(roll.started_at));
    } else {
        let from = completed.map_or_else(String::new, |done| done.from.to_string());
        add("current", &running, "", &from, completed.map(|done| done.completed_at));
    }
    let target = state.target.as_ref().filter(|target| **target != state.version);
    if let (Some(target), None) = (target, &moves.roll) {
        add("desired", &target.to_string(), "", &running, Some(state.since));
    }
    if let Some(failure) = &state.failure {
        let version = state.target.as_ref().map_or_else(|| running.clone(), ToString::to_string);
        add("failure", &version, "", &running, Some(failure.at));
    }
    let (first, since) = match &moves.oldest {
        Some(oldest) => (oldest.from.to_string(), Some(oldest.started_at)),
        None => (running.clone(), None),
    };
    add("initial", &first, "", "", since);
    series
}

fn payload(product: &ProductSnapshot) -> Vec<(Labels, f64)> {
    let Some(progress) = product.state.progress else { return vec![] };
    let state = &product.state;
    let version = state.target.as_ref().unwrap_or(&state.version).to_string();
    let series = |kind: &str, count: u32| {
        let labels = vec![
            ("type", kind.to_owned()),
            ("version", version.clone()),
            ("product", state.product.to_string()),
        ];
        (labels, f64::from(count))
    };
    let pending = progress.total.saturating_sub(progress.done);
    vec![series("applied", progress.done), series("pending", pending)]
}

fn conditions(product: &ProductSnapshot) -> Vec<(Labels, f64)> {
    let series = |condition: &ConditionSnapshot| {
        let labels = vec![
            ("name", VERSION.to_owned()),
            ("condition", condition.name.clone()),
            ("reason", condition.reason.clone()),
            ("product", product.state.product.to_string()),
        ];
        (labels, flag(condition.holds))
    };
    product.conditions.iter().map(series).collect()
}

fn pools(shown: &Snapshot) -> Vec<(Labels, f64)> {
    let mut pools = std::collections::BTreeMap::new();
    for unit in &shown.units {
        let name = format!("{}/{}", unit.key.product, unit.pool);
        let healthy =
            unit.verdict == HealthVerdict::Healthy || shown.out.as_ref() == Some(&unit.key);
        let up = pools.entry(name).or_insert(true);
        *up = *up && healthy;
    }
    let series = |(name, up): (String, bool)| (vec![("name", name)], flag(up));
    pools.into_iter().map(series).collect()
}

/// Seconds since the epoch.
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// 1 or 0.
pub(super) fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

/// A count; beyond four billion nothing here counts.
pub(super) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

//! Which clusters stand before an edge that carries a risk.
//!
//! Counts versions, not clusters, so it costs the same for ten clusters and for a million. Whether a
//! risk that is decided by `PromQL` applies, each cluster finds out for itself and says so in its
//! reasons (`risk`, `risk_unknown`).

use std::collections::{BTreeMap, BTreeSet};

use channels::graph::{Graph, MatchingRule, Risk};
use channels::version::ReleaseVersion;
use channels::wire::{ClusterRisk, ProductRow, RiskExposure, WaitingOn};

use crate::fleet::GraphKey;

struct Counted<'g> {
    risk: &'g Risk,
    clusters: u64,
    blocked: u64,
    to: BTreeSet<&'g ReleaseVersion>,
}

/// Exposure of the clusters on one graph, given how many active ones run which version; most clusters
/// first. Risks that concern nobody are left out.
pub fn exposure(
    key: &GraphKey,
    graph: &Graph,
    versions: &BTreeMap<ReleaseVersion, u64>,
) -> Vec<RiskExposure> {
    let mut by_name: BTreeMap<&str, Counted<'_>> = BTreeMap::new();
    for (version, &clusters) in versions {
        let mut here: BTreeMap<&str, (&Risk, BTreeSet<&ReleaseVersion>)> = BTreeMap::new();
        let offers = graph.targets_of(version);
        let free = offers.iter().any(|offer| offer.risks.is_empty() && offer.to > version);
        for offer in &offers {
            for risk in offer.risks {
                here.entry(&risk.name).or_insert((risk, BTreeSet::new())).1.insert(offer.to);
            }
        }
        for (name, (risk, to)) in here {
            let counted = by_name.entry(name).or_insert_with(|| Counted {
                risk,
                clusters: 0,
                blocked: 0,
                to: BTreeSet::new(),
            });
            counted.clusters += clusters;
            counted.blocked += if free { 0 } else { clusters };
            counted.to.extend(to);
        }
    }
    let mut rows: Vec<RiskExposure> = by_name.into_values().map(|c| row(key, c)).collect();
    rows.sort_by(|a, b| b.clusters.cmp(&a.clusters).then_with(|| a.risk.cmp(&b.risk)));
    rows
}

/// The risks on the edges before one product of a cluster.
pub fn risks_before(product: &ProductRow, graph: &Graph) -> Vec<ClusterRisk> {
    let versions = BTreeMap::from([(product.version.clone(), 1)]);
    let key = GraphKey {
        product: product.product.clone(),
        channel: product.channel.clone(),
        arch: product.arch.clone(),
    };
    let said = |risk: &str| {
        let about = |reason: &&WaitingOn| {
            ["risk", "risk_unknown"].contains(&reason.gate.as_str())
                && reason.message.contains(risk)
        };
        product.waiting_on.iter().find(about).cloned()
    };
    let row = |exposed: RiskExposure| ClusterRisk {
        said: said(&exposed.risk),
        product: exposed.product,
        channel: exposed.channel,
        version: product.version.clone(),
        risk: exposed.risk,
        message: exposed.message,
        url: exposed.url,
        always: exposed.always,
        blocked: exposed.blocked > 0,
        to: exposed.to,
    };
    exposure(&key, graph, &versions).into_iter().map(row).collect()
}

/// Whether an edge before a version carries a risk of this name.
pub fn has_risk(graph: &Graph, version: &ReleaseVersion, risk: &str) -> bool {
    let offers = graph.targets_of(version);
    offers.iter().any(|offer| offer.risks.iter().any(|its| its.name == risk))
}

/// Whether every cluster is exposed to a risk: the first rule that can be evaluated decides, and none
/// at all means exposed.
pub fn is_always(risk: &Risk) -> bool {
    match risk.matching_rules.iter().find(|r| !matches!(r, MatchingRule::Unknown { .. })) {
        None | Some(MatchingRule::Always | MatchingRule::Unknown { .. }) => true,
        Some(MatchingRule::PromQl { .. }) => false,
    }
}

fn row(key: &GraphKey, counted: Counted<'_>) -> RiskExposure {
    let Counted { risk, clusters, blocked, to } = counted;
    RiskExposure {
        product: key.product.clone(),
        channel: key.channel.clone(),
        arch: key.arch.clone(),
        risk: risk.name.clone(),
        message: risk.message.clone(),
        url: risk.url.clone(),
        always: is_always(risk),
        clusters,
        blocked,
        to: to.into_iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use channels::graph::{GraphBuilder, Node};

    use super::*;

    fn risk(name: &str, rules: Vec<MatchingRule>) -> Risk {
        Risk {
            name: name.to_owned(),
            message: "it breaks".to_owned(),
            url: "https://example.org/r".to_owned(),
            matching_rules: rules,
        }
    }

    fn v(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    /// 1.0.0 → 1.0.1 plain; 1.0.0 → 1.0.2 and 1.0.1 → 1.0.2 with a risk.
    fn graph(rules: Vec<MatchingRule>) -> Graph {
        let mut builder = GraphBuilder::new(None);
        let node = |version: &str| Node {
            version: v(version),
            payload: String::new(),
            metadata: BTreeMap::new(),
        };
        let [a, b, c] = ["1.0.0", "1.0.1", "1.0.2"].map(|text| builder.node(node(text)));
        builder.edge(a, b);
        let risks = builder.risks(vec![risk("DiskStorm", rules)]);
        builder.conditional(a, c, risks);
        builder.conditional(b, c, risks);
        builder.build().unwrap()
    }

    fn key() -> GraphKey {
        GraphKey {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        }
    }

    #[test]
    fn clusters_before_a_risk_are_counted_once_and_those_without_another_way_are_blocked() {
        let promql = MatchingRule::PromQl { promql: "up".to_owned() };
        let fleet = BTreeMap::from([(v("1.0.0"), 5), (v("1.0.1"), 3), (v("1.0.2"), 9)]);
        let rows = exposure(&key(), &graph(vec![promql]), &fleet);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].clusters, rows[0].blocked, rows[0].always), (8, 3, false));
        assert_eq!(rows[0].to, [v("1.0.2")]);
    }

    #[test]
    fn a_cluster_is_told_its_own_risks_with_what_it_said_of_them() {
        let promql = MatchingRule::PromQl { promql: "up".to_owned() };
        let file =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../channels/golden/v1/cluster-row-page.json");
        let page: channels::wire::Page<channels::wire::ClusterRow> =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let mut product = page.items[0].products[0].clone();
        product.version = v("1.0.1");
        let reason = |gate: &str, message: &str| WaitingOn {
            gate: gate.to_owned(),
            unit: None,
            message: message.to_owned(),
            observed: None,
            limit: None,
            since: None,
        };
        let unknown = reason("risk_unknown", "1.0.2: DiskStorm cannot be told");
        product.waiting_on = vec![reason("hold", "DiskStorm"), unknown.clone()];
        let graph = graph(vec![promql]);
        let risks = risks_before(&product, &graph);
        assert_eq!(risks.len(), 1);
        let risk = &risks[0];
        assert_eq!((risk.risk.as_str(), risk.blocked, risk.always), ("DiskStorm", true, false));
        assert_eq!((&risk.to, &risk.said), (&vec![v("1.0.2")], &Some(unknown)));
        product.version = v("1.0.2");
        assert_eq!(risks_before(&product, &graph), []);
        let exposed = ["1.0.0", "1.0.1", "1.0.2"].map(|at| has_risk(&graph, &v(at), "DiskStorm"));
        assert_eq!(exposed, [true, true, false]);
        assert!(!has_risk(&graph, &v("1.0.0"), "Disk"));
    }

    #[test]
    fn a_risk_that_concerns_nobody_is_left_out() {
        let fleet = BTreeMap::from([(v("1.0.2"), 9), (v("0.9.0"), 2)]);
        assert_eq!(exposure(&key(), &graph(vec![MatchingRule::Always]), &fleet), []);
    }

    #[test]
    fn rules_nobody_can_evaluate_mean_that_every_cluster_is_exposed() {
        let unknown = MatchingRule::Unknown { kind: "Moon".to_owned() };
        let fleet = BTreeMap::from([(v("1.0.1"), 1)]);
        for rules in [vec![], vec![unknown], vec![MatchingRule::Always]] {
            assert!(exposure(&key(), &graph(rules), &fleet)[0].always);
        }
    }
}

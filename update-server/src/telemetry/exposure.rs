//! Which clusters stand before an edge that carries a risk.
//!
//! Counts versions, not clusters, so it costs the same for ten clusters and for a million. Whether a
//! risk that is decided by `PromQL` applies, each cluster finds out for itself and says so in its
//! reasons (`risk`, `risk_unknown`).

use std::collections::{BTreeMap, BTreeSet};

use channels::graph::{Graph, MatchingRule, Risk};
use channels::version::ReleaseVersion;
use channels::wire::RiskExposure;

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

fn row(key: &GraphKey, counted: Counted<'_>) -> RiskExposure {
    let Counted { risk, clusters, blocked, to } = counted;
    // The first rule that can be evaluated decides; none at all means exposed.
    let always =
        match risk.matching_rules.iter().find(|r| !matches!(r, MatchingRule::Unknown { .. })) {
            None | Some(MatchingRule::Always | MatchingRule::Unknown { .. }) => true,
            Some(MatchingRule::PromQl { .. }) => false,
        };
    RiskExposure {
        product: key.product.clone(),
        channel: key.channel.clone(),
        arch: key.arch.clone(),
        risk: risk.name.clone(),
        message: risk.message.clone(),
        url: risk.url.clone(),
        always,
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

//! The way of a version to the head of its graph, with the risks on it. Pure.

use channels::graph::Graph;
use channels::path::{NoPath, path};
use channels::version::ReleaseVersion;

/// Steps shown of a way; no real one is longer.
const STEPS_MAX: usize = 50;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) to: ReleaseVersion,
    /// Names of the risks on its edge; none = it is plain.
    pub(super) risks: Vec<String>,
}

/// How to come to the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// One is there.
    Head,
    /// By these steps.
    Steps(Vec<Step>),
    /// No way leads there, as the sentence says.
    None(String),
}

/// The shortest way without risks; if there is none, the shortest with them.
pub(super) fn way(graph: &Graph, from: &ReleaseVersion) -> Way {
    let Some(head) = graph.head() else { return Way::None("the graph has no head".to_owned()) };
    if head == from {
        return Way::Head;
    }
    let plain = path(graph, from, head, &|_| false);
    let found = match plain {
        Err(NoPath::Risks { .. }) => path(graph, from, head, &|_| true),
        Ok(_)
        | Err(NoPath::FromUnknown { .. } | NoPath::ToUnknown { .. } | NoPath::NoEdges { .. }) => {
            plain
        }
    };
    match found {
        Ok(versions) => {
            let pairs = versions.iter().zip(versions.iter().skip(1));
            Way::Steps(pairs.take(STEPS_MAX).map(|(here, to)| step(graph, here, to)).collect())
        }
        Err(error) => Way::None(error.to_string()),
    }
}

fn step(graph: &Graph, from: &ReleaseVersion, to: &ReleaseVersion) -> Step {
    let offers = graph.targets_of(from);
    let risks = offers.iter().find(|offer| offer.to == to).map(|offer| offer.risks);
    let names = risks.unwrap_or_default().iter().map(|risk| risk.name.clone());
    Step { to: to.clone(), risks: names.collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use channels::graph::{GraphBuilder, MatchingRule, Node, Risk};

    use super::*;

    fn v(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    fn node(version: &str) -> Node {
        Node { version: v(version), payload: String::new(), metadata: BTreeMap::new() }
    }

    /// 1.0.0 → 1.0.1, plain or with a risk; 1.0.1 → 1.0.2 with a risk; 0.9.0 leads nowhere.
    fn graph() -> Graph {
        let mut builder = GraphBuilder::new(None);
        let [_, a, b, c] =
            ["0.9.0", "1.0.0", "1.0.1", "1.0.2"].map(|version| builder.node(node(version)));
        let risks = builder.risks(vec![Risk {
            name: "DiskStorm".to_owned(),
            message: "it storms".to_owned(),
            url: "https://example.org/r".to_owned(),
            matching_rules: vec![MatchingRule::Always],
        }]);
        builder.edge(a, b);
        builder.conditional(b, c, risks);
        builder.build().unwrap()
    }

    #[test]
    fn a_way_has_the_risks_of_every_step_and_says_why_there_is_none() {
        let graph = graph();
        let risks = vec!["DiskStorm".to_owned()];
        let last = Step { to: v("1.0.2"), risks };
        assert_eq!(way(&graph, &v("1.0.2")), Way::Head);
        assert_eq!(way(&graph, &v("1.0.1")), Way::Steps(vec![last.clone()]));
        let first = Step { to: v("1.0.1"), risks: Vec::new() };
        assert_eq!(way(&graph, &v("1.0.0")), Way::Steps(vec![first, last]));
        for (from, why) in
            [("0.9.0", "no way leads from 0.9.0 to 1.0.2"), ("3.0.0", "3.0.0 is not in the graph")]
        {
            assert_eq!(way(&graph, &v(from)), Way::None(why.to_owned()));
        }
    }
}

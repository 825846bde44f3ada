//! Which releases of one graph are wanted. Pure.

use std::collections::BTreeSet;

use channels::graph::{Graph, Risk};
use channels::names::{Arch, ChannelName, ProductRef};
use channels::path::{NoPath, path};
use channels::version::{ReleaseVersion, Requirement};
use serde::Serialize;

/// What is wanted of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Selection {
    /// The release that clusters should end on.
    Head,
    /// Every release of the channel that a requirement matches.
    Range {
        /// The requirement.
        versions: Requirement,
    },
    /// What clusters on `from` step through on the recommended way: everything after `from`, which
    /// they run already, up to `to`.
    Way {
        /// Where they are.
        from: ReleaseVersion,
        /// Where they go; none for the head of the channel.
        to: Option<ReleaseVersion>,
    },
    /// These.
    Listed {
        /// The releases.
        releases: Vec<ReleaseVersion>,
    },
}

/// A channel of a product for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The product.
    pub product: ProductRef,
    /// Its channel.
    pub channel: ChannelName,
    /// The architecture.
    pub arch: Arch,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.product, self.channel, self.arch)
    }
}

/// A selection that a graph cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The graph has no release that clusters should end on.
    #[error("{place}: the channel is empty")]
    Empty {
        /// Which graph.
        place: Place,
    },
    /// A release is not in the graph.
    #[error("{place}: {version} is not in the graph")]
    NotInGraph {
        /// Which graph.
        place: Place,
        /// The release.
        version: ReleaseVersion,
    },
    /// A release was taken out of the channel.
    #[error("{place}: {version} was removed from the channel")]
    Removed {
        /// Which graph.
        place: Place,
        /// The release.
        version: ReleaseVersion,
    },
    /// A requirement matches nothing.
    #[error("{place}: no release matches {versions}")]
    NoMatch {
        /// Which graph.
        place: Place,
        /// The requirement.
        versions: Requirement,
    },
    /// The way leads nowhere.
    #[error("{place}: from {version} to itself nothing is to be carried")]
    NoWay {
        /// Which graph.
        place: Place,
        /// Both ends.
        version: ReleaseVersion,
    },
    /// There is no way that clusters would go by themselves.
    #[error("{place}: there is no recommended way")]
    Path {
        /// Which graph.
        place: Place,
        /// Why not.
        #[source]
        source: NoPath,
    },
}

impl SelectError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "name releases, or another channel",
            Self::NotInGraph { .. } | Self::NoMatch { .. } => {
                "the names are those of `fairway graph`; check the channel and the architecture"
            }
            Self::Removed { .. } => "the vendor withdrew it; choose another release",
            Self::NoWay { .. } => "the site runs it already; leave this product out",
            Self::Path { source: NoPath::Risks { .. }, .. } => {
                "to carry it all the same, accept the risks by name: accept_risks, --accept-risk"
            }
            Self::Path { .. } => "choose ends that the vendor's graph connects",
        }
    }
}

/// Releases of one graph, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selected {
    /// What is to be carried.
    pub releases: Vec<ReleaseVersion>,
    /// For a way, the release before the first: every release must allow the step from the one
    /// before.
    pub from: Option<ReleaseVersion>,
}

/// Works out what `selection` means in `graph`; risks count as accepted only by name.
///
/// # Errors
/// When the graph does not have what is asked for, or no recommended way to it.
pub(super) fn select(
    place: &Place,
    graph: &Graph,
    selection: &Selection,
    accepted: &BTreeSet<String>,
) -> Result<Selected, SelectError> {
    let set = |mut releases: Vec<ReleaseVersion>| {
        releases.sort();
        releases.dedup();
        Selected { releases, from: None }
    };
    match selection {
        Selection::Head => Ok(set(vec![head(place, graph)?])),
        Selection::Range { versions } => {
            let matching = graph.nodes().iter().filter(|node| !node.is_tombstone());
            let matching = matching.map(|node| &node.version).filter(|v| versions.matches(v));
            let found: Vec<_> = matching.cloned().collect();
            if found.is_empty() {
                return Err(SelectError::NoMatch {
                    place: place.clone(),
                    versions: versions.clone(),
                });
            }
            Ok(set(found))
        }
        Selection::Listed { releases } => {
            releases.iter().try_for_each(|version| check_present(place, graph, version))?;
            Ok(set(releases.clone()))
        }
        Selection::Way { from, to } => {
            let to = to.clone().map_or_else(|| head(place, graph), Ok)?;
            way(place, graph, from, &to, accepted)
        }
    }
}

fn head(place: &Place, graph: &Graph) -> Result<ReleaseVersion, SelectError> {
    let head = graph.head().and_then(|version| graph.node(version));
    let head = head.filter(|node| !node.is_tombstone());
    let empty = || SelectError::Empty { place: place.clone() };
    head.map(|node| node.version.clone()).ok_or_else(empty)
}

fn check_present(
    place: &Place,
    graph: &Graph,
    version: &ReleaseVersion,
) -> Result<(), SelectError> {
    let (place, named) = (place.clone(), version.clone());
    match graph.node(version) {
        None => Err(SelectError::NotInGraph { place, version: named }),
        Some(node) if node.is_tombstone() => Err(SelectError::Removed { place, version: named }),
        Some(_) => Ok(()),
    }
}

fn way(
    place: &Place,
    graph: &Graph,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
    accepted: &BTreeSet<String>,
) -> Result<Selected, SelectError> {
    // Clusters may sit on a removed release; they only never go to one.
    if graph.node(from).is_none() {
        return Err(SelectError::NotInGraph { place: place.clone(), version: from.clone() });
    }
    check_present(place, graph, to)?;
    if from == to {
        return Err(SelectError::NoWay { place: place.clone(), version: to.clone() });
    }
    let accept = |risk: &Risk| accepted.contains(&risk.name);
    let steps = path(graph, from, to, &accept)
        .map_err(|source| SelectError::Path { place: place.clone(), source })?;
    let releases = steps.into_iter().filter(|version| version != from).collect();
    Ok(Selected { releases, from: Some(from.clone()) })
}

#[cfg(test)]
mod tests {
    use channels::cincinnati::from_json;
    use serde_json::json;

    use super::*;

    fn place() -> Place {
        Place {
            product: "acme/app".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        }
    }

    /// 1.0.0 → 1.1.0 → 1.2.0 → 1.3.0, with 1.1.5 removed, and a risk on the step to 1.3.0.
    fn graph() -> Graph {
        let node = |version: &str, removed: bool| {
            let metadata =
                if removed { json!({"fairway.dev/tombstone": "true"}) } else { json!({}) };
            json!({"version": version, "payload": "", "metadata": metadata})
        };
        let risk = json!({
            "name": "DataLoss", "message": "m", "url": "u", "matchingRules": [{"type": "Always"}],
        });
        let text = json!({
            "version": 1,
            "nodes": [
                node("1.0.0", false), node("1.1.0", false), node("1.1.5", true),
                node("1.2.0", false), node("1.3.0", false),
            ],
            "edges": [[0, 1], [1, 3], [0, 2]],
            "conditionalEdges": [{"edges": [{"from": "1.2.0", "to": "1.3.0"}], "risks": [risk]}],
        });
        from_json(text.to_string().as_bytes()).unwrap()
    }

    fn version(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    fn answer(selection: &Selection, accepted: &[&str]) -> Result<Vec<String>, SelectError> {
        let accepted = accepted.iter().map(|&name| name.to_owned()).collect();
        let selected = select(&place(), &graph(), selection, &accepted)?;
        Ok(selected.releases.iter().map(ToString::to_string).collect())
    }

    fn from_to(from: &str, to: Option<&str>) -> Selection {
        Selection::Way { from: version(from), to: to.map(version) }
    }

    fn listed(releases: &[&str]) -> Selection {
        Selection::Listed { releases: releases.iter().map(|text| version(text)).collect() }
    }

    #[test]
    fn a_way_carries_what_lies_after_its_start() {
        let carried = answer(&from_to("1.0.0", Some("1.2.0")), &[]).unwrap();
        assert_eq!(carried, ["1.1.0", "1.2.0"], "the site runs 1.0.0 already");
        let refused = answer(&from_to("1.2.0", Some("1.2.0")), &[]).unwrap_err();
        assert!(matches!(refused, SelectError::NoWay { .. }), "{refused}");
    }

    #[test]
    fn a_way_over_a_risk_needs_its_name() {
        let way = from_to("1.0.0", None);
        let refused = answer(&way, &[]).unwrap_err();
        assert!(matches!(&refused, SelectError::Path { source: NoPath::Risks { risks, .. }, .. }
            if risks == &["DataLoss"]));
        assert!(refused.hint().contains("--accept-risk"));
        assert_eq!(answer(&way, &["DataLoss"]).unwrap(), ["1.1.0", "1.2.0", "1.3.0"]);
    }

    #[test]
    fn removed_releases_are_never_carried() {
        let range = |text: &str| Selection::Range { versions: text.parse().unwrap() };
        assert_eq!(answer(&range(">=1.1, <1.3"), &[]).unwrap(), ["1.1.0", "1.2.0"]);
        for selection in [listed(&["1.1.5"]), from_to("1.0.0", Some("1.1.5"))] {
            let refused = answer(&selection, &[]).unwrap_err();
            assert!(matches!(refused, SelectError::Removed { .. }), "{refused}");
        }
        let refused = answer(&range("^2"), &[]).unwrap_err();
        assert!(matches!(refused, SelectError::NoMatch { .. }), "{refused}");
    }

    #[test]
    fn what_is_not_in_the_graph_is_named() {
        for selection in
            [listed(&["1.2.0", "9.9.9"]), from_to("9.9.9", None), from_to("1.0.0", Some("9.9.9"))]
        {
            let refused = answer(&selection, &[]).unwrap_err();
            let text = refused.to_string();
            assert_eq!(text, "acme/app stable (amd64): 9.9.9 is not in the graph");
        }
        assert_eq!(answer(&listed(&["1.2.0", "1.0.0", "1.2.0"]), &[]).unwrap(), ["1.0.0", "1.2.0"]);
    }

    #[test]
    fn without_anything_else_the_head_is_meant() {
        assert_eq!(answer(&Selection::Head, &[]).unwrap(), ["1.3.0"]);
        let empty = from_json(br#"{"nodes":[],"edges":[],"conditionalEdges":[]}"#).unwrap();
        let refused = select(&place(), &empty, &Selection::Head, &BTreeSet::new());
        assert!(matches!(refused, Err(SelectError::Empty { .. })));
    }
}

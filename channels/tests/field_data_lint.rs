//! Lint over real data (`FAIRWAY_DATA`): what it says of the field's rules, and of none of its queries
//! that it does not parse.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

/// A module, so that `--skip field_data` leaves these out where the data is not.
mod field_data {
    use std::collections::{BTreeMap, BTreeSet};
    use std::env;
    use std::path::PathBuf;

    use channels::graph::MatchingRule;
    use channels::lint::{Finding, lint};
    use channels::names::Arch;
    use channels::repository::{GraphData, PullSpec, Workspace, load_graph_data};
    use channels::version::ReleaseVersion;
    use signing::Sha256Digest;

    fn graph_data() -> GraphData {
        let data = PathBuf::from(env::var("FAIRWAY_DATA").expect("FAIRWAY_DATA names the folder"));
        match load_graph_data(&data.join("openshift-graph-data")) {
            Ok(graph_data) => graph_data,
            Err(errors) => panic!("{} faults, first: {}", errors.len(), errors[0]),
        }
    }

    /// A made-up payload: graph data names none.
    fn payload(version: &ReleaseVersion, arch: &Arch) -> Option<PullSpec> {
        let digest = Sha256Digest::of(format!("{version}+{arch}").as_bytes());
        format!("ocp/release@{digest}").parse().ok()
    }

    fn findings() -> Vec<Finding> {
        let data = graph_data();
        let arches = ["amd64", "arm64", "ppc64le", "s390x"].map(|arch| arch.parse().unwrap());
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let releases = data.suggested_releases(&arches, at, &payload);
        let product = data.into_product("redhat/ocp".parse().unwrap(), releases);
        let workspace = Workspace { root: PathBuf::new(), products: vec![product] };
        lint(&workspace, at)
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn every_query_of_openshift_parses_and_can_answer_both_ways() {
        let data = graph_data();
        let risks = data.blocks.iter().filter_map(|block| block.risk.as_ref());
        let rules = risks.flat_map(|risk| &risk.matching_rules);
        let queries = rules.filter(|rule| matches!(rule, MatchingRule::PromQl { .. })).count();
        assert_eq!(queries, 1023);
        let about_queries = |finding: &&Finding| {
            let codes =
                ["promql_invalid", "promql_function", "risk_not_evaluable", "risk_one_sided"];
            codes.contains(&finding.code.as_str())
        };
        let found = findings();
        let found: BTreeSet<String> =
            found.iter().filter(about_queries).map(ToString::to_string).collect();
        assert_eq!(found, BTreeSet::new());
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn openshift_lints_to_these_codes() {
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut files: BTreeMap<&str, BTreeSet<PathBuf>> = BTreeMap::new();
        for finding in findings() {
            let code = finding.code.as_str();
            *codes.entry(code).or_default() += 1;
            files.entry(code).or_default().insert(finding.file);
        }
        let of_both: Vec<(&str, usize, usize)> =
            codes.iter().map(|(code, found)| (*code, *found, files[code].len())).collect();
        // Code, findings, files with them. A channel of OpenShift lists releases of the minor before
        // its own too, and not all of these have an edge within the channel.
        assert_eq!(
            of_both,
            [
                ("block_matches_nothing", 105, 105),
                ("head_unreachable", 6, 1),
                ("no_way_out", 760, 35),
                ("node_unreachable", 666, 46),
                ("release_unlisted", 5, 5),
                ("version_repeated", 1, 1),
            ]
        );
    }
}

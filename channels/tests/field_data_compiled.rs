//! Real graph data (`FAIRWAY_DATA`) compiled, and held against what OpenShift's own servers made of
//! it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

/// A module, so that `--skip field_data` leaves these out where the data is not.
mod field_data {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;
    use std::{env, fs};

    use channels::cincinnati::from_json;
    use channels::compile::{Compiled, compile};
    use channels::graph::{Graph, Risk};
    use channels::names::Arch;
    use channels::repository::{
        ChannelSource, GraphData, ProductSource, PullSpec, load_graph_data, scraped_releases,
    };
    use channels::version::ReleaseVersion;
    use signing::Sha256Digest;

    fn data(path: &str) -> PathBuf {
        PathBuf::from(env::var("FAIRWAY_DATA").expect("FAIRWAY_DATA names the folder")).join(path)
    }

    fn graph_data(name: &str) -> GraphData {
        match load_graph_data(&data(name)) {
            Ok(graph_data) => graph_data,
            Err(errors) => panic!("{} faults, first: {}", errors.len(), errors[0]),
        }
    }

    fn recorded(name: &str) -> Graph {
        from_json(&fs::read(data("graphs").join(name)).unwrap()).unwrap()
    }

    fn version(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    /// A made-up payload: graph data names none.
    fn payload(version: &ReleaseVersion, arch: &Arch) -> Option<PullSpec> {
        let digest = Sha256Digest::of(format!("{version}+{arch}").as_bytes());
        format!("ocp/release@{digest}").parse().ok()
    }

    /// The product that the live graph data makes of the versions in its channels.
    fn openshift() -> ProductSource {
        let data = graph_data("openshift-graph-data");
        let arches = ["amd64", "arm64", "ppc64le", "s390x"].map(|arch| arch.parse().unwrap());
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let releases = data.suggested_releases(&arches, at, &payload);
        data.into_product("redhat/ocp".parse().unwrap(), releases)
    }

    /// The product with one channel that holds every release, so that nothing is counted twice.
    fn in_one_channel(mut product: ProductSource) -> ProductSource {
        let everything = ChannelSource {
            file: PathBuf::from("channels/everything.yaml"),
            name: "everything".parse().unwrap(),
            versions: product.releases.keys().cloned().collect(),
            tombstones: Vec::new(),
            barriers: BTreeMap::new(),
            dead_ends: BTreeMap::new(),
            feeder: None,
        };
        product.channels = [(everything.name.clone(), everything)].into();
        product
    }

    /// Graphs, nodes, plain and conditional edges.
    fn sizes(compiled: &Compiled) -> (usize, usize, usize, usize) {
        let mut sizes = (compiled.graphs.len(), 0, 0, 0);
        for (_, _, graph) in &compiled.graphs {
            sizes.1 += graph.nodes().len();
            sizes.2 += graph.edges().len();
            sizes.3 += graph.conditional().iter().map(|group| group.edges.len()).sum::<usize>();
        }
        sizes
    }

    /// Risks of edges that no longer are: the suggestions were raised above their sources since.
    const UNUSED: [&str; 8] = [
        "AlertmanagerV1NotSupported",
        "CMOSuddenStrictConfigValidation",
        "CRIAuthPluginRHEL",
        "ClusterVersionPreconditionCheck",
        "EtcdStorageVersion3Migration",
        "MachineConfigServerCARotation",
        "ReconciledPlatformSCC",
        "SigstoreSignatureMirroring",
    ];

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn all_channels_compile_for_four_architectures_with_every_risk() {
        let source = openshift();
        assert_eq!(source.releases.len(), 1375);
        let compiled = compile(&source).unwrap();
        assert_eq!(sizes(&compiled), (76 * 4, 35_407, 1_068_853, 608_272));
        assert!(compiled == compile(&source).unwrap(), "two runs differ");
        let used: BTreeSet<&str> = compiled
            .graphs
            .iter()
            .flat_map(|(_, _, graph)| graph.conditional())
            .flat_map(|group| &group.risks)
            .map(|risk| risk.name.as_str())
            .collect();
        let named: BTreeSet<&str> = source
            .blocks
            .iter()
            .filter_map(|block| block.risk.as_ref())
            .map(|risk| risk.name.as_str())
            .collect();
        let unused: Vec<&str> = named.difference(&used).copied().collect();
        assert_eq!((named.len(), unused.as_slice()), (124, UNUSED.as_slice()));
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn all_releases_in_one_channel_make_a_graph_of_the_known_size() {
        let compiled = compile(&in_one_channel(openshift())).unwrap();
        // A reconstruction with OpenShift's own server, of the same month and with 61 versions more
        // (of no channel, only of blocks), gave 218,081 plain and 152,885 conditional edges.
        assert_eq!(sizes(&compiled), (4, 5500, 207_652, 125_264));
    }

    type Pair = (ReleaseVersion, ReleaseVersion);
    type Edges = BTreeMap<Pair, BTreeSet<String>>;

    /// Edges with the names of their risks, as clients take them: the condition wins.
    fn edges(graph: &Graph, among: &BTreeSet<ReleaseVersion>) -> Edges {
        let mut edges = Edges::new();
        for from in among {
            for offer in graph.targets_of(from).iter().filter(|offer| among.contains(offer.to)) {
                let names = offer.risks.iter().map(|risk| risk.name.clone()).collect();
                edges.insert((from.clone(), offer.to.clone()), names);
            }
        }
        edges
    }

    /// Recorded nodes, edges and ours between the same nodes, and ours as a whole.
    fn both() -> (Graph, Edges, Graph, Edges) {
        let recorded = recorded("openshift-stable-4.13-amd64.json");
        let mut product = openshift();
        product.channels.retain(|name, _| name.as_str() == "stable-4.13");
        let mut graphs = compile(&product).unwrap().graphs.into_iter();
        let ours = graphs.find(|(_, arch, _)| arch.as_str() == "amd64").unwrap().2;
        let nodes: BTreeSet<ReleaseVersion> =
            recorded.nodes().iter().map(|node| node.version.clone()).collect();
        assert_eq!(nodes.len(), 98);
        let (theirs, our_edges) = (edges(&recorded, &nodes), edges(&ours, &nodes));
        (recorded, theirs, ours, our_edges)
    }

    /// What leads to each release, as ranges over the versions of `theirs` in between.
    fn expand(ranges: &[(&str, &str, &str)], theirs: &Graph) -> BTreeSet<Pair> {
        let mut pairs = BTreeSet::new();
        for (to, first, last) in ranges {
            let between = version(first)..=version(last);
            let versions = theirs.nodes().iter().map(|node| &node.version);
            let from = versions.filter(|version| between.contains(version));
            pairs.extend(from.map(|from| (from.clone(), version(to))));
        }
        pairs
    }

    /// Risk that was declared after the recording.
    const NEW_RISK: &str = "ARODNSWrongBootSequence";

    /// Edges without a risk in the recording that carry the new one in the data of 2026.
    const BECAME_CONDITIONAL: [(&str, &str, &str); 4] = [
        ("4.13.40", "4.12.54", "4.12.55"),
        ("4.13.41", "4.12.54", "4.12.56"),
        ("4.13.42", "4.12.16", "4.12.57"),
        ("4.13.43", "4.12.16", "4.12.58"),
    ];

    /// Edges the recording lacks. A release image names what was out when it was built; the
    /// suggestions it was built from also let later releases of the minor before move to it, and
    /// 4.13.14, which came out with 4.13.15.
    const EXTRA: [(&str, &str, &str); 41] = [
        ("4.13.0", "4.12.18", "4.12.58"),
        ("4.13.1", "4.12.20", "4.12.58"),
        ("4.13.2", "4.12.21", "4.12.58"),
        ("4.13.3", "4.12.22", "4.12.58"),
        ("4.13.4", "4.12.23", "4.12.58"),
        ("4.13.5", "4.12.26", "4.12.58"),
        ("4.13.6", "4.12.27", "4.12.58"),
        ("4.13.8", "4.12.29", "4.12.58"),
        ("4.13.9", "4.12.30", "4.12.58"),
        ("4.13.10", "4.12.32", "4.12.58"),
        ("4.13.11", "4.12.33", "4.12.58"),
        ("4.13.12", "4.12.34", "4.12.58"),
        ("4.13.13", "4.12.35", "4.12.58"),
        ("4.13.14", "4.12.37", "4.12.58"),
        ("4.13.15", "4.12.39", "4.12.58"),
        ("4.13.15", "4.13.14", "4.13.14"),
        ("4.13.17", "4.12.40", "4.12.58"),
        ("4.13.18", "4.12.41", "4.12.58"),
        ("4.13.19", "4.12.42", "4.12.58"),
        ("4.13.21", "4.12.43", "4.12.58"),
        ("4.13.22", "4.12.44", "4.12.58"),
        ("4.13.23", "4.12.45", "4.12.58"),
        ("4.13.24", "4.12.45", "4.12.58"),
        ("4.13.25", "4.12.46", "4.12.58"),
        ("4.13.26", "4.12.46", "4.12.58"),
        ("4.13.27", "4.12.47", "4.12.58"),
        ("4.13.28", "4.12.47", "4.12.58"),
        ("4.13.29", "4.12.48", "4.12.58"),
        ("4.13.30", "4.12.48", "4.12.58"),
        ("4.13.31", "4.12.49", "4.12.58"),
        ("4.13.32", "4.12.50", "4.12.58"),
        ("4.13.33", "4.12.50", "4.12.58"),
        ("4.13.34", "4.12.51", "4.12.58"),
        ("4.13.35", "4.12.51", "4.12.58"),
        ("4.13.36", "4.12.53", "4.12.58"),
        ("4.13.37", "4.12.53", "4.12.58"),
        ("4.13.38", "4.12.54", "4.12.58"),
        ("4.13.39", "4.12.56", "4.12.58"),
        ("4.13.40", "4.12.56", "4.12.58"),
        ("4.13.41", "4.12.57", "4.12.58"),
        ("4.13.42", "4.12.58", "4.12.58"),
    ];

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn every_recorded_edge_of_stable_4_13_is_there_and_every_condition_stands() {
        let (recorded, theirs, _, ours) = both();
        let listed: usize = recorded.conditional().iter().map(|group| group.edges.len()).sum();
        assert_eq!((recorded.edges().len(), listed), (1171, 2394));
        let conditional = theirs.values().filter(|risks| !risks.is_empty()).count();
        // 136 pairs are in both of its lists; the condition holds for them.
        assert_eq!((theirs.len(), conditional), (1171 + 2394 - 136, 2394));
        for (pair, risks) in &theirs {
            let found = ours.get(pair);
            let found = found.unwrap_or_else(|| panic!("{} -> {} is missing", pair.0, pair.1));
            assert!(risks.is_subset(found), "{} -> {}: {risks:?} {found:?}", pair.0, pair.1);
        }
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn what_newer_data_changed_in_stable_4_13_is_known_by_name() {
        let (recorded, theirs, _, ours) = both();
        let extra = ours.keys().filter(|pair| !theirs.contains_key(pair)).cloned();
        assert_eq!(extra.collect::<BTreeSet<_>>(), expand(&EXTRA, &recorded));
        let became = theirs.iter().filter(|(pair, risks)| {
            risks.is_empty() && ours.get(pair).is_some_and(|ours| !ours.is_empty())
        });
        let became: BTreeSet<Pair> = became.map(|(pair, _)| pair.clone()).collect();
        assert_eq!(became, expand(&BECAME_CONDITIONAL, &recorded));
        let more = theirs.iter().flat_map(|(pair, risks)| ours[pair].difference(risks));
        let more: BTreeSet<&String> = more.collect();
        assert_eq!(more, [&NEW_RISK.to_owned()].into(), "risks on edges that had none of the name");
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_risks_of_stable_4_13_are_those_recorded_but_for_named_changes() {
        let (recorded, _, ours, _) = both();
        let risks = |graph: &Graph| -> BTreeMap<String, Risk> {
            let all = graph.conditional().iter().flat_map(|group| group.risks.clone());
            all.map(|risk| (risk.name.clone(), risk)).collect()
        };
        let (theirs, ours) = (risks(&recorded), risks(&ours));
        let names = |risks: &BTreeMap<String, Risk>| -> BTreeSet<String> {
            risks.keys().cloned().collect()
        };
        assert_eq!(theirs.len(), 19);
        let gone: Vec<String> = names(&theirs).difference(&names(&ours)).cloned().collect();
        assert_eq!(gone, Vec::<String>::new());
        let new: Vec<String> = names(&ours).difference(&names(&theirs)).cloned().collect();
        assert_eq!(new, [NEW_RISK, "AROSystemDLooping", "AzureSystemDLooping"]);
        let reworded = theirs.iter().filter(|(name, risk)| ours[*name].message != risk.message);
        let reworded: Vec<&str> = reworded.map(|(name, _)| name.as_str()).collect();
        assert_eq!(reworded, ["PatchesOlderRelease"]);
        for (name, risk) in &theirs {
            let ours = &ours[name];
            assert_eq!((&ours.url, &ours.matching_rules), (&risk.url, &risk.matching_rules));
        }
    }

    /// The product that the scrape of 2021 and the graph data of that day make.
    fn openshift_2021() -> ProductSource {
        let scrape = recorded("openshift-2021-11-24-raw.json");
        assert_eq!((scrape.nodes().len(), scrape.edges().len()), (1085, 19_478));
        let at = "2021-11-24T00:00:00Z".parse().unwrap();
        let unknown = scraped_releases(&scrape, at, &|_, _| None);
        assert_eq!(unknown.left_out.len(), 93, "only named by other releases");
        let found = scraped_releases(&scrape, at, &payload);
        assert_eq!(found.left_out, [version("0.0.0")], "it is for no architecture");
        let to: BTreeSet<&ReleaseVersion> = found.backward.iter().map(|(_, to)| to).collect();
        let oddities = [version("4.4.0+s390x"), version("4.8.0-assembly.hack+amd64")];
        assert_eq!((found.backward.len(), to), (20, oddities.iter().collect()));
        let data = graph_data("openshift-graph-data-2021");
        data.into_product("redhat/ocp".parse().unwrap(), found.releases)
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_scrape_of_2021_gives_the_edges_that_openshifts_own_server_made_of_it() {
        let compiled = compile(&in_one_channel(openshift_2021())).unwrap();
        // That server: 1,085 nodes with 0.0.0, and 17,395 edges. 19,478 were scraped, 2,026 are
        // blocked, 63 carry a risk, and six are added by hand. Twenty of the rest lead backwards.
        assert_eq!(sizes(&compiled), (4, 1084, 17_395 - 20, 63));
        let amd64 = &compiled.graphs[0].2;
        let offers = amd64.targets_of(&version("4.1.0-rc.9"));
        assert!(offers.iter().any(|offer| *offer.to == version("4.1.0")), "added by hand");
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_channels_of_2021_compile_from_the_scrape() {
        let compiled = compile(&openshift_2021()).unwrap();
        assert_eq!(sizes(&compiled), (90, 4378, 58_674, 177));
        let names: BTreeSet<&str> = compiled
            .graphs
            .iter()
            .flat_map(|(_, _, graph)| graph.conditional())
            .flat_map(|group| &group.risks)
            .map(|risk| risk.name.as_str())
            .collect();
        let expected = [
            "AuthOAuthProxyLeakedConnections",
            "VSphereHW14CrossNodeNetworkingError",
            "VSphereNodeNameChanges",
        ];
        assert_eq!(names, expected.into());
    }
}

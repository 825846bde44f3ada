//! Imports of real data (`FAIRWAY_DATA`): what comes out means what went in.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

/// A module, so that `--skip field_data` leaves these out where the data is not.
mod field_data {
    use std::fmt::Write as _;
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    use channels::compile::compile;
    use channels::import::{
        Files, Import, NoteKind, Options, Payloads, Same, fedora_coreos, graph_data,
    };
    use channels::names::Arch;
    use channels::repository::{Workspace, load_graph_data};
    use channels::rollout::Policy;
    use channels::wire::Role;
    use signing::Sha256Digest;

    fn data(path: &str) -> PathBuf {
        PathBuf::from(env::var("FAIRWAY_DATA").expect("FAIRWAY_DATA names the folder")).join(path)
    }

    fn arches() -> Vec<Arch> {
        ["amd64", "arm64", "ppc64le", "s390x"].map(|arch| arch.parse().unwrap()).to_vec()
    }

    fn write(files: &Files) -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        for (path, text) in files {
            fs::create_dir_all(out.path().join(path).parent().unwrap()).unwrap();
            fs::write(out.path().join(path), text).unwrap();
        }
        out
    }

    fn options(payloads: Payloads) -> Options {
        Options {
            product: "redhat/ocp".parse().unwrap(),
            arches: arches(),
            payloads,
            released_at: None,
            role: Role::Node,
        }
    }

    fn convert(name: &str) -> (Import, Same) {
        let import = graph_data(&data(name), &options(Payloads::default())).unwrap();
        let out = write(&import.files);
        let same = import.check(out.path()).unwrap();
        (import, same)
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_live_graph_data_folds_and_compiles_to_the_same_graphs() {
        let (import, same) = convert("openshift-graph-data");
        assert_eq!(import.report.blocks_read, 1717);
        assert_eq!(import.report.blocks_written, 258, "docs/channels.md says so too");
        assert_eq!(import.report.channels, 79);
        assert!(same.graphs >= 76 * 4 && same.conditional_edges > 100_000, "{same:?}");
        let lost = |kind: NoteKind| import.report.notes.iter().any(|note| note.kind == kind);
        assert!(lost(NoteKind::PayloadMissing) && !lost(NoteKind::NotConverted));
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn with_a_payload_for_every_version_the_live_graph_data_becomes_a_whole_repository() {
        let known = load_graph_data(&data("openshift-graph-data")).unwrap().versions();
        let mut table = "version,arch,digest,released_at\n".to_owned();
        for version in &known {
            for arch in arches() {
                let digest = Sha256Digest::of(format!("{version}+{arch}").as_bytes());
                writeln!(table, "{version},{arch},{digest},2026-01-01").unwrap();
            }
        }
        let repository = Some("quay.io/openshift-release-dev/ocp-release");
        let payloads = Payloads::parse(Path::new("p.csv"), &table, repository).unwrap();
        let import = graph_data(&data("openshift-graph-data"), &options(payloads)).unwrap();
        assert_eq!(import.report.releases, known.len());
        let missing = import.report.notes.iter().filter(|note| note.kind.is_missing());
        let missing: Vec<&str> = missing.map(|note| note.subject.as_str()).collect();
        assert_eq!(missing, ["4.1", "4.2"], "minors without build suggestions");
        let out = write(&import.files);
        import.check(out.path()).unwrap();
        let workspace = Workspace::load(out.path()).unwrap();
        let compiled = compile(&workspace.products[0]).unwrap();
        assert!(compiled.graphs.len() >= 76 * 4);
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_graph_data_of_2021_folds_and_means_the_same() {
        let (import, same) = convert("openshift-graph-data-2021");
        assert!(import.report.blocks_written < import.report.blocks_read);
        assert!(same.pairs > 0);
        let lost = import.report.notes.iter().filter(|note| note.kind == NoteKind::EdgeLost);
        assert!(lost.count() >= 5);
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_live_streams_of_fedora_coreos_import_cleanly() {
        let sources = ["next", "stable", "testing"].map(|stream| {
            let file = data("fedora-coreos-updates").join(format!("{stream}.json"));
            let text = fs::read_to_string(&file).unwrap();
            (file, text)
        });
        let product = "fedora/coreos".parse().unwrap();
        let (files, report) = fedora_coreos(&product, &arches(), &sources).unwrap();
        assert_eq!((report.channels, report.policies), (3, 3));
        let out = write(&files);
        let workspace = Workspace::load(out.path()).unwrap();
        let channels = &workspace.products[0].channels;
        let count = |marks: fn(&channels::repository::ChannelSource) -> usize| -> usize {
            channels.values().map(marks).sum()
        };
        assert_eq!(count(|channel| channel.versions.len()), 65);
        let marked = count(|channel| channel.barriers.len()) + count(|c| c.dead_ends.len());
        assert_eq!(marked, 59, "all but the six versions that only roll out");
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with("rollouts")) {
            let policy = Policy::parse(Path::new(path), text).unwrap();
            assert_eq!(policy.rings[0].curve.length().secs(), 48 * 3600);
        }
    }
}

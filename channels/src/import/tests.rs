//! Imports mean what their sources mean, and say what they could not take over.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fold::{fold, range_text};
use super::*;
use crate::repository::{ProductSource, load_graph_data};
use crate::wire::Role;

fn product() -> ProductRef {
    "acme/os".parse().unwrap()
}

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn write(directory: &Path, file: &str, text: &str) {
    let path = directory.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const SUGGESTIONS: &str = "default:\n  minor_min: 4.0.0\n  minor_max: 4.0.9999\n  \
    minor_block_list: []\n  z_min: 4.1.0\n  z_max: 4.1.9999\n  z_block_list: []\n";

/// A small checkout: one minor of six versions, one of which has a pre-release.
fn checkout() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let versions = "[4.0.9, 4.1.0-rc.1, 4.1.0, 4.1.1, 4.1.2, 4.1.3, 4.1.4, 4.1.2+s390x]";
    write(dir.path(), "version", "1.1.0\n");
    write(
        dir.path(),
        "channels/fast-4.1.yaml",
        &format!(
            "# ours\nname: fast-4.1\nfeeder: {{name: candidate, delay: PT0H}}\nversions: {versions}\n"
        ),
    );
    write(dir.path(), "internal-channels/candidate.yaml", "name: candidate\nversions: [4.1.0]\n");
    write(dir.path(), "build-suggestions/4.1.yaml", SUGGESTIONS);
    write(dir.path(), "build-suggestions/4.0.yaml", &SUGGESTIONS.replace("4.1.", "4.0."));
    dir
}

fn risk(dir: &Path, to: &str, from: &str, more: &str) {
    let text = format!(
        "to: {to}\nfrom: {from}\n{more}url: https://acme.example/1\nname: Slow\nmessage: It is.\n\
         matchingRules:\n- type: Always\n"
    );
    write(dir, &format!("blocked-edges/{to}-slow.yaml"), &text);
}

fn options() -> Options {
    Options {
        product: product(),
        arches: vec!["amd64".parse().unwrap(), "s390x".parse().unwrap()],
        payloads: Payloads::default(),
        released_at: None,
        role: Role::Node,
    }
}

/// Converts, writes and checks.
fn convert(
    dir: &Path,
    options: &Options,
) -> (Import, tempfile::TempDir, Result<Same, ImportError>) {
    let import = graph_data(dir, options).unwrap();
    let out = tempfile::tempdir().unwrap();
    for (path, text) in &import.files {
        write(out.path(), path.to_str().unwrap(), text);
    }
    let same = import.check(out.path());
    (import, out, same)
}

fn block_files(import: &Import) -> Vec<&str> {
    let paths = import.files.keys().filter(|path| path.starts_with("blocked-edges"));
    paths.map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

fn kinds(report: &Report) -> BTreeSet<NoteKind> {
    report.notes.iter().map(|note| note.kind).collect()
}

#[test]
fn one_risk_of_consecutive_versions_becomes_one_file_with_a_range() {
    let dir = checkout();
    for to in ["4.1.0-rc.1", "4.1.0", "4.1.1", "4.1.2"] {
        risk(dir.path(), to, "4[.]0[.].*", "fixedIn: 4.1.3\n");
    }
    let (import, _out, same) = convert(dir.path(), &options());
    assert_eq!(block_files(&import), ["Slow.yaml"]);
    let text = &import.files[Path::new("blocked-edges/Slow.yaml")];
    assert!(text.starts_with("to: \">=4.1.0-rc.1, <=4.1.2\"\nfixedIn: 4.1.3\nfrom: "), "{text}");
    let same = same.unwrap();
    assert_eq!(same.graphs, 2);
    assert_eq!(same.conditional_edges, 8, "four targets on two architectures");
    assert_eq!((import.report.blocks_read, import.report.blocks_written), (4, 1));
}

#[test]
fn a_version_without_the_fault_splits_the_range() {
    let dir = checkout();
    for to in ["4.1.0", "4.1.1", "4.1.3", "4.1.4"] {
        risk(dir.path(), to, "4[.]0[.].*", "");
    }
    let (import, _out, same) = convert(dir.path(), &options());
    assert_eq!(block_files(&import), ["Slow-4.1.0.yaml", "Slow-4.1.3.yaml"]);
    same.unwrap();
}

#[test]
fn a_prerelease_in_between_does_not_split_what_a_range_leaves_out_by_itself() {
    let dir = checkout();
    for to in ["4.0.9", "4.1.0", "4.1.1"] {
        risk(dir.path(), to, "4[.]0[.].*", "");
    }
    let (import, _out, same) = convert(dir.path(), &options());
    assert_eq!(block_files(&import), ["Slow.yaml"]);
    same.unwrap();
}

#[test]
fn blocks_of_one_architecture_and_other_sources_stay_apart() {
    let dir = checkout();
    risk(dir.path(), "4.1.0", "4[.]0[.].*", "");
    risk(dir.path(), "4.1.1", "4[.]1[.].*", "");
    risk(dir.path(), "4.1.2+s390x", "4[.]0[.].*", "");
    let (import, _out, same) = convert(dir.path(), &options());
    assert_eq!(
        block_files(&import),
        ["4.1.0-slow.yaml", "4.1.1-slow.yaml", "4.1.2+s390x-slow.yaml"]
    );
    assert!(kinds(&import.report).contains(&NoteKind::KeptApart));
    assert!(same.unwrap().conditional_edges > 0);
}

#[test]
fn different_fixes_and_comments_are_told() {
    let dir = checkout();
    risk(dir.path(), "4.1.0", "4[.]0[.].*", "fixedIn: 4.1.2\n");
    risk(dir.path(), "4.1.1", "4[.]0[.].*", "# seen twice\nfixedIn: 4.1.3\n");
    let (import, _out, same) = convert(dir.path(), &options());
    assert!(
        kinds(&import.report)
            .is_superset(&BTreeSet::from([NoteKind::FixesDiffer, NoteKind::TextsDiffer]))
    );
    let text = &import.files[Path::new("blocked-edges/Slow.yaml")];
    assert!(text.contains("# seen twice") && !text.contains("fixedIn"), "{text}");
    same.unwrap();
}

#[test]
fn channels_are_taken_over_to_the_byte_and_missing_payloads_are_named() {
    let dir = checkout();
    let (import, _out, same) = convert(dir.path(), &options());
    for file in ["channels/fast-4.1.yaml", "internal-channels/candidate.yaml"] {
        let source = fs::read_to_string(dir.path().join(file)).unwrap();
        assert_eq!(import.files[Path::new(file)], source);
    }
    assert_eq!(kinds(&import.report), BTreeSet::from([NoteKind::PayloadMissing]));
    assert_eq!(import.report.notes.len(), 7);
    assert!(import.report.lacks_something());
    assert_eq!(import.report.releases, 0);
    same.unwrap();
}

const TABLE: &str = "version,arch,digest,released_at\n\
    4.0.9,amd64,sha256:0000000000000000000000000000000000000000000000000000000000000009,2026-01-01\n\
    4.1.0,amd64,sha256:0000000000000000000000000000000000000000000000000000000000000010,\n\
    4.1.0,s390x,sha256:0000000000000000000000000000000000000000000000000000000000000011,2026-02-01\n\
    4.1.1,amd64,sha256:0000000000000000000000000000000000000000000000000000000000000012,\n\
    9.9.9,amd64,sha256:0000000000000000000000000000000000000000000000000000000000000013,2026-01-01\n";

#[test]
fn payloads_make_releases_that_name_their_predecessors() {
    let dir = checkout();
    let mut options = options();
    let file = Path::new("payloads.csv");
    options.payloads = Payloads::parse(file, TABLE, Some("quay.io/acme/os")).unwrap();
    let (import, out, same) = convert(dir.path(), &options);
    same.unwrap();
    assert_eq!(import.report.releases, 2);
    let notes: BTreeSet<(NoteKind, &str)> =
        import.report.notes.iter().map(|note| (note.kind, note.subject.as_str())).collect();
    assert!(notes.contains(&(NoteKind::DateMissing, "4.1.1")), "{notes:?}");
    assert!(notes.contains(&(NoteKind::PayloadUnused, "9.9.9")), "{notes:?}");
    assert!(notes.contains(&(NoteKind::PayloadMissing, "4.1.4")), "{notes:?}");
    let written = ProductSource::load(out.path(), Path::new("")).unwrap();
    let release = &written.releases[&version("4.1.0")];
    assert_eq!(release.document.released_at, "2026-02-01T00:00:00Z".parse().unwrap());
    assert!(release.document.allows_from(&version("4.0.9")));
    assert!(!release.document.allows_from(&version("3.11.0")));
    assert_eq!(release.payloads.len(), 2);
    let amd64 = &release.payloads[&"amd64".parse().unwrap()];
    assert!(amd64.starts_with("quay.io/acme/os@sha256:"), "{amd64}");
}

#[test]
fn edges_added_by_hand_join_the_release_or_are_named() {
    let dir = checkout();
    let patch = r#"{"4.1.0": {"io.openshift.upgrades.graph.previous.add": "3.11.0",
        "io.openshift.upgrades.graph.previous.remove": "4.1.0-rc.1"}}"#;
    write(dir.path(), "raw/metadata.json", patch);
    let (import, _out, same) = convert(dir.path(), &options());
    same.unwrap();
    assert!(kinds(&import.report).contains(&NoteKind::EdgeLost));
    assert_eq!(block_files(&import), ["removed-4.1.0.yaml"]);
    let mut options = options();
    options.payloads = Payloads::parse(Path::new("p.csv"), TABLE, Some("quay.io/acme/os")).unwrap();
    let (import, out, same) = convert(dir.path(), &options);
    same.unwrap();
    assert!(!kinds(&import.report).contains(&NoteKind::EdgeLost));
    let written = ProductSource::load(out.path(), Path::new("")).unwrap();
    assert!(written.releases[&version("4.1.0")].document.allows_from(&version("3.11.0")));
}

#[test]
fn a_tampered_result_is_found_out() {
    let dir = checkout();
    risk(dir.path(), "4.1.0", "4[.]0[.].*", "");
    risk(dir.path(), "4.1.1", "4[.]0[.].*", "");
    let (import, out, same) = convert(dir.path(), &options());
    same.unwrap();
    let file = out.path().join("blocked-edges/Slow.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("<=4.1.1", "<=4.1.2")).unwrap();
    let error = import.check(out.path()).unwrap_err();
    assert!(
        matches!(&error, ImportError::BlockDiffers { from, to, .. }
            if *to == version("4.1.2") && *from == version("4.0.9")),
        "{error}"
    );
    fs::write(&file, text).unwrap();
    let channel = out.path().join("channels/fast-4.1.yaml");
    fs::write(&channel, "name: fast-4.1\nversions: [4.1.0]\n").unwrap();
    let error = import.check(out.path()).unwrap_err();
    assert!(matches!(error, ImportError::GraphDiffers { .. }), "{error}");
}

#[test]
fn a_tampered_release_is_found_out() {
    let dir = checkout();
    let mut options = options();
    options.payloads = Payloads::parse(Path::new("p.csv"), TABLE, Some("quay.io/acme/os")).unwrap();
    let (import, out, same) = convert(dir.path(), &options);
    same.unwrap();
    fs::remove_file(out.path().join("releases/4.0.9.yaml")).unwrap();
    let error = import.check(out.path()).unwrap_err();
    assert!(matches!(error, ImportError::ReleaseDiffers { .. }), "{error}");
}

#[test]
fn a_directory_without_channels_and_a_malformed_block_are_refused() {
    let empty = tempfile::tempdir().unwrap();
    let error = graph_data(empty.path(), &options()).unwrap_err();
    assert!(matches!(error, ImportError::NoChannels { .. }), "{error}");
    let dir = checkout();
    write(dir.path(), "blocked-edges/x.yaml", "to: 4.1.0\nfrom: '('\n");
    let error = graph_data(dir.path(), &options()).unwrap_err();
    assert!(matches!(&error, ImportError::Repository { faults } if faults.len() == 1), "{error}");
}

#[test]
fn unusable_payload_tables_name_the_entry() {
    let parse = |name: &str, text: &str| {
        let error = Payloads::parse(Path::new(name), text, None).unwrap_err();
        let ImportError::Payloads { entry, .. } = error else { panic!("{error}") };
        entry
    };
    let digest = "a@sha256:0000000000000000000000000000000000000000000000000000000000000009";
    assert_eq!(parse("p.csv", "version,arch\n"), 1);
    assert_eq!(parse("p.csv", "version,arch,digest,colour\n"), 1);
    assert_eq!(parse("p.csv", "version,arch,digest\n4.0.0,amd64\n"), 2);
    assert_eq!(parse("p.csv", &format!("version,arch,digest\n\n4.0,amd64,{digest}\n")), 3);
    assert_eq!(parse("p.csv", "version,arch,digest\n4.0.0,amd64,sha256:00\n"), 2);
    let twice = format!("version,arch,digest\n4.0.0,amd64,{digest}\n4.0.0,amd64,{digest}\n");
    assert_eq!(parse("p.csv", &twice), 3);
    assert_eq!(parse("p.json", "{}"), 0);
    let dated = format!(
        r#"[{{"version":"4.0.0","arch":"amd64","digest":"{digest}","released_at":"May"}}]"#
    );
    assert_eq!(parse("p.json", &dated), 1);
    let good = dated.replace("May", "2026-05-01");
    assert_eq!(Payloads::parse(Path::new("p.json"), &good, None).unwrap().versions().count(), 1);
}

proptest! {
    /// Any set of targets, pre-releases among them, folds into ranges that hold it and no more.
    #[test]
    fn folded_ranges_hold_exactly_the_targets(
        known in proptest::collection::btree_set((0_u64..3, 0_u64..4, 0_u64..4), 1..30),
        chosen in proptest::collection::vec(any::<bool>(), 30),
    ) {
        let known: Vec<String> = known
            .into_iter()
            .map(|(minor, patch, pre)| match pre {
                0 => format!("4.{minor}.{patch}"),
                pre => format!("4.{minor}.{patch}-rc.{pre}"),
            })
            .collect();
        let dir = checkout();
        for (to, _) in known.iter().zip(&chosen).filter(|(_, chosen)| **chosen) {
            risk(dir.path(), to, ".*", "");
        }
        let source = load_graph_data(dir.path()).unwrap();
        let universe: BTreeSet<ReleaseVersion> = known.iter().map(|text| version(text)).collect();
        let folds = fold(&source.blocks, &universe);
        let covered: BTreeSet<ReleaseVersion> = folds
            .iter()
            .flat_map(|fold| match &fold.range {
                Some((first, last)) if first != last => {
                    let range: crate::version::Requirement =
                        range_text(first, last).parse().unwrap();
                    universe.iter().filter(|one| range.matches(one)).cloned().collect::<Vec<_>>()
                }
                _ => fold.blocks.iter().map(|index| match &source.blocks[*index].to {
                    crate::repository::Targets::Version(to) => to.clone(),
                    crate::repository::Targets::Range(range) => panic!("{range}"),
                }).collect(),
            })
            .collect();
        let wanted: BTreeSet<ReleaseVersion> = known
            .iter()
            .zip(&chosen)
            .filter(|(_, chosen)| **chosen)
            .map(|(text, _)| version(text))
            .collect();
        prop_assert_eq!(covered, wanted);
        let members: usize = folds.iter().map(|fold| fold.blocks.len()).sum();
        prop_assert_eq!(members, source.blocks.len(), "every block is in one fold");
    }

    #[test]
    fn fcos_versions_keep_order_and_come_back(
        one in (30_u64..60, 20_190_101_u64..20_401_231, 0_u64..100, 0_u64..1000),
        other in (30_u64..60, 20_190_101_u64..20_401_231, 0_u64..100, 0_u64..1000),
    ) {
        let parse = |(major, day, stream, revision): (u64, u64, u64, u64)| -> FcosVersion {
            let text = match stream {
                0 => format!("{major}.{day}.{revision}"),
                stream => format!("{major}.{day}.{stream}.{revision}"),
            };
            let parsed: FcosVersion = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            parsed
        };
        let (a, b) = (parse(one), parse(other));
        prop_assert_eq!(a.cmp(&b), a.to_release().cmp(&b.to_release()));
        prop_assert_eq!(one.cmp(&other), a.cmp(&b));
        prop_assert_eq!(FcosVersion::of_release(&a.to_release()), Some(a));
    }
}

fn fcos(text: &str) -> Result<(Files, Report), ImportError> {
    let sources = [(PathBuf::from("stable.json"), text.to_owned())];
    fedora_coreos(&product(), &["amd64".parse().unwrap()], &sources)
}

const STABLE: &str = r#"{"stream": "stable", "metadata": {}, "releases": [
    {"version": "30.20190716.1", "metadata": {"deadend": {"reason": "see #215"}}},
    {"version": "31.20200517.3.0", "metadata": {"barrier": {"reason": "keys \"moved\""}}},
    {"version": "44.20260621.3.1", "metadata": {"rollout": {"start_percentage": 1.0}}},
    {"version": "44.20260707.3.1", "metadata": {"rollout":
        {"duration_minutes": 2880, "start_epoch": 1784728800, "start_percentage": 0.0}}}]}"#;

#[test]
fn barriers_dead_ends_and_rollouts_of_fedora_coreos_are_converted() {
    let (files, report) = fcos(STABLE).unwrap();
    let out = tempfile::tempdir().unwrap();
    for (path, text) in &files {
        write(out.path(), path.to_str().unwrap(), text);
    }
    let written = ProductSource::load(out.path(), Path::new("")).unwrap();
    let channel = &written.channels[&"stable".parse().unwrap()];
    assert_eq!(channel.versions.len(), 4);
    assert_eq!(channel.barriers[&version("31.20200517.3000")], "keys \"moved\"");
    assert_eq!(channel.dead_ends[&version("30.20190716.1")], "see #215");
    let policies: Vec<&PathBuf> =
        files.keys().filter(|path| path.starts_with("rollouts")).collect();
    let file = Path::new("rollouts/stable-44-20260707-3001.yaml");
    assert_eq!(policies, [file]);
    let policy = crate::rollout::Policy::parse(file, &files[file]).unwrap();
    let curve = &policy.rings[0].curve;
    assert_eq!(curve.length().secs(), 2880 * 60);
    assert_eq!(policy.start, crate::rollout::Start::At("2026-07-22T14:00:00Z".parse().unwrap()));
    assert!(policy.applies_to(&product(), &"stable".parse().unwrap()));
    assert!(!policy.applies_to(&product(), &"next".parse().unwrap()));
    assert_eq!((report.channels, report.policies), (1, 1));
    assert!(report.lacks_something());
}

#[test]
fn unusable_update_files_are_refused() {
    for (broken, by) in [
        ("44.20260707.3.1", "44.20260621.3.1"),
        ("44.20260707.3.1", "44.20260707.0.1"),
        ("44.20260707.3.1", "44.20260707.3.1000"),
        ("44.20260707.3.1", "44.20260707.03.1"),
        ("44.20260707.3.1", "44.20260707"),
        ("see #215", " "),
        ("\"start_percentage\": 0.0", "\"start_percentage\": 1.5"),
        ("\"start_percentage\": 0.0", "\"share\": 1"),
        ("\"start_percentage\": 1.0", "\"start_percentage\": 0.5"),
        ("\"stream\"", "\"river\""),
    ] {
        let error = fcos(&STABLE.replace(broken, by)).unwrap_err();
        assert!(matches!(error, ImportError::Fcos { .. }), "{by}: {error}");
    }
    let sources = ["a.json", "b.json"].map(|name| (PathBuf::from(name), STABLE.to_owned()));
    let error = fedora_coreos(&product(), &[], &sources).unwrap_err();
    assert!(matches!(error, ImportError::StreamTwice { .. }), "{error}");
}

#[test]
fn a_key_nobody_knows_is_reported() {
    let (_, report) = fcos(&STABLE.replace("\"deadend\"", "\"detour\"")).unwrap();
    let found =
        |note: &Note| note.kind == NoteKind::NotConverted && note.message.contains("detour");
    assert!(report.notes.iter().any(found));
}

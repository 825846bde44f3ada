//! Replays the kept corpora of the fuzz targets over the same checks (`fuzz/checks`), so that what
//! fuzzing once found stays checked wherever the plain tests run.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../fuzz/checks/mod.rs"]
mod checks;

use std::path::PathBuf;

use signing::Sha256Digest;

/// Most files and bytes of one corpus: they are in the repository for ever.
const MAX_FILES: usize = 150;
const MAX_BYTES: usize = 100 * 1024;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Runs `check` over every kept input of `target`, and says how many bytes they have.
fn replay(target: &str, check: fn(&[u8])) {
    let files: Vec<_> = std::fs::read_dir(corpus(target)).unwrap().map(Result::unwrap).collect();
    assert!((10..=MAX_FILES).contains(&files.len()), "{} inputs", files.len());
    let mut bytes = 0;
    for file in files {
        let input = std::fs::read(file.path()).unwrap();
        bytes += input.len();
        check(&input);
    }
    assert!(bytes <= MAX_BYTES, "{bytes} bytes");
}

#[test]
fn kept_files_of_every_kind_are_answered_and_imports_mean_the_same() {
    replay("authored_files", checks::authored_files::check);
}

#[test]
fn kept_graphs_are_written_and_read_as_the_same() {
    replay("graph_json", checks::graph_json::check);
}

#[test]
fn kept_documents_read_back() {
    replay("reports", checks::reports::check);
}

#[test]
fn kept_selectors_read_back_and_cover_what_they_say() {
    replay("selectors", checks::selectors::check);
}

#[test]
fn kept_signatures_are_answered_and_verify_for_nothing_else() {
    replay("signatures", checks::signatures::check);
}

#[test]
fn kept_versions_and_requirements_read_back() {
    replay("versions", checks::versions::check);
}

#[test]
fn an_empty_input_and_an_unknown_kind_are_nothing() {
    checks::authored_files::check(b"");
    checks::authored_files::check(b"~name: x");
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Good files of every kind, by their place in `KINDS`.
fn file_seeds() -> Vec<Vec<u8>> {
    let release = format!(
        "version: 1.1.0\nreleased_at: 2026-01-01T10:00:00Z\nseverity: low\nadvisories: [CVE-1]\n\
         url: https://a.b/\npayload: h.io/a/b@{DIGEST}\ncomponents:\n- {{role: broker, version: 'x', \
         image: 'a/b@{DIGEST}'}}\narches: {{arm64: {{payload: 'a/c@{DIGEST}', upgrade_from: \
         ['=1.0.0']}}}}\nupgrade_from: ['^1.0', '<1']\nminor_hops: 1\ndowngrade_from: ['=1.2.0-rc.1']\n\
         dependencies: [{{product: a/b, requirement: ^1}}]\nfinalize: {{summary: s, level: '1'}}\n"
    );
    let channel = "name: stable\nfeeder: {name: candidate, delay: PT48H, errata: public, filter: \
                   '1[.].*'}\nversions: [1.0.0, 1.1.0+amd64, 1.2.0-rc.1]\ntombstones: [1.0.0]\n\
                   barriers: {1.1.0: keys}\ndead_ends: {1.0.0: gone}\n";
    let block = "to: 1.1.0-rc.1\nfixedIn: 1.1.2\nfrom: 1[.]0[.].*\nurl: https://a.b/\nname: Slow\n\
                 message: |-\n  It is\n  slow.\nmatchingRules:\n- type: PromQL\n  promql:\n    promql: \
                 group(up)\n- type: Always\nautoExtend: https://a.b/\n";
    let texts = [
        (
            'a',
            "vendor = \"acme\"\nproduct = \"os\"\n[defaults]\narches = [\"amd64\"]\nregistry = \
               \"h.io\"\nupgrade_from = [\"^1\"]\n[rules]\nminor_hops = 1\n",
        ),
        ('b', release.as_str()),
        ('c', channel),
        ('d', "name: candidate\nversions: [1.0.0]\n"),
        ('e', "to: '>=1.0.0, <1.2.0'\nfixedIn: 1.1.1\nfrom: ^1.0\n"),
        ('e', block),
        ('f', channel),
        ('g', block),
        ('g', "to: 1.1.2\nfrom: 1[.]0[.].*\n"),
        ('g', "to: 1.1.0+amd64\nfrom: 1[.]0[.].*\n"),
        (
            'h',
            "default: {minor_min: 1.0.0, minor_max: 1.0.9, minor_block_list: [1.0.1], z_min: 1.1.0, \
               z_max: 1.1.9, z_block_list: [1.1.0-rc.1]}\ns390x: {minor_min: 1.0.0, minor_max: 1.0.9, \
               minor_block_list: [], z_min: 1.1.1, z_max: 1.1.9, z_block_list: []}\n",
        ),
        (
            'i',
            "{\"1.1.0\": {\"io.openshift.upgrades.graph.previous.add\": \"1.0.0,1.1.0-rc.1\", \
               \"io.openshift.upgrades.graph.next.remove\": \"1.1.1\", \
               \"io.openshift.upgrades.graph.previous.remove_regex\": \"1[.].*\"}}",
        ),
        (
            'j',
            "{\"stream\": \"stable\", \"releases\": [{\"version\": \"44.20260707.3.1\", \"metadata\": \
               {\"barrier\": {\"reason\": \"r\"}, \"deadend\": {\"reason\": \"r\"}, \"rollout\": \
               {\"start_epoch\": 1784728800, \"start_percentage\": 0.1, \"duration_minutes\": 60}}}]}",
        ),
        (
            'k',
            "name: p\napplies_to: [{product: a/b, channels: [stable]}]\nstart: publication\nrings:\n- \
               {name: canary, select: 'env in (test, dev)', curve: {template: fast}}\n- {name: all, rest: \
               true, curve: {points: [{after: 0s, share: 5%}, {after: 6d, share: 100%}]}}\n",
        ),
        ('k', "version,arch,digest,released_at\n1.0.0,amd64,sha256:00,2026-01-01\n"),
    ];
    texts.map(|(kind, text)| format!("{kind}{text}").into_bytes()).to_vec()
}

fn graph_seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"version":1,"nodes":[{"version":"1.0.0","payload":"a@b","metadata":{"url":"u"}},{"version":"1.1.0"},{"version":"2.0.0-rc.1+amd64","payload":""}],"edges":[[0,1],[1,2]],"conditionalEdges":[{"edges":[{"from":"1.0.0","to":"2.0.0-rc.1+amd64"}],"risks":[{"url":"u","name":"N","message":"m","matchingRules":[{"type":"PromQL","promql":{"promql":"up"}},{"type":"Always"},{"type":"Other"}]}]}],"origin":{"arch":"amd64","channel":"stable","product":"a/b"}}"#,
        r#"{"nodes":[],"edges":[]}"#,
        r#"{"nodes":[{"version":"1.0.0"},{"version":"1.1.0","metadata":{"fairway.dev/tombstone":"true"}}],"edges":[[0,1],[1,0]]}"#,
        r#"{"version":2,"nodes":[]}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn version_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "1.0.0\n1.0.0+amd64\n^1.0",
        "44.20260707.3.1\n30.20190716.1\n*",
        "4.1.0-rc.1+k3s1\n4.1.0-rc.10\n>=4.1.0-rc.1, <4.2.0",
        "18446744073709551615.0.0\n0.0.0-0\n~0.0",
        "1.2.3\n1.2.3\n=1.2.3, !=2",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// The golden documents of the wire, each behind the byte of its kind.
fn document_seeds() -> Vec<Vec<u8>> {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/v1");
    let kinds = [
        ('a', "report"),
        ('b', "report-reply"),
        ('c', "enrolment-request"),
        ('d', "key-rotation-request"),
        ('e', "site-status"),
        ('f', "problem"),
        ('g', "publication"),
    ];
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for (kind, what) in kinds {
            if name.trim_end_matches(".json").split("--").next() == Some(what) {
                seeds.push(
                    [&[u8::try_from(kind).unwrap()], &*std::fs::read(&path).unwrap()].concat(),
                );
            }
        }
    }
    seeds
}

fn selector_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "env in (test, dev)\nenv=test\nenv=test,site=north",
        "!beta, tier=edge, site notin (a, b)\ntier=edge\ntier=edge",
        "env\nenv in (a)\nenv=a",
        "a!=b\na notin (b)\na=c",
        "fairway.dev/ring=canary\n\nfairway.dev/ring=canary",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn signature_seeds() -> Vec<Vec<u8>> {
    let key = checks::signatures::key();
    let seeds = [("application/json", &b"{}"[..]), ("", b"x"), ("text/plain", b"")];
    let seeds = seeds.map(|(content_type, body)| {
        let parts = checks::signatures::parts(content_type, body);
        let signed =
            signing::message::sign(&parts, &key, checks::signatures::now(), "nonce-1").unwrap();
        let digest = signed.content_digest.unwrap_or_default();
        let fields = [&digest, &signed.signature_input, &signed.signature, content_type];
        [fields.map(str::as_bytes).join(&b'\n'), body.to_vec()].join(&b'\n')
    });
    seeds.to_vec()
}

/// A target, its first inputs, and what must hold of them.
type Seeds = (&'static str, Vec<Vec<u8>>, fn(&[u8]));

/// The inputs that fuzzing begins with hold too. They are left where the fuzzer can be pointed at
/// them, never in the source tree.
#[test]
fn first_inputs_hold_and_are_left_for_fuzzing() {
    let seeds: [Seeds; 6] = [
        ("authored_files", file_seeds(), checks::authored_files::check),
        ("graph_json", graph_seeds(), checks::graph_json::check),
        ("reports", document_seeds(), checks::reports::check),
        ("selectors", selector_seeds(), checks::selectors::check),
        ("signatures", signature_seeds(), checks::signatures::check),
        ("versions", version_seeds(), checks::versions::check),
    ];
    for (target, seeds, check) in seeds {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("seeds").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for seed in seeds {
            check(&seed);
            let name = Sha256Digest::of(&seed).hex();
            std::fs::write(folder.join(&name[..40]), seed).unwrap();
        }
    }
}

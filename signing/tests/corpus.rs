//! Replays the kept corpora of the fuzz targets over the same checks (`fuzz/checks`), so that what
//! fuzzing once found stays checked wherever the plain tests run.
#![cfg(feature = "keys")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../fuzz/checks/mod.rs"]
mod checks;

use jiff::Timestamp;
use signing::message::{self, RequestParts};
use signing::repository::add_signature;
use signing::{
    Delegation, FileName, MetaPin, RoleName, RootSpec, SecretKey, Sha256Digest, Signer,
    TargetEntry, TargetPath, TopRole, build_root, build_snapshot, build_targets, build_timestamp,
    keyfile,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Most files and bytes of one corpus: they are in the repository for ever.
const MAX_FILES: usize = 100;
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
fn kept_metadata_is_answered_and_reads_back() {
    replay("metadata", checks::metadata::check);
}

#[test]
fn kept_json_has_one_canonical_form() {
    replay("canonical_json", checks::canonical_json::check);
}

#[test]
fn kept_headers_verify_only_as_they_were_signed() {
    replay("signature_headers", checks::signature_headers::check);
}

#[test]
fn kept_key_files_are_answered_and_read_back() {
    replay("key_files", checks::key_files::check);
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn at(hours: i64) -> Timestamp {
    checks::signature_headers::created() + jiff::SignedDuration::from_hours(hours)
}

/// One of each kind, and the same with its signatures taken away.
fn metadata_seeds() -> Vec<Vec<u8>> {
    let keys = |seeds: &[u8]| seeds.iter().map(|s| key(*s).public().clone()).collect::<Vec<_>>();
    let spec = RootSpec {
        version: 1,
        expires: at(9000),
        roles: BTreeMap::from([
            (TopRole::Root, (keys(&[1, 2]), 2)),
            (TopRole::Targets, (keys(&[3]), 1)),
            (TopRole::Snapshot, (keys(&[4]), 1)),
            (TopRole::Timestamp, (keys(&[4]), 1)),
        ]),
    };
    let root_role = TopRole::Root.into();
    let unsigned = build_root(&spec, &[], None).unwrap();
    let half = add_signature::<signing::metadata::Root>(&root_role, &unsigned, &key(1)).unwrap();
    let root = add_signature::<signing::metadata::Root>(&root_role, &half, &key(2)).unwrap();

    let listed = |path: &str| (TargetPath::new(path).unwrap(), TargetEntry::of(path.as_bytes()));
    let entries = BTreeMap::from([listed("acme/app/1.0.0.release.json")]);
    let delegation = Delegation {
        role: RoleName::new("acme").unwrap(),
        keys: keys(&[5]),
        threshold: 1,
        paths: vec!["acme/*/*".to_owned()],
        terminating: true,
    };
    let three = key(3);
    let signers: [&dyn Signer; 1] = [&three];
    let targets = build_targets(1, at(900), &entries, &[delegation], &signers).unwrap();
    let pin = |bytes: &[u8]| MetaPin {
        version: 1,
        length: u64::try_from(bytes.len()).unwrap(),
        digest: Sha256Digest::of(bytes),
    };
    let four = key(4);
    let signers: [&dyn Signer; 1] = [&four];
    let pins = BTreeMap::from([
        (RoleName::from(TopRole::Targets), pin(&targets)),
        (RoleName::new("acme").unwrap(), pin(&targets)),
    ]);
    let snapshot = build_snapshot(1, at(90), &pins, &signers).unwrap();
    let timestamp = build_timestamp(1, at(9), at(0), pin(&snapshot), &signers).unwrap();
    let hash_prefixes = String::from_utf8(targets.clone())
        .unwrap()
        .replace(r#""paths":["acme/*/*"]"#, r#""path_hash_prefixes":["0","ab"]"#);
    let file = FileName::target(TargetPath::new("a/b").unwrap(), Sha256Digest::of(b"b"));
    let mut seeds = vec![root, unsigned, half, targets, snapshot, timestamp];
    seeds.push(hash_prefixes.into_bytes());
    seeds.push(file.relative_path().into_bytes());
    for name in ["metadata/1.root.json", "metadata/3...%2Fodd%20role.json", "a*?/*\nab/c", "..%2F"]
    {
        seeds.push(name.as_bytes().to_vec());
    }
    seeds
}

fn canonical_json_seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"b":[1,-2,true,null,18446744073709551615],"a":"line\nend \"q\" \\ é","A":{}}"#,
        r#"{"😀":1,"～":2,"\u0000\u001f":"\ud83d\ude00"}"#,
        "[-9223372036854775808,0,1.5,1e3,-0]",
        r#"{"a":1,"a":2}"#,
        "[[[[[[[[]]]]]]]]",
        r#"" \t\n ""#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn header_seeds() -> Vec<Vec<u8>> {
    let key = checks::signature_headers::key();
    let get = RequestParts { method: "GET", path: "/x", query: "", content_type: None, body: b"" };
    let post = RequestParts {
        method: "POST",
        path: "/api/v1/reports",
        query: "a=b",
        content_type: Some("application/json"),
        body: b"{}",
    };
    let mut seeds = Vec::new();
    for (request, hours) in [(get, 0), (post, 0), (get, -1), (post, 2)] {
        let headers = message::sign(&request, &key, at(hours), "n-1").unwrap();
        let lines = [
            headers.signature_input.as_str(),
            &headers.signature,
            headers.content_digest.as_deref().unwrap_or_default(),
            request.content_type.unwrap_or_default(),
            request.method,
            request.path,
            request.query,
        ];
        let mut seed = lines.join("\n").into_bytes();
        seed.push(b'\n');
        seed.extend_from_slice(request.body);
        seeds.push(seed);
        seeds.push(headers.signature_input.into_bytes());
    }
    seeds
}

fn key_file_seeds() -> Vec<Vec<u8>> {
    let passphrase = checks::key_files::PASSPHRASE;
    let key = key(9);
    let encrypted = keyfile::to_pem(&key, passphrase).unwrap();
    vec![
        encrypted.as_bytes().to_vec(),
        keyfile::to_plain_pem(&key).unwrap().as_bytes().to_vec(),
        key.public().to_spki_pem().into_bytes(),
        key.public().to_tuf_json().to_string().into_bytes(),
    ]
}

/// A target, its first inputs, and what must hold of them.
type Seeds = (&'static str, Vec<Vec<u8>>, fn(&[u8]));

/// The inputs that fuzzing begins with, made anew by each run, hold too. They are left where the
/// fuzzer can be pointed at them, never in the source tree: they differ from run to run.
#[test]
fn first_inputs_hold_and_are_left_for_fuzzing() {
    let seeds: [Seeds; 4] = [
        ("metadata", metadata_seeds(), checks::metadata::check),
        ("canonical_json", canonical_json_seeds(), checks::canonical_json::check),
        ("signature_headers", header_seeds(), checks::signature_headers::check),
        ("key_files", key_file_seeds(), checks::key_files::check),
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

//! What a holder is shown and asked, and what is refused at their machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use signing::{PublicKey, RoleName, RootSpec, SecretKey, SigningRequest, TargetEntry, keyfile};

use super::*;
use crate::authoring::{read_request, write_request};
use crate::out::capture;

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn publics(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| secret(*seed).public().clone()).collect()
}

fn request(previous: Option<&[u8]>, root: &[u8], threshold: u32) -> SigningRequest {
    let roles = BTreeMap::from([
        (TopRole::Root, (publics(root), threshold)),
        (TopRole::Targets, (publics(&[20]), 1)),
        (TopRole::Snapshot, (publics(&[21]), 1)),
        (TopRole::Timestamp, (publics(&[22]), 1)),
    ]);
    let version = if previous.is_some() { 2 } else { 1 };
    let expires = now() + SignedDuration::from_hours(24 * 365);
    SigningRequest::for_root(previous, &RootSpec { version, expires, roles }).unwrap()
}

fn signed(request: &SigningRequest, seed: u8) -> SigningRequest {
    match request.add_signature(&secret(seed), now()).unwrap() {
        signing::repository::Signing::Added(signed) => *signed,
        signing::repository::Signing::Already => panic!(),
    }
}

fn first() -> Vec<u8> {
    signed(&signed(&request(None, &[1, 2], 2), 1), 2).completed().unwrap()
}

/// A request for root 2 with one of its two signatures.
pub(crate) fn half_signed(file: &Path) {
    let request = request(Some(&first()), &[1, 3], 2);
    write_request(file, &signed(&request, 1)).unwrap();
}

/// A holder with a request, their key and their own copy of root 1.
struct Room {
    temp: tempfile::TempDir,
}

impl Room {
    fn new(request: &SigningRequest) -> Self {
        let room = Self { temp: tempfile::tempdir().unwrap() };
        write_request(&room.file("r.json"), request).unwrap();
        for seed in [1, 2, 9] {
            let pem = keyfile::to_plain_pem(&secret(seed)).unwrap();
            keyfile::write_new(room.file(&format!("{seed}.pem")), &pem).unwrap();
        }
        std::fs::write(room.file("root.json"), first()).unwrap();
        room
    }

    fn file(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.file("r.json")).unwrap()
    }

    fn sign(&self, words: &str, ask: &sign::Ask) -> (Result<()>, String, String) {
        self.sign_in(Scope::Root, words, ask)
    }

    fn sign_in(&self, scope: Scope, words: &str, ask: &sign::Ask) -> (Result<()>, String, String) {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: SignArgs,
        }
        let words: Vec<String> = std::iter::once("sign r.json")
            .chain([words])
            .flat_map(|part| part.split(' '))
            .map(|word| {
                let path = Path::new(word);
                let is_file = path.extension().is_some();
                if is_file { self.file(word).display().to_string() } else { word.to_owned() }
            })
            .collect();
        let args = <Cli as clap::Parser>::try_parse_from(words).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        let result = sign(&args, scope, Passphrases::given("pass"), ask, now(), &mut out);
        (result, stdout.text(), stderr.text())
    }
}

fn nobody(_: &str) -> Result<bool> {
    Err(CliError::failed("nobody can be asked"))
}

fn never(_: &str) -> Result<bool> {
    panic!("asked")
}

#[test]
fn a_holder_sees_what_changes_before_being_asked() {
    let first = first();
    let room = Room::new(&request(Some(&first), &[1, 3], 2));
    let (result, stdout, stderr) = room.sign("--key 1.pem", &|question| {
        assert!(question.starts_with("Sign root 2 with "), "{question}");
        Ok(false)
    });
    assert_eq!(result.unwrap_err().to_string(), "root 2 was not signed");
    assert!(stderr.contains("compare its digest with your own copy"), "{stderr}");
    let digest = signing::Sha256Digest::of(&first).to_string();
    insta::assert_snapshot!(stdout.replace(&digest, "DIGEST"), @r"
    root 2
      follows root 1
        DIGEST
      expires 2027-05-01T12:00:00Z (in 365d), was 2027-05-01T12:00:00Z
      root: 2 of 2 must sign
        = 7ab6 b86c b2c9 684b 0ddc 1089 6153 aa25 95de cf4d 4327 a5ff 1a8a b742 2c82 8b12
        + 8bf5 a507 dc23 7a32 c90c 0a23 b34b ab6b 3868 2614 5a5b 726d a75c 91d4 66e4 bf33
        - c3f8 60ca 5da4 454d 3349 6ca3 3bb4 8f0c dcd5 b731 be73 16b6 7ca1 91db 0185 aa26
      snapshot: 1 of 1 must sign
        = 9631 f812 4e79 d5f1 1b6e b8c9 cb29 dc79 a71e a691 794a 8653 608f fda3 8e4b c1b1
      targets: 1 of 1 must sign
        = beb9 9376 effe 9939 ecdd 3f06 e45a b423 6afc f876 159e 5b34 63e5 a0cd 85c3 d271
      timestamp: 1 of 1 must sign
        = bf16 39f6 a0b7 dfdc c4db d8bd 4448 c697 de08 7859 a266 b1f8 fe99 7e95 bb92 506c
      signatures by the keys of root 1: 0 of 2, 2 missing
        may sign  7ab6 b86c b2c9 684b 0ddc 1089 6153 aa25 95de cf4d 4327 a5ff 1a8a b742 2c82 8b12
        may sign  c3f8 60ca 5da4 454d 3349 6ca3 3bb4 8f0c dcd5 b731 be73 16b6 7ca1 91db 0185 aa26
      signatures by the keys of root 2: 0 of 2, 2 missing
        may sign  7ab6 b86c b2c9 684b 0ddc 1089 6153 aa25 95de cf4d 4327 a5ff 1a8a b742 2c82 8b12
        may sign  8bf5 a507 dc23 7a32 c90c 0a23 b34b ab6b 3868 2614 5a5b 726d a75c 91d4 66e4 bf33
    ");
    assert_eq!(room.bytes(), request(Some(&first), &[1, 3], 2).to_json().unwrap());
}

#[test]
fn a_yes_adds_exactly_one_signature() {
    let draft = request(Some(&first()), &[1, 3], 2);
    let room = Room::new(&draft);
    room.sign("--key 1.pem", &|_| Ok(true)).0.unwrap();
    let after = read_request(&room.file("r.json")).unwrap();
    assert!(after.has_signed(secret(1).public()) && !after.has_signed(secret(2).public()));
    assert!(after.is_same_draft(&draft));
    assert_eq!(std::fs::read_dir(room.temp.path()).unwrap().count(), 5, "nothing is left behind");
}

#[test]
fn without_a_terminal_nothing_is_signed_unless_told_to() {
    let room = Room::new(&request(None, &[1, 2], 2));
    let before = room.bytes();
    assert!(room.sign("--key 1.pem", &nobody).0.is_err());
    assert_eq!(room.bytes(), before);
    room.sign("--key 1.pem --yes", &never).0.unwrap();
    assert_ne!(room.bytes(), before);
}

#[test]
fn signing_twice_says_so_and_changes_nothing() {
    let room = Room::new(&request(None, &[1, 2], 2));
    room.sign("--key 1.pem --yes", &never).0.unwrap();
    let before = room.bytes();
    let (result, stdout, _) = room.sign("--key 1.pem --yes", &never);
    result.unwrap();
    assert!(stdout.ends_with("this key has signed root 1 already; nothing changed\n"), "{stdout}");
    assert_eq!(room.bytes(), before);
}

#[test]
fn a_key_that_may_not_sign_does_not() {
    let room = Room::new(&request(None, &[1, 2], 2));
    let before = room.bytes();
    let error = room.sign("--key 9.pem --yes", &never).0.unwrap_err();
    assert!(error.to_string().ends_with("may not sign root 1"), "{error}");
    assert_eq!((error.exit().code(), room.bytes()), (1, before));
}

#[test]
fn the_public_half_tells_a_stranger_before_anyone_is_asked() {
    let room = Room::new(&request(None, &[1, 2], 2));
    std::fs::write(room.file("9.pub"), secret(9).public().to_spki_pem()).unwrap();
    let error = room.sign("--key 9.pem", &never).0.unwrap_err();
    assert!(error.to_string().ends_with("may not sign root 1"), "{error}");
}

#[test]
fn a_request_over_a_root_of_ones_own_is_signed_quietly() {
    let room = Room::new(&request(Some(&first()), &[1, 3], 2));
    let (result, _, stderr) = room.sign("--key 1.pem --yes --from root.json", &never);
    result.unwrap();
    assert!(!stderr.contains("compare"), "{stderr}");
}

#[test]
fn a_request_over_a_forged_root_is_refused_by_who_knows_the_real_one() {
    // Signed by keys of its own, so it verifies; only the holder's copy tells it apart.
    let forged = signed(&request(None, &[1, 9], 1), 9).completed().unwrap();
    let room = Room::new(&request(Some(&forged), &[1, 9], 2));
    let error = room.sign("--key 1.pem --yes --from root.json", &never).0.unwrap_err();
    assert_eq!(error.to_string(), "there are two different roots 1");
    assert_eq!(error.exit().code(), 1);
    assert!(!read_request(&room.file("r.json")).unwrap().has_signed(secret(1).public()));
}

#[test]
fn an_altered_draft_is_refused_with_what_to_do() {
    let room = Room::new(&signed(&request(None, &[1, 2], 2), 2));
    let text = String::from_utf8(room.bytes()).unwrap();
    std::fs::write(room.file("r.json"), text.replace("2027-05-01", "2028-05-01")).unwrap();
    let error = room.sign("--key 1.pem --yes", &never).0.unwrap_err();
    assert!(error.to_string().contains("the draft of root was altered after key "), "{error}");
    assert_eq!(error.exit().code(), 1);
    assert!(error.hint_text().unwrap().starts_with("do not sign it"));
}

#[test]
fn an_expired_draft_asks_for_the_clock() {
    let room = Room::new(&request(None, &[1, 2], 2));
    let text = String::from_utf8(room.bytes()).unwrap();
    std::fs::write(room.file("r.json"), text.replace("2027-05-01", "2026-04-30")).unwrap();
    let error = room.sign("--key 1.pem --yes", &never).0.unwrap_err();
    assert!(error.to_string().contains("root 1 must not be signed: it expires at "), "{error}");
    assert!(error.hint_text().unwrap().contains("clock"));
}

#[test]
fn root_commands_take_requests_of_root_only() {
    let role = RoleName::new("acme.releases").unwrap();
    let path = signing::TargetPath::new("acme/app/1.0.0.release.json").unwrap();
    let targets = BTreeMap::from([(path, TargetEntry::of(b"x"))]);
    let expires = now() + SignedDuration::from_hours(24);
    let draft = signing::build_targets(1, expires, &targets, &[], &[]).unwrap();
    let keys = publics(&[1]).into_iter().map(|key| (key.key_id(), key)).collect();
    let keys = signing::metadata::KeySet { keys, threshold: 1 };
    let releases = SigningRequest::for_targets(&role, None, &draft, keys).unwrap();
    let room = Room::new(&releases);
    let error = room.sign("--key 1.pem --yes", &never).0.unwrap_err();
    assert_eq!(error.to_string(), "this is a request to sign acme.releases, not root");
    let lines = describe(&releases, &releases.review(now()), now()).join("\n");
    insta::assert_snapshot!(lines, @r"
    acme.releases 1
      the first, which follows nothing
      expires 2026-05-02T12:00:00Z (in 24h)
      + acme/app/1.0.0.release.json sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881
      signatures by the keys of acme.releases, as the request says: 0 of 1, 1 missing
        may sign  7ab6 b86c b2c9 684b 0ddc 1089 6153 aa25 95de cf4d 4327 a5ff 1a8a b742 2c82 8b12
    ");
}

#[test]
fn without_a_copy_of_ones_own_all_of_a_role_is_shown_and_not_what_a_forged_predecessor_hides() {
    let role = RoleName::new("acme.releases").unwrap();
    let path = signing::TargetPath::new("acme/app/1.0.0.release.json").unwrap();
    let targets = BTreeMap::from([(path, TargetEntry::of(b"evil"))]);
    let expires = now() + SignedDuration::from_hours(24);
    let version = |version, signers: &[&dyn signing::Signer]| {
        signing::build_targets(version, expires, &targets, &[], signers).unwrap()
    };
    let keys = |seeds: &[u8]| signing::metadata::KeySet {
        keys: publics(seeds).into_iter().map(|key| (key.key_id(), key)).collect(),
        threshold: 1,
    };
    // Signed by a key that only the request vouches for.
    let forged = version(1, &[&secret(66)]);
    let following = Some((forged.as_slice(), Some(keys(&[66]))));
    let hidden =
        SigningRequest::for_targets(&role, following, &version(2, &[]), keys(&[1])).unwrap();
    let room = Room::new(&hidden);
    let shown = |words: &str| room.sign_in(Scope::AnyRole, words, &|_| Ok(false)).1;
    let line = format!("    = acme/app/1.0.0.release.json {}", signing::Sha256Digest::of(b"evil"));
    assert!(shown("--key 1.pem").lines().any(|shown| shown == line), "{}", shown("--key 1.pem"));
}

#[test]
fn merging_writes_over_nothing_but_its_own_copies() {
    let draft = request(None, &[1, 2], 2);
    let room = Room::new(&signed(&draft, 1));
    write_request(&room.file("b.json"), &signed(&draft, 2)).unwrap();
    let args = |out: &str| MergeArgs {
        requests: vec![room.file("r.json"), room.file("b.json")],
        out: room.file(out),
    };
    let (mut out, ..) = capture::out();
    let error = merge(&args("root.json"), Scope::Root, now(), &mut out).unwrap_err();
    assert!(error.to_string().ends_with("root.json exists already"), "{error}");
    merge(&args("b.json"), Scope::Root, now(), &mut out).unwrap();
    read_request(&room.file("b.json")).unwrap().completed().unwrap();

    write_request(&room.file("b.json"), &request(None, &[1, 3], 2)).unwrap();
    let error = merge(&args("c.json"), Scope::Root, now(), &mut out).unwrap_err();
    assert!(
        error.to_string().ends_with("the requests are for different drafts of root"),
        "{error}"
    );
    assert_eq!(error.exit().code(), 1);
}

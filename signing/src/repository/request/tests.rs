//! Ceremonies in turns: who may sign, what is refused, what a holder is shown.

use super::*;
use crate::key::SecretKey;
use crate::repository::{Delegation, TargetEntry, build_targets, check_root_chain};
use crate::{Error, TargetPath};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

fn day(number: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * number)
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn publics(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| secret(*seed).public().clone()).collect()
}

fn id(seed: u8) -> KeyId {
    secret(seed).public().key_id()
}

/// Root keys as given; targets 20, snapshot 21, timestamp 22.
fn spec(version: u64, root: &[u8], threshold: u32) -> RootSpec {
    let roles = BTreeMap::from([
        (TopRole::Root, (publics(root), threshold)),
        (TopRole::Targets, (publics(&[20]), 1)),
        (TopRole::Snapshot, (publics(&[21]), 1)),
        (TopRole::Timestamp, (publics(&[22]), 1)),
    ]);
    RootSpec { version, expires: day(365), roles }
}

fn sign(request: &SigningRequest, seed: u8) -> SigningRequest {
    match request.add_signature(&secret(seed), day(0)).unwrap() {
        Signing::Added(request) => *request,
        Signing::Already => panic!("{seed} had signed"),
    }
}

/// Root 1 of keys 1, 2, 3, signed by 1 and 2.
fn first() -> Vec<u8> {
    let request = SigningRequest::for_root(None, &spec(1, &[1, 2, 3], 2)).unwrap();
    sign(&sign(&request, 1), 2).completed().unwrap()
}

/// Root 2: key 3 out, key 4 in.
fn second() -> SigningRequest {
    SigningRequest::for_root(Some(&first()), &spec(2, &[1, 2, 4], 2)).unwrap()
}

/// The request after its JSON was edited.
fn edited(request: &SigningRequest, edit: impl FnOnce(&mut Value)) -> Result<(), RequestError> {
    let mut value = serde_json::from_slice(&request.to_json().unwrap()).unwrap();
    edit(&mut value);
    SigningRequest::from_json(&serde_json::to_vec(&value).unwrap()).map(|_| ())
}

#[test]
fn a_request_knows_who_may_sign_and_what_is_the_same_draft() {
    let request = second();
    let may = |seed| request.may_sign(secret(seed).public());
    assert_eq!([1, 2, 3, 4, 20, 99].map(may), [true, true, true, true, false, false]);
    assert!(request.is_same_draft(&sign(&request, 1)));
    let other = SigningRequest::for_root(Some(&first()), &spec(2, &[1, 2, 5], 2)).unwrap();
    assert!(!request.is_same_draft(&other));
    let error = request.merge(&other).unwrap_err();
    assert!(matches!(error, RequestError::Different { .. }), "{error}");
    // The same bytes would be signed for another role by mistake.
    let expires = day(30);
    let draft = build_targets(1, expires, &BTreeMap::new(), &[], &[]).unwrap();
    let keys = KeySet { keys: BTreeMap::from([(id(1), publics(&[1])[0].clone())]), threshold: 1 };
    let of = |role: &str| {
        SigningRequest::for_targets(&RoleName::new(role).unwrap(), None, &draft, keys.clone())
    };
    assert!(!of("acme").unwrap().is_same_draft(&of("beta").unwrap()));
    // Copies that name other signers are not copies of one request.
    let role = RoleName::new("acme").unwrap();
    let others = KeySet { threshold: 1, keys: BTreeMap::from([(id(2), publics(&[2])[0].clone())]) };
    let others = SigningRequest::for_targets(&role, None, &draft, others).unwrap();
    let error = of("acme").unwrap().merge(&others).unwrap_err();
    assert!(matches!(error, RequestError::Different { .. }), "{error}");
    let wanted = |request: &SigningRequest| request.wanted().into_keys().collect::<Vec<_>>();
    assert_eq!((wanted(&of("acme").unwrap()), wanted(&sign(&others, 2))), (vec![id(1)], vec![]));
    // What was drafted is what is kept, and of its own kind.
    assert_eq!(request.as_root().map(|root| root.version), Some(2));
    assert!(request.as_targets().is_none());
    let acme = of("acme").unwrap();
    assert_eq!((acme.as_targets().map(|role| role.version), acme.draft()), (Some(1), &draft[..]));
}

#[test]
fn holders_sign_copies_in_any_order_and_a_client_follows() {
    let request = second();
    let copies = [sign(&request, 1), sign(&request, 4), sign(&request, 2)];
    let read = |copy: &SigningRequest| SigningRequest::from_json(&copy.to_json().unwrap()).unwrap();
    let merged = copies.iter().map(read).reduce(|a, b| a.merge(&b).unwrap()).unwrap();
    let root = merged.completed().unwrap();
    assert_eq!(check_root_chain(&first(), [root.as_slice()]).unwrap(), 2);
    let review = merged.review(day(0));
    assert!(review.is_complete() && review.findings.is_empty(), "{review:?}");
}

#[test]
fn a_request_survives_its_file() {
    let request = sign(&second(), 1);
    let again = SigningRequest::from_json(&request.to_json().unwrap()).unwrap();
    assert_eq!(again.draft(), request.draft());
    assert_eq!(again.previous(), Some(first().as_slice()));
    assert_eq!(again.to_json().unwrap(), request.to_json().unwrap());
}

#[test]
fn the_old_threshold_alone_does_not_make_a_root() {
    let renewed = SigningRequest::for_root(Some(&first()), &spec(2, &[1, 5, 6], 2)).unwrap();
    let half = sign(&sign(&renewed, 1), 2);
    assert!(matches!(half.completed(), Err(RequestError::Incomplete { missing: 1, .. })));
    let review = half.review(day(0));
    let wanted: Vec<KeyId> = review.wanted().into_keys().collect();
    let mut expected = vec![id(5), id(6)];
    expected.sort();
    assert_eq!(wanted, expected);
}

#[test]
fn the_new_threshold_alone_does_not_make_a_root() {
    let renewed = SigningRequest::for_root(Some(&first()), &spec(2, &[4, 5, 6], 2)).unwrap();
    let half = sign(&sign(&renewed, 4), 5);
    assert!(matches!(half.completed(), Err(RequestError::Incomplete { missing: 2, .. })));
    let [old, new] = &half.review(day(0)).signers[..] else { panic!() };
    assert_eq!((old.of, old.missing()), (Authority::Previous, 2));
    assert_eq!((new.of, new.missing()), (Authority::Draft, 0));
}

#[test]
fn a_review_says_what_changes() {
    let changes = second().review(day(0)).changes;
    let role = RoleName::from(TopRole::Root);
    assert_eq!(
        changes,
        [
            Change::Expires { old: Some(day(365)), new: day(365) },
            Change::KeyAdded { role: role.clone(), key: secret(4).public().clone() },
            Change::KeyRemoved { role, key: secret(3).public().clone() },
        ]
    );
    let first = SigningRequest::for_root(None, &spec(1, &[1, 2, 3], 2)).unwrap().review(day(0));
    assert_eq!(first.follows, None);
    let added = |change: &&Change| matches!(change, Change::KeyAdded { .. });
    assert_eq!(first.changes.iter().filter(added).count(), 6);
    assert!(first.changes.contains(&Change::Threshold {
        role: TopRole::Root.into(),
        old: None,
        new: 2
    }));
}

#[test]
fn signing_twice_changes_nothing() {
    let request = sign(&second(), 1);
    assert!(matches!(request.add_signature(&secret(1), day(0)), Ok(Signing::Already)));
}

#[test]
fn a_stranger_may_not_sign() {
    let error = second().add_signature(&secret(9), day(0)).unwrap_err();
    assert!(
        matches!(&error, RequestError::MayNotSign { key_id, .. } if *key_id == id(9)),
        "{error}"
    );
    // A targets key is a key of this root, and still none that signs it.
    let error = second().add_signature(&secret(20), day(0)).unwrap_err();
    assert!(matches!(error, RequestError::MayNotSign { .. }), "{error}");
}

#[test]
fn a_draft_altered_after_a_signature_is_refused() {
    let error = edited(&sign(&second(), 1), |value| {
        value["draft"]["signed"]["expires"] = json!("2027-06-01T00:00:00Z");
    });
    assert!(matches!(error, Err(RequestError::Altered { key_id, .. }) if key_id == id(1)));
    // Unsigned, the edit is only another draft, which the review shows.
    edited(&second(), |value| {
        value["draft"]["signed"]["expires"] = json!("2027-06-01T00:00:00Z");
    })
    .unwrap();
}

#[test]
fn a_signature_that_is_not_hex_is_refused() {
    let error = edited(&second(), |value| {
        value["draft"]["signatures"] = json!([{"keyid": id(1), "sig": ""}]);
    });
    assert!(matches!(error, Err(RequestError::Altered { .. })), "{error:?}");
}

#[test]
fn a_signature_of_a_stranger_is_refused() {
    let error = edited(&second(), |value| {
        value["draft"]["signatures"] = json!([{"keyid": id(9), "sig": "00"}]);
    });
    assert!(matches!(error, Err(RequestError::Stranger { key_id, .. }) if key_id == id(9)));
}

#[test]
fn a_previous_root_that_its_own_keys_did_not_sign_is_refused() {
    let error = edited(&second(), |value| {
        value["previous"]["signed"]["expires"] = json!("2027-06-01T00:00:00Z");
    });
    assert!(matches!(error, Err(RequestError::PreviousUnverified { .. })), "{error:?}");
}

#[test]
fn a_version_that_is_not_the_next_is_refused() {
    for (version, expected) in [(1, 2), (3, 2), (u64::MAX, 2)] {
        let error = edited(&second(), |value| value["draft"]["signed"]["version"] = json!(version));
        let Err(RequestError::Version { found, expected: next, .. }) = error else {
            panic!("{version}: {error:?}");
        };
        assert_eq!((found, next), (version, expected));
    }
}

#[test]
fn a_second_root_without_its_first_is_refused() {
    let error = edited(&second(), |value| {
        value.as_object_mut().unwrap().remove("previous");
    });
    assert!(matches!(error, Err(RequestError::NoPrevious { version: 2, .. })), "{error:?}");
}

#[test]
fn signers_that_the_roots_do_not_give_are_refused() {
    let error = edited(&second(), |value| value["must_sign"][0]["by"]["threshold"] = json!(1));
    assert!(matches!(error, Err(RequestError::KeySets { .. })), "{error:?}");
    let error = edited(&second(), |value| {
        value["must_sign"].as_array_mut().unwrap().remove(0);
    });
    assert!(matches!(error, Err(RequestError::KeySets { .. })), "{error:?}");
}

#[test]
fn another_format_is_named_and_not_guessed_at() {
    let error = edited(&second(), |value| value["format"] = json!(2));
    assert!(matches!(error, Err(RequestError::Format { found: 2, .. })), "{error:?}");
    let error = SigningRequest::from_json(b"{}").unwrap_err();
    assert!(matches!(error, RequestError::Malformed { .. }), "{error}");
}

#[test]
fn copies_of_other_drafts_are_not_merged() {
    let other = SigningRequest::for_root(Some(&first()), &spec(2, &[1, 2, 5], 2)).unwrap();
    let error = second().merge(&other).unwrap_err();
    assert!(matches!(error, RequestError::Different { .. }), "{error}");
}

#[test]
fn a_root_that_nobody_could_follow_is_not_drafted() {
    let error = SigningRequest::for_root(Some(&first()), &spec(2, &[1, 2], 3)).unwrap_err();
    assert!(matches!(error, RequestError::Build(crate::BuildError::Threshold { .. })), "{error}");
    let mut missing = spec(2, &[1, 2, 3], 2);
    missing.roles.remove(&TopRole::Timestamp);
    let error = SigningRequest::for_root(Some(&first()), &missing).unwrap_err();
    assert!(matches!(error, RequestError::Build(crate::BuildError::MissingRole { .. })), "{error}");
}

/// The findings of an unsigned request whose draft was edited by hand, and that signing refuses it.
fn findings(edit: impl FnOnce(&mut Value)) -> Vec<Finding> {
    let mut value: Value = serde_json::from_slice(&second().to_json().unwrap()).unwrap();
    edit(&mut value["draft"]["signed"]);
    let draft: Value = value["draft"].clone();
    let request =
        SigningRequest::root(Some(&first()), &serde_json::to_vec(&draft).unwrap()).unwrap();
    let findings = request.review(day(0)).findings;
    let refused = request.add_signature(&secret(1), day(0));
    match findings.iter().find(|finding| finding.blocks()) {
        Some(finding) => assert!(
            matches!(refused, Err(RequestError::Refused { finding: ref why, .. }) if why == finding)
        ),
        None => assert!(matches!(refused, Ok(Signing::Added(_)))),
    }
    findings
}

#[test]
fn a_threshold_out_of_reach_locks_everyone_out_and_is_not_signed() {
    let found = findings(|signed| signed["roles"]["root"]["threshold"] = json!(4));
    assert!(found.contains(&Finding::Unreachable {
        role: TopRole::Root.into(),
        threshold: 4,
        keys: 3
    }));
}

#[test]
fn an_online_role_without_a_key_is_not_signed() {
    let found = findings(|signed| signed["roles"]["timestamp"]["keyids"] = json!([]));
    assert!(found.contains(&Finding::NoKeys { role: TopRole::Timestamp.into() }), "{found:?}");
}

#[test]
fn an_online_role_with_a_threshold_of_two_is_not_signed() {
    let found = findings(|signed| {
        signed["roles"]["snapshot"] = json!({"keyids": [id(21), id(22)], "threshold": 2});
    });
    let role = TopRole::Snapshot.into();
    assert!(found.contains(&Finding::OnlineThreshold { role, threshold: 2 }), "{found:?}");
}

#[test]
fn a_root_without_consistent_snapshots_is_not_signed() {
    let found = findings(|signed| signed["consistent_snapshot"] = json!(false));
    assert!(found.contains(&Finding::PlainNames), "{found:?}");
}

#[test]
fn what_cannot_be_shown_is_not_signed() {
    assert_eq!(findings(|signed| signed["x-escape"] = json!(true)), [Finding::Hidden]);
}

#[test]
fn an_expiry_in_the_past_is_not_signed() {
    let found = findings(|signed| signed["expires"] = json!("2025-12-31T00:00:00Z"));
    assert!(matches!(found[..], [Finding::Expired { .. }]), "{found:?}");
}

#[test]
fn an_expiry_of_twenty_years_is_pointed_out() {
    let found = findings(|signed| signed["expires"] = json!("2046-01-01T00:00:00Z"));
    assert!(matches!(found[..], [Finding::FarExpiry { days: 7305, .. }]), "{found:?}");
}

#[test]
fn a_root_key_that_is_online_is_pointed_out() {
    let mut shared = spec(2, &[1, 2, 4], 2);
    shared.roles.insert(TopRole::Timestamp, (publics(&[1]), 1));
    let found = SigningRequest::for_root(Some(&first()), &shared).unwrap().review(day(0)).findings;
    assert!(matches!(found[..], [Finding::SharedKey { .. }]), "{found:?}");
}

#[test]
fn a_second_online_key_is_pointed_out() {
    let mut spare = spec(2, &[1, 2, 4], 2);
    spare.roles.insert(TopRole::Timestamp, (publics(&[22, 66]), 1));
    let found = SigningRequest::for_root(Some(&first()), &spare).unwrap().review(day(0)).findings;
    let role = TopRole::Timestamp.into();
    assert_eq!(found, [Finding::SpareOnlineKeys { role, keys: 2 }]);
}

proptest! {
    /// Whatever happens to a file on its way, its signatures stand for the draft that was signed.
    #[test]
    fn a_byte_changed_anywhere_never_makes_signatures_fit_another_draft(
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let signed = sign(&sign(&second(), 1), 2);
        let mut bytes = signed.to_json().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = SigningRequest::from_json(&bytes) {
            // The draft may differ only where nobody's signature is left on it.
            let unsigned = !read.has_signed(secret(1).public()) && !read.has_signed(secret(2).public());
            prop_assert!(read.is_same_draft(&signed) || unsigned);
            if let Ok(root) = read.completed() {
                prop_assert_eq!(check_root_chain(&first(), [root.as_slice()]).unwrap(), 2);
            }
        }
    }

    #[test]
    fn what_is_not_a_request_is_refused_and_never_a_panic(text in "\\PC{0,64}") {
        prop_assert!(SigningRequest::from_json(text.as_bytes()).is_err());
    }
}

fn path(text: &str) -> TargetPath {
    TargetPath::new(text).unwrap()
}

fn releases(version: u64, paths: &[&str], signers: &[u8]) -> Vec<u8> {
    let entry = |name: &&str| (path(name), TargetEntry::of(name.as_bytes()));
    let targets = paths.iter().map(entry).collect();
    let keys: Vec<SecretKey> = signers.iter().map(|seed| secret(*seed)).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| -> &dyn Signer { key }).collect();
    build_targets(version, day(365), &targets, &[], &signers).unwrap()
}

fn key_set(seeds: &[u8], threshold: u64) -> KeySet {
    let keys = publics(seeds).into_iter().map(|key| (key.key_id(), key)).collect();
    KeySet { keys, threshold }
}

#[test]
fn a_vendors_list_is_signed_by_two_people_in_turn() {
    let role = RoleName::new("acme.releases").unwrap();
    let before = releases(1, &["acme/app/1.0.0.release.json"], &[30, 31]);
    let draft = releases(2, &["acme/app/1.0.0.release.json", "acme/app/1.1.0.release.json"], &[30]);
    let request = SigningRequest::for_targets(
        &role,
        Some((&before, None)),
        &draft,
        key_set(&[30, 31, 32], 2),
    );
    let request = SigningRequest::from_json(&request.unwrap().to_json().unwrap()).unwrap();
    let review = request.review(day(0));
    assert!(matches!(
        &review.changes[..],
        [Change::Expires { .. }, Change::TargetAdded { path, .. }] if path.ends_with("1.1.0.release.json")
    ));
    assert_eq!(review.signers[0].missing(), 1);
    let done = sign(&request, 32).completed().unwrap();
    let done = Document::<Targets>::parse(&role, &done).unwrap();
    done.verify(&key_set(&[30, 31, 32], 2)).unwrap();
}

#[test]
fn a_list_that_follows_another_holders_file_is_refused() {
    let role = RoleName::new("acme.releases").unwrap();
    let (before, draft) = (releases(1, &[], &[40]), releases(2, &[], &[]));
    let previous = |keys| Some((before.as_slice(), keys));
    let error = SigningRequest::for_targets(&role, previous(None), &draft, key_set(&[30], 1));
    assert!(matches!(error, Err(RequestError::PreviousUnverified { .. })), "{error:?}");
    // After a key rotation the previous file is signed by the keys of before.
    let rotated = previous(Some(key_set(&[40], 1)));
    let request = SigningRequest::for_targets(&role, rotated, &draft, key_set(&[30], 1)).unwrap();
    let error = request.add_signature(&secret(40), day(0)).unwrap_err();
    assert!(matches!(error, RequestError::MayNotSign { .. }), "{error}");
    SigningRequest::from_json(&request.to_json().unwrap()).unwrap();
}

#[test]
fn the_hubs_own_roles_are_never_signed_by_request() {
    let role = RoleName::from(TopRole::Timestamp);
    let error = SigningRequest::for_targets(&role, None, &releases(1, &[], &[]), key_set(&[1], 1));
    assert!(matches!(error, Err(RequestError::OnlineRole { .. })), "{error:?}");
}

#[test]
fn a_delegation_is_shown_with_its_keys_paths_and_threshold() {
    let delegation = |name: &str, seeds: &[u8], paths: &str| Delegation {
        role: RoleName::new(name).unwrap(),
        keys: publics(seeds),
        threshold: 1,
        paths: vec![paths.to_owned()],
        terminating: true,
    };
    let build = |version, delegations: &[Delegation], signers: &[&dyn Signer]| {
        build_targets(version, day(365), &BTreeMap::new(), delegations, signers).unwrap()
    };
    let old = [delegation("acme", &[30], "acme/*/*"), delegation("zeta", &[31], "zeta/*/*")];
    let new = [delegation("zeta", &[31], "*/*/*"), delegation("acme", &[32], "acme/*/*")];
    let (before, draft) = (build(1, &old, &[&secret(20)]), build(2, &new, &[]));
    let role = TopRole::Targets.into();
    let request =
        SigningRequest::for_targets(&role, Some((&before, None)), &draft, key_set(&[20], 1));
    let changes = request.unwrap().review(day(0)).changes;
    let (acme, zeta) = (RoleName::new("acme").unwrap(), RoleName::new("zeta").unwrap());
    let paths = vec!["*/*/*".to_owned()];
    assert_eq!(
        changes[1..],
        [
            Change::DelegationScope { role: zeta, paths, terminating: true },
            Change::KeyAdded { role: acme.clone(), key: secret(32).public().clone() },
            Change::KeyRemoved { role: acme, key: secret(30).public().clone() },
            Change::DelegationOrder,
        ]
    );
}

#[test]
fn a_threshold_of_none_is_refused() {
    let role = RoleName::new("acme").unwrap();
    let request =
        SigningRequest::for_targets(&role, None, &releases(1, &[], &[]), key_set(&[1], 1));
    let error = edited(&request.unwrap(), |value| {
        value["must_sign"][0]["by"]["threshold"] = json!(0);
    });
    let zero = matches!(error, Err(RequestError::Metadata(Error::ZeroThreshold { .. })));
    assert!(zero, "{error:?}");
}

/// A targets role of keys 30 and 31 without anything in it.
fn role_draft(version: u64) -> Vec<u8> {
    build_targets(version, day(365), &BTreeMap::new(), &[], &[]).unwrap()
}

fn role_keys(seeds: &[u8]) -> KeySet {
    let keys = seeds.iter().map(|seed| (id(*seed), secret(*seed).public().clone())).collect();
    KeySet { keys, threshold: u64::try_from(seeds.len()).unwrap() }
}

#[test]
fn a_later_version_of_a_role_without_its_predecessor_is_signed_and_said_so() {
    let role = RoleName::new("acme.releases").unwrap();
    let draft = role_draft(5);
    let request = SigningRequest::for_targets(&role, None, &draft, role_keys(&[30, 31])).unwrap();
    let findings = request.review(day(0)).findings;
    assert_eq!(findings, [Finding::NothingFollowed { role, version: 5 }]);
    assert!(!findings[0].blocks());
    let carried = SigningRequest::from_json(&request.to_json().unwrap()).unwrap();
    assert_eq!(sign(&sign(&carried, 30), 31).missing(), 0);
}

#[test]
fn a_role_may_skip_versions_but_never_go_back() {
    let role = RoleName::new("acme.releases").unwrap();
    let keys = || role_keys(&[30]);
    let key = secret(30);
    let before = build_targets(3, day(365), &BTreeMap::new(), &[], &[&key]).unwrap();
    let request = |version| {
        SigningRequest::for_targets(&role, Some((&before, None)), &role_draft(version), keys())
    };
    let skips = Finding::Skips { role: role.clone(), previous: 3, version: 9 };
    assert_eq!(request(9).unwrap().review(day(0)).findings, [skips]);
    assert_eq!(request(4).unwrap().review(day(0)).findings, []);
    for version in [2, 3] {
        let error = request(version).unwrap_err();
        assert!(matches!(error, RequestError::Version { expected: 4, .. }), "{error}");
    }
}

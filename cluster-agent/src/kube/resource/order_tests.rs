//! Specs that are followed, and specs that are refused.

use std::collections::BTreeMap;

use channels::rollout::{Calendar, Opening};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::order::{Order, SpecError, order, shape};
use super::overlay::{Standing, Standings, approvals, finalize_approvals, policy, resume};
use super::spec::ClusterUpdateSpec;
use crate::config::Reports;
use crate::gate::GatePolicy;
use crate::history::{Finalization, History, Pause, ProductHistory};
use crate::plan::{Grants, HubWishes, Mode, Policy, ProductPolicy, ProductRules, Timings};
use crate::state::{Approval, FinalizeApproval};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn configured() -> Policy {
    let freeze =
        json!({ "from": "2026-12-20", "until": "2027-01-07", "reason": "turn of the year" });
    let windows: Calendar =
        serde_json::from_value(json!({ "time_zone": "UTC", "freezes": [freeze] })).unwrap();
    let own = ProductPolicy {
        channel: "stable-4".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        mode: Mode::Manual,
        pin: None,
        hub: HubWishes::default(),
        accepted_risks: vec![],
        initial_version: "4.0.0".parse().unwrap(),
        pools: vec![],
        rules: ProductRules { windows, ..ProductRules::default() },
    };
    Policy {
        gate: GatePolicy::default(),
        timings: Timings::default(),
        grants: Grants::None,
        products: BTreeMap::from([("acme/kafka".parse().unwrap(), own)]),
        hosts: std::collections::BTreeSet::new(),
    }
}

fn read(spec: &Value) -> Result<Order, SpecError> {
    order(&shape(spec)?, &configured(), Reports::Off)
}

fn followed(spec: &Value) -> Standings {
    let order = read(spec).unwrap();
    let since = at("2026-11-20T12:00:00Z");
    let product = order.product.clone();
    BTreeMap::from([(product, Standing::Followed { order: Box::new(order), since })])
}

fn laid(spec: &Value, now: &str) -> ProductPolicy {
    let policy = policy(&configured(), &followed(spec), at(now));
    policy.products.into_values().next().unwrap()
}

#[test]
fn what_a_spec_leaves_out_is_as_configured() {
    let own = laid(&json!({ "product": "acme/kafka" }), "2026-11-20T12:00:00Z");
    let before = configured().products.into_values().next().unwrap();
    assert_eq!(format!("{own:?}"), format!("{before:?}"));
}

#[test]
fn a_spec_sets_channel_mode_pin_and_risks() {
    let own = laid(
        &json!({
            "product": "acme/kafka", "channel": "fast-4", "policy": "patch", "pin": "4.2.0",
            "acceptedRisks": [{ "name": "SlowDisk", "reason": "SSDs", "until": "2026-12-01T00:00:00Z" }],
        }),
        "2026-11-20T12:00:00Z",
    );
    assert_eq!(own.channel.as_str(), "fast-4");
    assert_eq!(own.mode, Mode::Patch);
    assert_eq!(own.pin.clone().unwrap().to_string(), "4.2.0");
    assert!(own.accepted(at("2026-11-30T00:00:00Z")).contains("SlowDisk"));
    assert!(own.accepted(at("2026-12-02T00:00:00Z")).is_empty(), "it has run out");
}

#[test]
fn windows_of_a_spec_replace_and_freezes_are_added() {
    let spec = json!({
        "product": "acme/kafka", "timeZone": "Europe/Berlin",
        "windows": [{ "days": ["sat"], "start": "22:00", "duration": "4h" }],
        "freezes": [{ "from": "2026-11-28", "until": "2026-11-29", "reason": "sale" }],
    });
    let calendar = laid(&spec, "2026-11-20T12:00:00Z").rules.windows;
    assert!(calendar.is_open(at("2026-11-21T21:30:00Z")), "Saturday 22:30 in Berlin");
    assert!(!calendar.is_open(at("2026-11-21T20:30:00Z")), "half past nine");
    let frozen = |when: &str| match calendar.opening(at(when)) {
        Opening::Frozen { reason, .. } => reason,
        Opening::Open | Opening::OutsideWindows { .. } => "not frozen".to_owned(),
    };
    assert_eq!(frozen("2026-11-28T21:30:00Z"), "sale");
    assert_eq!(frozen("2026-12-26T21:30:00Z"), "turn of the year", "the configured one stays");
}

#[test]
fn a_hold_stops_its_product_until_it_ends() {
    let spec = json!({
        "product": "acme/kafka",
        "holds": [
            { "name": "audit", "reason": "until signed", "until": "2026-11-21T00:00:00Z" },
            { "name": "old", "reason": "over", "until": "2026-11-01T00:00:00Z" },
        ],
    });
    let hold = laid(&spec, "2026-11-20T12:00:00Z").rules.hold.unwrap();
    assert_eq!(hold.reason, "audit: until signed");
    assert_eq!(laid(&spec, "2026-11-21T00:00:00Z").rules.hold, None);
}

#[test]
fn a_spec_that_was_never_valid_holds_its_product() {
    let standing = Standing::Refused { why: "bad".into(), since: at("2026-11-20T12:00:00Z") };
    let standings = BTreeMap::from([("acme/kafka".parse().unwrap(), standing)]);
    let policy = policy(&configured(), &standings, at("2026-11-20T12:00:00Z"));
    let hold = policy.products.into_values().next().unwrap().rules.hold.unwrap();
    assert!(hold.reason.contains("cannot be followed: bad"), "{}", hold.reason);
}

#[test]
fn a_refusal_names_the_field() {
    let cases = [
        (json!({ "product": "acme/other" }), "is not configured"),
        (json!({ "product": "nonsense" }), "product: "),
        (json!({ "product": "acme/kafka", "policy": "hub" }), "reports to a hub"),
        (json!({ "product": "acme/kafka", "policy": "yolo" }), "cannot be read"),
        (json!({ "product": "acme/kafka", "desired": "latest" }), "desired: "),
        (json!({ "product": "acme/kafka", "pin": "4" }), "pin: "),
        (json!({ "product": "acme/kafka", "channel": "../x" }), "channel: "),
        (
            json!({ "product": "acme/kafka", "finalize": {
                "release": "4.0.0", "approvedAt": "2026-11-20T12:00:00Z", "by": " " } }),
            "finalize: ",
        ),
        (json!({ "product": "acme/kafka", "holds": [{ "name": "a", "reason": " " }] }), "holds: "),
        (
            json!({ "product": "acme/kafka", "freezes": [
                { "from": "2026-12-20", "until": "2026-12-21", "reason": "x" }] }),
            "timeZone: ",
        ),
        (
            json!({ "product": "acme/kafka", "timeZone": "Mars/Olympus", "windows": [
                { "days": ["mon"], "start": "22:00", "duration": "4h" }] }),
            "Mars/Olympus",
        ),
        (
            json!({ "product": "acme/kafka", "timeZone": "UTC", "windows": [
                { "days": ["mon"], "start": "22:00", "duration": "soon" }] }),
            "windows or freezes: ",
        ),
    ];
    for (spec, part) in cases {
        let error = read(&spec).unwrap_err().to_string();
        assert!(error.contains(part), "{spec}: {error}");
    }
}

#[test]
fn a_desired_release_is_an_approval_until_it_runs() {
    let product: channels::names::ProductRef = "acme/kafka".parse().unwrap();
    let standings = followed(&json!({ "product": "acme/kafka", "desired": "4.1.0" }));
    let mut history = History::default();
    let record = |version: &str| ProductHistory::new(version.parse().unwrap());
    history.products.insert(product.clone(), record("4.0.0"));
    let file = Approval {
        product: product.clone(),
        to: "4.2.0".parse().unwrap(),
        at: Timestamp::UNIX_EPOCH,
        back: false,
    };
    let found = approvals(vec![file.clone()], &standings, &history);
    let to: Vec<String> = found.iter().map(|approval| approval.to.to_string()).collect();
    assert_eq!(to, ["4.1.0"], "the resource stands before the file");
    for runs in ["4.1.0", "4.2.0"] {
        history.products.insert(product.clone(), record(runs));
        let found = approvals(vec![file.clone()], &standings, &history);
        assert_eq!(found, std::slice::from_ref(&file), "at {runs} it is a wish of the past");
    }
}

#[test]
fn an_order_back_is_not_undone_by_a_desired_release() {
    let product: channels::names::ProductRef = "acme/kafka".parse().unwrap();
    let standings = followed(&json!({ "product": "acme/kafka", "desired": "4.1.0" }));
    let mut history = History::default();
    history.products.insert(product.clone(), ProductHistory::new("4.0.0".parse().unwrap()));
    let (to, at) = ("4.0.0".parse().unwrap(), Timestamp::UNIX_EPOCH);
    let back = Approval { product, to, at, back: true };
    assert_eq!(approvals(vec![back.clone()], &standings, &history), [back]);
}

#[test]
fn a_finalize_step_is_approved_for_the_release_that_runs_and_once() {
    let product: channels::names::ProductRef = "acme/kafka".parse().unwrap();
    let spec = |release: &str| {
        json!({ "product": "acme/kafka", "finalize": {
            "release": release, "approvedAt": "2026-11-20T12:00:00Z", "by": "jane" } })
    };
    let digest = signing::Sha256Digest::of(b"doc");
    let mut record = ProductHistory::new("4.1.0".parse().unwrap());
    record.finalization = Some(Finalization {
        release: "4.1.0".parse().unwrap(),
        release_digest: digest,
        summary: "x".into(),
        level: "4.1".into(),
        runs: BTreeMap::new(),
        since: Timestamp::UNIX_EPOCH,
        run: None,
        spent: None,
    });
    let mut history = History::default();
    history.products.insert(product.clone(), record);
    let found = finalize_approvals(vec![], &followed(&spec("4.1.0")), &history);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].release_digest, found[0].by.as_str()), (digest, "jane"));
    assert_eq!(finalize_approvals(vec![], &followed(&spec("4.2.0")), &history), []);
    let of_file = |at: &str| FinalizeApproval { at: self::at(at), ..found[0].clone() };
    let (older, newer) = (of_file("2026-11-20T11:00:00Z"), of_file("2026-11-20T13:00:00Z"));
    let with = |file: FinalizeApproval| {
        finalize_approvals(vec![file], &followed(&spec("4.1.0")), &history)
    };
    assert_eq!(with(older), found, "one approval, the newer one");
    assert_eq!(with(newer.clone()), [newer]);
}

#[test]
fn a_resume_order_ends_older_pauses_only_and_only_once_its_time_has_come() {
    let product: channels::names::ProductRef = "acme/kafka".parse().unwrap();
    let spec = json!({ "product": "acme/kafka", "resume": "2026-11-20T12:00:00Z" });
    let standings = followed(&spec);
    let mut history = History::default();
    history.products.insert(product.clone(), ProductHistory::new("4.0.0".parse().unwrap()));
    let digest = signing::Sha256Digest::of(b"doc");
    history.begin_roll(&product, &"4.1.0".parse().unwrap(), digest, Timestamp::UNIX_EPOCH);
    let pause = |when: &str| {
        let why = channels::wire::WaitingOn {
            gate: "no_leader".into(),
            unit: None,
            message: "x".into(),
            observed: None,
            limit: None,
            since: None,
        };
        Some(Pause { why, at: at(when) })
    };
    let due = |history: &History, now: &str| resume(&standings, history, at(now)).is_some();
    assert!(!due(&history, "2026-11-20T13:00:00Z"), "nothing is paused");
    history.pause = pause("2026-11-20T11:00:00Z");
    assert!(due(&history, "2026-11-20T13:00:00Z"));
    assert!(!due(&history, "2026-11-20T11:30:00Z"), "its time has not come");
    history.pause = pause("2026-11-20T12:30:00Z");
    assert!(!due(&history, "2026-11-20T13:00:00Z"), "the pause is newer than the order");
}

#[test]
fn an_order_is_told_field_by_field() {
    let spec = |value: Value| shape(&value).unwrap();
    let before: ClusterUpdateSpec = spec(json!({
        "product": "acme/kafka", "holds": [{ "name": "a", "reason": "x" }],
    }));
    let after = spec(json!({
        "product": "acme/kafka", "desired": "4.1.0", "policy": "auto",
        "acceptedRisks": [{ "name": "SlowDisk", "reason": "SSDs" }],
    }));
    let told: Vec<String> =
        super::orders(&before, &after).into_iter().map(|note| note.reason).collect();
    assert_eq!(told, ["ReleaseOrdered", "PolicyOrdered", "HoldLifted", "RiskAccepted"]);
    assert_eq!(super::orders(&after, &after), []);
}

//! What `fairway rollout` asks, sends and prints.

use channels::names::ClusterId;
use channels::wire::{
    AttemptState, PolicyFinding, PolicyReply, Reason, RingSize, RingState, RolloutCaps,
    RolloutFailure, RolloutRing, RolloutState,
};
use clap::Parser as _;
use signing::Sha256Digest;

use super::*;
use crate::error::Exit;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

const POLICY: &str = "name: careful\nrings:\n  - {name: everyone, rest: true}\n";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ring(name: &str, state: RingState) -> RolloutRing {
    RolloutRing {
        name: name.parse().unwrap(),
        members: 4,
        not_started: 1,
        granted: 0,
        rolling: 1,
        succeeded: 1,
        failed: 1,
        acknowledged: 0,
        unknown: 0,
        there: 0,
        open_share_percent: 100.0,
        state,
        waits_for: Vec::new(),
        opens_at: None,
    }
}

fn rollout() -> RolloutRow {
    let closed = RolloutRing {
        members: 96,
        not_started: 96,
        rolling: 0,
        succeeded: 0,
        failed: 0,
        open_share_percent: 0.0,
        ..ring("everyone", RingState::Closed)
    };
    RolloutRow {
        id: 7,
        policy: "careful".parse().unwrap(),
        policy_version: 2,
        product: "acme/kafka".parse().unwrap(),
        release: "4.3.1".parse().unwrap(),
        digest: Sha256Digest::of(b"release"),
        opened_at: at("2026-05-01T10:00:00Z"),
        starts_at: at("2026-05-01T10:00:00Z"),
        state: RolloutState::Halted,
        emergency: false,
        rings: vec![ring("canary", RingState::Halted), closed],
        failures: vec![
            RolloutFailure {
                cluster: ClusterId(uuid::Uuid::from_u128(1)),
                name: "east-1".into(),
                why: "rolled_back".into(),
                at: at("2026-05-01T11:50:00Z"),
                acknowledged: false,
            },
            RolloutFailure {
                cluster: ClusterId(uuid::Uuid::from_u128(2)),
                name: "east-2".into(),
                why: "melted".into(),
                at: at("2026-05-01T11:40:00Z"),
                acknowledged: true,
            },
        ],
        caps: RolloutCaps { in_flight: 1, concurrent: Some(5), ..RolloutCaps::default() },
        superseded_by: None,
        holds: Vec::new(),
        rollback_offers: vec!["4.2.0".parse().unwrap()],
        planned: Vec::new(),
    }
}

fn review(changed: bool, findings: Vec<PolicyFinding>) -> PolicyReply {
    PolicyReply {
        name: "careful".parse().unwrap(),
        version: 2,
        changed,
        findings,
        rings: vec![RingSize { name: "everyone".parse().unwrap(), clusters: 12 }],
        in_no_ring: 0,
    }
}

fn in_force() -> PolicyRow {
    PolicyRow {
        name: "careful".parse().unwrap(),
        version: 1,
        applied_at: at("2026-05-01T11:00:00Z"),
        applied_by: "ann".into(),
        applies_to: Vec::new(),
        rings: vec!["everyone".parse().unwrap()],
        text: Some(POLICY.replace("rest: true", "select: {match_labels: {a: b}}")),
    }
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: RolloutArgs,
}

async fn rollout_says(hub: &FakeHub, words: &[&str], agrees: bool) -> (Result<()>, String, String) {
    let server = ["rollout", "--server", &hub.url];
    let args = Cli::try_parse_from(server.iter().chain(words)).unwrap().args;
    let (mut out, stdout, stderr) = capture::out();
    let ask = move |_: &str| Ok(agrees);
    let result = run_with(&args, at("2026-05-01T12:00:00Z"), &mut out, &ask).await;
    (result, stdout.text(), stderr.text())
}

fn policy_file() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("careful.yaml");
    std::fs::write(&file, POLICY).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (dir, file)
}

const DRY_RUN: &str = "PUT /api/v1/rollout-policies/careful?dry_run=true";
const PUT: &str = "PUT /api/v1/rollout-policies/careful";
const GET: &str = "GET /api/v1/rollout-policies/careful";

#[tokio::test]
async fn apply_shows_what_changes_before_it_asks_and_then_applies() {
    let hub = FakeHub::start(vec![
        (GET, Answer::json(&in_force())),
        (DRY_RUN, Answer::json(&review(true, Vec::new()))),
        (PUT, Answer::json(&review(true, Vec::new()))),
    ])
    .await;
    let (_dir, file) = policy_file();
    let (result, stdout, stderr) = rollout_says(&hub, &["apply", &file], true).await;
    result.unwrap();
    assert_eq!(stdout, "");
    insta::assert_snapshot!(stderr, @r"
    --- a/careful.yaml
    +++ b/careful.yaml
    @@ -1,3 +1,3 @@
     name: careful
     rings:
    -  - {name: everyone, select: {match_labels: {a: b}}}
    +  - {name: everyone, rest: true}
    ring 1, everyone: 12 clusters
    careful version 2 is in force
    ");
    assert_eq!(hub.seen().len(), 3);
    assert!(hub.seen()[2].starts_with(PUT), "{:?}", hub.seen());
}

#[tokio::test]
async fn apply_changes_nothing_when_nobody_agrees_or_nothing_differs() {
    for (changed, agrees) in [(true, false), (false, true)] {
        let hub = FakeHub::start(vec![
            (GET, Answer::json(&in_force())),
            (DRY_RUN, Answer::json(&review(changed, Vec::new()))),
        ])
        .await;
        let (_dir, file) = policy_file();
        let (result, ..) = rollout_says(&hub, &["apply", &file], agrees).await;
        assert_eq!(result.err().map(|error| error.exit()), changed.then_some(Exit::No));
        assert_eq!(hub.seen().len(), 2, "asked and reviewed only");
    }
}

#[tokio::test]
async fn apply_refuses_a_policy_with_lint_errors_also_with_yes() {
    let finding = PolicyFinding {
        severity: "error".into(),
        code: "cap_zero".into(),
        message: "a cap of 0 lets nobody start".into(),
    };
    let hub = FakeHub::start(vec![
        (GET, Answer::json(&in_force())),
        (DRY_RUN, Answer::json(&review(true, vec![finding]))),
    ])
    .await;
    let (_dir, file) = policy_file();
    let (result, _, stderr) = rollout_says(&hub, &["apply", "--yes", &file], true).await;
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "lint finds 1 error in the policy");
    assert!(error.hint_text().unwrap().contains("nothing was applied"));
    assert!(stderr.contains("error: a cap of 0 lets nobody start (cap_zero)"), "{stderr}");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_names_file_and_line_and_nothing_is_sent() {
    let hub = FakeHub::start(vec![]).await;
    let (_dir, file) = policy_file();
    std::fs::write(&file, "name: careful\nrings: []\n").unwrap();
    let (result, ..) = rollout_says(&hub, &["apply", &file], true).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("careful.yaml:2: the policy has no rings"), "{error}");
    assert_eq!(hub.seen().len(), 0);
}

#[tokio::test]
async fn policies_are_listed_and_one_is_printed_as_it_was_applied() {
    let page = Page { items: vec![in_force()], next: None };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/rollout-policies", Answer::json(&page)),
        (GET, Answer::json(&in_force())),
    ])
    .await;
    let (result, stdout, _) = rollout_says(&hub, &["policies"], false).await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @r"
    NAME     VERSION  APPLIES-TO  RINGS     APPLIED  APPLIED-BY
    careful  1        everything  everyone  60m      ann
    ");
    let (result, stdout, _) = rollout_says(&hub, &["policies", "careful"], false).await;
    result.unwrap();
    assert_eq!(Some(stdout), in_force().text);
}

#[tokio::test]
async fn a_rollout_shows_its_rings_failures_and_ways_back() {
    let hub = FakeHub::start(vec![("GET /api/v1/rollouts/7", Answer::json(&rollout()))]).await;
    let (result, stdout, _) = rollout_says(&hub, &["show", "7"], false).await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @r"
    rollout 7: acme/kafka 4.3.1
    state        halted
    policy       careful version 2
    digest       sha256:a4d451ec23463726f72c43d64c710968f6b602cd653b4de8adee1b556240a829
    opened       2026-05-01T10:00:00Z (2h ago)
    on the way   1 of 5
    back to      4.2.0

    RING      STATE   OPEN  MEMBERS  WAITING  GRANTED  ROLLING  SUCCEEDED  FAILED  ACKNOWLEDGED  UNKNOWN  WAITS-FOR
    canary    halted  100%  4        1        0        1        1          1       0             0        -
    everyone  closed  0%    96       96       0        0        0          0       0             0        -

    CLUSTER  WHY          SINCE  ACKNOWLEDGED
    east-1   rolled back  10m    no
    east-2   melted       20m    yes
    ");
}

#[tokio::test]
async fn rollouts_are_listed_over_pages() {
    let first = Page { items: vec![rollout()], next: Some("c".to_owned()) };
    let second = Page { items: vec![RolloutRow { id: 6, ..rollout() }], next: None };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/rollouts?limit=500", Answer::json(&first)),
        ("GET /api/v1/rollouts?limit=500&cursor=c", Answer::json(&second)),
    ])
    .await;
    let (result, stdout, _) = rollout_says(&hub, &["list"], false).await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @r"
    ID  PRODUCT     RELEASE  POLICY      STATE   RING    DONE   ROLLING  FAILED  OPENED
    7   acme/kafka  4.3.1    careful v2  halted  canary  1/100  1        1       2h
    6   acme/kafka  4.3.1    careful v2  halted  canary  1/100  1        1       2h
    ");
}

#[tokio::test]
async fn clusters_have_their_reason_and_the_time_it_ends() {
    let waiting = RolloutCluster {
        cluster: ClusterId(uuid::Uuid::from_u128(3)),
        name: "west-1".into(),
        ring: Some("everyone".parse().unwrap()),
        place_percent: Some(40.25),
        version: "4.2.0".parse().unwrap(),
        state: AttemptState::NotStarted,
        since: None,
        failure: None,
        why_not: vec![Reason {
            code: "not_yet".into(),
            message: "ring everyone is open to 5%, this cluster comes at 40.25%".into(),
        }],
        earliest_at: Some(at("2026-05-01T15:00:00Z")),
    };
    let failed = RolloutCluster {
        name: "east-1".into(),
        state: AttemptState::Failed,
        since: Some(at("2026-05-01T11:00:00Z")),
        failure: Some("silent".into()),
        why_not: Vec::new(),
        earliest_at: None,
        ..waiting.clone()
    };
    let worse = RolloutCluster {
        name: "east-2".into(),
        failure: Some("health_regression".into()),
        why_not: vec![Reason {
            code: "baseline_worse".into(),
            message: "errors is 2.3 and was 2 before the upgrade".into(),
        }],
        ..failed.clone()
    };
    let page = Page { items: vec![waiting, failed, worse], next: None };
    let path = "GET /api/v1/rollouts/7/clusters?state=not_started&limit=500";
    let hub = FakeHub::start(vec![(path, Answer::json(&page))]).await;
    let words = ["clusters", "7", "--state", "not-started"];
    let (result, stdout, _) = rollout_says(&hub, &words, false).await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @r"
    NAME    RING      PLACE   VERSION  STATE        SINCE  MAY-GO  WHY-NOT
    west-1  everyone  40.25%  4.2.0    not_started  -      in 3h   ring everyone is open to 5%, this cluster comes at 40.25%
    east-1  everyone  40.25%  4.2.0    failed       60m    -       fell silent
    east-2  everyone  40.25%  4.2.0    failed       60m    -       is less healthy than before: errors is 2.3 and was 2 before the upgrade
    ");
}

#[tokio::test]
async fn resume_shows_the_failures_and_sends_exactly_those() {
    let hub = FakeHub::start(vec![
        ("GET /api/v1/rollouts/7", Answer::json(&rollout())),
        (
            "POST /api/v1/rollouts/7/resume",
            Answer::json(&RolloutRow { state: RolloutState::Running, ..rollout() }),
        ),
    ])
    .await;
    let words = ["resume", "7", "--acknowledge", "a bad disk"];
    let (result, _, stderr) = rollout_says(&hub, &words, true).await;
    result.unwrap();
    insta::assert_snapshot!(stderr, @r"
    CLUSTER  WHY          SINCE  ACKNOWLEDGED
    east-1   rolled back  10m    no
    1 failure acknowledged; rollout 7 (acme/kafka 4.3.1) is running
    ");
    let sent = hub.seen().pop().unwrap();
    let body = r#"{"acknowledge":"a bad disk","failures":[{"cluster":"00000000-0000-0000-0000-000000000001","why":"rolled_back","at":"2026-05-01T11:50:00Z"}]}"#;
    assert_eq!(sent, format!("POST /api/v1/rollouts/7/resume - {body}"));
}

#[tokio::test]
async fn resume_without_agreement_sends_nothing() {
    let hub = FakeHub::start(vec![("GET /api/v1/rollouts/7", Answer::json(&rollout()))]).await;
    let words = ["resume", "7", "--acknowledge", "a bad disk"];
    let (result, ..) = rollout_says(&hub, &words, false).await;
    let error = result.unwrap_err();
    assert_eq!((error.exit(), error.to_string().as_str()), (Exit::No, "nobody has agreed to it"));
    assert_eq!(hub.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_says_where_to_look() {
    let problem = channels::wire::Problem {
        kind: "/problems/conflict".into(),
        title: "The state does not allow this".into(),
        status: 409,
        detail: "nothing of the kind holds rollout 7".into(),
        attack: None,
        last_seq: None,
    };
    let refused = Answer {
        status: 409,
        content_type: channels::wire::media_type::PROBLEM,
        ..Answer::json(&problem)
    };
    let calm = RolloutRow { failures: Vec::new(), ..rollout() };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/rollouts/7", Answer::json(&calm)),
        ("POST /api/v1/rollouts/7/resume", refused),
    ])
    .await;
    let words = ["resume", "7", "--acknowledge", "x"];
    let (result, ..) = rollout_says(&hub, &words, true).await;
    let error = result.unwrap_err();
    assert!(error.to_string().contains("nothing of the kind holds rollout 7"), "{error}");
    assert_eq!(error.hint_text(), Some("fairway rollout show 7 says how it stands"));
    let words = ["resume", "7", "--acknowledge", " "];
    let (result, ..) = rollout_says(&hub, &words, true).await;
    assert_eq!(result.unwrap_err().to_string(), "--acknowledge must not be empty");
}

#[tokio::test]
async fn a_ring_is_held_and_released_alone() {
    let hub = FakeHub::start(vec![
        ("POST /api/v1/rollouts/7/hold", Answer::json(&rollout())),
        ("GET /api/v1/rollouts/7", Answer::json(&rollout())),
        ("POST /api/v1/rollouts/7/resume", Answer::json(&rollout())),
    ])
    .await;
    let words = ["hold", "7", "--ring", "canary", "--reason", "storm"];
    let (result, _, stderr) = rollout_says(&hub, &words, false).await;
    result.unwrap();
    assert_eq!(
        stderr,
        "ring canary of rollout 7 (acme/kafka 4.3.1) is held; lift it with: \
         fairway rollout resume 7 --ring canary --acknowledge TEXT\n"
    );
    let words = ["resume", "7", "--ring", "canary", "--acknowledge", "over"];
    // Nobody is asked: no failure is accepted with it.
    let (result, ..) = rollout_says(&hub, &words, false).await;
    result.unwrap();
    let sent = r#"POST /api/v1/rollouts/7/resume - {"acknowledge":"over","ring":"canary"}"#;
    assert_eq!(hub.seen().pop().unwrap(), sent);
}

#[tokio::test]
async fn an_emergency_is_asked_for_and_an_approval_names_its_ring() {
    let hub = FakeHub::start(vec![
        ("GET /api/v1/rollouts/7", Answer::json(&rollout())),
        ("POST /api/v1/rollouts/7/emergency", Answer::json(&rollout())),
        ("POST /api/v1/rollouts/7/approve", Answer::json(&rollout())),
    ])
    .await;
    let words = ["emergency", "7", "--reason", "exploited"];
    let (result, ..) = rollout_says(&hub, &words, false).await;
    assert_eq!(result.unwrap_err().exit(), Exit::No);
    let (result, ..) = rollout_says(&hub, &words, true).await;
    result.unwrap();
    let words = ["approve", "7", "everyone", "--reason", "well"];
    let (result, _, stderr) = rollout_says(&hub, &words, false).await;
    result.unwrap();
    assert!(stderr.contains("ring everyone of rollout 7"), "{stderr}");
    let sent = r#"POST /api/v1/rollouts/7/approve - {"ring":"everyone","reason":"well"}"#;
    assert_eq!(hub.seen().pop().unwrap(), sent);
}

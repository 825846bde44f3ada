//! What `fairway clusters` prints, as golden text.

use channels::rollout::Labels;
use channels::wire::{
    AcceptedRisk, BulkChange, BulkExpect, BulkItem, BulkReply, Drift, DriftState, Freshness,
    HealthSummary, HealthVerdict, KeyRevocation, Phase, ProductRow, ProductSettings, Progress,
    Reason, Role, UnitState, WaitingOn,
};
use clap::Parser as _;

use super::*;
use crate::colour::Colour;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-05-01T12:00:00Z")
}

fn product() -> ProductRow {
    ProductRow {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        version: "3.9.1".parse().unwrap(),
        target: Some("4.0.1".parse().unwrap()),
        phase: Phase::Soak,
        since: at("2026-05-01T11:59:18Z"),
        unit: Some("c-2".parse().unwrap()),
        progress: Some(Progress { done: 1, total: 3 }),
        health: HealthSummary {
            verdict: HealthVerdict::Unhealthy,
            since: None,
            quorum_lag_ms: Some(2_100),
            quorum_lag_unit: Some("c-1".parse().unwrap()),
            pleg_lag_ms: None,
            pleg_lag_unit: None,
            measured: Vec::new(),
        },
        drift: Drift {
            state: DriftState::Behind,
            hops: Some(2),
            behind_minor: 1,
            behind_patch: 0,
            age_days: Some(12),
            head: Some("4.1.0".parse().unwrap()),
            eol: Some("2026-05-01".parse().unwrap()),
        },
        drift_at_site: None,
        waiting_on: vec![WaitingOn {
            gate: "quorum_lag".into(),
            unit: Some("c-1".parse().unwrap()),
            message: "quorum lag of c-1 is 2100 ms, limit 1000 ms".into(),
            observed: Some(2_100.0),
            limit: Some(1_000.0),
            since: None,
        }],
        why_not: Vec::new(),
        earliest_at: None,
        failure: None,
        accepted_risks: Vec::new(),
        units: vec![UnitState {
            name: "c-1".parse().unwrap(),
            role: Role::Controller,
            pool: "controllers".parse().unwrap(),
            version: Some("3.9.1".into()),
            health: HealthVerdict::Unhealthy,
            why: Some("lags".into()),
        }],
    }
}

fn cluster(name: &str, id: u128, products: Vec<ProductRow>) -> ClusterRow {
    ClusterRow {
        id: ClusterId(uuid::Uuid::from_u128(id)),
        name: name.into(),
        site: None,
        as_of: None,
        labels: Labels::from([("site".to_owned(), "east".to_owned())]),
        settings: Vec::new(),
        enrolled_at: at("2026-04-01T00:00:00Z"),
        last_seen: (!products.is_empty()).then(|| at("2026-05-01T11:59:48Z")),
        freshness: if products.is_empty() { Freshness::Never } else { Freshness::Fresh },
        agent_version: "0.1.0".into(),
        seq: 7,
        identity_conflict_since: None,
        key_revoked: None,
        products,
    }
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: ClustersArgs,
}

async fn clusters(hub: &FakeHub, args: &[&str]) -> (Result<()>, String, String) {
    let server = ["clusters", "--server", &hub.url];
    let args = Cli::try_parse_from(server.iter().chain(args)).unwrap().args;
    let (mut out, stdout, stderr) = capture::out();
    let result = run(&args, now(), &mut out).await;
    (result, stdout.text(), stderr.text())
}

#[test]
fn the_list_shows_movement_health_and_the_first_reason() {
    let held = ProductRow {
        why_not: vec![Reason { code: "held".into(), message: "held by ann: storm".into() }],
        ..product()
    };
    let rows = [
        cluster("north", 1, vec![product()]),
        cluster("south", 2, vec![held]),
        cluster("new", 3, vec![]),
    ];
    insta::assert_snapshot!(render::list(&rows, now(), Format::Table).text(), @"
    NAME   PRODUCT     CHANNEL  VERSION  TARGET  PHASE  UNIT  PROGRESS  HEALTH     DRIFT   SEEN   WHY
    north  acme/kafka  stable   3.9.1    4.0.1   soak   c-2   1/3       unhealthy  2 hops  12s    quorum lag of c-1 is 2100 ms, limit 1000 ms
    south  acme/kafka  stable   3.9.1    4.0.1   soak   c-2   1/3       unhealthy  2 hops  12s    held by ann: storm
    new    -           -        -        -       -      -     -         -          -       never  -
    ");
}

#[test]
fn clusters_of_dark_sites_are_listed_with_their_site_and_the_age_of_its_status() {
    let dark = ClusterRow {
        site: Some("rig".parse().unwrap()),
        as_of: Some(at("2026-04-20T12:00:00Z")),
        freshness: Freshness::Late,
        ..cluster("east", 2, vec![ProductRow { drift_at_site: Some(product().drift), ..product() }])
    };
    let rows = [cluster("north", 1, vec![product()]), dark];
    insta::assert_snapshot!(render::list(&rows, now(), Format::Table).text(), @"
    SITE  NAME   PRODUCT     CHANNEL  VERSION  TARGET  PHASE  UNIT  PROGRESS  HEALTH     DRIFT   SEEN        WHY
    -     north  acme/kafka  stable   3.9.1    4.0.1   soak   c-2   1/3       unhealthy  2 hops  12s         quorum lag of c-1 is 2100 ms, limit 1000 ms
    rig   east   acme/kafka  stable   3.9.1    4.0.1   soak   c-2   1/3       unhealthy  2 hops  11d (late)  quorum lag of c-1 is 2100 ms, limit 1000 ms
    ");
    let details = render::details(&rows[1], now(), Colour::Off);
    for line in [
        "site       rig, by a status file; it last reported there 2026-05-01T11:59:48Z",
        "seen       11d (late)",
        "drift      2 hops, head 4.1.0",
        "there      2 hops, head 4.1.0",
    ] {
        assert!(details.lines().any(|found| found == line), "{line} in\n{details}");
    }
}

#[test]
fn risks_that_a_cluster_accepts_are_shown_with_their_end() {
    let accepted = |name: &str, until: Option<&str>| AcceptedRisk {
        name: name.to_owned(),
        reason: "disks are new".to_owned(),
        until: until.map(at),
    };
    let accepted_risks = vec![
        accepted("A", None),
        accepted("B", Some("2026-12-31T00:00:00Z")),
        accepted("C", Some("2026-01-01T00:00:00Z")),
    ];
    let row = cluster("north", 1, vec![ProductRow { accepted_risks, ..product() }]);
    let details = render::details(&row, now(), Colour::Off);
    for line in [
        "accepts    A until it is removed: disks are new",
        "accepts    B until 2026-12-31T00:00:00Z: disks are new",
        "accepts    C EXPIRED 2026-01-01T00:00:00Z: disks are new",
    ] {
        assert!(details.lines().any(|found| found == line), "{line} in\n{details}");
    }
}

#[test]
fn one_cluster_is_shown_with_every_reason_and_unit() {
    insta::assert_snapshot!(render::details(&cluster("north", 1, vec![product()]), now(), Colour::Off), @"
    cluster    north
    id         00000000-0000-0000-0000-000000000001
    labels     site=east
    enrolled   2026-04-01T00:00:00Z
    agent      0.1.0
    seen       12s

    product    acme/kafka
    follows    stable (amd64)
    version    3.9.1 -> 4.0.1
    drift      2 hops, head 4.1.0
    eol        2026-05-01
    phase      soak for 42s, 1 of 3 units done
    health     unhealthy, quorum lag 2100 ms on c-1
    waits on   quorum_lag: quorum lag of c-1 is 2100 ms, limit 1000 ms

    PRODUCT     UNIT  ROLE        POOL         VERSION  HEALTH     WHY
    acme/kafka  c-1   controller  controllers  3.9.1    unhealthy  lags
    ");
}

#[test]
fn a_release_past_its_end_of_life_is_marked_for_people() {
    let rows = [cluster("north", 1, vec![product()])];
    let tomorrow = at("2026-05-02T00:00:00Z");
    let details = render::details(&rows[0], tomorrow, Colour::Off);
    assert!(details.lines().any(|line| line == "eol        2026-05-01 (past)"), "{details}");
    let list = |now, format| {
        let table = render::list(&rows, now, format);
        if format == Format::Csv { table.csv() } else { table.text() }
    };
    assert!(list(tomorrow, Format::Table).contains("2 hops, eol"));
    assert!(!list(now(), Format::Table).contains("eol"), "its last day");
    assert!(!list(tomorrow, Format::Csv).contains("eol"), "machines have the drift by itself");
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let first = Page { items: vec![cluster("north", 1, vec![])], next: Some("c1".into()) };
    let second = Page { items: vec![cluster("south", 2, vec![])], next: None };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/clusters?channel=stable&limit=500", Answer::json(&first)),
        ("GET /api/v1/clusters?channel=stable&limit=500&cursor=c1", Answer::json(&second)),
    ])
    .await;
    let (result, stdout, stderr) =
        clusters(&hub, &["--channel", "stable", "--output", "csv"]).await;
    result.unwrap();
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    assert_eq!(stderr, "");
}

#[tokio::test]
async fn a_list_cut_by_its_limit_says_so() {
    let first = Page { items: vec![cluster("north", 1, vec![])], next: Some("c1".into()) };
    let hub = FakeHub::start(vec![("GET /api/v1/clusters?limit=1", Answer::json(&first))]).await;
    let (result, _, stderr) = clusters(&hub, &["--limit", "1"]).await;
    result.unwrap();
    assert_eq!(stderr, "warning: there are more than the 1 cluster shown; --all shows the rest\n");
}

#[tokio::test]
async fn a_cluster_is_found_by_its_name() {
    let answer = Answer::json(&cluster("north/2", 1, vec![]));
    let hub = FakeHub::start(vec![("GET /api/v1/clusters/north%2F2", answer)]).await;
    let (result, stdout, _) = clusters(&hub, &["show", "north/2"]).await;
    result.unwrap();
    assert!(stdout.contains("00000000-0000-0000-0000-000000000001"), "{stdout}");
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_a_no_and_not_a_failure() {
    let problem = channels::wire::Problem {
        kind: "/problems/not_found".into(),
        title: "Not found".into(),
        status: 404,
        detail: "no cluster \"nor\" in force".into(),
        attack: None,
        last_seq: None,
    };
    let answer =
        Answer { status: 404, content_type: "application/problem+json", ..Answer::json(&problem) };
    let hub = FakeHub::start(vec![("GET /api/v1/clusters/nor", answer)]).await;
    let error = clusters(&hub, &["show", "nor"]).await.0.unwrap_err();
    assert_eq!(error.to_string(), "the hub refused: Not found: no cluster \"nor\" in force");
    assert_eq!(error.exit().code(), 1);
}

#[tokio::test]
async fn an_invitation_prints_the_token_alone_on_stdout() {
    let token = JoinToken { token: "fj_x".into(), uses: 3, expires_at: at("2026-05-01T12:30:00Z") };
    let hub = FakeHub::start(vec![("POST /api/v1/join-tokens", Answer::json(&token))]).await;
    let (result, stdout, stderr) =
        clusters(&hub, &["invite", "--uses", "3", "--expires", "30m"]).await;
    result.unwrap();
    assert_eq!(stdout, "fj_x\n");
    assert_eq!(stderr, "3 clusters may enrol with it in the next 30m\n");
    assert_eq!(
        hub.seen(),
        [r#"POST /api/v1/join-tokens - {"uses":3,"expires_in_s":1800,"note":""}"#]
    );
}

#[tokio::test]
async fn a_token_for_one_cluster_is_minted_under_its_path() {
    let id = ClusterId(uuid::Uuid::from_u128(1));
    let token = JoinToken { token: "fj_x".into(), uses: 1, expires_at: at("2026-05-01T13:00:00Z") };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/clusters/north", Answer::json(&cluster("north", 1, vec![]))),
        (
            "POST /api/v1/clusters/00000000-0000-0000-0000-000000000001/join-tokens",
            Answer::json(&token),
        ),
    ])
    .await;
    let (result, stdout, stderr) =
        clusters(&hub, &["reinvite", "north", "--note", "disk lost"]).await;
    result.unwrap();
    assert_eq!(stdout, "fj_x\n");
    assert_eq!(stderr, "cluster north alone may enrol with it in the next 60m\n");
    let sent = format!(
        r#"POST /api/v1/clusters/{id}/join-tokens - {{"expires_in_s":3600,"note":"disk lost"}}"#
    );
    assert_eq!(hub.seen().last(), Some(&sent));
}

#[tokio::test]
async fn a_conflict_is_shown_with_what_to_do_and_ended_by_an_acknowledgement() {
    let row = ClusterRow {
        identity_conflict_since: Some(at("2026-05-01T11:58:00Z")),
        ..cluster("north", 1, vec![])
    };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/clusters/north", Answer::json(&row)),
        (
            "POST /api/v1/clusters/00000000-0000-0000-0000-000000000001/trust",
            Answer::json(&cluster("north", 1, vec![])),
        ),
    ])
    .await;
    let (result, stdout, _) = clusters(&hub, &["show", "north"]).await;
    result.unwrap();
    assert!(stdout.contains("identity   CONFLICT for 2m: more than one agent"), "{stdout}");
    let args = ["trust", "north", "--acknowledge", "the copy is off"];
    let (result, _, stderr) = clusters(&hub, &args).await;
    result.unwrap();
    assert!(stderr.starts_with("the identity conflict of north"), "{stderr}");
    let sent = hub.seen().last().cloned().unwrap();
    assert!(sent.ends_with(r#"{"acknowledge":"the copy is off"}"#), "{sent}");
}

#[tokio::test]
async fn a_key_is_revoked_with_a_reason_that_show_repeats() {
    let revoked = KeyRevocation {
        at: at("2026-05-01T11:58:00Z"),
        by: "ann".into(),
        reason: "the rack was opened".into(),
    };
    let row = ClusterRow { key_revoked: Some(revoked), ..cluster("north", 1, vec![]) };
    let id = "00000000-0000-0000-0000-000000000001";
    let path = "POST /api/v1/clusters/00000000-0000-0000-0000-000000000001/revoke";
    let hub = FakeHub::start(vec![
        ("GET /api/v1/clusters/north", Answer::json(&row)),
        (path, Answer::json(&row)),
    ])
    .await;
    let (result, _, stderr) =
        clusters(&hub, &["revoke", "north", "--reason", "the rack was opened"]).await;
    result.unwrap();
    assert_eq!(
        stderr,
        format!(
            "the key of north ({id}) is revoked; let it back in with: fairway clusters reinvite \
             north\n"
        )
    );
    let sent = hub.seen().last().cloned().unwrap();
    assert_eq!(sent, format!(r#"{path} - {{"reason":"the rack was opened"}}"#));
    let (_, stdout, _) = clusters(&hub, &["show", "north"]).await;
    let said = "key        REVOKED by ann 2m ago: the rack was opened. `fairway clusters reinvite`";
    assert!(stdout.contains(said), "{stdout}");
}

#[tokio::test]
async fn filters_before_a_subcommand_are_refused_and_not_dropped() {
    let hub = FakeHub::start(vec![]).await;
    let (result, ..) = clusters(&hub, &["--channel", "stable", "invite"]).await;
    assert!(result.unwrap_err().to_string().contains("filters"));
    assert_eq!(hub.seen().len(), 0);
}

#[tokio::test]
async fn open_invitations_are_listed_and_ended_by_their_number() {
    let token = OpenJoinToken {
        id: 7,
        uses: 5,
        used: 2,
        expires_at: at("2026-05-01T13:00:00Z"),
        cluster: None,
        note: "rack 4".into(),
        labels: Labels::from([("site".to_owned(), "east".to_owned())]),
        created_at: at("2026-05-01T11:00:00Z"),
        created_by: "ann".into(),
    };
    let again = OpenJoinToken {
        id: 3,
        uses: 1,
        used: 0,
        cluster: Some(ClusterId(uuid::Uuid::from_u128(1))),
        note: String::new(),
        ..token.clone()
    };
    let first = Page { items: vec![token], next: Some("c1".into()) };
    let second = Page { items: vec![again], next: None };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/join-tokens?limit=500", Answer::json(&first)),
        ("GET /api/v1/join-tokens?limit=500&cursor=c1", Answer::json(&second)),
        (
            "DELETE /api/v1/join-tokens/7",
            Answer { status: 204, content_type: "text/plain", body: vec![] },
        ),
    ])
    .await;
    let (result, stdout, _) = clusters(&hub, &["invites"]).await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @"
    ID  USES  USED  EXPIRES  CLUSTER                               CREATED  CREATED-BY  LABELS     NOTE
    7   5     2     in 60m   -                                     60m      ann         site=east  rack 4
    3   1     0     in 60m   00000000-0000-0000-0000-000000000001  60m      ann         site=east  -
    ");
    let (result, _, stderr) = clusters(&hub, &["uninvite", "7"]).await;
    result.unwrap();
    assert!(stderr.contains("join token 7 is ended"), "{stderr}");
}

fn labelled(labels: &[(&str, &str)]) -> ClusterRow {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    ClusterRow { labels, ..cluster("north", 1, vec![]) }
}

#[tokio::test]
async fn one_cluster_is_labelled_and_set_by_its_name() {
    let id = ClusterId(uuid::Uuid::from_u128(1));
    let settings = ProductSettings {
        pin: Some("4.0.1".parse().unwrap()),
        ..ProductSettings::none("acme/kafka".parse().unwrap())
    };
    let set = ClusterRow { settings: vec![settings], ..labelled(&[]) };
    let (labels, at_settings) = (
        format!("PUT /api/v1/clusters/{id}/labels"),
        format!("PUT /api/v1/clusters/{id}/settings"),
    );
    let hub = FakeHub::start(vec![
        ("GET /api/v1/clusters/north", Answer::json(&labelled(&[]))),
        (labels.as_str(), Answer::json(&labelled(&[("ring", "canary")]))),
        (at_settings.as_str(), Answer::json(&set)),
    ])
    .await;
    let (result, _, stderr) = clusters(&hub, &["label", "north", "ring=canary", "site-"]).await;
    result.unwrap();
    assert_eq!(stderr, format!("cluster north ({id}) has ring=canary\n"));
    let args = ["set", "north", "--of", "acme/kafka", "pin=4.0.1", "channel-"];
    let (result, _, stderr) = clusters(&hub, &args).await;
    result.unwrap();
    assert_eq!(stderr, format!("acme/kafka on cluster north ({id}): pin=4.0.1\n"));
    let sent: Vec<String> =
        hub.seen().into_iter().filter(|request| request.starts_with("PUT")).collect();
    assert_eq!(
        sent,
        [
            format!(r#"{labels} - {{"labels":{{"ring":"canary","site":null}}}}"#),
            format!(
                r#"{at_settings} - {{"product":"acme/kafka","change":{{"channel":null,"pin":"4.0.1"}}}}"#
            ),
        ]
    );
    assert!(clusters(&hub, &["label", "north"]).await.0.is_err(), "nothing to change");
    assert!(clusters(&hub, &["label", "north", "ring"]).await.0.is_err(), "no change");
}

fn shown(items: &[(&str, Option<&str>)], done: u64) -> BulkReply {
    let digest = "sha256:abababababababababababababababababababababababababababababababab";
    let item = |(name, refused): &(&str, Option<&str>)| BulkItem {
        id: ClusterId(uuid::Uuid::from_u128(1)),
        name: (*name).to_owned(),
        changes: vec![BulkChange {
            what: "label ring".into(),
            before: None,
            after: Some("canary".into()),
        }],
        refused: refused.map(str::to_owned),
        token: None,
    };
    BulkReply {
        expect: BulkExpect { clusters: 2, digest: digest.parse().unwrap() },
        unchanged: 0,
        done,
        next: None,
        items: items.iter().map(item).collect(),
    }
}

#[tokio::test]
async fn a_preview_shows_what_would_change_and_sends_nothing_else() {
    let answer = Answer::json(&shown(&[("north", None)], 0));
    let hub = FakeHub::start(vec![("POST /api/v1/bulk", answer)]).await;
    let args = ["label", "--selector", "site in (a,b), !frozen", "--preview", "ring=canary"];
    let (result, stdout, stderr) = clusters(&hub, &args).await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @"
    NAME   WHAT        BEFORE  AFTER   REFUSED
    north  label ring  -       canary  -
    ");
    assert_eq!(stderr, "… and 1 more\n");
    assert_eq!(
        hub.seen(),
        [
            r#"POST /api/v1/bulk - {"filter":{"selector":"site in (a,b), !frozen"},"action":{"kind":"label","labels":{"ring":"canary"}}}"#
        ]
    );
}

#[tokio::test]
async fn what_was_agreed_to_goes_back_to_the_hub_and_refusals_are_told() {
    let hub = FakeHub::start(vec![(
        "POST /api/v1/bulk",
        Answer::json(&shown(&[("north", None), ("south", Some("no such cluster"))], 1)),
    )])
    .await;
    let (result, _, stderr) = clusters(&hub, &["retire", "--name", "no", "--yes"]).await;
    result.unwrap();
    assert_eq!(stderr, "warning: south was not changed: no such cluster\n1 cluster changed\n");
    let sent = hub.seen();
    assert_eq!(sent.len(), 2, "a preview, then the change");
    assert!(sent[1].contains(r#""expect":{"clusters":2,"digest":"sha256:abab"#), "{sent:?}");
}

#[tokio::test]
async fn a_change_to_many_goes_on_piece_by_piece_and_says_how_far_it_came() {
    let next = BulkExpect { clusters: 1, ..shown(&[], 0).expect };
    let first = BulkReply { next: Some(next), ..shown(&[("north", None)], 1) };
    let answers = [shown(&[("north", None)], 0), first.clone(), shown(&[("south", None)], 1)];
    let post = |reply: &BulkReply| ("POST /api/v1/bulk", Answer::json(reply));
    let hub = FakeHub::start(answers.iter().map(post).collect()).await;
    let args = ["label", "--all", "--yes", "ring=canary"];
    let (result, _, stderr) = clusters(&hub, &args).await;
    result.unwrap();
    assert_eq!(stderr, "2 clusters changed\n");
    let seen = hub.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[2].contains(r#""expect":{"clusters":1,"#), "{}", seen[2]);

    let gone = Answer { status: 503, content_type: "text/plain", body: b"gone".to_vec() };
    let script = vec![post(&answers[0]), post(&first), ("POST /api/v1/bulk", gone)];
    let hub = FakeHub::start(script).await;
    let (result, _, stderr) = clusters(&hub, &args).await;
    result.unwrap_err();
    assert!(stderr.contains("1 of 2 clusters were changed before it broke off"), "{stderr}");
}

#[tokio::test]
async fn one_cluster_and_many_are_not_meant_at_once_and_nothing_means_none() {
    let hub = FakeHub::start(vec![]).await;
    for args in [
        &["retire", "north", "--selector", "ring=a"][..],
        &["retire"],
        &["reinvite"],
        &["label", "--all", "--site", "berlin", "ring=a"],
        &["label", "--preview", "north", "ring=a"],
    ] {
        assert!(clusters(&hub, args).await.0.is_err(), "{args:?}");
    }
    assert_eq!(hub.seen().len(), 0);
}

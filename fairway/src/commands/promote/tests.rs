//! Promotion over the examples: by the rule, early, due; and what is refused.

use channels::wire::SoakAnswer;

use super::super::graph::tests::{Copy, examples, fairway};
use crate::hub::testing::{Answer, FakeHub};

const RECORD: &str = "# ours\nentered:\n  - {channel: fast-4, version: 4.3.1, at: \
                      2026-07-01T12:00:00Z, why: rule}\n";

#[tokio::test]
async fn a_release_whose_entry_nobody_recorded_is_not_promoted_by_the_rule() {
    let copy = Copy::new();
    let words = "promote DIR kafka 4.3.1 --to stable-4 --yes";
    let (result, ..) = fairway(copy.dir(), words).await;
    let error = result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "4.3.1 may not enter stable-4: promotions.yaml does not say when it entered fast-4"
    );
    assert_eq!(error.exit().code(), 1);
    assert!(copy.is_untouched());
}

#[tokio::test]
async fn a_due_release_enters_with_a_line_in_channel_and_record() {
    let copy = Copy::new();
    copy.write("kafka/promotions.yaml", RECORD);
    let (result, stdout, stderr) = fairway(copy.dir(), "promote DIR kafka --due --yes").await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @r#"
    --- a/kafka/promotions.yaml
    +++ b/kafka/promotions.yaml
    @@ -1,3 +1,4 @@
     # ours
     entered:
       - {channel: fast-4, version: 4.3.1, at: 2026-07-01T12:00:00Z, why: rule}
    +  - {channel: "stable-4", version: "4.3.1", at: "2026-07-10T12:00:00Z", why: "rule"}
    --- a/kafka/channels/stable-4.yaml
    +++ b/kafka/channels/stable-4.yaml
    @@ -10,6 +10,7 @@
       - 4.1.1
       - 4.2.0
       - 4.3.0
    +  - 4.3.1
     # 4.1.0 can lose records in Kafka Streams (KAFKA-19479, fixed in 4.1.1): nobody goes there any more,
     # and who runs it finds the way on.
     tombstones:
    acme/kafka stable-4 amd64
      release 4.3.1 appears
      head: 4.3.0 becomes 4.3.1
      1 edge to 4.3.0 appears; from 4.3.1
      8 edges to 4.3.1 appear; from 3.9.0, 3.9.1, 4.0.0, 4.0.1, 4.1.0, 4.1.1, 2 more
    "#);
    insta::assert_snapshot!(stderr, @"
    changed in 1 graph: 0 edges gone, 9 new, 0 with other risks
    2 files written; look at them, commit, then fairway publish
    ");
    assert!(copy.read("kafka/channels/stable-4.yaml").contains("  - 4.3.0\n  - 4.3.1\n"));
    let (result, _, stderr) = fairway(copy.dir(), "promote DIR kafka --due --yes").await;
    result.unwrap();
    assert_eq!(stderr, "nothing is due\n");
}

#[tokio::test]
async fn what_waits_is_listed_with_its_time() {
    let copy = Copy::new();
    copy.write("kafka/promotions.yaml", &RECORD.replace("07-01", "07-08"));
    let (result, stdout, _) = fairway(copy.dir(), "promote DIR kafka --pending").await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @"
    CHANNEL   VERSION  FEEDER  ENTERED               DUE  EARLIEST              WAITS
    stable-4  4.3.1    fast-4  2026-07-08T12:00:00Z  no   2026-07-15T12:00:00Z  its delay ends at 2026-07-15T12:00:00Z
    ");
    let words = "promote DIR kafka --pending --output json";
    let (_, stdout, _) = fairway(copy.dir(), words).await;
    let verdicts: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(verdicts[0]["waits"][0]["reason"], "delay");
    let error = fairway(copy.dir(), "promote DIR kafka 4.3.1 --to stable-4 --yes").await.0;
    let hint = "wait until 2026-07-15T12:00:00Z, or pass --early REASON to promote it now";
    assert_eq!(error.unwrap_err().hint_text(), Some(hint));
}

#[tokio::test]
async fn an_early_promotion_records_who_overruled_what() {
    let copy = Copy::new();
    let words = "promote DIR kafka 4.3.1 --to stable-4 --early CVE-2026-1 --yes";
    let (result, _, stderr) = fairway(copy.dir(), words).await;
    result.unwrap();
    assert!(
        stderr.starts_with("warning: promoted early: promotions.yaml does not say"),
        "{stderr}"
    );
    let record = copy.read("kafka/promotions.yaml");
    assert!(record.contains("at: \"2026-07-10T12:00:00Z\", why: \"CVE-2026-1\"}\n"), "{record}");
}

#[tokio::test]
async fn a_tombstone_is_not_promoted_even_early() {
    let copy = Copy::new();
    let words = "promote DIR kafka 4.1.0 --to stable-4 --early because --yes";
    let error = fairway(copy.dir(), words).await.0.unwrap_err();
    assert!(error.to_string().contains("it was withdrawn in stable-4"), "{error}");
    assert!(copy.is_untouched());
}

#[tokio::test]
async fn soak_is_judged_by_the_history_given() {
    let copy = Copy::new();
    copy.write(
        "kafka/promotions.yaml",
        &format!("soak:\n  stable-4: {{days: 2, clusters: 5}}\n{RECORD}"),
    );
    let day = |date: &str| {
        serde_json::json!({"channel": "fast-4", "version": "4.3.1", "date": date, "healthy": 5,
            "unhealthy": 0})
    };
    let history = |days: &[&str]| {
        let days: Vec<_> = days.iter().map(|date| day(date)).collect();
        serde_json::json!({"days": days}).to_string()
    };
    copy.write("h.json", &history(&["2026-07-08"]));
    let words = "promote DIR kafka 4.3.1 --to stable-4 --history DIR/h.json --yes";
    let error = fairway(copy.dir(), words).await.0.unwrap_err();
    assert!(error.to_string().contains("1 of 2 healthy days on at least 5 clusters"), "{error}");
    copy.write("h.json", &history(&["2026-07-08", "2026-07-09"]));
    fairway(copy.dir(), words).await.0.unwrap();
}

#[tokio::test]
async fn soak_is_asked_of_the_hub_and_what_the_hub_cannot_tell_has_not_soaked() {
    let copy = Copy::new();
    copy.write(
        "kafka/promotions.yaml",
        &format!("soak:\n  stable-4: {{days: 1, clusters: 5}}\n{RECORD}"),
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../channels/golden/v1/soak-answer.json");
    let mut answer: SoakAnswer = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    (answer.days[0].date, answer.days[0].unhealthy) = ("2026-07-08".parse().unwrap(), 0);
    let path = "GET /api/v1/soak?product=acme%2Fkafka";
    let hub = FakeHub::start(vec![(path, Answer::json(&answer))]).await;
    let words =
        |server: &str| format!("promote DIR kafka 4.3.1 --to stable-4 --dry-run --server {server}");
    let (result, _, stderr) = fairway(copy.dir(), &words(&hub.url)).await;
    result.unwrap();
    let evidence = "4.3.1 in fast-4 since 2026-11-18T09:35:00Z: 1008 cluster-hours healthy, 0 \
                    unhealthy, 2 unknown; 1 failures in rollouts";
    assert!(stderr.starts_with(evidence), "{stderr}");
    let nobody = FakeHub::start(vec![]).await;
    let (result, _, stderr) = fairway(copy.dir(), &words(&nobody.url)).await;
    assert!(result.unwrap_err().to_string().contains("0 of 1 healthy days"));
    assert!(stderr.starts_with("warning: nothing is known to have soaked"), "{stderr}");
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_a_no_neither() {
    let copy = Copy::new();
    let words = "promote DIR kafka 4.3.1 --to stable-4 --early because --dry-run";
    let (result, _, stderr) = fairway(copy.dir(), words).await;
    result.unwrap();
    assert!(stderr.ends_with("nothing was written\n"), "{stderr}");
    assert!(copy.is_untouched());
    let dir = copy.dir().display().to_string();
    let words = ["fairway", "promote", &dir, "kafka", "4.3.1", "--to", "stable-4", "--early", "x"];
    let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(words).unwrap();
    let crate::cli::Command::Promote(args) = &cli.command else { panic!() };
    let (mut out, ..) = crate::out::capture::out();
    let now = "2026-07-10T12:00:00Z".parse().unwrap();
    let error = super::promote(args, &|_| Ok(false), now, &mut out).await.unwrap_err();
    assert_eq!(error.to_string(), "nothing was written");
    assert!(copy.is_untouched());
}

#[tokio::test]
async fn a_record_or_channel_that_cannot_be_edited_is_refused_with_its_file() {
    let copy = Copy::new();
    copy.write("kafka/promotions.yaml", "entred: []\n");
    let (result, stdout, stderr) = fairway(copy.dir(), "promote DIR kafka --due --yes").await;
    assert!(result.is_err(), "{stdout}");
    assert!(stderr.contains("kafka/promotions.yaml:1:"), "{stderr}");
    assert!(stderr.contains("unknown field `entred`"), "{stderr}");
    copy.write("kafka/promotions.yaml", RECORD);
    let text = copy.read("kafka/channels/stable-4.yaml").replace("versions:", "versions: &all");
    copy.write("kafka/channels/stable-4.yaml", &text);
    let error = fairway(copy.dir(), "promote DIR kafka --due --yes").await.0.unwrap_err();
    assert!(error.to_string().contains("stable-4.yaml: versions is written in a way"), "{error}");
    assert_eq!(copy.read("kafka/promotions.yaml"), RECORD);
}

#[tokio::test]
async fn the_examples_themselves_have_nothing_due() {
    let (result, stdout, stderr) = fairway(&examples(), "promote DIR platform --due --yes").await;
    result.unwrap();
    assert_eq!(stdout, "");
    assert!(
        stderr.contains("1.34.2 waits for stable-1.34: promotions.yaml does not say"),
        "{stderr}"
    );
}

//! Blocks in the examples: written, ended, taken away, refused.

use channels::wire::DriftAnswer;

use super::super::graph::tests::{Copy, fairway};
use crate::hub::testing::{Answer, FakeHub};

const RISK: &str = "block DIR kafka --to >=4.3.0 --from <4.3.0 --name SlowStart --url \
                    https://e.com/1 --message Starts~slowly. --promql group(up==1)or~0*group(up) \
                    --else-always --yes";

#[tokio::test]
async fn a_risk_becomes_a_file_and_goes_again() {
    let copy = Copy::new();
    let (result, stdout, _) = fairway(copy.dir(), RISK).await;
    result.unwrap();
    let file = copy.read("kafka/blocked-edges/SlowStart.yaml");
    insta::assert_snapshot!(file, @r#"
    to: ">=4.3.0"
    from: "<4.3.0"
    name: SlowStart
    url: https://e.com/1
    message: "Starts slowly."
    matchingRules:
      - type: PromQL
        promql:
          promql: "group(up==1)or 0*group(up)"
      - type: Always
    "#);
    assert!(stdout.contains("7 edges to 4.3.0 come under SlowStart; from 3.9.0"), "{stdout}");
    let again = fairway(copy.dir(), RISK).await.0.unwrap_err();
    assert_eq!(again.to_string(), "kafka/blocked-edges/SlowStart.yaml exists already");
    let ended = "unblock DIR kafka SlowStart --fixed-in 4.3.1 --yes";
    let (result, stdout, _) = fairway(copy.dir(), ended).await;
    result.unwrap();
    assert!(stdout.contains("+fixedIn: 4.3.1\n"), "{stdout}");
    assert!(stdout.contains("edges to 4.3.1 become recommended, free of SlowStart"), "{stdout}");
    fairway(copy.dir(), "unblock DIR kafka SlowStart --yes").await.0.unwrap();
    assert!(copy.is_untouched());
}

#[tokio::test]
async fn a_plain_block_that_strands_is_refused_and_a_harmless_one_written() {
    let copy = Copy::new();
    let words = "block DIR kafka --to 4.3.1 --from .* --yes";
    let (result, _, stderr) = fairway(copy.dir(), words).await;
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with("the edit strands clusters on 3.9.0,"), "{error}");
    assert!(
        stderr.contains("4.3.0 would have no way out (acme/kafka candidate-4 amd64"),
        "{stderr}"
    );
    assert!(copy.is_untouched());
    let words = "block DIR kafka --to 4.3.0 --from ^3[.] --file old-to-new --yes";
    let (result, stdout, _) = fairway(copy.dir(), words).await;
    result.unwrap();
    assert!(stdout.contains("2 edges to 4.3.0 vanish; from 3.9.0, 3.9.1"), "{stdout}");
    assert_eq!(copy.read("kafka/blocked-edges/old-to-new.yaml"), "to: 4.3.0\nfrom: \"^3[.]\"\n");
}

#[tokio::test]
async fn what_the_repository_would_not_read_is_not_written() {
    let copy = Copy::new();
    let words = "block DIR kafka --to 4.3 --from .* --yes";
    let (result, _, stderr) = fairway(copy.dir(), words).await;
    assert_eq!(result.unwrap_err().hint_text(), Some("nothing was written"));
    assert!(stderr.contains("kafka/blocked-edges/block-4.3.yaml: error: to: \"4.3\""), "{stderr}");
    assert!(copy.is_untouched());
}

#[tokio::test]
async fn a_name_cannot_lead_out_of_the_folder() {
    let copy = Copy::new();
    let words = "block DIR kafka --to 4.3.0 --from ^3[.] --file ../../x --yes";
    fairway(copy.dir(), words).await.0.unwrap();
    assert!(copy.dir().join("kafka/blocked-edges/x.yaml").exists());
}

#[tokio::test]
async fn only_ranges_have_an_end_and_only_blocks_that_exist() {
    let copy = Copy::new();
    let words = "block DIR kafka --to 4.3.0 --from ^3[.] --file one --yes";
    fairway(copy.dir(), words).await.0.unwrap();
    let error = fairway(copy.dir(), "unblock DIR kafka one --fixed-in 4.3.1 --yes").await.0;
    assert!(error.unwrap_err().to_string().contains("which fixedIn cannot end"));
    let error = fairway(copy.dir(), "unblock DIR kafka two --yes").await.0.unwrap_err();
    assert_eq!(error.to_string(), "acme/kafka has no block two");
}

#[tokio::test]
async fn a_hub_that_cannot_be_asked_is_a_warning_only() {
    let copy = Copy::new();
    let hub = FakeHub::start(vec![]).await;
    let words = "block DIR kafka --to 4.3.0 --from ^3[.] --yes --server";
    let (result, _, stderr) = fairway(copy.dir(), &format!("{words} {}", hub.url)).await;
    result.unwrap();
    assert!(stderr.contains("warning: the fleet is not counted: "), "{stderr}");
    let answer = DriftAnswer {
        at: "2026-07-10T12:00:00Z".parse().unwrap(),
        items: vec![],
        sites: vec![],
        sites_never_reported: vec![],
    };
    let hub = FakeHub::start(vec![("GET /api/v1/drift", Answer::json(&answer))]).await;
    let words = format!("unblock DIR kafka block-4.3.0 --yes --server {}", hub.url);
    let (result, stdout, _) = fairway(copy.dir(), &words).await;
    result.unwrap();
    assert!(stdout.contains("from 3.9.0, 3.9.1 (0 clusters)"), "{stdout}");
}

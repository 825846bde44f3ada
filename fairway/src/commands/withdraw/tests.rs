//! Withdrawing from the examples.

use super::super::graph::tests::{Copy, fairway};

#[tokio::test]
async fn a_withdrawn_release_is_a_tombstone_in_every_channel_that_offered_it() {
    let copy = Copy::new();
    let (result, stdout, stderr) = fairway(copy.dir(), "withdraw DIR kafka 4.2.0 --yes").await;
    result.unwrap();
    let effect = stdout.find("\nacme/").unwrap();
    insta::assert_snapshot!(&stdout[effect + 1..], @"
    acme/kafka candidate-4 amd64, acme/kafka fast-4 amd64, acme/kafka stable-4 amd64
      release 4.2.0 is withdrawn
      6 edges to 4.2.0 vanish; from 3.9.0, 3.9.1, 4.0.0, 4.0.1, 4.1.0, 4.1.1
    ");
    assert!(stderr.ends_with("3 files written; look at them, commit, then fairway publish\n"));
    for channel in ["candidate-4", "fast-4", "stable-4"] {
        let text = copy.read(&format!("kafka/channels/{channel}.yaml"));
        assert!(
            text.ends_with(
                "# and who runs it finds the way on.\ntombstones:\n  - 4.1.0\n  - 4.2.0\n"
            )
        );
    }
}

#[tokio::test]
async fn the_head_may_go_and_its_clusters_are_named() {
    let copy = Copy::new();
    let words = "withdraw DIR kafka 4.3.0 --channel stable-4 --yes";
    let (result, stdout, stderr) = fairway(copy.dir(), words).await;
    result.unwrap();
    assert!(stdout.contains("head: 4.3.0 becomes 4.2.0"), "{stdout}");
    assert!(
        stderr.starts_with("warning: clusters on 4.3.0 stay there until a newer release lists it"),
        "{stderr}"
    );
}

#[tokio::test]
async fn an_edit_that_would_strand_a_version_is_refused_by_its_name() {
    let copy = Copy::new();
    let words = "withdraw DIR platform 1.32.9 --channel stable-1.34 --yes";
    fairway(copy.dir(), words).await.0.unwrap();
    let words = "withdraw DIR platform 1.32.10 --channel stable-1.34 --yes";
    let before = copy.read("platform/channels/stable-1.34.yaml");
    let (result, _, stderr) = fairway(copy.dir(), words).await;
    let error = result.unwrap_err();
    assert_eq!(error.exit().code(), 1);
    assert_eq!(error.to_string(), "the edit strands clusters on 1.31.13, 1.31.14");
    assert!(
        stderr.contains("1.31.14 would have no way out (acme/platform stable-1.34 amd64)"),
        "{stderr}"
    );
    assert_eq!(copy.read("platform/channels/stable-1.34.yaml"), before);
}

#[tokio::test]
async fn what_no_channel_offers_cannot_be_withdrawn() {
    let copy = Copy::new();
    let error = fairway(copy.dir(), "withdraw DIR kafka 9.9.9 --yes").await.0.unwrap_err();
    assert_eq!(error.to_string(), "no channel offers 9.9.9");
    let words = "withdraw DIR kafka 4.2.0 --channel beta --yes";
    let error = fairway(copy.dir(), words).await.0.unwrap_err();
    assert_eq!(error.to_string(), "acme/kafka has no channel beta");
    assert!(copy.is_untouched());
}

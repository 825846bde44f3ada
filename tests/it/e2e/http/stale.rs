//! An answer whose signatures have expired is still an answer, and says so.

use jiff::SignedDuration;

use super::stage::{RELEASES, Stage, graph, nodes};
use crate::e2e::server::hub::until;
use crate::e2e::server::vendor::{CHANNELS_ROLE, GRAPH};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_answer_is_given_and_marked_until_the_vendor_signs_again() {
    let mut stage = Stage::set().await;
    let fresh = stage.get(&graph(), &[]).await;
    assert_eq!(fresh.header("x-fairway-stale"), None);
    let tag = fresh.header("etag").expect("a tag").to_owned();
    // A role may be signed for seconds; what it lists stays the same.
    let life = SignedDuration::from_secs(4);
    stage.vendor.republish_for(&stage.hub, CHANNELS_ROLE, GRAPH, life).await;
    let stale = until("the answer is marked", async || {
        let answer = stage.get(&graph(), &[]).await;
        assert_eq!((answer.status, nodes(&answer)), (200, RELEASES));
        if answer.header("x-fairway-stale").is_some() { Ok(answer) } else { Err("fresh".into()) }
    })
    .await;
    let why = stale.header("x-fairway-stale").expect("a reason");
    assert!(why.contains(CHANNELS_ROLE), "{why}");
    assert!(stale.header("age").is_some(), "{stale:?}");
    assert_eq!(stale.body, fresh.body);
    let held = stage.get(&graph(), &[("If-None-Match", &tag)]).await;
    assert_eq!(held.status, 304);
    assert!(held.header("x-fairway-stale").is_some(), "{held:?}");
    let head = stage.ask("HEAD", &graph(), &[]).await;
    assert!(head.header("x-fairway-stale").is_some(), "{head:?}");
    // Other channels are empty answers under roles that are fresh.
    let other = stage.get("/api/upgrades_info/v1/graph?channel=none", &[]).await;
    assert_eq!(other.header("x-fairway-stale"), None);
    // The hub says so to whoever watches it, too.
    assert_eq!(stage.get("/readyz", &[]).await.status, 200, "one vendor never unreadies a hub");
    stage.publish(RELEASES).await;
    let renewed = stage.get(&graph(), &[]).await;
    assert_eq!(renewed.header("x-fairway-stale"), None);
    assert_eq!(renewed.body, fresh.body);
}

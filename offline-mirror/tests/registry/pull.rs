//! Pulls through every fault of a transfer.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use offline_mirror::oci::{Algorithm, Digest};
use offline_mirror::registry::{
    BlobSink, HashSink, Jitter, MemorySink, Registry, RegistryError, Traffic,
};
use signing::Attack;
use tokio::time::Instant;

use crate::scene::{access, bytes, descriptor, pull, pull_from, registry, repository, serve};
use crate::server::{Reply, Server, Step};

/// A try that brings less than this is not progress.
const PROGRESS: usize = 256 * 1024;

/// The first `faults` requests get `fault`, the later ones what a good registry gives.
async fn faulty(blob: &[u8], faults: usize, fault: Reply) -> Server {
    let (blob, mut count) = (blob.to_vec(), 0);
    Server::start(move |asked| {
        count += 1;
        if count <= faults { fault.clone() } else { serve(asked, &blob) }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_limited_registry_is_asked_again_when_it_said() {
    let blob = bytes(1000);
    let server = faulty(&blob, 1, Reply::new(429, "").with("retry-after", "7")).await;
    let (registry, began) = (registry(&server), Instant::now());
    let at_once = registry.requests_at_once();
    assert_eq!(pull(&registry, &blob).await.unwrap(), blob);
    assert!(began.elapsed() >= Duration::from_secs(7));
    assert_eq!(registry.requests(), 2);
    assert_eq!(registry.requests_at_once(), at_once / 2, "fewer at once from now on");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_is_a_moment_counts_from_the_registrys_own_clock() {
    let blob = bytes(10);
    let fault = Reply::new(503, "")
        .with("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .with("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT");
    let server = faulty(&blob, 1, fault).await;
    let began = Instant::now();
    pull(&registry(&server), &blob).await.unwrap();
    assert!(began.elapsed() >= Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_asks_for_an_hour_is_left_alone_and_named() {
    let server = faulty(b"", 9, Reply::new(429, "").with("retry-after", "3600")).await;
    let error = pull(&registry(&server), b"x").await.unwrap_err();
    assert!(matches!(error, RegistryError::RateLimited { retry_after_s: Some(3600), .. }));
    assert_eq!(server.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_restarts_is_waited_for() {
    for status in [500, 502, 503, 504] {
        let blob = bytes(100);
        let server = faulty(&blob, 3, Reply::new(status, "")).await;
        assert_eq!(pull(&registry(&server), &blob).await.unwrap(), blob);
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_stays_down_is_given_up_on() {
    let said = r#"{"errors":[{"code":"UNAVAILABLE","message":"maintenance"}]}"#;
    let server = faulty(b"", usize::MAX, Reply::new(503, said)).await;
    let error = pull(&registry(&server), b"x").await.unwrap_err();
    assert!(matches!(&error, RegistryError::Status { status: 503, said, .. }
        if said.contains("UNAVAILABLE: maintenance")));
    assert_eq!(server.log().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn other_refusals_are_told_at_once_in_the_registrys_words() {
    let said = r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#;
    let server = faulty(b"", usize::MAX, Reply::new(404, said)).await;
    let error = pull(&registry(&server), b"x").await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::NotFound { said, .. } if said.contains("BLOB_UNKNOWN"))
    );
    assert_eq!(server.log().len(), 1);
}

/// An answer that promises all of `blob` and ends otherwise after `sent` bytes.
fn broken(blob: &[u8], sent: usize, end: Step) -> Reply {
    let steps = vec![Step::Send(blob[..sent].to_vec()), Step::Wait(Duration::from_millis(1)), end];
    Reply::steps(200, steps).with("content-length", &blob.len().to_string())
}

#[tokio::test(start_paused = true)]
async fn what_breaks_off_in_mid_body_is_resumed_from_there() {
    let blob = bytes(600_000);
    for end in [Step::Reset, Step::Close] {
        let server = faulty(&blob, 1, broken(&blob, 300_000, end)).await;
        assert_eq!(pull(&registry(&server), &blob).await.unwrap(), blob);
        let log = server.log();
        assert_eq!(log.len(), 2);
        assert!(log[1].header("range").is_some(), "not from the beginning");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_body_without_a_length_is_resumed() {
    let blob = bytes(1000);
    let short = Reply::steps(200, vec![Step::Send(blob[..400].to_vec()), Step::Close]);
    let server = faulty(&blob, 1, short).await;
    assert_eq!(pull(&registry(&server), &blob).await.unwrap(), blob);
    assert_eq!(server.log()[1].header("range"), Some("bytes=400-"));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_always_breaks_gets_there_as_long_as_each_try_brings_something() {
    let blob = bytes(12 * PROGRESS);
    let served = blob.clone();
    let server = Server::start(move |asked| {
        let mut reply = serve(asked, &served);
        let Some(Step::Send(body)) = reply.steps.first_mut() else { return reply };
        body.truncate(PROGRESS);
        reply.steps.extend([Step::Wait(Duration::from_millis(1)), Step::Close]);
        reply
    });
    let server = server.await;
    assert_eq!(pull(&registry(&server), &blob).await.unwrap(), blob);
    assert_eq!(server.log().len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_brings_next_to_nothing_is_given_up_on_and_what_came_is_kept() {
    let blob = bytes(10 * PROGRESS);
    let served = blob.clone();
    let server = Server::start(move |asked| {
        let mut reply = serve(asked, &served);
        let Some(Step::Send(body)) = reply.steps.first_mut() else { return reply };
        body.truncate(10);
        reply.steps.push(Step::Close);
        reply
    });
    let server = server.await;
    let mut sink = MemorySink::new(Algorithm::Sha256);
    let pulled = registry(&server).pull(&repository(), &descriptor(&blob), &mut sink).await;
    assert!(matches!(pulled, Err(RegistryError::Connection { .. })), "{pulled:?}");
    assert_eq!(sink.into_bytes(), blob[..70], "ten bytes in each of seven tries");
}

#[tokio::test(start_paused = true)]
async fn a_later_run_goes_on_where_an_earlier_one_stopped() {
    let blob = bytes(1000);
    let server = faulty(&blob, 0, Reply::new(500, "")).await;
    assert_eq!(pull_from(&registry(&server), &blob, 999).await.unwrap(), blob);
    assert_eq!(server.log()[0].header("range"), Some("bytes=999-"));
    assert_eq!(pull_from(&registry(&server), &blob, 1000).await.unwrap(), blob);
    assert_eq!(server.log().len(), 1, "what is whole is not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_registry_without_ranges_is_read_past_what_is_there() {
    let blob = bytes(1000);
    let served = blob.clone();
    let server = Server::start(move |_| Reply::new(200, served.clone())).await;
    assert_eq!(pull_from(&registry(&server), &blob, 400).await.unwrap(), blob);
}

#[tokio::test(start_paused = true)]
async fn ranges_that_cannot_be_used_are_done_without() {
    let blob = bytes(1000);
    let wrong = Reply::new(206, &blob[..600]).with("content-range", "bytes 0-599/1000");
    let other = Reply::new(206, &blob[400..]).with("content-range", "bytes 400-999/2000");
    for fault in [wrong, other, Reply::new(206, ""), Reply::new(416, "")] {
        let server = faulty(&blob, 1, fault).await;
        assert_eq!(pull_from(&registry(&server), &blob, 400).await.unwrap(), blob);
        assert_eq!(server.log()[1].header("range"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn other_bytes_are_arbitrary_software() {
    let blob = bytes(1000);
    let mut other = blob.clone();
    other[500] ^= 1;
    let server = faulty(&other, 0, Reply::new(500, "")).await;
    let error = pull(&registry(&server), &blob).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware));
    assert!(matches!(error, RegistryError::Digest { found, .. } if found == Digest::of(&other)));
    assert_eq!(server.log().len(), 1, "a registry that lies is not asked twice");
}

#[tokio::test(start_paused = true)]
async fn a_start_left_over_that_was_bad_is_fetched_again_once() {
    let blob = bytes(1000);
    let server = faulty(&blob, 0, Reply::new(500, "")).await;
    let mut sink = MemorySink::resume(Algorithm::Sha256, vec![0xff; 400]);
    registry(&server).pull(&repository(), &descriptor(&blob), &mut sink).await.unwrap();
    assert_eq!(sink.into_bytes(), blob);
    let ranges: Vec<_> = server.log().iter().map(|a| a.headers.contains_key("range")).collect();
    assert_eq!(ranges, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_start_left_over_that_is_too_long_is_fetched_again() {
    let blob = bytes(1000);
    let server = faulty(&blob, 0, Reply::new(500, "")).await;
    let mut sink = MemorySink::resume(Algorithm::Sha256, bytes(1001));
    registry(&server).pull(&repository(), &descriptor(&blob), &mut sink).await.unwrap();
    assert_eq!(sink.into_bytes(), blob);
}

#[tokio::test(start_paused = true)]
async fn an_address_where_nobody_ever_answered_is_not_tried_for_long() {
    let server = faulty(b"", 0, Reply::new(500, "")).await;
    let mut access = access(&server);
    // Port 1 is nobody's.
    access.host = "127.0.0.1:1".parse().unwrap();
    let registry = crate::scene::open(access);
    let error = pull(&registry, b"x").await.unwrap_err();
    assert!(matches!(error, RegistryError::Connection { .. }), "{error}");
    assert_eq!(registry.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_blob_of_another_length_is_refused_before_it_is_read() {
    let blob = bytes(1000);
    let server = faulty(&blob[..999], 0, Reply::new(500, "")).await;
    let error = pull(&registry(&server), &blob).await.unwrap_err();
    assert!(matches!(error, RegistryError::Size { expected: 1000, found: 999, .. }));
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware));
    let server = faulty(&blob, 0, Reply::new(500, "")).await;
    let error = pull(&registry(&server), &blob[..999]).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::EndlessData));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_endless_data() {
    let blob = bytes(100_000);
    let server = faulty(&blob, 1, Reply::steps(200, vec![Step::Forever(blob.clone())])).await;
    let error = pull(&registry(&server), &blob).await.unwrap_err();
    assert!(matches!(error, RegistryError::Endless { limit: 100_000, .. }));
    assert_eq!(error.attack(), Some(Attack::EndlessData));
}

#[tokio::test(start_paused = true)]
async fn a_trickle_is_slow_retrieval() {
    let blob = bytes(10_000);
    let drops = [Step::Send(vec![0]), Step::Wait(Duration::from_secs(5))].into_iter().cycle();
    let drip = Reply::steps(200, drops.take(200).collect()).with("content-length", "10000");
    let server = faulty(&blob, 1, drip).await;
    let error = pull(&registry(&server), &blob).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::SlowRetrieval));
}

/// Takes this long for every write, and keeps everything else waiting.
struct SlowDisk(MemorySink, Duration);

impl BlobSink for SlowDisk {
    fn offset(&self) -> u64 {
        self.0.offset()
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        // The clock moves with the first poll.
        let _moved = tokio::time::advance(self.1).now_or_never();
        self.0.write(bytes)
    }

    fn digest(&mut self) -> std::io::Result<Digest> {
        self.0.digest()
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_is_not_a_slow_registry() {
    let blob = bytes(10_000);
    let mut steps: Vec<Step> = blob.chunks(500).map(|piece| Step::Send(piece.to_vec())).collect();
    // Long enough for both answers to have begun, and no time that anybody would call slow.
    steps.insert(1, Step::Wait(Duration::from_secs(1)));
    let reply = Reply::steps(200, steps).with("content-length", "10000");
    let server = Server::start(move |_| reply.clone()).await;
    let registry = registry(&server);
    let pulls = [90, 0].map(|seconds| {
        let (registry, blob) = (registry.clone(), descriptor(&blob));
        async move {
            let sink = MemorySink::new(Algorithm::Sha256);
            let mut sink = SlowDisk(sink, Duration::from_secs(seconds));
            registry.pull(&repository(), &blob, &mut sink).await.map(|()| sink.0.into_bytes())
        }
    });
    for pulled in futures_util::future::join_all(pulls).await {
        assert_eq!(pulled.unwrap(), blob);
    }
    assert_eq!(server.log().len(), 2, "nothing was asked for again");
}

#[tokio::test(start_paused = true)]
async fn silence_in_mid_body_is_a_broken_connection_and_resumed() {
    let blob = bytes(1000);
    let silent = broken(&blob, 400, Step::Wait(Duration::from_hours(1)));
    let server = faulty(&blob, 1, silent).await;
    assert_eq!(pull(&registry(&server), &blob).await.unwrap(), blob);
    assert_eq!(server.log()[1].header("range"), Some("bytes=400-"));
}

#[tokio::test(start_paused = true)]
async fn the_byte_rate_holds_over_two_registries_together() {
    let blob = bytes(1_000_000);
    let (one, two) = (serving(&blob).await, serving(&blob).await);
    let traffic = Arc::new(Traffic::limited(NonZeroU64::new(500_000).unwrap()));
    let began = Instant::now();
    let pulls = [&one, &two].map(|server| {
        let traffic = Arc::clone(&traffic);
        let registry = Registry::with(access(server), traffic, Jitter::new(|| 0)).unwrap();
        let blob = descriptor(&blob);
        async move {
            let mut sink = HashSink::new(Algorithm::Sha256);
            registry.pull(&repository(), &blob, &mut sink).await.unwrap();
        }
    });
    futures_util::future::join_all(pulls).await;
    assert!(began.elapsed() >= Duration::from_millis(3500), "four seconds' worth, less a burst");
}

async fn serving(blob: &[u8]) -> Server {
    let blob = blob.to_vec();
    Server::start(move |asked| serve(asked, &blob)).await
}

#[tokio::test(start_paused = true)]
async fn an_empty_blob_needs_no_request() {
    let server = faulty(b"", 0, Reply::new(500, "")).await;
    assert_eq!(pull(&registry(&server), b"").await.unwrap(), b"");
    assert!(server.log().is_empty());
}

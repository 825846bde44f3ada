//! The process is killed in the middle of pushes; what it acknowledged is there, and what it did not
//! is found as garbage.

use std::path::Path;

use bytes::Bytes;
use jiff::ToSpan as _;
use offline_mirror::oci::Digest;
use offline_mirror::store::{Fsck, Gc, Store};
use reqwest::Client;
use tokio::sync::mpsc;

use crate::scene::{REPO, bytes, client, now};
use crate::served::Served;

const ROUNDS: usize = 8;

async fn push(client: &Client, host: &str, body: Vec<u8>) -> Option<Digest> {
    let begun = client.post(format!("http://{host}/v2/{REPO}/blobs/uploads/")).send().await.ok()?;
    let location = begun.headers().get("location")?.to_str().unwrap().to_owned();
    let digest = Digest::of(&body);
    let url = format!("http://{host}{location}?digest={digest}");
    let put = client.put(url).body(body).send().await.ok()?;
    (put.status() == 201).then_some(digest)
}

/// Sends half of a blob, and says when the server has asked for more than it got.
async fn half(
    client: &Client,
    host: &str,
    body: Vec<u8>,
) -> mpsc::Sender<Result<Bytes, std::io::Error>> {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let url = format!("http://{host}/v2/{REPO}/blobs/uploads/?digest={}", Digest::of(&body));
    let request = client.post(url).body(reqwest::Body::wrap_stream(pieces)).send();
    actix_web::rt::spawn(async move { drop(request.await) });
    let half = body.len() / 2;
    sender.send(Ok(Bytes::from(body[..half].to_vec()))).await.unwrap();
    // Taken only once the first half is on its way.
    sender.send(Ok(Bytes::from(body[half..=half].to_vec()))).await.unwrap();
    sender
}

fn files_in(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files_in(&path) } else { 1 })
        .sum()
}

#[actix_web::test]
async fn what_was_acknowledged_survives_a_kill_and_the_rest_is_garbage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let client = client().build().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let served = Served::start(&path, &["--allow-push"]);
        let pending = half(&client, &served.host, bytes(&format!("half {round}"), 3_000_000)).await;
        for nth in 0..=round % 4 {
            let body = bytes(&format!("whole {round} {nth}"), 300_000);
            acknowledged.push(push(&client, &served.host, body).await.unwrap());
        }
        let (host, client) = (served.host.clone(), client.clone());
        let late = actix_web::rt::spawn(async move {
            push(&client, &host, bytes(&format!("late {round}"), 2_000_000)).await
        });
        // SIGKILL, wherever it is by then.
        drop(served);
        drop(pending);
        acknowledged.extend(late.await.unwrap());
    }
    let store = Store::open(&path).unwrap();
    let repository = REPO.parse().unwrap();
    for digest in &acknowledged {
        let reader = store.reader_in(&repository, digest, None).unwrap();
        assert_eq!(Digest::of(&reader.read_all(4_000_000).unwrap()), *digest);
    }
    let report = store.fsck(Fsck { percent: 100 }, now(), |_| ()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert!(files_in(&path.join("uploads")) >= 1, "a kill left something to find");

    let turn = store.exclusive().unwrap();
    let later = now().checked_add(49.hours()).unwrap();
    store.gc(&turn, Gc { grace: jiff::SignedDuration::ZERO }, later).unwrap();
    assert_eq!(store.totals().unwrap().blobs, 0, "no manifest needs any of them");
    assert_eq!(files_in(&path.join("uploads")) + files_in(&path.join("blobs")), 0);
}

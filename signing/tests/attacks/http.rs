//! The same client over real connections to a server that misbehaves.

use crate::kit::{Answer, Files, Repo, Standing, at, wanted};
use crate::{all_refused, refused};
use signing::client::limits::MAX_TIMESTAMP_BYTES;
use signing::source::HttpLimits;
use signing::{Client, Error, HttpSource, SourceError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a file instead of sending it.
#[derive(Debug, Clone, Copy)]
enum Trick {
    /// A few bytes that unpack to as many kilobytes each.
    GzipBomb,
    /// Chunks until the client hangs up.
    Endless,
    /// Headers, then a byte at a time until the client hangs up.
    Drip,
    /// Connects and says nothing.
    Silence,
    Status(u16),
}

type Tricks = Arc<Mutex<BTreeMap<String, Trick>>>;

/// Serves `files` on a loopback port until the runtime ends; the base URL.
async fn server(files: Files, tricks: Tricks) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/tuf", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, files.clone(), tricks.clone()));
        }
    });
    base
}

async fn answer(mut stream: TcpStream, files: Files, tricks: Tricks) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().strip_prefix("/tuf/").unwrap();
    let trick = tricks.lock().unwrap().get(path).copied();
    let Some(trick) = trick else {
        let (status, body) = match files.copy().remove(path) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(b"connection: close\r\n\r\n").await?;
        return stream.write_all(&body).await;
    };
    match trick {
        Trick::GzipBomb => {
            // A gzip header, then a block of zeros whose every byte stands for 1032.
            let mut bomb = hex::decode("1f8b0800000000000003edc101010000008090feafee080a").unwrap();
            bomb.resize(12_000, 0);
            let head = format!("content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await?;
            stream.write_all(&bomb).await
        }
        Trick::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = format!("2000\r\n{}\r\n", " ".repeat(0x2000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
        Trick::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n").await?;
            let mut every = tokio::time::interval(Duration::from_millis(20));
            loop {
                every.tick().await;
                stream.write_all(b" ").await?;
            }
        }
        Trick::Silence => std::future::pending().await,
        Trick::Status(code) => {
            let head = format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
    }
}

fn source(base: &str) -> HttpSource {
    // So patient with honest answers on a loaded machine, so impatient with a trickle.
    let limits = HttpLimits { grace: Duration::from_millis(400), ..HttpLimits::default() };
    HttpSource::new(base, limits).unwrap()
}

/// A client that trusts an honest server meets one that plays `trick` with `file`, in every
/// standing.
async fn tricked(file: &str, trick: Trick) -> Vec<(Standing, Answer)> {
    let mut answers = Vec::new();
    for standing in Standing::ALL {
        let mut repo = Repo::new();
        let honest = server(repo.files.clone(), Tricks::default()).await;
        let open =
            |base: &str| Client::open(&repo.pinned(), source(base), repo.store.clone()).unwrap();
        let bytes = wanted(&mut open(&honest), at(0)).await.unwrap().unwrap();
        assert_eq!(bytes.as_slice(), b"one");
        let tricks = Tricks::default();
        let base = server(repo.files.clone(), tricks.clone()).await;
        let mut client = open(&base);
        client.refresh(at(0)).await.unwrap();
        let restarted = open(&base);
        repo.publish_next();
        tricks.lock().unwrap().insert(format!("metadata/{file}"), trick);
        let mut client = match standing {
            Standing::Running => client,
            Standing::Restarted => restarted,
            Standing::RefusedAndRestarted => {
                wanted(&mut client, at(0)).await.unwrap_err();
                Client::open(&repo.pinned(), source(&base), repo.store.clone()).unwrap()
            }
        };
        answers.push((standing, wanted(&mut client, at(0)).await));
    }
    answers
}

#[tokio::test]
async fn compressed_answer_that_nobody_asked_for_is_refused_unopened() {
    for file in ["timestamp.json", "2.root.json", "2.targets.json", "2.acme.json"] {
        all_refused!(
            tricked(file, Trick::GzipBomb).await,
            None,
            Error::Fetch { source: SourceError::Encoded { encoding }, .. } if encoding == "gzip"
        );
    }
}

#[tokio::test]
async fn answer_without_end_is_cut_off() {
    all_refused!(
        tricked("timestamp.json", Trick::Endless).await,
        EndlessData,
        Error::Fetch { source: SourceError::TooLarge { limit: MAX_TIMESTAMP_BYTES }, .. }
    );
    for file in ["2.root.json", "2.snapshot.json", "2.targets.json", "2.acme.json"] {
        all_refused!(
            tricked(file, Trick::Endless).await,
            EndlessData,
            Error::Fetch { source: SourceError::TooLarge { .. }, .. }
        );
    }
}

#[tokio::test]
async fn answer_that_drips_never_idle_and_never_done_is_given_up() {
    all_refused!(
        tricked("timestamp.json", Trick::Drip).await,
        SlowRetrieval,
        Error::Fetch { source: SourceError::TooSlow { .. }, .. }
    );
}

#[tokio::test]
async fn server_that_says_nothing_is_given_up() {
    all_refused!(
        tricked("2.root.json", Trick::Silence).await,
        SlowRetrieval,
        Error::Fetch { source: SourceError::TooSlow { received: 0, .. }, .. }
    );
}

#[tokio::test]
async fn broken_server_in_front_of_the_next_root_does_not_hide_it() {
    for code in [500, 502, 503, 429, 401, 410] {
        all_refused!(
            tricked("2.root.json", Trick::Status(code)).await,
            None,
            Error::Fetch { source: SourceError::Status { code: found }, .. } if *found == code
        );
    }
}

#[tokio::test]
async fn whole_update_over_a_connection_and_a_promised_file_that_is_not_there() {
    let repo = Repo::new();
    let base = server(repo.files.clone(), Tricks::default()).await;
    let mut client = Client::open(&repo.pinned(), source(&base), repo.store.clone()).unwrap();
    assert_eq!(wanted(&mut client, at(0)).await.unwrap().unwrap().as_slice(), b"one");
    refused!(
        tricked("2.snapshot.json", Trick::Status(404)).await.remove(0).1,
        None,
        Error::Missing { .. }
    );
}

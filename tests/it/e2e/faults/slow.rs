//! Clients that send or read a byte at a time, or nothing: each is given up after a bound, costs
//! little until then, and nobody else waits for it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::e2e::server::hub::{Hub, until};

/// Clients of one kind.
const CLIENTS: usize = 64;
/// Longest that a slow client here waits to be given up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two bytes of a client that trickles; often enough that a bound on silence alone would
/// never end it.
const TRICKLE: Duration = Duration::from_millis(200);
/// Requests that a client which does not read sends at once.
const PIPELINED: usize = 64;
/// Most memory that one client which does not read may cost, bytes: an answer or two of 150 kB and
/// buffers, in a program that is not optimised.
const PER_READER_MAX: u64 = 1024 * 1024;

fn connect(hub: &Hub) -> TcpStream {
    let address: SocketAddr = hub.address().parse().expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// A connection whose end takes next to nothing by itself.
async fn with_small_buffer(hub: &Hub) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let stream = socket.connect(hub.address().parse().expect("an address")).await;
    let stream = stream.expect("a connection").into_std().expect("a plain one");
    stream.set_nonblocking(false).expect("one that waits");
    stream
}

/// Sends `first`, then a byte of `rest` again and again until the hub ends it; what it answered.
fn trickle(mut stream: TcpStream, first: &[u8], rest: u8) -> String {
    stream.write_all(first).expect("sent");
    let reader = stream.try_clone().expect("a second handle");
    let answer = std::thread::spawn(move || {
        let (mut reader, mut answer) = (reader, Vec::new());
        // Reset or closed: both end it; its patience does not.
        let ended = reader.read_to_end(&mut answer);
        let waits = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(!ended.as_ref().is_err_and(waits), "it is never given up");
        String::from_utf8_lossy(&answer).into_owned()
    });
    while !answer.is_finished() {
        if stream.write_all(&[rest]).is_err() {
            break;
        }
        std::thread::sleep(TRICKLE);
    }
    answer.join().expect("no panic")
}

/// So many of them at once; all of their answers.
async fn at_once(hub: &Hub, first: Vec<u8>, rest: u8) -> Vec<String> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (stream, first) = (connect(hub), first.clone());
        clients.spawn_blocking(move || trickle(stream, &first, rest));
    }
    for _ in 0..20 {
        assert_eq!(hub.ask("livez").await.status().as_u16(), 200, "others are served");
        assert_eq!(hub.ask("api/v1/drift").await.status().as_u16(), 200, "others are served");
    }
    clients.join_all().await
}

async fn hub(dir: &tempfile::TempDir) -> Hub {
    Hub::start(dir.path(), "workers = 2\n").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_trickles_in_is_given_up_and_others_are_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let hub = hub(&dir).await;
    let before = hub.open_files();
    let answers = at_once(&hub, b"GET /livez HTTP/1.1\r\nhost: hub\r\nx: ".to_vec(), b'a').await;
    for answer in answers {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    until("their connections are closed", async || {
        let open = hub.open_files();
        if open < before + CLIENTS / 2 { Ok(()) } else { Err(format!("{open}, {before} before")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_trickles_in_is_given_up_and_others_are_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let hub = hub(&dir).await;
    let head = |path: &str| {
        let token = hub.token();
        format!(
            "POST {path} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 4000\r\n\r\n{{"
        )
    };
    for path in ["/api/v1/reports", "/api/v1/enrolments", "/api/v1/holds", "/api/v1/publications"] {
        for answer in at_once(&hub, head(path).into_bytes(), b' ').await {
            assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
            assert!(answer.contains("/problems/invalid_request"), "{path}: {answer}");
        }
    }
    // Whom it does not know it does not even wait for, not even for the end of a body without one.
    let head = head("/api/v1/holds").replace(hub.token(), "fw_nobody");
    let endless = "transfer-encoding: chunked\r\n\r\nfffffff\r\n";
    for head in [head.clone(), head.replace("content-length: 4000\r\n\r\n{", endless)] {
        let answer = trickle(connect(&hub), head.as_bytes(), b' ');
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_cost_little_and_are_given_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let hub = hub(&dir).await;
    assert_eq!(hub.ask("openapi.json").await.status().as_u16(), 200);
    let (files, resident) = (hub.open_files(), hub.resident_highest());
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: hub\r\n\r\n".repeat(PIPELINED);
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = with_small_buffer(&hub).await;
        stream.write_all(&request).expect("sent");
        streams.push(stream);
    }
    until("it has taken them", async || {
        let open = hub.open_files();
        if open > files + CLIENTS / 2 { Ok(()) } else { Err(format!("{open}, {files} before")) }
    })
    .await;
    for _ in 0..50 {
        assert_eq!(hub.ask("livez").await.status().as_u16(), 200, "others are served");
        assert_eq!(hub.ask("api/v1/drift").await.status().as_u16(), 200, "others are served");
    }
    // Nobody reads here, and nobody closes.
    until("it has given them up", async || {
        let open = hub.open_files();
        if open < files + CLIENTS / 2 { Ok(()) } else { Err(format!("{open}, {files} before")) }
    })
    .await;
    let grown = hub.resident_highest() - resident;
    let clients = u64::try_from(streams.len()).expect("few");
    assert!(grown < clients * PER_READER_MAX, "{grown} bytes for {clients} clients");
    assert_eq!(hub.ask("livez").await.status().as_u16(), 200);
}

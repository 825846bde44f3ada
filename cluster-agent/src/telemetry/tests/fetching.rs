//! Fetching from a real socket, with servers that misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::observation::UnitKey;
use crate::telemetry::{
    FamilyKind, FamilyReading, ProbeTarget, ScrapeError, ScrapeLimits, Scraper, Wanted,
};

fn clock() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn scraper(limits: ScrapeLimits) -> Scraper {
    Scraper::new(limits, clock).unwrap()
}

/// Serves `answer` to every request and tells each request's path; `None` = never answers.
async fn serve(answer: Option<Vec<u8>>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, paths) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or("").to_owned();
            seen.send(path).await.ok();
            match &answer {
                Some(answer) => {
                    socket.write_all(answer).await.ok();
                }
                None => open.push(socket),
            }
        }
    });
    (url, paths)
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
    format!("{head}{headers}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_page_comes_with_the_targets_clock_and_ours() {
    let date = "date: Fri, 15 Jan 2027 07:59:30 GMT\r\ncontent-type: whatever/else\r\n";
    let (url, _paths) = serve(Some(http("200 OK", date, "foo 1\n"))).await;
    let scraped = scraper(ScrapeLimits::default()).scrape(&url).await.unwrap();
    assert_eq!(scraped.body, b"foo 1\n");
    assert_eq!(scraped.received_at, clock());
    assert_eq!(scraped.date, Some("2027-01-15T07:59:30Z".parse().unwrap()));
}

#[tokio::test]
async fn a_page_without_or_with_a_broken_date_has_none() {
    for date in ["", "date: yesterday\r\n"] {
        let (url, _paths) = serve(Some(http("200 OK", date, "foo 1\n"))).await;
        let scraped = scraper(ScrapeLimits::default()).scrape(&url).await.unwrap();
        assert_eq!(scraped.date, None);
    }
}

#[tokio::test]
async fn other_answers_than_200_are_no_page_and_redirects_are_not_followed() {
    let (elsewhere, mut visited) = serve(Some(http("200 OK", "", "foo 1\n"))).await;
    let location = format!("location: {elsewhere}/stolen\r\n");
    for (status, expected) in [("302 Found", 302), ("503 Busy", 503), ("204 No Content", 204)] {
        let (url, _paths) = serve(Some(http(status, &location, ""))).await;
        match scraper(ScrapeLimits::default()).scrape(&url).await {
            Err(ScrapeError::Status { status }) => assert_eq!(status, expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(visited.try_recv().is_err());
}

#[tokio::test]
async fn a_body_is_counted_while_it_is_read() {
    let (url, _paths) = serve(Some(http("200 OK", "", &"x".repeat(5000)))).await;
    let limits = ScrapeLimits { max_bytes: 4999, ..ScrapeLimits::default() };
    match scraper(limits).scrape(&url).await {
        Err(ScrapeError::TooLarge { limit_bytes }) => assert_eq!(limit_bytes, 4999),
        other => panic!("{other:?}"),
    }
    let limits = ScrapeLimits { max_bytes: 5000, ..ScrapeLimits::default() };
    let (url, _paths) = serve(Some(http("200 OK", "", &"x".repeat(5000)))).await;
    assert!(scraper(limits).scrape(&url).await.is_ok());
}

#[tokio::test]
async fn a_target_that_never_answers_times_out() {
    let (url, _paths) = serve(None).await;
    let limits = ScrapeLimits { total_timeout_ms: 50, ..ScrapeLimits::default() };
    match scraper(limits).scrape(&url).await {
        Err(ScrapeError::Timeout { limit_ms }) => assert_eq!(limit_ms, 50),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_no_page() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\nfoo 1\n".to_vec();
    let (url, _paths) = serve(Some(cut)).await;
    let outcome = scraper(ScrapeLimits::default()).scrape(&url).await;
    assert!(matches!(outcome, Err(ScrapeError::Transport { .. })), "{outcome:?}");
}

#[tokio::test]
async fn leaders_are_fetched_before_all_others() {
    let (url, mut paths) = serve(Some(http("200 OK", "", "foo 1\n"))).await;
    let wanted = Arc::new(Wanted::new([("foo", FamilyKind::Number)]).unwrap());
    let target = |unit: &str, first| ProbeTarget {
        key: UnitKey { product: "acme/kafka".parse().unwrap(), unit: unit.parse().unwrap() },
        url: format!("{url}/{unit}"),
        wanted: Arc::clone(&wanted),
        first,
    };
    let targets = vec![target("c1", false), target("c2", false), target("c3", true)];
    let results = scraper(ScrapeLimits::default()).probe_all(targets).await;
    assert_eq!(paths.recv().await.as_deref(), Some("/c3"));
    let read: BTreeMap<_, _> = results
        .into_iter()
        .map(|(key, probe)| {
            let page = probe.unwrap().page.unwrap();
            (key.unit.to_string(), matches!(page.family("foo"), FamilyReading::Read(_)))
        })
        .collect();
    let all = ["c1", "c2", "c3"].map(|unit| (unit.to_owned(), true));
    assert_eq!(read, BTreeMap::from(all));
}

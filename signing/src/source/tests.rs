//! Sources keep their bounds and never mistake a failure for absence.

use super::*;
use crate::names::TargetPath;
use crate::{DirSource, MemSource, Sha256Digest};
use std::collections::BTreeMap;

fn timestamp() -> FileName {
    FileName::timestamp()
}

#[tokio::test]
async fn directory_source_reads_below_its_root_and_keeps_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let digest = Sha256Digest::of(b"x");
    let file = FileName::target(TargetPath::new("acme/app/1.json").unwrap(), digest);
    let path = directory.path().join(file.relative_path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"12345").unwrap();
    let source = DirSource::new(directory.path());
    let body = Fetched::Body { bytes: b"12345".to_vec(), etag: None };
    assert_eq!(source.fetch(&file, 5, None).await.unwrap(), body);
    assert!(matches!(source.fetch(&file, 4, None).await, Err(SourceError::TooLarge { limit: 4 })));
    assert_eq!(source.fetch(&timestamp(), 5, None).await.unwrap(), Fetched::NotFound);
}

#[tokio::test]
async fn unreadable_file_is_an_error_not_absence() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("metadata/timestamp.json")).unwrap();
    let result = DirSource::new(directory.path()).fetch(&timestamp(), 5, None).await;
    assert!(matches!(result, Err(SourceError::Io { .. })), "{result:?}");
}

#[tokio::test]
async fn memory_source_answers_conditionally_and_covers_the_root_version() {
    let files = |roots: &[&str]| {
        let mut files = BTreeMap::from([("metadata/timestamp.json".to_owned(), b"t"[..].into())]);
        files.extend(roots.iter().map(|name| (format!("metadata/{name}"), b"r"[..].into())));
        MemSource::new(files)
    };
    let one = files(&["1.root.json"]);
    let Fetched::Body { etag, .. } = one.fetch(&timestamp(), 9, None).await.unwrap() else {
        panic!("no body")
    };
    let known = etag.as_deref();
    let digest = "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8";
    assert_eq!(known.unwrap(), format!("\"1-{digest}\""));
    assert_eq!(one.fetch(&timestamp(), 9, known).await.unwrap(), Fetched::NotModified);
    let two = files(&["1.root.json", "2.root.json"]);
    assert_ne!(two.fetch(&timestamp(), 9, known).await.unwrap(), Fetched::NotModified);
    // Versions of other roles say nothing about roots.
    let others = files(&["1.root.json", "7.targets.json", "3.acme.root.json"]);
    assert_eq!(others.fetch(&timestamp(), 9, known).await.unwrap(), Fetched::NotModified);
}

#[cfg(feature = "http")]
mod http {
    use super::*;
    use crate::names::RoleName;
    use crate::source::http::{HttpLimits, HttpSource, all_plain};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    /// A server for one connection: sends `answer` and then holds the line open until dropped.
    /// Gives its base URL and the request it got.
    async fn server(answer: Vec<u8>) -> (String, oneshot::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/tuf/", listener.local_addr().unwrap());
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = sender.send(request(&mut stream).await);
            // The client may hang up on a flood; that is what is tested.
            let _ = stream.write_all(&answer).await;
            std::future::pending::<()>().await;
        });
        (base, receiver)
    }

    async fn request(stream: &mut tokio::net::TcpStream) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(request).unwrap()
    }

    fn limits() -> HttpLimits {
        HttpLimits { grace: Duration::from_millis(300), ..HttpLimits::default() }
    }

    async fn ask(answer: &str, file: &FileName, max: u64) -> Result<Fetched, SourceError> {
        let (base, _request) = server(answer.as_bytes().to_vec()).await;
        HttpSource::new(&base, limits()).unwrap().fetch(file, max, None).await
    }

    fn ok(headers: &str, body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn request_goes_to_the_files_url_with_its_condition() {
        let (base, request) = server(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()).await;
        let source = HttpSource::new(&base, limits()).unwrap();
        let role = RoleName::new("../odd role").unwrap();
        let file = FileName::Metadata { role, version: Some(3) };
        let answer = source.fetch(&file, 9, Some("\"tag\"")).await.unwrap();
        assert_eq!(answer, Fetched::NotModified);
        let request = request.await.unwrap();
        assert!(
            request.starts_with("GET /tuf/metadata/3...%2Fodd%20role.json HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("if-none-match: \"tag\"\r\n"), "{request}");
        assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
    }

    #[tokio::test]
    async fn body_and_validator_are_returned() {
        let answer = ok("etag: \"1-a\"\r\ncontent-length: 3", "abc");
        let body = Fetched::Body { bytes: b"abc".to_vec(), etag: Some("\"1-a\"".to_owned()) };
        assert_eq!(ask(&answer, &timestamp(), 3).await.unwrap(), body);
    }

    #[tokio::test]
    async fn only_an_answer_that_is_sent_as_it_is_counts() {
        for (encoding, accepted) in [("identity", true), ("gzip", false), ("br", false)] {
            let answer = ok(&format!("content-encoding: {encoding}\r\ncontent-length: 3"), "abc");
            match ask(&answer, &timestamp(), 3).await {
                Ok(Fetched::Body { bytes, .. }) => assert!(accepted && bytes == b"abc"),
                Err(SourceError::Encoded { encoding: found }) => {
                    assert!(!accepted && found == encoding);
                }
                other => panic!("{encoding}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn validator_longer_than_anyone_makes_is_dropped_and_the_body_kept() {
        for (length, kept) in [(256, true), (257, false)] {
            let tag = "e".repeat(length);
            let answer = ok(&format!("etag: {tag}\r\ncontent-length: 3"), "abc");
            let body = Fetched::Body { bytes: b"abc".to_vec(), etag: kept.then_some(tag) };
            assert_eq!(ask(&answer, &timestamp(), 3).await.unwrap(), body);
        }
    }

    #[tokio::test]
    async fn bytes_received_earn_time_at_the_minimum_rate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/tuf/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            let head = ok("content-length: 6001", &"a".repeat(6000));
            stream.write_all(head.as_bytes()).await.unwrap();
            // Later than the grace, earlier than what 6000 bytes earn.
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(b"b").await.unwrap();
            std::future::pending::<()>().await;
        });
        let limits = HttpLimits { min_bytes_per_s: 1000, ..limits() };
        let source = HttpSource::new(&base, limits).unwrap();
        let fetched = source.fetch(&timestamp(), 10_000, None).await.unwrap();
        assert!(matches!(fetched, Fetched::Body { bytes, .. } if bytes.len() == 6001));
    }

    #[tokio::test]
    async fn only_404_and_403_mean_that_a_file_does_not_exist() {
        for code in [404, 403] {
            let answer = format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(ask(&answer, &timestamp(), 3).await.unwrap(), Fetched::NotFound);
        }
        for code in [400, 401, 410, 429, 500, 503, 204, 206] {
            let answer = format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n");
            let result = ask(&answer, &timestamp(), 3).await;
            assert!(
                matches!(result, Err(SourceError::Status { code: found }) if found == code),
                "{code}: {result:?}"
            );
        }
    }

    #[tokio::test]
    async fn body_over_the_limit_is_cut_off_with_and_without_a_length() {
        let chunked = "transfer-encoding: chunked";
        for answer in
            [ok("content-length: 4", "abcd"), ok(chunked, "2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n")]
        {
            let result = ask(&answer, &timestamp(), 3).await;
            assert!(matches!(result, Err(SourceError::TooLarge { limit: 3 })), "{result:?}");
        }
    }

    #[tokio::test]
    async fn answer_that_stalls_is_too_slow_before_and_after_its_first_byte() {
        for answer in [String::new(), ok("content-length: 100", "a")] {
            let result = ask(&answer, &timestamp(), 100).await;
            assert!(matches!(result, Err(SourceError::TooSlow { .. })), "{result:?}");
        }
    }

    #[tokio::test]
    async fn overall_deadline_counts_even_at_a_good_rate() {
        let body = "a".repeat(4096);
        let (base, _request) = server(ok("content-length: 100000", &body).into_bytes()).await;
        let limits = HttpLimits {
            overall: Duration::from_millis(300),
            grace: Duration::from_hours(1),
            min_bytes_per_s: 1,
            ..limits()
        };
        let source = HttpSource::new(&base, limits).unwrap();
        let result = source.fetch(&timestamp(), 100_000, None).await;
        assert!(matches!(result, Err(SourceError::TooSlow { received: 4096, .. })), "{result:?}");
    }

    #[tokio::test]
    async fn closed_port_is_a_transport_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let source = HttpSource::new(&base, limits()).unwrap();
        let result = source.fetch(&timestamp(), 9, None).await;
        assert!(matches!(result, Err(SourceError::Transport { .. })), "{result:?}");
    }

    #[test]
    fn certificates_are_loaded_as_soon_as_one_url_needs_them() {
        let (plain, tls) = ("http://a/".parse().unwrap(), "https://a/".parse().unwrap());
        assert!(all_plain(&[&plain, &plain]));
        assert!(!all_plain(&[&plain, &tls]));
        assert!(!all_plain(&[&tls, &tls]));
    }

    #[test]
    fn only_http_and_https_urls_are_taken() {
        for bad in ["ftp://x/", "file:///etc", "x", ""] {
            assert!(HttpSource::new(bad, limits()).is_err(), "{bad}");
        }
        assert!(HttpSource::new("https://hub.example/tuf", limits()).is_ok());
    }
}

#[tokio::test]
async fn a_recording_keeps_what_was_handed_out_and_no_more() {
    let target = FileName::target(TargetPath::new("a/b").unwrap(), Sha256Digest::of(b"b"));
    let files = [(timestamp(), b"t"), (target.clone(), b"b")];
    let files = files.map(|(name, bytes)| (name.relative_path(), bytes[..].into()));
    let source = MemSource::new(BTreeMap::from(files));
    let (all, metadata) = (Recording::new(&source), Recording::of_metadata(&source));
    for file in [timestamp(), target.clone(), FileName::root(2)] {
        let fetched = source.fetch(&file, 9, None).await.unwrap();
        assert_eq!(all.fetch(&file, 9, None).await.unwrap(), fetched);
        assert_eq!(metadata.fetch(&file, 9, None).await.unwrap(), fetched);
    }
    let kept = BTreeMap::from([(timestamp(), b"t".to_vec()), (target.clone(), b"b".to_vec())]);
    assert_eq!(all.files(), kept);
    assert_eq!(metadata.get(&timestamp()), Some(b"t".to_vec()));
    assert_eq!(metadata.get(&target), None);
    metadata.add(FileName::root(1), b"r".to_vec());
    assert_eq!(metadata.files().len(), 2);
}

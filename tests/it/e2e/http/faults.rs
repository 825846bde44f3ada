//! Faults of a client: each is named, none ends a connection without a word, none harms the hub.

use super::raw::{ask, exchange, request};
use super::stage::{DEFAULT, RELEASES, Stage, graph, nodes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_publication_a_client_is_told_to_come_back() {
    let mut stage = Stage::bare().await;
    for path in ["/api/upgrades_info/graph", DEFAULT, "/api/upgrades_info/acme/kafka/v1/graph"] {
        let path = format!("{path}?channel=stable&arch=amd64");
        let answer = stage.get(&path, &[]).await;
        assert_eq!(answer.error(), (503, "not_ready".to_owned()), "{path}");
        let wait = answer.header("retry-after").and_then(|text| text.parse::<u32>().ok());
        assert!(wait > Some(0), "{path}: {answer:?}");
        assert_eq!(stage.ask("HEAD", &path, &[]).await.status, 503, "{path}");
    }
    assert_eq!(stage.get("/tuf/metadata/timestamp.json", &[]).await.status, 404);
    assert_eq!(stage.get("/readyz", &[]).await.status, 503);
    assert_eq!(stage.get("/livez", &[]).await.status, 200);
    stage.publish(RELEASES).await;
    assert_eq!(nodes(&stage.get(&graph(), &[]).await), RELEASES);
    assert_eq!(stage.get("/readyz", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_channel_or_architecture_is_named() {
    let stage = Stage::set().await;
    for query in ["", "?", "?arch=amd64", "?Channel=stable", "?&&=&", "?version=4.0.0&id=7"] {
        let answer = stage.get(&format!("{DEFAULT}{query}"), &[]).await;
        assert_eq!(answer.error(), (400, "missing_params".to_owned()), "{query}");
        assert!(String::from_utf8_lossy(&answer.body).contains("channel"), "{query}");
    }
    let invalid = [
        "?channel=",
        "?channel=a%20b",
        "?channel=a/b",
        "?channel=..%2f..%2fetc",
        "?channel=%00",
        "?channel=stable&arch=",
        "?channel=stable&arch=a-b%0d%0aX:1",
        "?channel=stable&channel=%20",
    ];
    for query in invalid {
        let answer = stage.get(&format!("{DEFAULT}{query}"), &[]).await;
        assert_eq!(answer.error(), (400, "invalid_params".to_owned()), "{query}");
    }
    for (query, unknown) in
        [("?channel=elsewhere", "channel"), ("?channel=stable&arch=z80", "arch")]
    {
        let answer = stage.get(&format!("{DEFAULT}{query}"), &[]).await;
        assert_eq!((answer.status, nodes(&answer)), (200, 0), "{query}");
        assert_eq!(answer.header("x-fairway-unknown"), Some(unknown), "{query}");
    }
    let taken = ["?channel=stable", "?channel=none&channel=stable", "?id=x&channel=stable&zzz=%zz"];
    for query in taken {
        let answer = stage.get(&format!("{DEFAULT}{query}"), &[]).await;
        assert_eq!((answer.status, nodes(&answer)), (200, RELEASES), "{query}");
        assert_eq!(answer.header("x-fairway-unknown"), None, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_text_in_a_query_are_named() {
    let stage = Stage::set().await;
    for query in ["?channel=%ff", "?channel=%f0%9f%9a%80", "?channel=%", "?channel=%zz"] {
        let answer = stage.get(&format!("{DEFAULT}{query}"), &[]).await;
        assert_eq!(answer.error(), (400, "invalid_params".to_owned()), "{query}");
    }
    stage.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_product_path_or_method_is_named() {
    let stage = Stage::set().await;
    for path in ["acme/none", "none/kafka", "ACME/kafka", "%ff/kafka"] {
        let path = format!("/api/upgrades_info/{path}/v1/graph?channel=stable");
        let answer = stage.get(&path, &[]).await;
        assert_eq!(answer.error(), (404, "does_not_exist".to_owned()), "{path}");
    }
    for path in ["/", "/nowhere", "/api/upgrades_info", "/tuf/metadata/../../keys/timestamp.pem"] {
        let answer = stage.get(path, &[]).await;
        assert!(matches!(answer.status, 401 | 404), "{path}: {answer:?}");
        assert!(!answer.body.is_empty(), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = stage.ask(method, &graph(), &[]).await;
        assert_eq!(answer.error(), (405, "method_not_allowed".to_owned()), "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
    }
}

/// A header that cannot be read counts as not sent; OpenShift's server panics on some of these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_header_bytes_are_answered_like_absent_headers() {
    let stage = Stage::set().await;
    let plain = stage.get(&graph(), &[]).await;
    let names = [
        "Accept",
        "Accept-Encoding",
        "If-None-Match",
        "User-Agent",
        "Cookie",
        "Authorization",
        "X-Forwarded-For",
        "Traceparent",
        "Origin",
    ];
    let values: [&[u8]; 6] = [
        b"\xff\xfe",
        b"\x80gzip",
        "caf\u{e9}, \u{1f680}".as_bytes(),
        b"\xc3",
        b"a\tb\xa0",
        b"\xff\"",
    ];
    for name in names {
        for value in values {
            let answer = ask(stage.hub.address(), "GET", &graph(), &[(name, value)]).await;
            assert_eq!(answer.status, 200, "{name}: {value:?}");
            assert_eq!(answer.body, plain.body, "{name}: {value:?}");
            assert_eq!(answer.header("content-type"), plain.header("content-type"), "{name}");
        }
    }
    stage.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_http_is_refused_and_harms_nobody() {
    let stage = Stage::set().await;
    let long = vec![b'a'; 256 * 1024];
    let many: Vec<(String, &[u8])> = (0..500).map(|n| (format!("X-{n}"), &b"1"[..])).collect();
    let many: Vec<(&str, &[u8])> =
        many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let odd: Vec<Vec<u8>> = vec![
        request("GET", &graph(), &[("Accept", b"\x00")]),
        request("GET", &graph(), &[("Accept", b"a\rb")]),
        request("GET", &graph(), &[("Bad Name", b"x")]),
        request("GET", &graph(), &[("Content-Length", b"x")]),
        request("GET", &graph(), &[("Transfer-Encoding", b"\xff")]),
        request("GET", &graph(), &[("Cookie", &long)]),
        request("GET", &graph(), &many),
        request("GET", "/api/upgrades_info/v1/graph?channel=\x7f\u{e9}", &[]),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
    ];
    for bytes in odd {
        if let Some(answer) = exchange(stage.hub.address(), &bytes).await {
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
            assert!((400..500).contains(&answer.status), "{start:?}: {answer:?}");
        }
        stage.is_well().await;
    }
}

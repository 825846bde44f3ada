//! `Accept` and `Accept-Encoding`: lists, weights, and what fits nothing.

use std::io::Read as _;

use super::stage::{RELEASES, Stage, graph, nodes};
use crate::e2e::client::Answer;

fn decoded(answer: &Answer) -> Vec<u8> {
    match answer.header("content-encoding") {
        None => answer.body.clone(),
        Some("gzip") => {
            let mut bytes = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&answer.body[..]);
            decoder.read_to_end(&mut bytes).expect("gzip");
            bytes
        }
        Some("zstd") => zstd::decode_all(&answer.body[..]).expect("zstd"),
        Some(other) => panic!("nobody asked for {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_the_coding_it_weighs_most_and_the_same_graph_in_each() {
    let stage = Stage::set().await;
    let plain = stage.get(&graph(), &[]).await;
    assert_eq!(plain.header("content-encoding"), None);
    let cases = [
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("gzip;q=1.0, zstd;q=0.5", Some("gzip")),
        ("gzip;q=0.001, zstd;q=0.002", Some("zstd")),
        ("GZIP;Q=0.7", Some("gzip")),
        ("gzip ; q=0.7 , br", Some("gzip")),
        ("br, deflate", None),
        ("gzip;q=0", None),
        ("gzip;q=0, zstd;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0, gzip;q=0.1", Some("gzip")),
        ("", None),
        // Weights that are none: the item counts as not sent.
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=abc", None),
        ("gzip;q=", None),
        (";q=1,,,;;;=", None),
    ];
    for (accept, coding) in cases {
        let answer = stage.get(&graph(), &[("Accept-Encoding", accept)]).await;
        assert_eq!(answer.status, 200, "{accept}");
        assert_eq!(answer.header("content-encoding"), coding, "{accept}");
        assert_eq!(decoded(&answer), plain.body, "{accept}");
        let vary = answer.header("vary").expect("vary").to_ascii_lowercase();
        assert!(vary.contains("accept-encoding") && vary.contains("accept"), "{vary}");
        if coding.is_some() {
            assert!(answer.body.len() < plain.body.len(), "{accept} saves nothing");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_no_coding_at_all_is_told_which_there_are() {
    let stage = Stage::set().await;
    for accept in ["identity;q=0", "*;q=0", "br, identity;q=0", "identity;q=0, gzip;q=0, zstd;q=0"]
    {
        let answer = stage.get(&graph(), &[("Accept-Encoding", accept)]).await;
        assert_eq!(answer.error(), (406, "invalid_content_encoding".to_owned()), "{accept}");
        assert!(String::from_utf8_lossy(&answer.body).contains("gzip"), "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_media_type_is_the_one_asked_for() {
    let stage = Stage::set().await;
    let cincinnati = "application/vnd.redhat.cincinnati.v1+json";
    let json = "application/json";
    let none = stage.get(&graph(), &[]).await;
    assert_eq!(none.header("content-type"), Some(cincinnati));
    let cases = [
        ("*", json),
        ("*/*", json),
        ("application/*", json),
        (json, json),
        (cincinnati, cincinnati),
        // What OpenShift's server answers with 406, although it could answer.
        ("application/json, */*;q=0.5", json),
        ("text/html, application/xhtml+xml, */*;q=0.8", json),
        ("application/json;q=0.2, application/vnd.redhat.cincinnati.v1+json;q=0.9", cincinnati),
    ];
    for (accept, expected) in cases {
        let answer = stage.get(&graph(), &[("Accept", accept)]).await;
        assert_eq!(answer.status, 200, "{accept}");
        assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
        assert_eq!(nodes(&answer), RELEASES, "{accept}");
    }
    for accept in ["text/html", "image/*", "application/json;q=0", "*/*;q=0", "application/xml"] {
        let answer = stage.get(&graph(), &[("Accept", accept)]).await;
        assert_eq!(answer.error(), (406, "invalid_content_type".to_owned()), "{accept}");
        assert!(String::from_utf8_lossy(&answer.body).contains(cincinnati), "{accept}");
    }
}

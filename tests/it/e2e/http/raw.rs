//! Requests as bytes over TCP: no client library corrects what is odd about them.

use crate::e2e::client::{self, Answer};

impl Answer {
    /// The body as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and `kind` of an answer in Cincinnati's error form.
    pub(super) fn error(&self) -> (u16, String) {
        let json = self.json();
        assert!(json["value"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
        (self.status, json["kind"].as_str().expect("a kind").to_owned())
    }
}

/// A request with these headers; the bytes are sent as they are.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n");
    let mut bytes = head.into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Sends bytes; `None` if the server closed without a word.
pub(super) async fn exchange(address: &str, bytes: &[u8]) -> Option<Answer> {
    let (address, bytes) = (address.parse().expect("an address"), bytes.to_vec());
    let talk = tokio::task::spawn_blocking(move || client::exchange(address, &bytes));
    talk.await.expect("no panic").ok()
}

/// An answer to one request, with what must hold for every answer to any request.
pub(super) async fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &[u8])],
) -> Answer {
    let answer = exchange(address, &request(method, path, headers)).await;
    let answer = answer.unwrap_or_else(|| panic!("no answer to {method} {path} {headers:?}"));
    assert_eq!(answer.header("transfer-encoding"), None, "all bodies have a known length");
    let length = answer.header("content-length").map(|text| text.parse::<usize>().expect("bytes"));
    if method == "HEAD" || answer.status == 304 {
        assert_eq!(answer.body, b"", "{answer:?}");
    } else {
        assert_eq!(length, Some(answer.body.len()), "{answer:?}");
    }
    if answer.status == 200 {
        assert!(length > Some(0), "an empty 200: {answer:?}");
    }
    answer
}

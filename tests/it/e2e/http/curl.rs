//! The main cases with `curl` itself.

use std::path::Path;
use std::process::Command;

use super::stage::{RELEASES, Stage, graph};

/// What `curl` wrote: status, headers in lower case, body.
fn curl(dir: &Path, url: &str, args: &[&str]) -> (String, String, Vec<u8>) {
    let (head, body) = (dir.join("head"), dir.join("body"));
    drop(std::fs::remove_file(&body));
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "30", "-w", "%{http_code}", "-D"])
        .arg(&head)
        .arg("-o")
        .arg(&body)
        .args(args)
        .arg(url)
        .output()
        .expect("curl runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {args:?} {url}: {errors}");
    let head = std::fs::read_to_string(&head).expect("headers").to_ascii_lowercase();
    let body = std::fs::read(&body).unwrap_or_default();
    (String::from_utf8(output.stdout).expect("a status"), head, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs curl"]
async fn curl_gets_what_the_reference_says() {
    let stage = Stage::set().await;
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("{}{}", stage.hub.url(), graph());
    let curl = |url: &str, args: &[&str]| curl(dir.path(), url, args);
    let (status, head, body) = curl(&url, &[]);
    assert_eq!(status, "200");
    let json: serde_json::Value = serde_json::from_slice(&body).expect("a graph");
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(RELEASES));
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").trim();
    let held = format!("If-None-Match: {tag}");
    assert_eq!(curl(&url, &["-H", &held]).0, "304");
    let other = "If-None-Match: \"other\"";
    assert_eq!(curl(&url, &["-H", other]).0, "200");
    let (_, head, packed) = curl(&url, &["-H", "Accept-Encoding: gzip"]);
    assert!(head.contains("content-encoding: gzip") && packed.len() < body.len(), "{head}");
    let (_, head, unpacked) = curl(&url, &["--compressed"]);
    assert!(head.contains("content-encoding: "), "{head}");
    assert_eq!(unpacked, body);
    let (status, head, nothing) = curl(&url, &["--head"]);
    assert_eq!((status.as_str(), head.contains(tag)), ("200", true));
    assert!(!nothing.starts_with(b"{"));
    let wrong = [
        (url.clone(), "Accept: text/html", "406", "invalid_content_type"),
        (url.replace("channel=", "chanel="), "Accept: */*", "400", "missing_params"),
        (url.replace("stable", "%20"), "Accept: */*", "400", "invalid_params"),
    ];
    for (url, accept, code, kind) in wrong {
        let (status, _, body) = curl(&url, &["-H", accept]);
        let json: serde_json::Value = serde_json::from_slice(&body).expect("an error");
        assert_eq!((status.as_str(), json["kind"].as_str()), (code, Some(kind)), "{url}");
    }
}

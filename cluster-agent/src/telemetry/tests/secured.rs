//! Kubelets' pages over TLS: whose certificates are believed, and who gets the token.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::telemetry::{KubeletAccess, ScrapeError, ScrapeLimits, Scraper};

const TOKEN: &str = "a-token";

/// Certificates that were made for tests: `hub.pem` is for `localhost`, signed by `ca.pem`.
fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hub/tests/certificates").join(name)
}

/// Serves one page over TLS, and tells the heads of the requests that arrived.
async fn serve() -> (String, mpsc::Receiver<String>) {
    let chain = CertificateDer::from_pem_file(certificate("hub.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("hub.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/metrics", listener.local_addr().unwrap().port());
    let (heads, seen) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            if read > 0 {
                heads.send(String::from_utf8_lossy(&head[..read]).into_owned()).await.ok();
            }
            let page = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nfoo 1\n";
            stream.write_all(page).await.ok();
            stream.shutdown().await.ok();
        }
    });
    (url, seen)
}

struct Asked {
    page: Result<Vec<u8>, ScrapeError>,
    head: Option<String>,
}

/// Asks the page of a kubelet, or of something else at the same address.
async fn ask(ca: Option<&str>, insecure: bool, of_kubelet: bool) -> Asked {
    let (url, mut seen) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let access = KubeletAccess { token_file: Some(token), ca: ca.map(certificate), insecure };
    let kubelets = if of_kubelet { BTreeSet::from([url.clone()]) } else { BTreeSet::new() };
    let limits = ScrapeLimits { total_timeout_ms: 20_000, ..ScrapeLimits::default() };
    let scraper = Scraper::new(limits, || Timestamp::UNIX_EPOCH).unwrap();
    let scraper = scraper.with_kubelets(access, kubelets).unwrap();
    let page = scraper.scrape(&url).await.map(|scraped| scraped.body);
    Asked { page, head: seen.try_recv().ok() }
}

#[tokio::test]
async fn a_kubelet_of_the_named_authority_gets_the_token_and_its_page_is_read() {
    let asked = ask(Some("ca.pem"), false, true).await;
    assert_eq!(asked.page.unwrap(), b"foo 1\n");
    let head = asked.head.unwrap().to_ascii_lowercase();
    assert!(head.contains(&format!("authorization: bearer {TOKEN}\r\n")), "{head}");
}

#[tokio::test]
async fn a_kubelet_of_another_authority_gets_nothing() {
    let asked = ask(Some("other.pem"), false, true).await;
    assert!(matches!(asked.page, Err(ScrapeError::Transport { .. })), "{:?}", asked.page);
    assert_eq!(asked.head, None);
}

#[tokio::test]
async fn a_kubelet_whose_certificate_nobody_signed_is_believed_only_where_that_is_asked_for() {
    let asked = ask(None, true, true).await;
    assert_eq!(asked.page.unwrap(), b"foo 1\n");
    let asked = ask(None, false, true).await;
    assert!(asked.page.is_err());
    assert_eq!(asked.head, None);
}

#[tokio::test]
async fn other_pages_are_asked_without_the_token_and_without_the_kubelets_trust() {
    for (ca, insecure) in [(Some("ca.pem"), false), (None, true)] {
        let asked = ask(ca, insecure, false).await;
        assert!(asked.page.is_err(), "the system's authorities did not sign it");
        assert_eq!(asked.head, None);
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let missing = PathBuf::from("/nowhere/ca.pem");
    let access = KubeletAccess { ca: Some(missing.clone()), ..KubeletAccess::default() };
    let scraper = Scraper::new(ScrapeLimits::default(), || Timestamp::UNIX_EPOCH).unwrap();
    match scraper.with_kubelets(access, BTreeSet::new()) {
        Err(ScrapeError::Credentials { path, .. }) => assert_eq!(path, missing),
        other => panic!("{other:?}"),
    }
}

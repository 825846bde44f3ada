//! How requests leave the cluster: through proxies, and to servers with certificates of their own.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use signing::source::{Fetched, Source};
use signing::{FileName, SourceError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::http::http_client_over;
use super::upstream::open_all;
use super::{Address, Network, ProxyChoice};

/// Longest wait for a server on loopback.
const BRIEF: Duration = Duration::from_secs(10);

/// Answers one request after another with `t`, and says how each began.
async fn serve_one(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    heads: &mpsc::Sender<String>,
) {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.extend_from_slice(&byte),
            Ok(_) | Err(_) => return,
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let _ = heads.send(line).await;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nt";
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

/// A server that takes whatever it is asked for, as a proxy does.
async fn server(tls: Option<Arc<rustls::ServerConfig>>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, asked) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                None => serve_one(stream, &heads).await,
                Some(config) => {
                    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(config));
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve_one(stream, &heads).await;
                    }
                }
            }
        }
    });
    (address, asked)
}

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hub/tests/certificates")
}

fn tls() -> Arc<rustls::ServerConfig> {
    signing::source::install_tls_provider();
    let chain = CertificateDer::from_pem_file(certificates().join("hub.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates().join("hub.key.pem")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![chain], key).unwrap())
}

/// `timestamp.json` from `url`, over `network`.
async fn timestamp(network: &Network, url: &str) -> Result<Fetched, SourceError> {
    let address = Address::parse(url, Path::new("/")).unwrap();
    let mirrors = open_all(&[address], network).unwrap();
    mirrors.fetch(&FileName::timestamp(), 9, None).await
}

fn through(proxy: SocketAddr, except: Option<&str>) -> Network {
    let url = Url::parse(&format!("http://fleet:hunter2@{proxy}")).unwrap();
    let proxy = ProxyChoice::Through { url, except: except.map(str::to_owned) };
    Network { proxy, ..Network::default() }
}

#[tokio::test]
async fn metadata_and_reports_go_through_the_proxy_that_is_configured() {
    let (proxy, mut asked) = server(None).await;
    let network = through(proxy, None);
    // No such host exists: only a proxy can answer for it.
    let fetched = timestamp(&network, "http://hub.invalid").await.unwrap();
    assert!(matches!(fetched, Fetched::Body { .. }));
    let line = "GET http://hub.invalid/tuf/metadata/timestamp.json HTTP/1.1";
    assert_eq!(asked.recv().await.unwrap(), line);
    let http = http_client_over(&network.open().unwrap(), BRIEF, BRIEF).unwrap();
    http.post("http://hub.invalid/api/v1/reports").send().await.unwrap();
    let line = "POST http://hub.invalid/api/v1/reports HTTP/1.1";
    assert_eq!(asked.recv().await.unwrap(), line);
    // What is encrypted is passed on unread.
    let _refused = http.get("https://hub.invalid/").send().await;
    assert_eq!(asked.recv().await.unwrap(), "CONNECT hub.invalid:443 HTTP/1.1");
}

#[tokio::test]
async fn what_is_excepted_is_reached_directly() {
    let (proxy, mut proxied) = server(None).await;
    let (hub, mut direct) = server(None).await;
    let network = through(proxy, Some("localhost,127.0.0.0/8"));
    timestamp(&network, &format!("http://{hub}")).await.unwrap();
    assert_eq!(direct.recv().await.unwrap(), "GET /tuf/metadata/timestamp.json HTTP/1.1");
    assert!(proxied.try_recv().is_err());
}

#[tokio::test]
async fn a_hub_with_a_certificate_of_its_own_is_believed_only_with_the_right_ca_file() {
    let (hub, mut asked) = server(Some(tls())).await;
    let url = format!("https://{hub}");
    let with =
        |name: &str| Network { ca_file: Some(certificates().join(name)), ..Network::default() };
    let fetched = timestamp(&with("ca.pem"), &url).await.unwrap();
    assert!(matches!(fetched, Fetched::Body { .. }));
    assert_eq!(asked.recv().await.unwrap(), "GET /tuf/metadata/timestamp.json HTTP/1.1");
    for network in [with("other.pem"), Network::default()] {
        let refused = timestamp(&network, &url).await;
        assert!(matches!(&refused, Err(SourceError::Transport { .. })), "{refused:?}");
    }
    assert!(asked.try_recv().is_err());
}

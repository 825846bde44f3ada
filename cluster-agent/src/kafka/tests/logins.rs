//! TLS and SASL against a server with a certificate of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable as _, StrBytes};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::faults::{quorum, settings};
use super::server::{Reply, Request, Server, serve_tls};
use crate::kafka::{KafkaClient, KafkaError, KafkaSettings, Mechanism, SaslSettings, TlsSettings};

const HANDSHAKE: i16 = 17;
const VERSIONS: i16 = 18;
const AUTHENTICATE: i16 = 36;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kafka/tests/certificates").join(name)
}

fn acceptor() -> TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(file("server.pem")).unwrap();
    let certificates = certificates.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn tls(server_name: Option<&str>) -> TlsSettings {
    let server_name = server_name.map(ToOwned::to_owned);
    TlsSettings { ca_file: file("server.pem"), client: None, server_name }
}

fn secured(server: &Server, mechanism: Option<Mechanism>, dir: &Path) -> KafkaSettings {
    let password_file = dir.join("password");
    std::fs::write(&password_file, "pencil\n").unwrap();
    let sasl = mechanism.map(|mechanism| SaslSettings {
        mechanism,
        username: "user".to_owned(),
        password_file,
    });
    KafkaSettings {
        tls: Some(tls(Some("kafka.fairway.test"))),
        sasl,
        timeout_ms: 5_000,
        ..settings(&[server])
    }
}

/// A server that takes `answers` in turn for what the client authenticates with, and keeps that.
async fn locked(answers: Vec<SaslAuthenticateResponse>) -> (Server, Arc<Mutex<Vec<Vec<u8>>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    let script = move |request: Request| match request.key {
        VERSIONS => request.versions(),
        HANDSHAKE => request.answer(0, &SaslHandshakeResponse::default()),
        AUTHENTICATE => {
            let said = SaslAuthenticateRequest::decode(&mut request.body.as_slice(), 2).unwrap();
            let mut heard = keep.lock().unwrap();
            let answer = answers.get(heard.len()).cloned().unwrap_or_default();
            heard.push(said.auth_bytes.to_vec());
            request.answer(1, &answer)
        }
        _ => request.answer(1, &quorum(1, 7)),
    };
    (serve_tls(acceptor(), script).await, heard)
}

async fn login_error(server: &Server, mechanism: Mechanism) -> String {
    let dir = tempfile::tempdir().unwrap();
    let settings = secured(server, Some(mechanism), dir.path());
    match KafkaClient::new(&settings).unwrap().describe().await.unwrap_err() {
        KafkaError::NoLeader { why, .. } => why.join("; "),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_plain_login_happens_inside_tls() {
    let (server, heard) = locked(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let settings = secured(&server, Some(Mechanism::Plain), dir.path());
    let view = KafkaClient::new(&settings).unwrap().describe().await.unwrap();
    assert_eq!(view.leader, 1);
    assert_eq!(*heard.lock().unwrap(), [b"\0user\0pencil".to_vec()]);
}

#[tokio::test]
async fn a_wrong_password_is_told_with_the_servers_words() {
    let no = SaslAuthenticateResponse::default()
        .with_error_code(58)
        .with_error_message(Some(StrBytes::from_static_str("Invalid username or password")));
    let (server, _) = locked(vec![no]).await;
    let why = login_error(&server, Mechanism::Plain).await;
    let expected = "with PLAIN: SASL_AUTHENTICATION_FAILED (58): Invalid username or password";
    assert!(why.contains(expected), "{why}");
}

#[tokio::test]
async fn a_scram_server_that_does_not_know_the_password_is_refused() {
    let first = b"r=stranger,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".to_vec();
    let stranger = SaslAuthenticateResponse::default().with_auth_bytes(first.into());
    let (server, heard) = locked(vec![stranger]).await;
    let why = login_error(&server, Mechanism::ScramSha512).await;
    assert!(why.contains("with SCRAM-SHA-512: the server answers another exchange"), "{why}");
    let heard = heard.lock().unwrap();
    assert!(heard[0].starts_with(b"n,,n=user,r="), "the password is not said");
    assert_eq!(heard.len(), 1);
}

#[tokio::test]
async fn a_mechanism_the_server_lacks_is_told_with_those_it_has() {
    let script = |request: Request| match request.key {
        VERSIONS => request.versions(),
        HANDSHAKE => {
            let offered = vec![StrBytes::from_static_str("SCRAM-SHA-256")];
            let answer =
                SaslHandshakeResponse::default().with_error_code(33).with_mechanisms(offered);
            request.answer(0, &answer)
        }
        _ => Reply::Close,
    };
    let server = serve_tls(acceptor(), script).await;
    let why = login_error(&server, Mechanism::Plain).await;
    let expected = "UNSUPPORTED_SASL_MECHANISM (33); it offers SCRAM-SHA-256";
    assert!(why.contains(expected), "{why}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (server, _) = locked(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let settings = KafkaSettings {
        tls: Some(tls(Some("other.fairway.test"))),
        ..secured(&server, None, dir.path())
    };
    let error = KafkaClient::new(&settings).unwrap().describe().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_plain_text() {
    let plain = super::server::serve(|request| request.versions()).await;
    let dir = tempfile::tempdir().unwrap();
    let settings = secured(&plain, Some(Mechanism::Plain), dir.path());
    assert!(KafkaClient::new(&settings).unwrap().describe().await.is_err());
}

#[test]
fn files_that_hold_no_certificate_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("ca.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let tls = TlsSettings { ca_file: empty, client: None, server_name: None };
    let settings = KafkaSettings { tls: Some(tls), ..settings(&[]) };
    let error = KafkaClient::new(&settings).unwrap_err().to_string();
    assert!(error.contains("ca.pem: it holds no certificate"), "{error}");
}

//! Real handshakes with a running hub: which certificate is shown, who is let in, what a reload
//! changes.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, Client, Identity};

use super::*;
use crate::config::{Fragments, Settings};
use crate::server::Running;

/// See the README beside them.
fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/tests/certificates").join(name)
}

/// Copies a certificate and its key to the names that the settings have.
fn place(dir: &Path, name: &str) {
    std::fs::copy(made(&format!("{name}.pem")), dir.join("cert.pem")).unwrap();
    std::fs::copy(made(&format!("{name}.key.pem")), dir.join("key.pem")).unwrap();
}

fn settings(dir: &Path, more: &str) -> Settings {
    let text = format!(
        "data_dir = {:?}\nlisten = '127.0.0.1:0'\nworkers = 1\n[tls]\ncert = {:?}\nkey = {:?}\n\
         {more}",
        dir.join("data"),
        dir.join("cert.pem"),
        dir.join("key.pem")
    );
    Fragments::parse(&text).unwrap().try_into().unwrap()
}

/// A client that believes the tests' authority alone; a new one each time, so a new connection.
fn client(identity: Option<&str>) -> Client {
    signing::source::install_tls_provider();
    let ca = Certificate::from_pem(&std::fs::read(made("ca.pem")).unwrap()).unwrap();
    let mut builder = Client::builder().tls_certs_only([ca]).tls_info(true);
    if let Some(name) = identity {
        let mut pem = std::fs::read(made(&format!("{name}.pem"))).unwrap();
        pem.extend(std::fs::read(made(&format!("{name}.key.pem"))).unwrap());
        builder = builder.identity(Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

/// The certificate that the hub shows, if it answers.
async fn asked(port: u16, identity: Option<&str>) -> Result<Vec<u8>, reqwest::Error> {
    let url = format!("https://localhost:{port}/livez");
    let response = client(identity).get(url).send().await?;
    assert_eq!(response.status().as_u16(), 200);
    let info = response.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    Ok(info.peer_certificate().unwrap().to_vec())
}

fn der(name: &str) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_file(made(&format!("{name}.pem"))).unwrap().to_vec()
}

#[tokio::test]
async fn a_hub_with_a_certificate_speaks_tls_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), "first");
    let running = Running::start(settings(dir.path(), "")).await.unwrap();
    let port = running.address.port();
    assert_eq!(asked(port, None).await.unwrap(), der("first"));
    let plain = client(None).get(format!("http://localhost:{port}/livez")).send().await;
    assert!(plain.is_err(), "{plain:?}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn only_clients_of_the_authority_are_let_in_where_one_is_required() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), "first");
    let more = format!("client_ca = {:?}", made("ca.pem"));
    let running = Running::start(settings(dir.path(), &more)).await.unwrap();
    let port = running.address.port();
    asked(port, Some("client")).await.unwrap();
    asked(port, Some("stranger")).await.unwrap_err();
    asked(port, None).await.unwrap_err();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn where_one_is_requested_none_is_fine_but_a_wrong_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), "first");
    let more = format!("client_ca = {:?}\nclient_certificates = 'requested'", made("ca.pem"));
    let running = Running::start(settings(dir.path(), &more)).await.unwrap();
    let port = running.address.port();
    asked(port, Some("client")).await.unwrap();
    asked(port, None).await.unwrap();
    asked(port, Some("stranger")).await.unwrap_err();
    running.stop().await.unwrap();
}

/// TLS as the settings say, and what it shows.
fn tls(dir: &Path, more: &str) -> Tls {
    Tls::open(&settings(dir, more).tls.unwrap()).unwrap()
}

fn shown(tls: &Tls) -> Vec<u8> {
    tls.shown.0.load().cert.first().unwrap().to_vec()
}

#[test]
fn new_files_are_taken_as_a_whole_and_bad_ones_leave_the_old_set() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), "first");
    let mut tls = tls(dir.path(), "");
    assert!(matches!(tls.reload(), Reload::Unchanged));
    // The key comes a moment after its certificate.
    std::fs::copy(made("second.pem"), dir.path().join("cert.pem")).unwrap();
    assert!(matches!(tls.reload(), Reload::Refused(TlsError::Pair { .. })));
    assert_eq!(shown(&tls), der("first"));
    assert!(matches!(tls.reload(), Reload::Unchanged), "a bad set is told of once");
    place(dir.path(), "second");
    assert!(matches!(tls.reload(), Reload::Taken));
    assert_eq!(shown(&tls), der("second"));
    std::fs::remove_file(dir.path().join("key.pem")).unwrap();
    assert!(matches!(tls.reload(), Reload::Refused(TlsError::Read { .. })));
    std::fs::write(dir.path().join("key.pem"), "half").unwrap();
    assert!(matches!(tls.reload(), Reload::Refused(TlsError::Content { .. })));
    assert_eq!(shown(&tls), der("second"));
}

#[tokio::test]
async fn a_running_hub_shows_the_new_certificate_and_believes_the_new_authority() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), "first");
    let authority = dir.path().join("clients.pem");
    std::fs::copy(made("ca.pem"), &authority).unwrap();
    let settings = settings(dir.path(), &format!("client_ca = {authority:?}"));
    let mut tls = Tls::open(settings.tls.as_ref().unwrap()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let live = || actix_web::web::resource("/livez").to(actix_web::HttpResponse::Ok);
    let server = actix_web::HttpServer::new(move || actix_web::App::new().service(live()))
        .workers(1)
        .disable_signals()
        .listen_rustls_0_23(listener, tls.server_config().unwrap())
        .unwrap()
        .run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    assert_eq!(asked(port, Some("client")).await.unwrap(), der("first"));
    place(dir.path(), "second");
    std::fs::copy(made("other-ca.pem"), &authority).unwrap();
    assert!(matches!(tls.reload(), Reload::Taken));
    assert_eq!(asked(port, Some("stranger")).await.unwrap(), der("second"));
    asked(port, Some("client")).await.unwrap_err();
    handle.stop(false).await;
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hub_does_not_start_with_files_that_are_no_pair() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), "first");
    std::fs::copy(made("second.key.pem"), dir.path().join("key.pem")).unwrap();
    let error = Running::start(settings(dir.path(), "")).await.unwrap_err();
    assert!(matches!(error, crate::RunError::Tls(TlsError::Pair { .. })), "{error}");
}

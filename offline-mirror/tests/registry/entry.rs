//! Whom we believe over TLS, and whom a registry believes.

use offline_mirror::registry::RegistryError;

use crate::scene::{access, bytes, open, pull, serve};
use crate::server::{Server, certificate};

async fn ask(wants_client: bool, trusts: bool, shows: bool) -> Result<Vec<u8>, RegistryError> {
    let blob = bytes(1000);
    let served = blob.clone();
    let server = Server::start_tls(wants_client, move |asked| serve(asked, &served)).await;
    let mut access = access(&server);
    access.plain_http = false;
    if trusts {
        access.ca_files = vec![certificate("ca.pem")];
    }
    if shows {
        access.client_certificate = Some(certificate("client.pem"));
        access.client_key = Some(certificate("client.key.pem"));
    }
    let pulled = pull(&open(access), &blob).await?;
    assert_eq!(pulled, blob);
    assert!(!server.log().is_empty());
    Ok(pulled)
}

#[tokio::test(start_paused = true)]
async fn a_registry_of_a_named_authority_is_believed() {
    ask(false, true, false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_registry_of_an_unknown_authority_is_refused_by_name_and_not_tried_again() {
    let error = ask(false, false, false).await.unwrap_err();
    assert!(matches!(error, RegistryError::Certificate { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("CA certificate"));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_wants_a_certificate_gets_ours() {
    ask(true, true, true).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_certificate_that_registry_stays_closed() {
    let error = ask(true, true, false).await.unwrap_err();
    assert!(matches!(error, RegistryError::Certificate { .. }), "{error:?}");
}

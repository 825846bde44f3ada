//! Where a registry may send us, and that credentials do not come along.

use offline_mirror::registry::RegistryError;

use crate::scene::{BASIC, bytes, open, pull, pull_from, registry, serve, with_user};
use crate::server::{Reply, Server, certificate};

fn challenge() -> Reply {
    Reply::new(401, "").with("www-authenticate", "Basic realm=\"r\"")
}

fn to(place: &str) -> Reply {
    Reply::new(307, "").with("location", place)
}

#[tokio::test(start_paused = true)]
async fn storage_on_another_host_is_followed_without_credentials() {
    let (blob, dir) = (bytes(1000), tempfile::tempdir().unwrap());
    let served = blob.clone();
    let storage = Server::start(move |asked| serve(asked, &served)).await;
    let place = format!("http://{}/signed?key=1", storage.host);
    let server = Server::start(move |asked| match asked.header("authorization") {
        None => challenge(),
        Some(_) => to(&place),
    })
    .await;
    let registry = open(with_user(&server, &dir));
    assert_eq!(pull_from(&registry, &blob, 400).await.unwrap(), blob);
    assert_eq!(server.log()[1].header("authorization"), Some(BASIC));
    let arrived = storage.log();
    assert_eq!(arrived[0].path, "/signed?key=1");
    assert_eq!(arrived[0].header("range"), Some("bytes=400-"));
    assert_eq!(arrived[0].header("authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn a_way_that_leads_back_is_walked_without_credentials_too() {
    let dir = tempfile::tempdir().unwrap();
    let back = Server::start(|asked| to(&asked.path.replace("/to/", "http://"))).await;
    let away = back.host.clone();
    let server = Server::start(move |asked| {
        let own = asked.header("host").unwrap_or_default();
        match (asked.path.as_str(), asked.header("authorization")) {
            ("/home", _) | (_, None) => challenge(),
            (_, Some(_)) => to(&format!("http://{away}/to/{own}/home")),
        }
    })
    .await;
    let error = pull(&open(with_user(&server, &dir)), b"x").await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorised { .. }), "{error}");
    let log = server.log();
    assert_eq!(log.last().unwrap().path, "/home");
    assert_eq!(log.last().unwrap().header("authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_redirects_ends_by_name() {
    let server = Server::start(|asked| to(&asked.path)).await;
    let error = pull(&registry(&server), b"x").await.unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { why: "too many redirects", .. }));
    assert_eq!(server.log().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn addresses_with_a_user_or_of_another_kind_are_not_followed() {
    for place in ["http://user:word@127.0.0.1/", "file:///etc/passwd"] {
        let server = Server::start(move |_| to(place)).await;
        let error = pull(&registry(&server), b"x").await.unwrap_err();
        assert!(matches!(&error, RegistryError::Redirect { .. }), "{error}");
        assert!(!error.to_string().contains("word@") && error.is_refusal());
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_out_of_tls_is_refused_and_nothing_arrives_there() {
    let open_storage = Server::start(|_| Reply::new(200, "x")).await;
    let place = format!("http://{}/blob", open_storage.host);
    let server = Server::start_tls(false, move |_| to(&place)).await;
    let mut access = crate::scene::access(&server);
    access.plain_http = false;
    access.ca_files = vec![certificate("ca.pem")];
    let error = pull(&open(access), b"x").await.unwrap_err();
    assert!(matches!(&error, RegistryError::Redirect { why: "it leaves TLS", .. }), "{error}");
    assert!(open_storage.log().is_empty());
}

//! What cannot be planned is refused by name, before anything is written.

use offline_mirror::create::CreateError;
use offline_mirror::plan::{PlanError, Presumed, RouteError, Routes, SelectError};

use crate::hub::{Hub, graph, release};
use crate::scene::{Scene, at, sequence};

async fn refused(scene: &Scene, product: &str) -> PlanError {
    let mut request = scene.request();
    request.products = vec![toml::from_str(product).unwrap()];
    let error = scene.plan(&request).await.unwrap_err();
    assert!(!scene.dir().exists());
    error
}

#[actix_web::test]
async fn what_the_hub_does_not_have_is_named() {
    let scene = Scene::new().await;
    let error = refused(&scene, "product = \"acme/app\"\nchannel = \"beta\"").await;
    assert_eq!(error.to_string(), "acme/app has no channel beta");
    let text = "product = \"acme/app\"\nchannel = \"stable\"\narches = [\"s390x\"]";
    let error = refused(&scene, text).await;
    assert_eq!(error.to_string(), "acme/app has no channel stable for s390x");
    let text = "product = \"acme/app\"\nchannel = \"stable\"\nreleases = [\"9.9.9\"]";
    let error = refused(&scene, text).await;
    assert!(matches!(error, PlanError::Select(SelectError::NotInGraph { .. })), "{error}");
    let error = refused(&scene, "product = \"acme/app\"\nreleases = [\"9.9.9\"]").await;
    assert!(matches!(error, PlanError::Mirror(_)) && error.is_refusal(), "{error}");
}

#[actix_web::test]
async fn a_step_that_a_release_does_not_allow_is_not_carried() {
    let mut scene = Scene::new().await;
    let mut targets = vec![graph("acme/app", "stable", "amd64", &["1.0.0", "1.1.0"])];
    for (version, image) in ["1.0.0", "1.1.0"].iter().zip(&scene.images) {
        let (path, bytes) = release("acme/app", version, &[("amd64", image)]);
        let text = String::from_utf8(bytes).unwrap().replace("<99.0.0", ">=1.0.5");
        targets.push((path, text.into_bytes()));
    }
    scene.hub = Hub::publish(&targets, 2, at(0));
    let error =
        refused(&scene, "product = \"acme/app\"\nchannel = \"stable\"\nfrom = \"1.0.0\"").await;
    assert!(matches!(error, PlanError::NotAllowed { .. }), "{error}");
}

#[actix_web::test]
async fn no_document_chooses_a_registry() {
    let scene = Scene::new().await;
    let mut request = scene.request();
    request.routes = Routes::default();
    let error = scene.plan(&request).await.unwrap_err();
    assert!(matches!(error, PlanError::Route(RouteError::Repository { .. })), "{error}");
    let mut request = scene.request();
    request.images = vec!["elsewhere.example/x:1".parse().unwrap()];
    let error = scene.plan(&request).await.unwrap_err();
    assert!(matches!(error, PlanError::Route(RouteError::Host { .. })), "{error}");
}

#[actix_web::test]
async fn two_extra_images_do_not_share_a_tag() {
    let scene = Scene::new().await;
    for (repository, layer) in [("tools/a", b"a"), ("mirrors/tools/a", b"b")] {
        let image = scene.server.image(repository, &[layer]);
        scene.server.tag(&image, "1");
    }
    let host = &scene.server.host;
    let text = format!(
        "[default]\nhost = \"{host}\"\nplain_http = true\nanonymous = true\n[[others]]\n\
         [others.access]\nhost = \"localhost:{}\"\nprefix = \"mirrors\"\nplain_http = true\n\
         anonymous = true",
        host.rsplit(':').next().unwrap()
    );
    let mut request = scene.request();
    request.routes = Routes::new(&toml::from_str(&text).unwrap());
    let port = host.rsplit(':').next().unwrap();
    request.images = [format!("{host}/tools/a:1"), format!("localhost:{port}/mirrors/tools/a:1")]
        .map(|image| image.parse().unwrap())
        .to_vec();
    let registries: Vec<_> = request
        .routes
        .accesses()
        .iter()
        .map(|access| offline_mirror::registry::Registry::new(access.clone()).unwrap())
        .collect();
    let planned =
        offline_mirror::plan::plan(&request, scene.hub.source(), &registries, at(1)).await;
    assert!(matches!(planned, Err(PlanError::SameTag { .. })), "{planned:?}");
}

#[actix_web::test]
async fn a_bundle_needs_a_view_with_a_root() {
    let scene = Scene::new().await;
    let mut request = scene.create_request();
    request.plan.view = None;
    let error = scene.create(&request).await.unwrap_err();
    assert!(matches!(error, CreateError::NoView), "{error}");
    request.plan.base = Presumed::Assumed { sequence: 1 };
    let error = scene.plan(&request.plan).await.unwrap_err();
    assert!(matches!(error, PlanError::Usage { .. }), "{error}");
}

#[actix_web::test]
async fn a_hub_that_changed_its_keys_ends_the_run_before_a_sequence_is_spent() {
    let scene = Scene::new().await;
    let mut request = scene.create_request();
    request.plan.root[20] ^= 1;
    let error = scene.create(&request).await.unwrap_err();
    assert!(matches!(error, CreateError::Plan(PlanError::Mirror(_))), "{error}");
    let created = scene.create(&scene.create_request()).await.unwrap();
    assert_eq!(created.sequence, sequence(1));
}

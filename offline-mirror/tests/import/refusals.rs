//! Every refusal by its name, before anything is asked of the target, with the way on.

use offline_mirror::bundle::{BundleError, ImageRole, Missing};
use offline_mirror::import::ImportError;
use offline_mirror::oci::Digest;
use signing::Attack;

use crate::hub::{Terms, release_document};
use crate::maker::image;
use crate::scene::{AMD64, GRAPH, RELEASE, REPOSITORY, Scene, at, graph, request};

/// Asserts an error by its kind and its attack, and that a person is told what to do.
macro_rules! named {
    ($error:expr, $attack:expr, $pattern:pat $(if $guard:expr)?) => {{
        let error = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert_eq!(error.attack(), $attack, "{error:?}");
        assert!(error.is_refusal(), "{error:?}");
        assert!(error.hint().is_some(), "{error:?}");
    }};
}

#[actix_web::test]
async fn a_bundle_of_another_view_is_refused() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.signer = 9;
    let bundle = scene.made(&maker);
    named!(
        scene.refused(&[&bundle]).await,
        Some(Attack::ArbitrarySoftware),
        ImportError::Bundle(BundleError::Statement { .. })
    );
}

#[actix_web::test]
async fn metadata_under_another_root_is_refused() {
    let mut scene = Scene::new();
    drop(scene.site());
    let terms = Terms { online: [13, 14], ..Terms::of(at(0)) };
    scene.publish_as(&terms, 1, at(0));
    let mut maker = scene.maker("north-1", 1);
    // Without the root that names the new keys, and signed by one of them.
    maker.tuf.retain(|path, _| path != "metadata/3.root.json");
    maker.signer = 13;
    let bundle = scene.made(&maker);
    named!(
        scene.refused(&[&bundle]).await,
        Some(Attack::ArbitrarySoftware),
        ImportError::Metadata(_)
    );
}

#[actix_web::test]
async fn an_older_bundle_after_a_newer_one_is_a_rollback() {
    let mut scene = Scene::new();
    let old = scene.made(&scene.maker("north-1", 1));
    scene.publish_as(&Terms::of(at(1)), 2, at(1));
    let new = scene.made(&scene.maker("north-2", 2));
    scene.import(&[&new]).await.unwrap();
    scene.server.asked();
    named!(scene.refused(&[&old]).await, Some(Attack::Rollback), ImportError::Metadata(_));
    // Newer metadata does not make a lower sequence better.
    let relabelled = scene.made(&scene.maker("north-1b", 1));
    named!(
        scene.refused(&[&relabelled]).await,
        Some(Attack::Rollback),
        ImportError::Rollback { sequence: 1, newest: 2, .. }
    );
    scene.import(&[&new]).await.unwrap();
}

#[actix_web::test]
async fn a_bundle_that_was_refused_does_not_make_an_older_good_one_a_rollback() {
    let mut scene = Scene::new();
    let old = scene.made(&scene.maker("north-1", 1));
    scene.publish_as(&Terms::of(at(1)), 2, at(1));
    let mut maker = scene.maker("north-2", 2);
    maker.require_blob(AMD64, REPOSITORY);
    let increment = scene.made(&maker);
    let error = scene.import(&[&increment]).await.unwrap_err();
    assert!(matches!(error, ImportError::MissingBase { count: 1, .. }), "{error:?}");
    scene.import(&[&old]).await.unwrap();
    scene.import(&[&increment]).await.unwrap();
}

#[actix_web::test]
async fn two_bundles_with_one_sequence_are_refused() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    scene.import(&[&bundle]).await.unwrap();
    scene.server.asked();
    let other = scene.made(&scene.maker("other", 1));
    named!(
        scene.refused(&[&other]).await,
        Some(Attack::MixAndMatch),
        ImportError::OtherBundle { sequence: 1, .. }
    );
    named!(
        scene.refused(&[&bundle, &other]).await,
        Some(Attack::MixAndMatch),
        ImportError::Twice { sequence: 1 }
    );
}

#[actix_web::test]
async fn a_bundle_for_another_site_is_refused() {
    let scene = Scene::new();
    let mut maker = scene.maker("south-1", 1);
    maker.sites = vec!["east".to_owned(), "south".to_owned()];
    let bundle = scene.made(&maker);
    let error = scene.refused(&[&bundle]).await;
    assert!(error.to_string().contains("is for east, south, this is north"), "{error}");
    named!(error, Some(Attack::WrongSoftware), ImportError::ForeignSite { .. });
    maker.sites.push("north".to_owned());
    maker.name = "all-1".to_owned();
    scene.import(&[&scene.made(&maker)]).await.unwrap();
}

#[actix_web::test]
async fn an_incomplete_bundle_is_taken_by_choice_only_and_never_called_complete() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.blobs.retain(|blob| blob != AMD64);
    maker.complete = false;
    let (what, why) = ("acme/app amd64".to_owned(), "the registry broke off".to_owned());
    maker.missing = vec![Missing { what, why }];
    let bundle = scene.made(&maker);
    let error = scene.refused(&[&bundle]).await;
    assert!(error.to_string().contains("the registry broke off"), "{error}");
    named!(error, None, ImportError::Incomplete { .. });

    let choice =
        offline_mirror::import::ImportRequest { accept_incomplete: true, ..request(&[&bundle]) };
    let evidence = scene.import_with(&choice, &scene.to_registry()).await.unwrap();
    let left = format!("{REPOSITORY}@{}", Digest::of(&scene.amd64));
    assert_eq!((evidence.left_out, evidence.bundles[0].complete), (vec![left], false));
    let site = scene.site();
    let receipt = std::fs::read(site.receipt_path(1, &"north-1".parse().unwrap())).unwrap();
    let key = site.public_key().unwrap();
    let receipt = offline_mirror::site::Receipt::read(&receipt, &key).unwrap();
    assert!(!receipt.complete);
    let ledger = site.ledger().unwrap();
    assert!(!ledger.bundles[0].complete);
    assert_eq!(ledger.bundles[0].images.len(), 1, "only what is whole");
}

#[actix_web::test]
async fn images_that_the_site_did_not_allow_are_refused() {
    let scene = Scene::new();
    let tool = image(&[b"a tool"], None);
    for (name, repository, allowed) in [("a", "tools/git", true), ("b", "toys/git", false)] {
        let mut maker = scene.maker(name, 1);
        maker.add_blob(b"a tool");
        maker.carry(repository, &tool, &["v2"], ImageRole::Extra);
        let bundle = scene.made(&maker);
        if allowed {
            scene.verify(&[&bundle]).await.unwrap();
        } else {
            named!(
                scene.refused(&[&bundle]).await,
                Some(Attack::ArbitrarySoftware),
                ImportError::NotAllowed { images, .. } if images == &["registry.example.com/toys/git"]
            );
        }
    }
}

#[actix_web::test]
async fn an_image_that_only_passes_for_a_releases_is_refused() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.add_blob(b"not the vendor's");
    let forged = image(&[b"not the vendor's"], None);
    maker.carry(REPOSITORY, &forged, &[], ImageRole::Release);
    named!(
        scene.refused(&[&scene.made(&maker)]).await,
        Some(Attack::WrongSoftware),
        ImportError::NotReleased { .. }
    );
}

#[actix_web::test]
async fn a_release_without_one_of_its_images_is_refused() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.images.pop();
    named!(
        scene.refused(&[&scene.made(&maker)]).await,
        Some(Attack::WrongSoftware),
        ImportError::Release { .. }
    );
}

#[actix_web::test]
async fn an_architecture_that_the_site_needs_must_be_carried() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.images.pop();
    maker.releases[0].arches = vec!["amd64".parse().unwrap()];
    let bundle = scene.made(&maker);
    let mut request = request(&[&bundle]);
    request.arches = vec!["arm64".parse().unwrap()];
    let error = scene.import_with(&request, &scene.to_registry()).await.unwrap_err();
    assert!(error.to_string().contains("not carried for arm64"), "{error}");
    request.arches = vec!["amd64".parse().unwrap()];
    scene.import_with(&request, &scene.to_registry()).await.unwrap();
}

#[actix_web::test]
async fn another_products_document_under_our_path_is_wrong_software() {
    let mut scene = Scene::new();
    let document = release_document("other", "1.2.0", &[]);
    scene.hub = crate::hub::Hub::publish(&[(RELEASE, document), (GRAPH, graph())], 1, at(0));
    let bundle = scene.bundle();
    named!(
        scene.refused(&[&bundle]).await,
        Some(Attack::WrongSoftware),
        ImportError::Metadata(offline_mirror::Error::WrongSoftware { .. })
    );
}

#[actix_web::test]
async fn what_is_about_nothing_that_is_carried_is_refused() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.add_blob(b"payload");
    let subject = Digest::of(b"something else");
    maker.carry(REPOSITORY, &image(&[b"payload"], None), &[], ImageRole::Referrer { subject });
    named!(
        scene.refused(&[&scene.made(&maker)]).await,
        Some(Attack::WrongSoftware),
        ImportError::Stray { .. }
    );
}

#[actix_web::test]
async fn what_only_the_manifest_calls_a_referrer_is_refused() {
    let scene = Scene::new();
    let subject = Digest::of(&scene.amd64);
    let role = ImageRole::Referrer { subject };
    let sig = format!("sha256-{}.sig", subject.hex());
    let (plain, of_other) = (image(&[b"payload"], None), image(&[b"payload"], Some(&scene.arm64)));
    let about = image(&[b"payload"], Some(&scene.amd64));
    for (name, bytes, tags, is_taken) in [
        ("plain", &plain, &[][..], false),
        ("of-other", &of_other, &[], false),
        ("tagged", &plain, &[sig.as_str()], true),
        ("about", &about, &[], true),
    ] {
        let mut maker = scene.maker(name, 1);
        maker.add_blob(b"payload");
        maker.carry(REPOSITORY, bytes, tags, role.clone());
        let bundle = scene.made(&maker);
        if is_taken {
            scene.verify(&[&bundle]).await.unwrap();
        } else {
            named!(
                scene.refused(&[&bundle]).await,
                Some(Attack::WrongSoftware),
                ImportError::Stray { .. }
            );
        }
    }
    for (number, tag) in ["", "-evil", ".sig.evil", ".exe"].iter().enumerate() {
        let mut maker = scene.maker(&format!("tag-{number}"), 1);
        maker.add_blob(b"payload");
        let tag = format!("sha256-{}{tag}", subject.hex());
        maker.carry(REPOSITORY, &about, &[tag.as_str()], role.clone());
        named!(
            scene.refused(&[&scene.made(&maker)]).await,
            Some(Attack::WrongSoftware),
            ImportError::Tag { .. }
        );
    }
}

#[actix_web::test]
async fn what_is_about_an_image_takes_no_tag_from_it_and_no_tag_is_claimed_twice() {
    let scene = Scene::new();
    let subject = Digest::of(&scene.amd64);
    let mut maker = scene.maker("north-1", 1);
    maker.add_blob(b"payload");
    let role = ImageRole::Referrer { subject };
    maker.carry(REPOSITORY, &image(&[b"payload"], None), &["latest"], role);
    named!(
        scene.refused(&[&scene.made(&maker)]).await,
        Some(Attack::WrongSoftware),
        ImportError::Tag { .. }
    );
    let mut maker = scene.maker("north-2", 2);
    for image in &mut maker.images {
        image.tags = vec!["v1".parse().unwrap()];
    }
    named!(
        scene.refused(&[&scene.made(&maker)]).await,
        Some(Attack::WrongSoftware),
        ImportError::Tag { tag, .. } if tag == "acme/app:v1"
    );
}

#[actix_web::test]
async fn an_image_that_needs_more_than_is_carried_or_required_is_refused() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.blobs.retain(|blob| blob != AMD64);
    let wanted = Digest::of(AMD64);
    named!(
        scene.refused(&[&scene.made(&maker)]).await,
        None,
        ImportError::NotCarried { digest, .. } if *digest == wanted
    );
}

#[actix_web::test]
async fn a_directory_where_create_did_not_finish_is_no_bundle() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    std::fs::remove_file(bundle.join("north-1.manifest.json")).unwrap();
    let error = scene.refused(&[&bundle]).await;
    assert!(matches!(error, ImportError::Bundle(BundleError::NoManifest { .. })), "{error:?}");
}

#[actix_web::test]
async fn a_target_that_cannot_be_reached_is_no_refusal_and_leaves_the_site_as_it_was() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let target = offline_mirror::import::Target::Registry(crate::scene::registry(&address));
    let error = scene.import_with(&request(&[&bundle]), &target).await.unwrap_err();
    assert!(matches!(error, ImportError::Registry(_)), "{error:?}");
    assert!(!error.is_refusal() && error.hint().is_some());
    assert_eq!(scene.site().ledger().unwrap().newest(), 0);
}

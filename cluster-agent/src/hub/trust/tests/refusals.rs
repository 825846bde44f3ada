//! What is not believed, and the name each refusal is reported under.

use std::sync::atomic::Ordering;

use channels::graph::Graph;
use jiff::SignedDuration;

use super::world::{World, now};
use super::{TrustError, edge, graph, product, version};

const GRAPH: &str = "acme/kafka/stable.amd64.graph.json";
const RELEASE: &str = "acme/kafka/4.3.1.release.json";

/// Bends a world, publishes it, and returns why the edge is refused, with the reported name.
async fn refusal(bend: impl FnOnce(&mut World)) -> (TrustError, String) {
    let mut world = World::new();
    bend(&mut world);
    world.publish();
    let error = edge(&mut world.open()).await.unwrap_err();
    let failure = error.to_failure(now());
    assert_eq!(failure.kind, error.kind());
    assert!(failure.message.len() > error.kind().len());
    let kind = failure.kind;
    (error, kind)
}

#[tokio::test]
async fn an_unsigned_graph_is_arbitrary_software() {
    let (error, kind) = refusal(|world| world.channels_key = None).await;
    assert_eq!(kind, "arbitrary_software");
    let TrustError::Metadata { source: signing::Error::Signatures { role, valid, .. } } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((role.as_str(), valid), ("acme.channels", 0));
}

#[tokio::test]
async fn a_graph_or_release_signed_with_another_vendors_key_is_arbitrary_software() {
    let (_, kind) = refusal(|world| world.channels_key = Some(World::evil_key())).await;
    assert_eq!(kind, "arbitrary_software");
    let (_, kind) = refusal(|world| world.releases_key = Some(World::evil_key())).await;
    assert_eq!(kind, "arbitrary_software");
}

#[tokio::test]
async fn a_channels_key_cannot_add_a_release_even_where_its_delegation_lets_it() {
    let (error, kind) = refusal(|world| {
        world.channels_paths = vec!["acme/*/*".to_owned()];
        world.by_channels.insert(RELEASE.to_owned());
    })
    .await;
    assert_eq!(kind, "arbitrary_software");
    let TrustError::WrongSigner { found, expected, .. } = error else { panic!("{error:?}") };
    assert_eq!((found.as_str(), expected.as_str()), ("acme.channels", "acme.releases"));
}

#[tokio::test]
async fn a_channels_key_cannot_add_a_release_outside_its_delegation() {
    let (error, kind) = refusal(|world| {
        world.by_channels.insert(RELEASE.to_owned());
    })
    .await;
    assert_eq!(kind, "not_published");
    assert!(matches!(error, TrustError::NotListed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_releases_key_cannot_exchange_a_release_that_the_channel_offers() {
    let (error, kind) = refusal(|world| {
        let offered = signing::Sha256Digest::of(&world.release("4.3.1"));
        world.named.insert("4.3.1", offered);
        let mut other = world.document("4.3.1");
        other.advisories.push("exchanged".to_owned());
        world.replaced.insert(RELEASE.to_owned(), serde_json::to_vec(&other).unwrap());
    })
    .await;
    assert_eq!(kind, "mix_and_match");
    assert!(matches!(error, TrustError::OtherRelease { .. }), "{error:?}");
}

#[tokio::test]
async fn an_edge_the_release_does_not_list_is_refused_though_the_graph_offers_it() {
    let (error, kind) = refusal(|world| world.upgrade_from = ">=4.3.0, <4.3.1").await;
    assert_eq!(kind, "arbitrary_software");
    assert!(matches!(error, TrustError::NotInUpgradeFrom { .. }), "{error:?}");
}

#[tokio::test]
async fn an_edge_the_graph_does_not_offer_is_refused_though_the_release_lists_it() {
    let (error, kind) = refusal(|world| world.edges.clear()).await;
    assert_eq!(kind, "edge_not_offered");
    assert!(matches!(error, TrustError::NotOffered { .. }), "{error:?}");
}

#[tokio::test]
async fn an_older_graph_under_a_newer_timestamp_is_a_rollback() {
    let mut world = World::new();
    world.publish();
    let mut releases = world.open();
    edge(&mut releases).await.unwrap();
    world.channels_version = Some(1);
    world.publish();
    let error = edge(&mut releases).await.unwrap_err();
    assert_eq!(error.kind(), "rollback");
    let after_restart = edge(&mut world.open()).await.unwrap_err();
    assert_eq!(after_restart.kind(), "rollback");
}

#[tokio::test]
async fn an_older_repository_as_a_whole_is_a_rollback() {
    let mut world = World::new();
    let backup = World::new();
    world.publish();
    edge(&mut world.open()).await.unwrap();
    world.source = backup.source;
    assert_eq!(edge(&mut world.open()).await.unwrap_err().kind(), "rollback");
}

#[tokio::test]
async fn an_expired_timestamp_is_a_freeze_also_for_what_was_verified_before() {
    let world = World::new();
    let mut releases = world.open();
    edge(&mut releases).await.unwrap();
    let late = now() + SignedDuration::from_hours(25);
    assert_eq!(releases.refresh(late, None).await.unwrap_err().kind(), "freeze");
    assert_eq!(graph(&mut releases, late).await.unwrap_err().kind(), "freeze");
    let release = releases.release(&product(), &version("4.3.1"), late).await;
    assert_eq!(release.unwrap_err().kind(), "freeze");
}

#[tokio::test]
async fn a_release_nobody_lists_is_not_published() {
    let (error, kind) = refusal(|world| {
        world.unlisted.insert("4.3.1");
    })
    .await;
    assert_eq!(kind, "not_published");
    assert!(matches!(error, TrustError::NotListed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_listed_release_whose_file_is_gone_is_named_and_not_used() {
    let (error, kind) = refusal(|world| {
        world.without_bytes.insert(RELEASE.to_owned());
    })
    .await;
    assert_eq!(kind, "metadata_unusable");
    let TrustError::Metadata { source: signing::Error::Missing { .. } } = error else {
        panic!("{error:?}");
    };
}

#[tokio::test]
async fn a_document_of_another_version_product_or_vendor_is_wrong_software() {
    let bends: [fn(&mut World) -> Vec<u8>; 3] = [
        |world| serde_json::to_vec(&world.document("4.2.0")).unwrap(),
        |world| {
            let mut document = world.document("4.3.1");
            document.product = "zookeeper".parse().unwrap();
            serde_json::to_vec(&document).unwrap()
        },
        |world| {
            let mut document = world.document("4.3.1");
            document.vendor = "evil".parse().unwrap();
            serde_json::to_vec(&document).unwrap()
        },
    ];
    for bend in bends {
        let (error, kind) = refusal(|world| {
            let bytes = bend(world);
            world.replaced.insert(RELEASE.to_owned(), bytes);
        })
        .await;
        assert_eq!(kind, "wrong_software");
        assert!(matches!(error, TrustError::WrongSoftware { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_graph_of_another_channel_is_wrong_software() {
    let (error, kind) = refusal(|world| world.origin_channel = "fast").await;
    assert_eq!(kind, "wrong_software");
    assert!(matches!(error, TrustError::WrongSoftware { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unknown_critical_field_needs_a_newer_agent() {
    let (error, kind) = refusal(|world| {
        let mut document = world.document("4.3.1");
        document.critical = vec!["upgrade_from".to_owned(), "reboot_twice".to_owned()];
        let bytes = serde_json::to_vec(&document).unwrap();
        world.replaced.insert(RELEASE.to_owned(), bytes);
    })
    .await;
    assert_eq!(kind, "agent_too_old");
    let TrustError::Critical { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.field, "reboot_twice");
}

#[tokio::test]
async fn a_later_form_is_named_even_if_it_cannot_be_read() {
    let (error, _) = refusal(|world| {
        let bytes = br#"{"format": 2, "shape": "unheard of"}"#.to_vec();
        world.replaced.insert(RELEASE.to_owned(), bytes);
    })
    .await;
    let TrustError::Critical { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.field, "format=2");
}

#[tokio::test]
async fn signed_nonsense_is_unusable() {
    for path in [GRAPH, RELEASE] {
        let (error, kind) = refusal(|world| {
            world.replaced.insert(path.to_owned(), b"[]".to_vec());
        })
        .await;
        assert_eq!(kind, "document_unusable", "{error:?}");
    }
}

#[tokio::test]
async fn a_release_is_not_held_against_another_products_graph() {
    let world = World::new();
    let mut releases = world.open();
    edge(&mut releases).await.unwrap();
    let good = graph(&mut releases, now()).await.unwrap();
    let release = releases.release(&product(), &version("4.3.1"), now()).await.unwrap();
    let other = super::super::VerifiedGraph {
        product: "acme/other".parse().unwrap(),
        graph: Graph::clone(good.graph()),
        digest: good.digest(),
    };
    let refused = other.check_edge(&version("4.2.0"), &release).unwrap_err();
    assert_eq!(refused.kind(), "wrong_software");
}

#[tokio::test]
async fn one_vendors_broken_metadata_does_not_stop_another() {
    let mut world = World::new();
    world.evil_broken = true;
    world.publish();
    edge(&mut world.open()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_handed_out_before_the_first_refresh() {
    let world = World::new();
    let mut releases = world.open();
    assert_eq!(graph(&mut releases, now()).await.unwrap_err().kind(), "metadata_unusable");
    world.source.down.store(true, Ordering::SeqCst);
    assert!(edge(&mut releases).await.unwrap_err().is_transport());
}

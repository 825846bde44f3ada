//! Prune against a store: what clusters run stays, what nobody needs goes, and two looks agree.

use std::collections::BTreeSet;

use actix_web::{App, HttpResponse, HttpServer, web};
use offline_mirror::bundle::ImageRole;
use offline_mirror::oci::Digest;
use offline_mirror::prune::{Asked, PruneError, SiteHub, apply, plan};
use offline_mirror::site::Inventory;
use offline_mirror::store::Reference;
use serde_json::{Value, json};

use crate::hub::Terms;
use crate::maker::image;
use crate::scene::{REPOSITORY, Scene, access, at, request};

/// A hub with these clusters.
fn hub(rows: Vec<Value>) -> SiteHub {
    let rows = web::Data::new(rows);
    let server = HttpServer::new(move || {
        let answer = |rows: web::Data<Vec<Value>>| async move {
            HttpResponse::Ok().json(json!({"items": rows.get_ref()}))
        };
        App::new().app_data(rows.clone()).route("/api/v1/clusters", web::get().to(answer))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    SiteHub::new(access(&url)).unwrap()
}

fn cluster(version: &str) -> Value {
    json!({
        "id": "0198b8a0-0000-7000-8000-000000000001", "name": "c1",
        "enrolled_at": "2026-11-01T00:00:00Z", "last_seen": "2026-11-20T00:00:00Z",
        "freshness": "fresh", "agent_version": "0.1.0", "seq": 1,
        "products": [{
            "product": "acme/app", "channel": "stable", "arch": "amd64", "version": version,
            "phase": "idle", "since": "2026-11-20T00:00:00Z",
            "health": {"verdict": "healthy"},
            "drift": {"state": "current", "behind_minor": 0, "behind_patch": 0},
        }],
    })
}

/// A site with the release and a tool that it has stopped asking for.
async fn scene() -> (Scene, Digest) {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.add_blob(b"a tool");
    let tool = image(&[b"a tool"], None);
    maker.carry("tools/git", &tool, &["v2"], ImageRole::Extra);
    let bundle = scene.made(&maker);
    scene.import_with(&request(&[&bundle]), &scene.to_store()).await.unwrap();
    let config = scene.site_path().join("site.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("registry.example.com/tools/*", "r.example/x")).unwrap();
    (scene, Digest::of(&tool))
}

#[actix_web::test]
async fn what_nobody_needs_goes_and_what_a_cluster_runs_stays() {
    let (scene, tool) = scene().await;
    let (site, target, hub) = (scene.site(), scene.to_store(), hub(vec![cluster("1.2.0")]));
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 1 };
    let planned = plan(&asked, at(3)).await.unwrap();
    let gone: Vec<Digest> = planned.remove.iter().map(|removable| removable.digest).collect();
    assert_eq!(gone, [tool]);
    assert_eq!(planned.bytes, 6, "the config is shared");
    let kept: BTreeSet<Digest> = planned.keep.iter().map(|kept| kept.digest).collect();
    assert_eq!(kept, BTreeSet::from([&scene.amd64, &scene.arm64].map(|m| Digest::of(m))));

    let done = apply(&asked, &planned, &|| at(4)).await.unwrap();
    assert_eq!((done.removed.len(), done.needed_since.len()), (1, 0));
    assert_eq!(done.already_gone, 0);
    let store = scene.store();
    let freed = done.freed.unwrap();
    assert_eq!((freed.blobs_removed, freed.blobs_waiting), (0, 2), "their grace has just begun");
    let next = done.next.unwrap();
    assert!(next.contains(&format!("store gc {}", store.dir().display())), "{next}");
    let tool_there = store.manifest(&"tools/git".parse().unwrap(), &Reference::Digest(tool));
    assert!(tool_there.is_err());
    let amd64 = Reference::Digest(Digest::of(&scene.amd64));
    store.manifest(&REPOSITORY.parse().unwrap(), &amd64).unwrap();
    let again = apply(&asked, &planned, &|| at(5)).await.unwrap();
    assert_eq!(again.removed.len(), 0, "doing it again changes nothing");
    assert_eq!((again.already_gone, again.needed_since.len(), again.next), (1, 0, None));

    assert_eq!(again.freed.unwrap().blobs_removed, 2, "an hour is over");
}

#[actix_web::test]
async fn a_removal_that_fails_halfway_is_in_ledger_and_inventory() {
    let (scene, tool) = scene().await;
    let (site, target, hub) = (scene.site(), scene.to_store(), hub(vec![cluster("1.2.0")]));
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 1 };
    let planned = plan(&asked, at(3)).await.unwrap();
    // A collection fails without it, after the manifest was removed.
    std::fs::remove_dir(scene.store().dir().join("uploads")).unwrap();
    let error = apply(&asked, &planned, &|| at(4)).await.unwrap_err();
    assert!(matches!(error, PruneError::Store(_)), "{error:?}");
    let known = |digest| site.ledger().unwrap().images().iter().any(|i| i.digest == digest);
    assert!(!known(tool), "it is gone");
    assert!(known(Digest::of(&scene.amd64)), "it is still there");
    let bytes = std::fs::read(site.inventory_path()).unwrap();
    let (inventory, _) = Inventory::read(&bytes, &site.public_key().unwrap()).unwrap();
    assert!(!inventory.by_digest().contains_key(&tool));
}

#[actix_web::test]
async fn what_is_needed_since_the_plan_was_made_stays_and_is_said() {
    let (scene, tool) = scene().await;
    let (site, target, hub) = (scene.site(), scene.to_store(), hub(vec![cluster("1.2.0")]));
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 1 };
    let planned = plan(&asked, at(3)).await.unwrap();
    drop(site);
    let config = scene.site_path().join("site.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("r.example/x", "registry.example.com/tools/*")).unwrap();
    let site = scene.site();
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 1 };
    let done = apply(&asked, &planned, &|| at(4)).await.unwrap();
    assert_eq!((done.removed.len(), done.needed_since.len()), (0, 1));
    assert_eq!(done.needed_since[0].digest, tool);
}

#[actix_web::test]
async fn releases_of_a_vendor_that_the_newest_bundle_lacks_are_known_all_the_same() {
    let (mut scene, _) = scene().await;
    scene.publish_as(&Terms::of(at(1)), 2, at(1));
    let mut maker = scene.maker("north-2", 2);
    maker.releases.clear();
    maker.images.clear();
    maker.manifests.clear();
    maker.blobs.clear();
    let bundle = scene.made(&maker);
    scene.import_with(&request(&[&bundle]), &scene.to_store()).await.unwrap();
    let amd64 = Digest::of(&scene.amd64);
    for (rows, stays) in [(vec![cluster("1.2.0")], true), (vec![], false)] {
        let (site, target, hub) = (scene.site(), scene.to_store(), hub(rows));
        let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 0 };
        let planned = plan(&asked, at(3)).await.unwrap();
        let kept = planned.keep.iter().find(|kept| kept.digest == amd64);
        assert_eq!(kept.is_some(), stays, "{kept:?}");
        if let Some(kept) = kept {
            assert_eq!(kept.because, ["acme/app 1.2.0: c1 runs it"]);
        }
    }
}

#[actix_web::test]
async fn an_image_that_somebody_at_the_site_gave_a_tag_stays_and_it_is_said() {
    let (scene, tool) = scene().await;
    let store = scene.store();
    store.tag(&"tools/git".parse().unwrap(), &"prod".parse().unwrap(), &tool).unwrap();
    let (site, target, hub) = (scene.site(), scene.to_store(), hub(vec![cluster("1.2.0")]));
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 1 };
    let planned = plan(&asked, at(3)).await.unwrap();
    assert_eq!(planned.remove, []);
    let kept = planned.keep.iter().find(|kept| kept.digest == tool).unwrap();
    assert_eq!(kept.because, ["somebody at the site gave it the tag prod"]);
}

#[actix_web::test]
async fn a_cluster_on_an_unknown_version_keeps_its_whole_product() {
    let (scene, tool) = scene().await;
    for rows in [vec![cluster("9.9.9")], vec![]] {
        let (site, target, hub) = (scene.site(), scene.to_store(), hub(rows.clone()));
        let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 0 };
        let planned = plan(&asked, at(3)).await.unwrap();
        let gone: BTreeSet<Digest> = planned.remove.iter().map(|r| r.digest).collect();
        assert!(gone.contains(&tool));
        let is_kept = !gone.contains(&Digest::of(&scene.amd64));
        assert_eq!(is_kept, !rows.is_empty(), "a site without clusters needs nothing");
    }
}

#[actix_web::test]
async fn a_hub_that_cannot_be_asked_removes_nothing() {
    let (scene, _) = scene().await;
    let (site, target) = (scene.site(), scene.to_store());
    let hub = SiteHub::new(access("http://127.0.0.1:1")).unwrap();
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph: 0 };
    let error = plan(&asked, at(3)).await.unwrap_err();
    assert!(matches!(error, PruneError::Unreachable { .. }), "{error:?}");
}

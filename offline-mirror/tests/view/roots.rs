//! The roots of a view: who may sign them, what is taken, and what lies beside them.

use std::path::{Path, PathBuf};

use offline_mirror::{Error, Holders, ViewError, ViewInit, ViewRenewal, view_accept, view_init};
use signing::Attack;

use crate::hub::{ROOT, Terms, key};
use crate::scene::{Scene, at};
use crate::views::{DAY, Viewed};

fn own_holders() -> Holders {
    let keys = [31, 32, 33].map(|seed| key(seed).public().clone()).into();
    Holders::Own { keys, threshold: 2 }
}

#[actix_web::test]
async fn holders_of_their_own_sign_apart_and_their_copies_are_put_together() {
    let viewed = Viewed { scene: Scene::new() };
    let drafted = viewed.init(own_holders()).await.unwrap();
    assert_eq!((drafted.holders.len(), drafted.threshold), (3, 2));
    let copies = ["ann.json", "ben.json"].map(|name| viewed.scene.folder().join(name));
    viewed.sign_to(31, &copies[0]);
    viewed.sign_to(33, &copies[1]);
    let error = view_accept(&viewed.dir(), &copies[..1]);
    refused!(error, ViewError::Unsigned { .. });
    view_accept(&viewed.dir(), &copies).unwrap();
    let exported = viewed.export(at(1)).await.unwrap();
    viewed.site().believe(&exported, at(50 * DAY)).await.unwrap();

    // A renewal keeps them; the hub's holder has no say.
    let renewed = viewed.renew(&viewed.renewal()).await.unwrap();
    assert_eq!(renewed.holders, drafted.holders);
}

#[actix_web::test]
async fn a_root_that_nobody_or_a_stranger_signed_is_not_accepted() {
    let viewed = Viewed { scene: Scene::new() };
    refused!(viewed.accept(), ViewError::NotAView { .. });
    viewed.init(Holders::Hub).await.unwrap();
    refused!(viewed.accept(), ViewError::Unsigned { .. });
    refused!(viewed.export(at(1)).await, ViewError::NoRoot { .. });
    refused!(viewed.renew(&viewed.renewal()).await, ViewError::NoRoot { .. });

    // Another view's request, fully signed.
    let other = Viewed { scene: Scene::new() };
    other.init(Holders::Hub).await.unwrap();
    other.sign(ROOT);
    refused!(view_accept(&viewed.dir(), &[other.request()]), ViewError::OtherRequest { .. });
    // One byte of the draft changed after the holder signed.
    viewed.sign(ROOT);
    let text = std::fs::read_to_string(viewed.request()).unwrap();
    let copy = viewed.scene.folder().join("changed.json");
    std::fs::write(&copy, text.replace("\"expires\": \"2027", "\"expires\": \"2028")).unwrap();
    refused!(view_accept(&viewed.dir(), &[copy]), ViewError::Request { .. });
    viewed.accept().unwrap();
    refused!(viewed.accept(), ViewError::NothingPending);
}

#[actix_web::test]
async fn a_view_is_made_once_and_renewed_one_root_at_a_time() {
    let viewed = Viewed::accepted().await;
    refused!(viewed.init(Holders::Hub).await, ViewError::NotEmpty { .. });
    viewed.renew(&viewed.renewal()).await.unwrap();
    refused!(viewed.renew(&viewed.renewal()).await, ViewError::Pending { .. });
    viewed.export(at(1)).await.unwrap();
}

#[actix_web::test]
async fn accepting_goes_on_where_it_was_killed() {
    let viewed = Viewed::accepted().await;
    viewed.renew(&viewed.renewal()).await.unwrap();
    viewed.sign(ROOT);
    let request = std::fs::read(viewed.request()).unwrap();
    let accepted = viewed.accept().unwrap();
    // As it is when only the removal of the request is missing.
    std::fs::write(viewed.request(), request).unwrap();
    assert_eq!(viewed.accept().unwrap().version, accepted.version);
    assert!(!viewed.request().exists());
    viewed.export(at(2)).await.unwrap();
}

#[actix_web::test]
async fn a_view_is_no_longer_good_than_what_it_carries() {
    let mut viewed = Viewed::accepted().await;
    let terms = Terms { releases_until: at(10 * DAY), ..Terms::of(at(1)) };
    viewed.scene.publish_as(&terms, 2, at(1));
    let exported = viewed.export(at(2)).await.unwrap();
    assert_eq!(exported.good_until, Some(at(10 * DAY)));
    let site = viewed.site();
    site.believe(&exported, at(10 * DAY - 1)).await.unwrap();
    let error = site.believe(&exported, at(10 * DAY)).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
}

#[actix_web::test]
async fn a_root_that_nobody_could_sign_is_not_drafted() {
    let viewed = Viewed { scene: Scene::new() };
    let keys = vec![key(31).public().clone()];
    refused!(viewed.init(Holders::Own { keys, threshold: 2 }).await, ViewError::Draft { .. });
    assert!(!viewed.dir().exists());
}

#[actix_web::test]
async fn a_root_that_does_not_follow_the_views_newest_is_not_accepted() {
    let viewed = Viewed::accepted().await;
    let renewed = viewed.renew(&viewed.renewal()).await.unwrap();
    viewed.sign(ROOT);
    let newest = format!("metadata/{}.root.json", renewed.version - 1);
    let good = std::fs::read(viewed.dir().join(&newest)).unwrap();
    std::fs::write(viewed.dir().join(&newest), &viewed.scene.hub.root_1).unwrap();
    let error = refused!(viewed.accept(), ViewError::Chain { .. });
    assert_eq!(error.attack(), Some(Attack::MixAndMatch), "{error:?}");
    std::fs::write(viewed.dir().join(&newest), good).unwrap();
    viewed.accept().unwrap();
}

#[actix_web::test]
async fn a_life_that_a_view_must_not_have_is_refused_before_anything_is_written() {
    let viewed = Viewed { scene: Scene::new() };
    let init = |days, root_days| ViewInit { days, root_days, ..viewed.init_request(Holders::Hub) };
    for (days, root_days) in [(0, 365), (181, 365), (90, 0), (90, 731)] {
        let answer = view_init(&init(days, root_days), viewed.scene.hub.source(), at(0)).await;
        let error = refused!(answer, ViewError::Days { .. });
        assert!(!error.is_refusal(), "wrong usage");
        assert!(!viewed.dir().exists());
    }
    let viewed = Viewed::accepted().await;
    let renewal = ViewRenewal { days: Some(181), ..viewed.renewal() };
    refused!(viewed.renew(&renewal).await, ViewError::Days { .. });
}

#[actix_web::test]
async fn a_root_that_ended_signs_nothing_more() {
    let mut viewed = Viewed { scene: Scene::new() };
    let request = ViewInit { root_days: 1, ..viewed.init_request(Holders::Hub) };
    view_init(&request, viewed.scene.hub.source(), at(0)).await.unwrap();
    viewed.sign(ROOT);
    viewed.accept().unwrap();
    viewed.export(at(DAY - 1)).await.unwrap();
    viewed.scene.publish_again(2, at(DAY));
    refused!(viewed.export(at(DAY)).await, ViewError::RootExpired { .. });
}

#[actix_web::test]
async fn key_files_that_are_gone_open_to_others_or_swapped_sign_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let viewed = Viewed::accepted().await;
    let keys = std::fs::read_dir(viewed.dir().join("keys")).unwrap();
    let mut keys: Vec<PathBuf> = keys.map(|entry| entry.unwrap().path()).collect();
    keys.sort();
    let [snapshot, timestamp] = &keys[..] else { panic!("{keys:?}") };
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(snapshot), mode(timestamp)], [0o600, 0o600]);
    assert_eq!(mode(&viewed.dir().join("keys")), 0o700);
    let set = |mode| {
        std::fs::set_permissions(timestamp, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o640);
    refused!(viewed.export(at(1)).await, ViewError::Key { .. });
    set(0o600);
    let good = std::fs::read(timestamp).unwrap();
    std::fs::copy(snapshot, timestamp).unwrap();
    refused!(viewed.export(at(1)).await, ViewError::OtherKey { .. });
    std::fs::remove_file(timestamp).unwrap();
    refused!(viewed.export(at(1)).await, ViewError::Key { .. });
    std::fs::write(timestamp, good).unwrap();
    set(0o600);
    viewed.export(at(1)).await.unwrap();
}

#[actix_web::test]
async fn two_runs_at_once_do_not_use_one_view() {
    let viewed = Viewed::accepted().await;
    let held = std::fs::File::open(viewed.dir().join("lock")).unwrap();
    held.lock().unwrap();
    refused!(viewed.export(at(1)).await, ViewError::Busy { .. });
    drop(held);
    viewed.export(at(1)).await.unwrap();
}

#[actix_web::test]
async fn a_state_that_cannot_be_read_is_refused() {
    let viewed = Viewed::accepted().await;
    let state = viewed.dir().join("view.json");
    let good = std::fs::read_to_string(&state).unwrap();
    for bad in ["{}".to_owned(), good.replace("\"format\": 1", "\"format\": 2")] {
        assert_ne!(bad, good);
        std::fs::write(&state, bad).unwrap();
        refused!(viewed.export(at(1)).await, ViewError::NotAView { .. });
    }
}

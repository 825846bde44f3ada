//! Commands over keys, signed metadata and who must sign, with keys that are the same in every run.

use std::path::Path;

use crate::commands::vendor::tests::serve;
use crate::publisher::Content;
use crate::publisher::testing::{World, content, day, secret};

use super::{Told, forms, golden, in_each_form, run};

/// `DIR` stands for a directory and `HUB` for an address, in words and in what is said.
async fn told(dir: &Path, hub: &str, now: &str, words: &[&str], format: &str) -> Told {
    let place = dir.display().to_string();
    let words: Vec<String> =
        words.iter().map(|word| word.replace("DIR", &place).replace("HUB", hub)).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["--output", format]);
    let (result, stdout, stderr) = run(&words, now).await;
    let shown = |text: String| text.replace(&place, "DIR").replace(hub, "HUB");
    (result.map_err(|error| error.without(&place)), shown(stdout), shown(stderr))
}

#[tokio::test]
async fn key_show() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.pub"), secret(3).public().to_spki_pem()).unwrap();
    let now = day(0).to_string();
    let words = ["key", "show", "DIR/a.pub"];
    let shown = async |format: &str| told(dir.path(), "HUB", &now, &words, format).await;
    insta::assert_snapshot!(in_each_form(shown).await);
}

#[tokio::test]
async fn request_show() {
    let dir = tempfile::tempdir().unwrap();
    crate::commands::request::tests::half_signed(&dir.path().join("r.json"));
    let words = ["request", "show", "DIR/r.json"];
    let now = "2026-05-01T12:00:00Z";
    let shown = async |format: &str| told(dir.path(), "HUB", now, &words, format).await;
    insta::assert_snapshot!(in_each_form(shown).await);
}

#[tokio::test]
async fn status() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let temp = crate::commands::status::tests::directory(&world, &[2, 3, 5]);
    let now = day(310).to_string();
    let words = ["status", "DIR", "--offline"];
    let shown = async |format: &str| told(temp.path(), "HUB", &now, &words, format).await;
    insta::assert_snapshot!(in_each_form(shown).await);
}

#[tokio::test]
async fn publish() {
    let text = in_each_form(async |format| {
        let mut world = World::new();
        world.publish(&Content::default(), day(0));
        let temp = crate::commands::status::tests::directory(&world, &[2, 3, 4, 5]);
        crate::commands::lint::tests::product_into(temp.path());
        let hub = serve(&world.staged(&Content::default(), day(0))).await;
        let words = ["publish", "DIR", "--server", "HUB"];
        told(temp.path(), &hub.url, &day(1).to_string(), &words, format).await
    });
    insta::assert_snapshot!(text.await);
}

#[tokio::test]
async fn verify() {
    let mut world = World::new();
    let hub = serve(&world.staged(&content(&["1.0.0", "1.1.0"]), day(0))).await;
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("root.json"), &world.root).unwrap();
    let words = ["verify", "--server", "HUB", "--root", "DIR/root.json"];
    let now = day(0).to_string();
    let shown = async |format: &str| told(temp.path(), &hub.url, &now, &words, format).await;
    insta::assert_snapshot!(in_each_form(shown).await);
}

async fn vendor(words: &[&str]) -> String {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let temp = crate::commands::status::tests::directory(&world, &[3]);
    let hub = serve(&world.staged(&content(&["1.0.0"]), day(0))).await;
    let words = [words, &["--server", "HUB"]].concat();
    let now = day(0).to_string();
    in_each_form(async |format| told(temp.path(), &hub.url, &now, &words, format).await).await
}

#[tokio::test]
async fn vendor_list() {
    insta::assert_snapshot!(vendor(&["vendor", "list", "DIR"]).await);
}

#[tokio::test]
async fn vendor_keys() {
    insta::assert_snapshot!(vendor(&["vendor", "keys", "DIR", "acme"]).await);
}

#[tokio::test]
async fn sites_add() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("north.pub");
    std::fs::write(&file, secret(3).public().to_spki_pem()).unwrap();
    let row = super::first(&golden("site-row-page"));
    let words = ["sites", "add", "north", "--key", file.to_str().unwrap()];
    insta::assert_snapshot!(forms(&words, &[("PUT /api/v1/sites/north", row)]).await);
}

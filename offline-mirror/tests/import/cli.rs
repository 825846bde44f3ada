//! The commands of a site as people and scripts see them: exit codes, one line or one document.

use std::path::Path;
use std::process::{Command, Output};

use jiff::Timestamp;
use serde_json::Value;

use crate::scene::Scene;

#[expect(clippy::disallowed_methods, reason = "the program under test reads the clock")]
fn scene() -> Scene {
    Scene::as_of(Timestamp::now())
}

async fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offline-mirror"));
    command.args(args).env_remove("FAIRWAY_SERVER").env_remove("FAIRWAY_TOKEN_FILE");
    actix_web::web::block(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A site made from the command line, and its bundle.
async fn made(scene: &Scene) -> (std::path::PathBuf, std::path::PathBuf) {
    let root = scene.folder().join("root.json");
    std::fs::write(&root, &scene.hub.root_1).unwrap();
    let site = scene.site_path();
    let args = ["site", "init", path(&site), "--name", "north", "--root", path(&root)];
    let done = run(&args).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("site.pub"), "{}", text(&done.stdout));
    (site, scene.bundle())
}

#[actix_web::test]
async fn a_bundle_is_verified_imported_shown_and_configured_for() {
    let scene = scene();
    let (site, bundle) = made(&scene).await;
    let done = run(&["verify", path(&bundle), "--site", path(&site)]).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("verified north-1, sequence 1"));
    let steps = text(&done.stderr);
    for step in ["metadata", "signature", "sequence", "releases", "images", "content"] {
        assert!(steps.contains(&format!(" {step}: ")), "{steps}");
    }
    let store = scene.folder().join("store");
    let evidence = scene.folder().join("evidence.json");
    let args = [
        "import",
        path(&site),
        path(&bundle),
        "--store",
        path(&store),
        "--output",
        "json",
        "--evidence",
        path(&evidence),
    ];
    let done = run(&args).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["told"]["objects_written"], 6);
    let kept: Value = serde_json::from_slice(&std::fs::read(&evidence).unwrap()).unwrap();
    assert_eq!(kept, told);

    let shown = text(&run(&["site", "show", path(&site)]).await.stdout);
    assert!(shown.contains("1 north-1: imported"), "{shown}");
    let args = ["inventory", path(&site), "--store", path(&store), "--output", "json"];
    let inventory: Value = serde_json::from_slice(&run(&args).await.stdout).unwrap();
    assert_eq!(inventory["signed"]["_type"], "fairway-inventory");
    assert_eq!(inventory["signed"]["counter"], 2);

    let out = scene.folder().join("etc");
    let args = ["configure", path(&site), "--out", path(&out), "--serve-host", "mirror.site:5000"];
    let done = run(&args).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    let hosts = out.join("containerd/certs.d/registry.example.com/hosts.toml");
    assert!(std::fs::read_to_string(&hosts).unwrap().contains("https://mirror.site:5000"));
    std::fs::write(&hosts, "mine").unwrap();
    let refused = run(&args).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--force"), "{}", text(&refused.stderr));
}

#[actix_web::test]
async fn refused_is_exit_1_and_names_the_attack_and_what_to_do() {
    let scene = scene();
    let (site, bundle) = made(&scene).await;
    crate::scene::flip(&bundle.join("north-1-0001.tar"), 20_000);
    let store = scene.folder().join("store");
    let done = run(&["import", path(&site), path(&bundle), "--store", path(&store)]).await;
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    let line = told.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(line.starts_with("error: arbitrary_software: "), "{told}");
    assert!(line.contains("north-1-0001.tar"), "{told}");
    assert!(told.contains("\nhint: "), "{told}");
}

#[actix_web::test]
async fn usage_and_failure_are_exit_2() {
    let scene = scene();
    let (site, bundle) = made(&scene).await;
    let nowhere = scene.folder().join("nowhere");
    let dir = path(&site);
    for args in [
        vec!["import", dir],
        vec!["import", dir, path(&bundle)],
        vec!["verify", path(&bundle)],
        vec!["import", path(&nowhere), path(&bundle), "--store", "x"],
        vec!["import", dir, path(&bundle), "--registry", "127.0.0.1:1", "--plain-http"],
        vec!["import", dir, path(&bundle), "--store", "x", "--registry", "y"],
    ] {
        let done = run(&args).await;
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", text(&done.stderr));
    }
}

//! The program itself: exit codes, the error line, JSON.

use std::path::Path;
use std::process::Output;

use jiff::Timestamp;
use signing::Sha256Digest;

use crate::scene::{AMD64, Scene, flip_bit};

/// Without blocking: the servers run on this thread's runtime.
async fn run(args: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_offline-mirror"))
        .args(args)
        .env_remove("FAIRWAY_SERVER")
        .env_remove("FAIRWAY_TOKEN_FILE")
        .env_remove("FAIRWAY_PLAIN_HTTP")
        .output()
        .await
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the program under test reads the clock too")]
fn scene_time() -> Timestamp {
    Timestamp::now()
}

/// A scene served over HTTP and as of the real time, because the program reads the clock.
fn served() -> (Scene, tempfile::TempDir) {
    let scene = Scene::as_of(scene_time());
    scene.upstream.serve_tuf(scene.hub.files());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root.json"), &scene.hub.root_1).unwrap();
    std::fs::write(folder.path().join("token"), "secret\n").unwrap();
    (scene, folder)
}

async fn export(scene: &Scene, folder: &Path, more: &[&str]) -> Output {
    let (dir, root) = (scene.dir(), folder.join("root.json"));
    let server = format!("http://{}", scene.upstream.host);
    let mut args = vec!["export", dir.to_str().unwrap(), "--server", &server];
    args.extend(["--root", root.to_str().unwrap(), "--product", "acme/app"]);
    args.extend(["--registry", &scene.upstream.host, "--plain-http"]);
    args.extend(more);
    run(&args).await
}

async fn import(scene: &Scene, folder: &Path, more: &[&str]) -> Output {
    let (dir, root) = (scene.dir(), folder.join("root.json"));
    let (server, token) = (format!("http://{}", scene.site.host), folder.join("token"));
    let mut args = vec!["import", dir.to_str().unwrap(), "--root", root.to_str().unwrap()];
    args.extend(["--server", &server, "--token-file", token.to_str().unwrap()]);
    args.extend(["--registry", &scene.site.host, "--plain-http"]);
    args.extend(more);
    run(&args).await
}

#[actix_web::test]
async fn done_is_exit_0_with_a_line_or_json() {
    let (scene, folder) = served();
    let done = export(&scene, folder.path(), &["--version", "1.2.0"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let line = String::from_utf8(done.stdout).unwrap();
    assert!(line.contains("exported acme/app 1.2.0 (amd64, arm64)"), "{line}");

    let state = scene.state();
    let done = import(
        &scene,
        folder.path(),
        &["--output", "json", "--state", state.to_str().unwrap(), "--arch", "amd64"],
    )
    .await;
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(json["record"]["version"], "1.2.0");
    assert_eq!(json["verified"]["objects"], 6);
    assert_eq!(json["publication"]["snapshot_version"], 7);
    let done = export(&scene, folder.path(), &["--version", "1.2.0", "--output", "json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(json["kept"]["objects"], 6);
}

#[actix_web::test]
async fn refused_is_exit_1_and_names_the_attack_and_what_to_do() {
    let (scene, folder) = served();
    let done = export(&scene, folder.path(), &["--version", "1.2.0"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    flip_bit(&scene.blob_path(Sha256Digest::of(AMD64)));
    let refused = import(&scene, folder.path(), &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    let text = stderr(&refused);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("error: arbitrary_software: blob "), "{text}");
    assert!(lines.next().unwrap().starts_with("hint: "), "{text}");
    assert!(refused.stdout.is_empty());

    let refused = export(&scene, folder.path(), &["--version", "9.9.9"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
}

#[actix_web::test]
async fn the_error_line_has_the_whole_chain() {
    let (scene, folder) = served();
    export(&scene, folder.path(), &["--version", "1.2.0"]).await;
    let snapshot = scene.tuf_files("metadata");
    let snapshot = snapshot.iter().find(|p| p.to_string_lossy().contains("snapshot")).unwrap();
    flip_bit(snapshot);
    let refused = import(&scene, folder.path(), &[]).await;
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    let start = "error: mix_and_match: the exported repository does not verify: metadata/";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("snapshot.json has sha256"), "{text}");
}

#[actix_web::test]
async fn usage_and_failure_are_exit_2() {
    let (scene, folder) = served();
    for args in [&["export"][..], &["import", "x"], &["sync"]] {
        assert_eq!(run(args).await.status.code(), Some(2), "{args:?}");
    }
    // Leave to expire without a reason, and without a memory of what was seen.
    let dir = scene.dir();
    let leave = ["--accept-expired-until", "2030-01-01T00:00:00Z"];
    let args = ["import", dir.to_str().unwrap(), "--root", "r", leave[0], leave[1]];
    assert_eq!(run(&args).await.status.code(), Some(2));

    let gone = import(&scene, &folder.path().join("nowhere"), &[]).await;
    assert_eq!(gone.status.code(), Some(2));
    assert!(stderr(&gone).starts_with("error: cannot "), "{}", stderr(&gone));

    export(&scene, folder.path(), &["--version", "1.2.0"]).await;
    // A port that nothing listens on: bound once, then given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = format!("http://{free}");
    let root = folder.path().join("root.json");
    let token = folder.path().join("token");
    let args = ["import", dir.to_str().unwrap(), "--root", root.to_str().unwrap(), "--server"];
    let unreachable =
        run(&[&args[..], &[&down, "--token-file", token.to_str().unwrap()]].concat()).await;
    assert_eq!(unreachable.status.code(), Some(2), "{}", stderr(&unreachable));
    assert!(stderr(&unreachable).contains("hint: check --server"), "{}", stderr(&unreachable));
}

#[actix_web::test]
async fn a_view_is_made_signed_and_used_from_the_command_line() {
    let (scene, folder) = served();
    let (dir, root) = (folder.path().join("view"), folder.path().join("root.json"));
    let request = dir.join("request.json");
    let [dir, root, request] =
        [&dir, &root, &request].map(|path| path.to_str().unwrap().to_owned());
    let hub = format!("http://{}", scene.upstream.host);
    let init = ["view", "init", &dir, "--server", &hub, "--root", &root];
    let long = run(&[&init[..], &["--days", "181"]].concat()).await;
    assert_eq!(long.status.code(), Some(2), "{}", stderr(&long));
    let made = run(&init).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let told = String::from_utf8(made.stdout).unwrap();
    let next = format!("1 of 1 holders sign it:  fairway root sign {request} --key KEY.pem");
    assert!(told.contains(&next), "{told}");
    let next = format!("then:  offline-mirror view accept {dir} {request}");
    assert!(told.contains(&next), "{told}");

    let accept = ["view", "accept", &dir, &request];
    let refused = run(&accept).await;
    assert_eq!(refused.status.code(), Some(1));
    let text = stderr(&refused);
    assert!(text.contains("is not signed by enough holders: root"), "{text}");
    assert!(text.contains("\nhint: take the request to"), "{text}");
    let bytes = std::fs::read(&request).unwrap();
    let draft = signing::SigningRequest::from_json(&bytes).unwrap();
    let signed = draft.add_signature(&crate::hub::key(crate::hub::ROOT), scene_time());
    let Ok(signing::repository::request::Signing::Added(signed)) = signed else { panic!() };
    std::fs::write(&request, signed.to_json().unwrap()).unwrap();
    let accepted = run(&[&accept[..], &["--output", "json"]].concat()).await;
    assert_eq!(accepted.status.code(), Some(0), "{}", stderr(&accepted));
    let accepted: serde_json::Value = serde_json::from_slice(&accepted.stdout).unwrap();
    let pinned = accepted["root"].as_str().unwrap();

    let done = export(&scene, folder.path(), &["--version", "1.2.0", "--view", &dir]).await;
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(String::from_utf8(done.stdout).unwrap().contains("; view good until "));
    let refused = import(&scene, folder.path(), &[]).await;
    assert_eq!(refused.status.code(), Some(1), "pinned to the hub: {}", stderr(&refused));
    std::fs::copy(pinned, &root).unwrap();
    let done = import(&scene, folder.path(), &[]).await;
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let renewed = run(&["view", "renew", &dir, "--server", &hub, "--root", pinned]).await;
    assert_eq!(renewed.status.code(), Some(1), "not the hub's root: {}", stderr(&renewed));
}

#[test]
fn the_definition_is_sound() {
    offline_mirror::cli::command().debug_assert();
}

/// The indented blocks of the manual that run the program.
fn manual_commands() -> Vec<String> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/offline-mirror.md");
    let text = std::fs::read_to_string(manual).unwrap();
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(command), Some(block)) => block.extend([command, "\n"]),
            _ => blocks.push(String::new()),
        }
    }
    // Views need a holder with a key of the hub: a scenario of its own runs those.
    blocks.retain(|block| block.starts_with("offline-mirror ") && !block.contains("view"));
    blocks
}

#[actix_web::test]
async fn the_manuals_commands_run_as_written() {
    let (scene, folder) = served();
    std::fs::rename(folder.path().join("root.json"), folder.path().join("hub-root.json")).unwrap();
    std::fs::rename(folder.path().join("token"), folder.path().join("publisher.token")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_offline-mirror")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let commands = manual_commands();
    assert_eq!(commands.len(), 4, "{commands:#?}");
    for command in commands {
        let output = tokio::process::Command::new("bash")
            .args(["-euc", &command])
            .current_dir(folder.path())
            .env("PATH", format!("{}:{path}", program.display()))
            .env("FAIRWAY_PLAIN_HTTP", "true")
            .env("HUB", format!("http://{}", scene.upstream.host))
            .env("REGISTRY", &scene.upstream.host)
            .env("SITE", format!("http://{}", scene.site.host))
            .env("SITE_REGISTRY", &scene.site.host)
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}{}", stderr(&output));
    }
    assert_eq!(scene.site.publications().len(), 2);
}

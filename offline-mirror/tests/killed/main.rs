//! `create` as a program: killed at points of its download and run again, and what it says.
//!
//! A binary of its own: a process that is being started holds the locks of its parent for a moment,
//! and other tests would meet those.
#![expect(clippy::unwrap_used, reason = "in tests a failed step is a failed test")]

#[path = "../create/hub.rs"]
mod hub;
#[expect(dead_code, reason = "`tests/create` needs more of it")]
#[path = "../create/registry.rs"]
mod registry;
#[expect(dead_code, reason = "`tests/create` needs more of it")]
#[path = "../create/scene.rs"]
mod scene;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use jiff::Timestamp;
use offline_mirror::bundle::BundleDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::scene::{Scene, copy, files};

/// One test at a time, for the same reason.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Runs that are killed.
const KILLS: usize = 12;

#[expect(clippy::disallowed_methods, reason = "the program under test reads the clock too")]
fn real_time() -> Timestamp {
    Timestamp::now()
}

fn config(scene: &Scene, view: &Path) -> PathBuf {
    let registry = &scene.server.host;
    let path = scene.folder.path().join(format!("{}.toml", view.file_name().unwrap().display()));
    std::fs::write(scene.folder.path().join("hub-root.json"), &scene.hub.root).unwrap();
    let text = format!(
        "view = \"{view}\"\nconcurrency = 2\n[hub]\nserver = \"http://{host}\"\n\
         root = \"hub-root.json\"\n[registries.default]\nhost = \"{registry}\"\nplain_http = true\n\
         anonymous = true\n[[products]]\nproduct = \"acme/app\"\nchannel = \"stable\"\n\
         versions = \"1\"\n",
        host = scene.server.host,
        view = view.display(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn create(config: &Path, dir: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_offline-mirror"));
    command.arg("create").arg(dir).arg("--config").arg(config);
    command.args(["--name", "b", "--output", "json", "--progress", "json"]);
    command.env_remove("FAIRWAY_SERVER").env_remove("FAIRWAY_PLAIN_HTTP");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts it and kills it once it has told `lines` lines. Whether it was killed in time.
async fn kill_after(config: &Path, dir: &Path, lines: usize) -> bool {
    let mut child = create(config, dir).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..lines {
        if told.next_line().await.unwrap().is_none() {
            break;
        }
    }
    child.start_kill().unwrap();
    !child.wait().await.unwrap().success()
}

async fn finish(config: &Path, dir: &Path) -> Output {
    let done = create(config, dir).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{stderr}");
    done
}

#[actix_web::test]
async fn killed_at_any_point_it_ends_in_the_bytes_that_it_was_begun_for() {
    let _alone = ALONE.lock().await;
    let scene = Scene::as_of(real_time()).await;
    let mut killed = 0;
    for point in 0..KILLS {
        // A view for every series: what was begun under one is finished under the same.
        let view = scene.folder.path().join(format!("view-{point}"));
        copy(&scene.view(), &view);
        let (config, dir) =
            (config(&scene, &view), scene.folder.path().join(format!("out-{point}")));
        // The registry goes silent after some bytes, so that there is a middle to be killed in.
        scene.server.allow(Some(point * 50_000));
        let was_killed = kill_after(&config, &dir, 1 + point % 5).await;
        killed += usize::from(was_killed);
        // A plan that was not finished decided nothing; from the plan on everything is decided.
        let plan = dir.join("b.work/plan.json");
        let decided: Option<serde_json::Value> =
            plan.exists().then(|| serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap());
        let saved = scene.folder.path().join(format!("saved-{point}"));
        if decided.is_some() {
            copy(&dir, &saved);
        }
        scene.server.allow(None);
        if was_killed {
            finish(&config, &dir).await;
        }
        let finished = files(&dir);
        let made = BundleDir::open(&dir, &[]).unwrap();
        if let Some(decided) = decided {
            assert_eq!(decided["manifest"]["sequence"], made.claims().sequence);
            // The same state brought to its end another time: the same bytes, signature and all.
            finish(&config, &saved).await;
            assert_eq!(files(&saved), finished, "kill {point}");
        }
        assert_eq!(finished.len(), 2, "one segment and the manifest: {:?}", finished.keys());
    }
    assert!(killed >= KILLS / 2, "only {killed} of {KILLS} runs were killed in time");
}

#[actix_web::test]
async fn the_program_plans_creates_and_says_what_is_missing() {
    let _alone = ALONE.lock().await;
    let scene = Scene::as_of(real_time()).await;
    let (config, dir) = (config(&scene, &scene.view()), scene.dir());
    let program = env!("CARGO_BIN_EXE_offline-mirror");
    let run = async |more: &[&str]| {
        let mut command = tokio::process::Command::new(program);
        command.env_remove("FAIRWAY_SERVER").env_remove("FAIRWAY_PLAIN_HTTP");
        let output = command.args(more).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let config = config.to_str().unwrap();
    let (code, told, _) = run(&["plan", "--config", config]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("release acme/app 1.2.0 (amd64)") && told.ends_with("complete\n"),
        "{told}"
    );
    let (code, told, _) = run(&["plan", "--config", config, "--output", "json"]).await;
    let plan: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, plan["releases"].as_array().unwrap().len()), (Some(0), 3));

    let dir = dir.to_str().unwrap();
    let (code, _, told) =
        run(&["create", dir, "--config", config, "--product", "acme/none", "--channel", "x"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("hint: "), "{told}");
    scene.server.rot(&crate::scene::long(3));
    let (code, told, lines) = run(&["create", dir, "--config", config, "--keep-going"]).await;
    assert_eq!(code, Some(1), "{lines}");
    assert!(told.contains("MISSING ") && told.ends_with("NOT COMPLETE\n"), "{told}");
    assert!(lines.contains("is made and NOT COMPLETE: 1 of what"), "{lines}");
    let events: Vec<serde_json::Value> =
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(events.iter().any(|event| event["event"] == "blob_failed"), "{lines}");
    assert!(events.iter().any(|event| event["event"] == "blob_done"), "{lines}");
    let (code, _, told) = run(&["create", dir, "--config", "/nowhere"]).await;
    assert_eq!(code, Some(2), "{told}");
}

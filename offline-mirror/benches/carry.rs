//! Bundles of 2 GB from a registry into a registry: created, verified, imported, beside `skopeo`
//! doing what it does of that.
//!
//! Real programs, each in a process of its own, over loopback: `docker-registry` on both sides, the
//! mirror's own binary, `skopeo`. Prints GB per second of processor time of the client (which a busy
//! machine changes little), its most resident memory, and by how much the disk was fuller meanwhile
//! (the registries' own files among it). Needs the Debian packages `docker-registry` and `skopeo`,
//! and 12 GB of disk.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "the scene is that of the tests")]

#[path = "../tests/create/hub.rs"]
mod hub;
#[path = "carry/images.rs"]
mod images;
#[path = "carry/process.rs"]
mod process;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/create/registry.rs"]
mod registry;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/create/scene.rs"]
mod scene;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use offline_mirror::oci::Digest;

use images::{IMAGES, repository};
use process::{Cost, run};
use scene::Scene;

const BYTES_PER_GB: f64 = 1e9;

/// A registry that ends with its standard input.
struct Peer {
    child: Child,
    host: String,
}

impl Peer {
    fn start(storage: &Path) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/registry.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg(storage).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut host = String::new();
        let stdout = child.stdout.take().context("a pipe")?;
        BufReader::new(stdout).read_line(&mut host)?;
        anyhow::ensure!(!host.trim().is_empty(), "docker-registry did not start");
        Ok(Self { child, host: host.trim().to_owned() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Where everything of the run is.
struct Place {
    dir: PathBuf,
    log: PathBuf,
    bytes: u64,
}

impl Place {
    /// Runs the mirror and prints what it cost.
    fn mirror(&self, what: &str, words: &[&str], bar: f64) -> anyhow::Result<()> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offline-mirror"));
        command.args(words).env_remove("FAIRWAY_SERVER").env_remove("FAIRWAY_PLAIN_HTTP");
        let cost = run(&mut command, &self.dir, &self.log)?;
        self.tell(what, cost, Some(bar));
        Ok(())
    }

    fn tell(&self, what: &str, cost: Cost, bar: Option<f64>) {
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "for people")]
        let (bytes, disk) = (self.bytes as f64, cost.disk_bytes as f64);
        let bar = bar.map(|bar| format!(" (bar {bar})")).unwrap_or_default();
        println!(
            "{what:38} {:5.2} GB per CPU-s{bar}; {:5.2} CPU-s ({:.2} in the kernel), {:5.1} s, {:6} kB resident, disk +{:.2} GB",
            bytes / BYTES_PER_GB / cost.cpu_s,
            cost.cpu_s,
            cost.system_s,
            cost.wall_s,
            cost.peak_kb,
            disk / BYTES_PER_GB,
        );
    }

    fn path(&self, below: &str) -> String {
        self.dir.join(below).display().to_string()
    }
}

#[expect(clippy::disallowed_methods, reason = "the programs read the clock too")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A hub with a release per image, and the file that says to carry them all.
async fn publish(digests: &[Digest], upstream: &str) -> anyhow::Result<(Scene, PathBuf)> {
    // A second publication within the same second would have the same version.
    let mut scene = Scene::as_of(now() - jiff::SignedDuration::from_mins(1)).await;
    let versions: Vec<_> = (0..IMAGES).map(|number| format!("1.{number}.0")).collect();
    let names: Vec<_> = versions.iter().map(String::as_str).collect();
    let mut targets = vec![hub::graph("acme/app", "stable", "amd64", &names)];
    let mut image = scene.images.first().context("an image")?.clone();
    // A view does not let a vendor disappear.
    targets.push(hub::graph("other/db", "fast", "amd64", &["5.0.0"]));
    targets.push(hub::release("other/db", "5.0.0", &[("amd64", &image)]));
    for (number, (version, digest)) in names.iter().zip(digests).enumerate() {
        image.digest = *digest;
        image.repository = repository(number);
        targets.push(hub::release("acme/app", version, &[("amd64", &image)]));
    }
    scene.hub = hub::Hub::publish(&targets, 2, now());
    scene.server.serve_tuf(scene.hub.files());
    let config = scene.folder.path().join("mirror.toml");
    std::fs::write(scene.folder.path().join("hub-root.json"), &scene.hub.root)?;
    let text = format!(
        "view = \"view\"\n[hub]\nserver = \"http://{}\"\nroot = \"hub-root.json\"\n\
         [registries.default]\nhost = \"{upstream}\"\nplain_http = true\nanonymous = true\n\
         [[products]]\nproduct = \"acme/app\"\nchannel = \"stable\"\nversions = \"1\"\n",
        scene.server.host
    );
    std::fs::write(&config, text)?;
    Ok((scene, config))
}

/// What `skopeo` does of the same: images into a layout that shares blobs, and from there into a
/// registry. It verifies nothing that anybody signed.
fn skopeo(place: &Place, upstream: &str, digests: &[Digest]) -> anyhow::Result<()> {
    let target = Peer::start(&place.dir.join("skopeo-registry"))?;
    let (shared, insecure) = (place.path("skopeo-blobs"), "--src-tls-verify=false");
    let copy = |words: &[&str]| {
        let mut command = Command::new("skopeo");
        run(command.args(["copy", "--all", "--quiet"]).args(words), &place.dir, &place.log)
    };
    let (mut down, mut up) = (Cost::default(), Cost::default());
    for (number, digest) in digests.iter().enumerate() {
        let from = format!("docker://{upstream}/{}@{digest}", repository(number));
        let layout = format!("oci:{}", place.path(&format!("skopeo-{number}")));
        down = down.and(copy(&[insecure, "--dest-shared-blob-dir", &shared, &from, &layout])?);
    }
    for number in 0..digests.len() {
        let layout = format!("oci:{}", place.path(&format!("skopeo-{number}")));
        let to = format!("docker://{}/{}:1", target.host, repository(number));
        let words = ["--src-shared-blob-dir", &shared, "--dest-tls-verify=false", &layout, &to];
        up = up.and(copy(&words)?);
    }
    place.tell("skopeo, registry to layout", down, None);
    place.tell("skopeo, layout to registry", up, None);
    Ok(())
}

async fn measure() -> anyhow::Result<()> {
    signing::source::install_tls_provider();
    let folder = tempfile::tempdir()?;
    let upstream = Peer::start(&folder.path().join("upstream"))?;
    let (digests, bytes) = images::push(&upstream.host).await?;
    let (scene, config) = publish(&digests, &upstream.host).await?;
    let dir = folder.path().to_owned();
    let place = Place { log: dir.join("log"), dir, bytes };
    println!("{IMAGES} images, {bytes} bytes of blobs, each once");

    let (bundle, config) = (place.path("bundle"), config.display().to_string());
    let root = scene.view().join("root.json").display().to_string();
    let words =
        ["create", bundle.as_str(), "--config", &config, "--name", "b", "--progress", "none"];
    let words = words.map(ToOwned::to_owned);
    let host = upstream.host.clone();
    // The hub answers on this thread meanwhile.
    let run = move || {
        place.mirror("create", &words.each_ref().map(String::as_str), 0.9)?;
        site(&place, &bundle, &root)?;
        drop(std::fs::remove_dir_all(&bundle));
        skopeo(&place, &host, &digests)
    };
    tokio::task::spawn_blocking(run).await?
}

/// What a site does with the bundle.
fn site(place: &Place, bundle: &str, root: &str) -> anyhow::Result<()> {
    place.mirror("verify", &["verify", bundle, "--root", root], 1.5)?;
    let target = Peer::start(&place.dir.join("target"))?;
    for (name, what, to) in [
        ("north", "import into docker-registry", ["--plain-http", "--registry", &target.host]),
        ("south", "import into the own store", ["--plain-http", "--store", &place.path("store")]),
    ] {
        let site = place.path(name);
        let mut init = Command::new(env!("CARGO_BIN_EXE_offline-mirror"));
        init.args(["site", "init", &site, "--name", name, "--root", root]);
        run(&mut init, &place.dir, &place.log)?;
        place.mirror(what, &[&["import", &site, bundle], &to[..]].concat(), 1.0)?;
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` only wants to know whether it starts.
    if std::env::args().any(|word| word == "--test") {
        return Ok(());
    }
    actix_web::rt::System::new().block_on(measure())
}

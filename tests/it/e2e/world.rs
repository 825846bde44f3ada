//! The stage of a scenario: a folder, a hub, a vendor, clusters.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use channels::wire::{ClusterRow, DriftAnswer, DriftTotals, Page, Phase};
use serde::de::DeserializeOwned;
use update_server::store::HistoryRow;

use super::client::{self, Answer};
use super::cluster::{Cluster, Shape};
use super::process::{Process, eventually, eventually_true, run_ok, tail};
use super::vendor::Vendor;

/// Where the members of every scenario begin, and where they go.
pub(super) const KAFKA: [&str; 2] = ["3.9.1", "4.3.1"];
/// The same for nodes.
pub(super) const PLATFORM: [&str; 2] = ["1.33.6", "1.34.2"];

/// An update server as a process.
#[derive(Debug)]
pub(super) struct Hub {
    process: Process,
    address: SocketAddr,
    data_dir: PathBuf,
    config: PathBuf,
    log: PathBuf,
}

impl Hub {
    /// Starts a hub in `dir` with a configuration file of `settings` (TOML).
    pub(super) fn start(dir: &Path, settings: &str) -> Self {
        Self::start_at("127.0.0.1:0", dir, settings)
    }

    /// The same at an address that somebody was told already.
    fn start_at(listen: &str, dir: &Path, settings: &str) -> Self {
        let (data_dir, config) = (dir.join("hub"), dir.join("hub.toml"));
        std::fs::write(&config, settings).expect("a configuration");
        let log = dir.join("hub.log");
        let process = serve(&data_dir, &config, listen, &log);
        let address = eventually("the hub says where it listens", || {
            std::fs::read_to_string(data_dir.join("address"))
                .map_err(|error| error.to_string())
                .and_then(|text| text.trim().parse().map_err(|error| format!("{error}")))
        });
        Self { process, address, data_dir, config, log }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after a kill, at the same address, and waits until it answers.
    pub(super) fn restart(&mut self) {
        self.process = serve(&self.data_dir, &self.config, &self.address.to_string(), &self.log);
        eventually("the hub answers again", || {
            self.request("GET", "/livez", &[], &[]).map_err(|error| error.to_string())
        });
    }

    /// Puts a copy of its data directory beside it, as a backup of a stopped hub.
    pub(super) fn back_up(&self) {
        copy_dir(&self.data_dir, &self.data_dir.with_extension("backup"));
    }

    /// Puts the backup in the place of the data directory of the stopped hub.
    pub(super) fn restore(&self) {
        std::fs::remove_dir_all(&self.data_dir).expect("the old directory goes");
        copy_dir(&self.data_dir.with_extension("backup"), &self.data_dir);
    }

    /// Runs it where no agent looks for it, until `then` is done.
    pub(super) fn run_aside(&mut self, then: impl FnOnce(&str)) {
        drop(std::fs::remove_file(self.data_dir.join("address")));
        self.process = serve(&self.data_dir, &self.config, "127.0.0.1:0", &self.log);
        let address = eventually("the hub says where it listens", || {
            std::fs::read_to_string(self.data_dir.join("address")).map_err(|e| e.to_string())
        });
        then(&format!("http://{}", address.trim()));
        self.process.kill();
    }

    /// Its process.
    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its address as a URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file with its first admin token.
    pub(super) fn token_file(&self) -> String {
        self.data_dir.join("admin.token").to_str().expect("a utf-8 path").to_owned()
    }

    /// Sends a request with the admin token.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let token = std::fs::read_to_string(self.token_file())?;
        let bearer = format!("Bearer {}", token.trim());
        let headers = [&[("authorization", bearer.as_str())][..], headers].concat();
        client::request(self.address, method, path, &headers, body)
    }

    /// Reads a JSON document.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let answer = self.request("GET", path, &[], &[]).map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("{path}: {} {}", answer.status, answer.text()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("{path}: {error}"))
    }

    /// Runs an operator's command against this hub; it must succeed. Returns standard output.
    pub(super) fn fairway(&self, words: &[&str]) -> String {
        run_ok(
            words,
            &[("FAIRWAY_SERVER", &self.url()), ("FAIRWAY_TOKEN_FILE", &self.token_file())],
        )
    }

    /// A join token.
    pub(super) fn invite(&self) -> String {
        self.fairway(&["clusters", "invite"]).trim().to_owned()
    }

    /// One cluster as people see it.
    pub(super) fn cluster(&self, name: &str) -> Result<ClusterRow, String> {
        self.get(&format!("/api/v1/clusters/{name}"))
    }

    /// The report trail of one product of a cluster, oldest first.
    pub(super) fn trail(&self, name: &str, product: &str) -> Vec<HistoryRow> {
        let page: Page<HistoryRow> =
            self.get(&format!("/api/v1/clusters/{name}/history?limit=500")).expect("a history");
        let mut rows = page.items;
        rows.retain(|row| row.product.to_string() == product);
        rows.reverse();
        rows
    }

    /// What `fairway drift` says about a product.
    pub(super) fn drift(&self, product: &str) -> DriftTotals {
        let text = self.fairway(&["drift", "--product", product, "--output", "json"]);
        let answer: DriftAnswer = serde_json::from_str(&text).expect("a drift answer");
        answer.items.into_iter().next().expect("one graph")
    }
}

/// `cp -a`: with modes and times.
pub(super) fn copy_dir(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp runs").success(), "{} to {}", from.display(), to.display());
}

fn serve(data_dir: &Path, config: &Path, listen: &str, log: &Path) -> Process {
    let (data, config) = (data_dir.to_str().expect("utf-8"), config.to_str().expect("utf-8"));
    let words = ["server", "serve", "--data-dir", data, "--config", config, "--listen", listen];
    Process::start(&words, &[("FAIRWAY_LOG_FORMAT", "text")], log)
}

/// Everything of one scenario; ends with it.
#[derive(Debug)]
pub(super) struct World {
    /// The clusters, in the order they were asked for.
    pub(super) clusters: Vec<Cluster>,
    /// The hub.
    pub(super) hub: Hub,
    /// The vendor.
    pub(super) vendor: Vendor,
    /// Dropped last: processes end before their files go.
    dir: tempfile::TempDir,
}

#[expect(clippy::print_stderr, reason = "the last words of a scenario that failed")]
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- hub\n{}", tail(&self.hub.process.log()));
            for cluster in &self.clusters {
                eprintln!("--- agent of {}\n{}", cluster.name, tail(&cluster.log()));
            }
        }
    }
}

impl World {
    /// A hub with a vendor that has published Kafka 3.9.1 and platform 1.33.6, both alone in
    /// channel `stable`. `settings` is the hub's file; reports come every second.
    pub(super) fn new(settings: &str) -> Self {
        Self::at("127.0.0.1:0", settings)
    }

    /// The same with a hub at this address.
    pub(super) fn at(listen: &str, settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let hub =
            Hub::start_at(listen, dir.path(), &format!("report_interval_s = 1\n{settings}\n"));
        let vendor = Vendor::init(&hub, &dir.path().join("acme"));
        vendor.product("platform");
        vendor.release("kafka", "controller", KAFKA[0], "[]");
        vendor.channel("kafka", "stable", &KAFKA[..1]);
        vendor.release("platform", "node", PLATFORM[0], "[]");
        vendor.channel("platform", "stable", &PLATFORM[..1]);
        vendor.publish();
        Self { clusters: Vec::new(), hub, vendor, dir }
    }

    /// The scenario's folder.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts members (and nodes), enrols a cluster and runs its agent.
    pub(super) fn add_cluster(&mut self, name: &str, shape: &Shape) {
        let cluster = Cluster::prepare(self.dir(), name, shape, &self.hub, &self.vendor.root());
        self.clusters.push(cluster);
        let cluster = self.clusters.last_mut().expect("just added");
        cluster.enrol(&self.hub);
        cluster.run(None);
    }

    /// Waits until every cluster has reported itself idle on the old releases.
    pub(super) fn settled(&self) {
        for cluster in &self.clusters {
            self.eventually_row(&cluster.name, "it reports itself idle", |row| {
                !row.products.is_empty() && row.products.iter().all(|p| p.phase == Phase::Idle)
            });
        }
    }

    /// The vendor releases Kafka 4.3.1 and, if asked, platform 1.34.2.
    pub(super) fn release(&self, platform: bool) {
        self.vendor.release("kafka", "controller", KAFKA[1], "[\">=3.9.0, <4.3.1\"]");
        self.vendor.channel("kafka", "stable", &KAFKA);
        if platform {
            self.vendor.release("platform", "node", PLATFORM[1], "[\">=1.33.0, <1.34.2\"]");
            self.vendor.channel("platform", "stable", &PLATFORM);
        }
        self.vendor.publish();
    }

    /// Waits until the hub's row of a cluster is as `is` wants it.
    pub(super) fn eventually_row(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&ClusterRow) -> bool,
    ) -> ClusterRow {
        eventually(&format!("{name}: {what}"), || {
            let row = self.hub.cluster(name)?;
            if is(&row) { Ok(row) } else { Err(format!("{row:#?}")) }
        })
    }

    /// Waits until the hub has heard that a cluster runs Kafka 4.3.1 and is idle.
    pub(super) fn eventually_upgraded(&self, name: &str) {
        self.eventually_row(name, "it runs the new release", |row| {
            row.products.iter().any(|p| {
                p.product.to_string() == "acme/kafka"
                    && p.version.to_string() == KAFKA[1]
                    && p.phase == Phase::Idle
            })
        });
    }

    /// Waits until the hub has committed `more` reports of each of these clusters from here on.
    /// Their numbers jump when an agent restarts, so what is counted is how often they grew.
    pub(super) fn hear_reports(&self, names: &[&str], more: u64) {
        let seq = |name: &str| self.hub.cluster(name).map_or(0, |row| row.seq);
        let mut grown: Vec<_> = names.iter().map(|name| (*name, seq(name), 0)).collect();
        let heard = || {
            for (name, last, times) in &mut grown {
                let found = seq(name);
                *times += u64::from(found > *last);
                *last = found;
            }
            grown.iter().all(|(_, _, times)| *times >= more)
        };
        eventually_true("reports go on", heard, || format!("{more} more of {names:?}"));
    }

    /// What every agent says, for the message of a scenario that does not go on.
    pub(super) fn where_it_stands(&self) -> String {
        self.clusters.iter().map(Cluster::status_text).collect::<Vec<_>>().join("\n")
    }
}

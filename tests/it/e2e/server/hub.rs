//! A hub as its own process, and a client that holds its first admin token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use channels::rollout::Labels;
use channels::wire::{ClusterRow, HubKeys, JoinToken, JoinTokenRequest, Page};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::e2e::process::Process;

/// Longest wait for anything; generous, because CI machines have two busy cores.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// For one exchange with a hub on loopback.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// The clock of these tests: real processes know no other.
#[expect(clippy::disallowed_methods, reason = "the processes under test read the real clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A client without redirects, with bounds.
pub(crate) fn http() -> reqwest::Client {
    cluster_agent::hub::http_client(EXCHANGE_MAX, EXCHANGE_MAX).expect("an HTTP client")
}

/// Looks until `look` gives something; fails with the last thing seen.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        match look().await {
            Ok(found) => return found,
            Err(seen) => last = seen,
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("never happened: {what}\nlast seen: {last}");
}

/// What a hub runs in.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Programs that start it and become it.
    pub(crate) through: Vec<String>,
    /// Its environment, on top of ours.
    pub(crate) envs: Vec<(String, String)>,
    /// Whether it sees file systems that nobody else does.
    pub(crate) own_mounts: bool,
}

/// A running hub.
#[derive(Debug)]
pub(crate) struct Hub {
    process: Process,
    around: Surroundings,
    dir: PathBuf,
    address: String,
    token: String,
    http: reqwest::Client,
}

impl Hub {
    /// Starts a hub that keeps everything below `dir`; `config` is its configuration file.
    pub(crate) async fn start(dir: &Path, config: &str) -> Self {
        Self::start_in(Surroundings::default(), dir, config).await
    }

    /// The same in other surroundings.
    pub(crate) async fn start_in(around: Surroundings, dir: &Path, config: &str) -> Self {
        std::fs::create_dir_all(dir).expect("a directory");
        std::fs::write(dir.join("hub.toml"), config).expect("a configuration");
        let (process, address) = launch(dir, &around).await;
        let data = around.seen_by(&process, &dir.join("data"));
        let token = std::fs::read_to_string(data.join("admin.token")).expect("a first token");
        let token = token.trim().to_owned();
        Self { process, around, dir: dir.to_owned(), address, token, http: http() }
    }

    /// Starts another replica of `first`, which has its keys and made the first token.
    pub(crate) async fn beside(first: &Self, dir: &Path, config: &str) -> Self {
        std::fs::create_dir_all(dir.join("data")).expect("a directory");
        crate::e2e::world::copy_dir(&first.data().join("keys"), &dir.join("data/keys"));
        std::fs::write(dir.join("hub.toml"), config).expect("a configuration");
        let around = Surroundings::default();
        let (process, address) = launch(dir, &around).await;
        assert!(!dir.join("data/admin.token").exists(), "a second first token");
        let token = first.token.clone();
        Self { process, around, dir: dir.to_owned(), address, token, http: http() }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data, on another port.
    pub(crate) async fn restart(&mut self) {
        self.process.kill();
        let (process, address) = launch(&self.dir, &self.around).await;
        (self.process, self.address) = (process, address);
    }

    /// `http://address`, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.around.seen_by(&self.process, &self.dir.join("data"))
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Most memory that it ever had resident, bytes.
    pub(crate) fn resident_highest(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("kilobytes") * 1024
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(path).expect("a process that runs").count()
    }

    /// A GET with the admin token, whatever the answer is.
    pub(crate) async fn ask(&self, path: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}/{path}", self.url())).bearer_auth(&self.token);
        request.send().await.expect("an answer")
    }

    /// Its admin token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// What it has logged, all starts included.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// A GET with the admin token.
    pub(crate) async fn get<A: DeserializeOwned>(&self, path: &str) -> A {
        let request = self.http.get(format!("{}/{path}", self.url())).bearer_auth(&self.token);
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).expect("the document asked for")
    }

    /// A POST with the admin token, made but not sent.
    pub(crate) fn post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}/{path}", self.url())).bearer_auth(&self.token);
        request.header("content-type", content_type).body(body)
    }

    /// A PUT with the admin token, made but not sent.
    pub(crate) fn put(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> reqwest::RequestBuilder {
        let request = self.http.put(format!("{}/{path}", self.url())).bearer_auth(&self.token);
        request.header("content-type", content_type).body(body)
    }

    /// Status and body of a GET without a token.
    pub(crate) async fn look(&self, path: &str) -> Result<(u16, String), String> {
        let answer = self.http.get(format!("{}/{path}", self.url())).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(|error| format!("{error:?}"))?))
    }

    /// The public halves of its keys.
    pub(crate) async fn keys(&self) -> HubKeys {
        self.get("api/v1/hub/keys").await
    }

    /// A join token for so many clusters.
    pub(crate) async fn invite(&self, uses: u32) -> String {
        let request = JoinTokenRequest {
            uses,
            expires_in_s: 600,
            note: String::new(),
            labels: Labels::new(),
        };
        let body = serde_json::to_vec(&request).expect("JSON");
        let answer = self.post("api/v1/join-tokens", "application/json", body).send().await;
        let token: JoinToken = answer.expect("an answer").json().await.expect("a join token");
        token.token
    }

    /// All clusters (at most a page of them).
    pub(crate) async fn clusters(&self) -> Vec<ClusterRow> {
        let page: Page<ClusterRow> = self.get("api/v1/clusters?limit=500").await;
        page.items
    }
}

impl Surroundings {
    /// Where others find a file that the hub calls `path`.
    fn seen_by(&self, hub: &Process, path: &Path) -> PathBuf {
        if self.own_mounts {
            let root = PathBuf::from(format!("/proc/{}/root", hub.id()));
            root.join(path.strip_prefix("/").expect("an absolute path"))
        } else {
            path.to_owned()
        }
    }
}

async fn launch(dir: &Path, around: &Surroundings) -> (Process, String) {
    let path = |name: &str| dir.join(name).to_str().expect("a path that is text").to_owned();
    let (data, config) = (path("data"), path("hub.toml"));
    let address_file = dir.join("data/address");
    // Left by a hub that was killed.
    drop(std::fs::remove_file(&address_file));
    let listen = "127.0.0.1:0";
    let args = ["server", "serve", "--data-dir", &data, "--listen", listen, "--config", &config];
    let envs: Vec<_> = around.envs.iter().map(|(name, value)| (&**name, &**value)).collect();
    let log = dir.join("hub.log");
    let mut process = Process::start_through(&around.through, &args, &envs, &log);
    let address = until("the hub listens", async || {
        assert!(process.exited().is_none(), "the hub ended:\n{}", process.log());
        let text = std::fs::read_to_string(around.seen_by(&process, &address_file))
            .map_err(|e| e.to_string())?;
        Ok(text.trim().to_owned())
    })
    .await;
    (process, address)
}

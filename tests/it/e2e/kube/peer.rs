//! A real Kubernetes cluster with hollow nodes, and `kubectl` as its administrator.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::Value;

/// Held by the one test that has a cluster.
static TURN: Mutex<()> = Mutex::new(());

/// The version that every kubelet says it is at first.
pub(super) const NODE_VERSION: &str = "1.32.9";

/// What the control plane says once it takes work.
#[derive(Debug, Deserialize)]
struct Started {
    api: String,
    kubeconfig: PathBuf,
    ca: PathBuf,
    bin: PathBuf,
}

/// One hollow node.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    /// Its name, which is also its unit's.
    pub(super) name: String,
    /// Where its kubelet serves.
    pub(super) kubelet: String,
    /// The file that says what is wrong with it.
    pub(super) control: PathBuf,
}

/// A script that stops what it started when its standard input closes.
#[derive(Debug)]
struct Keeper {
    child: Child,
    held_open: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
}

impl Keeper {
    fn start(script: &str, words: &[&str], errors: &Path) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
        let errors = std::fs::File::create(errors).expect("a file for its errors");
        let mut child = Command::new(path)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("bash runs the script");
        let held_open = child.stdin.take();
        let says = BufReader::new(child.stdout.take().expect("it was piped"));
        Self { child, held_open, says }
    }

    /// The line it prints once what it started is ready.
    fn ready<T: for<'de> Deserialize<'de>>(&mut self) -> T {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("a line of UTF-8");
        serde_json::from_str(&line).expect("what the script starts becomes ready")
    }

    fn close(&mut self) {
        drop(self.held_open.take());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The folder must not go before everything in it has ended.
        self.close();
        drop(self.child.wait());
    }
}

/// A running cluster; it ends with this value.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its nodes, `n1` and so on.
    pub(super) nodes: Vec<Node>,
    started: Started,
    keepers: Vec<Keeper>,
    _control_plane: Keeper,
    cache: String,
    _turn: MutexGuard<'static, ()>,
}

impl Peer {
    /// Starts a control plane in `dir`, and so many nodes.
    pub(super) fn start(dir: &Path, nodes: usize) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::create_dir_all(dir).expect("a folder");
        let place = dir.to_str().expect("a utf-8 path");
        let mut control_plane = Keeper::start("kubernetes.sh", &[place], &dir.join("start.err"));
        let started = control_plane.ready();
        let version = format!("v{NODE_VERSION}");
        let node = |n| {
            let name = format!("n{n}");
            let words = [place, &name, "--version", &version];
            Keeper::start("hollow_node.sh", &words, &dir.join(format!("{name}.err")))
        };
        let mut keepers: Vec<Keeper> = (1..=nodes).map(node).collect();
        let nodes = keepers.iter_mut().map(Keeper::ready).collect();
        let cache = dir.join("kubectl").to_str().expect("a utf-8 path").to_owned();
        Self { nodes, started, keepers, _control_plane: control_plane, cache, _turn: turn }
    }

    /// The node of that name.
    pub(super) fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).expect("one of the nodes")
    }

    /// The API server's URL.
    pub(super) fn api(&self) -> &str {
        &self.started.api
    }

    /// The certificate of the cluster's authority.
    pub(super) fn ca(&self) -> &Path {
        &self.started.ca
    }

    /// `kubectl`, as the administrator.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.started.bin.join("kubectl"));
        command.env("KUBECONFIG", &self.started.kubeconfig).stdin(Stdio::null());
        command.args(["--cache-dir", &self.cache]).args(words);
        command
    }

    /// Runs `kubectl` to its end, which must be success; returns standard output.
    pub(super) fn kubectl(&self, words: &[&str]) -> String {
        self.try_kubectl(words).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same where failure is an answer.
    pub(super) fn try_kubectl(&self, words: &[&str]) -> Result<String, String> {
        let output = self.command(words).output().expect("kubectl starts");
        let (said, why) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            return Ok(said.into_owned());
        }
        Err(format!("kubectl {words:?}: {}\n{said}\n{why}", output.status))
    }

    /// `kubectl get … -o json`.
    pub(super) fn get(&self, words: &[&str]) -> Value {
        let text = self.kubectl(&[&["get"], words, &["--output", "json"]].concat());
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// `kubectl apply` of some YAML.
    pub(super) fn apply(&self, yaml: &str) {
        let mut child = self
            .command(&["apply", "--filename", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("it was piped");
        stdin.write_all(yaml.as_bytes()).expect("kubectl reads");
        drop(stdin);
        assert!(child.wait().expect("kubectl ends").success(), "{yaml}");
    }

    /// Tells a node what is wrong with it; nothing if the text is empty.
    pub(super) fn control(&self, name: &str, text: &str) {
        std::fs::write(&self.node(name).control, text).expect("a control file");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // All nodes at once, and before the API server they talk to.
        self.keepers.iter_mut().for_each(Keeper::close);
        self.keepers.clear();
    }
}

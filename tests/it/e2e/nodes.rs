//! Nodes of several clusters, simulated by one process: kubelets with relists and restarts.

use std::path::Path;

use cluster_agent::sim::ClusterState;

use super::client;
use super::process::{Process, eventually};
use super::world::PLATFORM;

/// How much faster than real ones nodes restart and relist.
const SPEED: &str = "20";

/// The process and where it serves.
#[derive(Debug)]
pub(super) struct Nodes {
    _process: Process,
    base: String,
}

impl Nodes {
    /// Starts two nodes `n-1` and `n-2` for each of `clusters`.
    pub(super) fn start(dir: &Path, clusters: &[&str]) -> Self {
        let mut words = vec!["agent", "sim", "--listen", "127.0.0.1:0", "--controllers", "0"];
        words.extend(["--nodes", "2", "--node-version", PLATFORM[0], "--speed", SPEED]);
        for cluster in clusters {
            words.extend(["--cluster", cluster]);
        }
        let process = Process::start(&words, &[], &dir.join("nodes.log"));
        let base = eventually("the simulator says where it listens", || {
            let log = process.log();
            let url = log.split('"').find(|word| word.starts_with("http://")).ok_or(&log)?;
            Ok(url.split("/clusters/").next().unwrap_or(url).to_owned())
        });
        Self { _process: process, base }
    }

    /// URL of one cluster.
    pub(super) fn url(&self, cluster: &str) -> String {
        format!("{}/clusters/{cluster}", self.base)
    }

    /// What a cluster says about itself, with its ledger.
    pub(super) fn state(&self, cluster: &str) -> ClusterState {
        let address = self.base.trim_start_matches("http://").parse().unwrap();
        let path = format!("/clusters/{cluster}");
        let answer = client::request(address, "GET", &path, &[], &[]).unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }
}

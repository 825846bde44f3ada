//! Processes and files of a running demo.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cluster_agent::sim::ClusterState;

use super::agents::FleetSpec;
use super::example::{self, Edition};
use super::process::Process;
use super::scenario::{CLUSTERS_PER_PROCESS, Member};
use super::vendor::Vendor;
use super::verdict::Verdict;
use crate::clock;
use crate::error::{CliError, Result};
use crate::hub::{Connection, Hub, server_url};

/// Everything the demo started.
#[derive(Debug)]
pub(super) struct Stage {
    dir: PathBuf,
    server: Option<Process>,
    fleets: Vec<Fleet>,
    vendor: Option<Vendor>,
}

/// One agent process with the simulated clusters it serves.
#[derive(Debug)]
struct Fleet {
    process: Process,
    simulator: Hub,
    clusters: Vec<String>,
}

impl Stage {
    /// Nothing runs yet.
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), server: None, fleets: Vec::new(), vendor: None }
    }

    /// Starts the update server; returns a client that holds its first admin token.
    pub(super) async fn start_server(&mut self, listen: SocketAddr) -> Result<Hub> {
        let data = self.dir.join("hub");
        let config = self.dir.join("hub.toml");
        // One report a second keeps the dashboard lively; people may read without a token because
        // the demo listens where its user chose, loopback by default.
        write(&config, "report_interval_s = 2\nanonymous_viewer = true\n")?;
        let arguments = [
            "server".into(),
            "serve".into(),
            "--data-dir".into(),
            data.clone().into_os_string(),
            "--listen".into(),
            listen.to_string().into(),
            "--config".into(),
            config.into_os_string(),
        ];
        let mut process = Process::start("update server", arguments, &self.dir.join("hub.log"))?;
        let address = process.wait_for(&data.join("address")).await?;
        self.server = Some(process);
        let connection = Connection::with_token_file(
            server_url(&format!("http://{address}"))?,
            &data.join("admin.token"),
        )?;
        Hub::new(&connection)
    }

    /// Makes the vendor's keys and publishes what there is before the new releases.
    pub(super) async fn establish_vendor(&mut self, hub: &Hub) -> Result<()> {
        let now = clock::now();
        let mut vendor = Vendor::establish(hub, now).await?;
        let repository = self.dir.join("acme");
        example::write(&repository, Edition::Before)?;
        vendor.publish(&repository, hub, "everything so far", now).await?;
        write(&self.root_path(), vendor.root())?;
        self.vendor = Some(vendor);
        Ok(())
    }

    fn root_path(&self) -> PathBuf {
        self.dir.join("root.json")
    }

    /// Starts agents and simulated clusters, several per process.
    pub(super) async fn start_agents(
        &mut self,
        hub: &Hub,
        members: &[Member],
        speed: u32,
    ) -> Result<()> {
        for (number, members) in members.chunks(CLUSTERS_PER_PROCESS).enumerate() {
            let dir = self.dir.join(format!("agents-{number}"));
            let spec = FleetSpec::invite(hub, &dir, &self.root_path(), members, speed).await?;
            let file = spec.write()?;
            let arguments = ["demo-fleet".into(), "--spec".into(), file.into_os_string()];
            let log = self.dir.join(format!("agents-{number}.log"));
            let mut process = Process::start("agent process", arguments, &log)?;
            let address = process.wait_for(&dir.join("address")).await?;
            let simulator =
                Hub::new(&Connection::anonymous(server_url(&format!("http://{address}"))?))?;
            let clusters = members.iter().map(|member| member.name.clone()).collect();
            self.fleets.push(Fleet { process, simulator, clusters });
        }
        Ok(())
    }

    /// The vendor makes its new releases.
    pub(super) async fn release(&mut self, hub: &Hub) -> Result<()> {
        let repository = self.dir.join("acme");
        example::write(&repository, Edition::After)?;
        match &mut self.vendor {
            Some(vendor) => {
                vendor.publish(&repository, hub, "new releases", clock::now()).await.map(|_| ())
            }
            None => Err(CliError::failed("the vendor is not established")),
        }
    }

    /// Makes the lagging controllers replicate in time again.
    pub(super) async fn repair(&self, members: &[Member]) -> Result<()> {
        for member in members.iter().filter(|member| member.lagging) {
            let simulator = self.simulator_of(&member.name)?;
            let path = format!("clusters/{}", member.name);
            let state: ClusterState = simulator.get(&path, &[]).await?;
            for unit in state.units.keys() {
                simulator.delete(&format!("{path}/units/{unit}/fault")).await?;
            }
        }
        Ok(())
    }

    /// Asks every simulated cluster what was done to it.
    pub(super) async fn verdict(&self, members: &[Member]) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        for member in members {
            let path = format!("clusters/{}", member.name);
            let state: ClusterState = self.simulator_of(&member.name)?.get(&path, &[]).await?;
            verdict.add(member, &state);
        }
        Ok(verdict)
    }

    fn simulator_of(&self, cluster: &str) -> Result<&Hub> {
        self.fleets
            .iter()
            .find(|fleet| fleet.clusters.iter().any(|name| name == cluster))
            .map(|fleet| &fleet.simulator)
            .ok_or_else(|| CliError::failed(format!("no simulator has {cluster}")))
    }

    /// Fails if a child has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        let fleets = self.fleets.iter_mut().map(|fleet| &mut fleet.process);
        self.server.iter_mut().chain(fleets).try_for_each(Process::check)
    }

    /// Ends all children: agents first, so that their last reports find a server.
    pub(super) async fn strike(self) {
        for fleet in self.fleets {
            fleet.process.stop().await;
        }
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

/// Writes a file of the demo.
pub(super) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, bytes)
        .map_err(|e| CliError::because(format!("failed to write {}", path.display()), &e))
}

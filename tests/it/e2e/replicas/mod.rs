//! Several hubs on one PostgreSQL: each a process of its own, and the database a real one that ends,
//! comes back, and is out of reach of one of them.

mod keys;
mod load;
mod moved;
mod peer;
mod publish;
mod rollouts;
mod starts;
mod together;
mod troubles;

use std::path::Path;

use serde_json::Value;

use self::load::Cluster;
use self::peer::Postgres;
use super::server;
use super::server::hub::{Hub, until};

/// A hub's configuration file.
fn config(database: &str) -> String {
    format!("database = '{database}'\nreport_interval_s = 1\n[limits]\nreport_floor_s = 0\n")
}

/// The database, two hubs on it, and their files.
struct Stage {
    a: Hub,
    b: Hub,
    /// After the hubs, which would complain.
    postgres: Postgres,
    dir: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let postgres = Postgres::start();
        let url = postgres.url().to_owned();
        Self::over(postgres, &url).await
    }

    /// The second hub reaches the database by another address.
    async fn over(postgres: Postgres, second: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let a = Hub::start(&dir.path().join("a"), &config(postgres.url())).await;
        let b = Hub::beside(&a, &dir.path().join("b"), &config(second)).await;
        Self { a, b, postgres, dir }
    }

    fn urls(&self) -> Vec<String> {
        vec![self.a.url(), self.b.url()]
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.dir.path(), name)
    }
}

/// So many clusters, enrolled at the first replica.
async fn clusters(hub: &Hub, number: usize) -> Vec<Cluster> {
    let token = hub.invite(u32::try_from(number).expect("few clusters")).await;
    let mut clusters = Vec::new();
    for n in 0..number {
        clusters.push(Cluster::enrol(hub, &token, &format!("cluster-{n}")).await);
    }
    clusters
}

/// Whether a replica says that it leads.
async fn leads(hub: &Hub) -> Result<bool, String> {
    let (_, page) = hub.look("metrics").await?;
    let line = page.lines().find(|line| line.starts_with("fairway_leader "));
    Ok(line.ok_or("no such metric")?.ends_with(" 1"))
}

/// Codes of what `/readyz` has against a replica.
async fn unready(hub: &Hub) -> Result<Vec<String>, String> {
    let (_, body) = hub.look("readyz").await?;
    let body: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    let reasons = body["reasons"].as_array().ok_or("no reasons")?;
    Ok(reasons.iter().filter_map(|why| why["code"].as_str().map(str::to_owned)).collect())
}

/// Waits until a replica is ready, but for what nobody published yet.
async fn well(hub: &Hub) {
    until("the replica is well", async || {
        let mut why = unready(hub).await?;
        why.retain(|code| code != "not_published");
        if why.is_empty() { Ok(()) } else { Err(format!("{why:?}\n{}", hub.log())) }
    })
    .await;
}

async fn check_audit(hub: &Hub) {
    server::load::check_audit(hub, &hub.url()).await;
}

fn nobody_panicked(hubs: &[&Hub]) {
    for hub in hubs {
        assert!(!hub.log().contains("panicked"), "{}", hub.log());
    }
}

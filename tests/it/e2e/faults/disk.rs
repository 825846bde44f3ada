//! The disk is full: a small file system that only the hub sees, and a file that takes all of it.
//!
//! The file system is a `tmpfs` in a mount namespace of the hub's own, so a kill would take it away;
//! what it holds is looked at by another hub, over a copy that was taken while the first one stood
//! still.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use channels::wire::ReleaseDocument;
use cluster_agent::hub::HubError;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stage::{hold, reads_go_on, refused, writes_are_refused};
use crate::e2e::server::hub::{Hub, Surroundings, until};
use crate::e2e::server::load::{Cluster, check, check_audit, enrol, report_until_refused};
use crate::e2e::server::vendor::{CHANNEL, PRODUCT, Vendor, content, release};
use crate::e2e::world::copy_dir;

/// Size of the file system, MB: a hub with some clusters fits in it many times.
const DISK_MB: usize = 48;
/// Clusters that report while it fills up.
const CLUSTERS: usize = 8;
/// Releases of a publication that does not fit into [`SPARE`]: each takes a page of its own.
const RELEASES: usize = 400;
/// What is let go of the full disk so that the database can write and a publication cannot.
const SPARE: u64 = 1024 * 1024;

/// A hub whose data directory is on a small disk of its own.
async fn on_a_small_disk(dir: &Path) -> Hub {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).expect("a directory");
    let mount = format!("mount -t tmpfs -o size={DISK_MB}m tmpfs \"$0\" && exec \"$@\"");
    let data = data.to_str().expect("a path that is text");
    let through = ["unshare", "--mount", "--map-root-user", "sh", "-c", &mount, data];
    let through = through.map(str::to_owned).to_vec();
    let around = Surroundings { through, own_mounts: true, ..Surroundings::default() };
    let config = format!("report_interval_s = 1\ndefault_product = \"{PRODUCT}\"\n");
    Hub::start_in(around, dir, &config).await
}

/// A file that takes what is left of a disk.
#[derive(Debug)]
struct Filler {
    path: PathBuf,
    file: File,
}

impl Filler {
    /// Makes it: the disk is full afterwards.
    fn fill(hub: &Hub) -> Self {
        let path = hub.data().join("filler");
        let file = File::create(&path).expect("a file");
        let mut filler = Self { path, file };
        filler.grow();
        filler
    }

    /// Takes what has become free.
    fn grow(&mut self) {
        let piece = vec![0; 4096];
        while self.file.write_all(&piece).is_ok() {}
    }

    /// Gives some of it back.
    fn spare(&self, bytes: u64) {
        let length = self.file.metadata().expect("a file").len();
        self.file.set_len(length - bytes).expect("a shorter file");
    }

    fn remove(self) {
        std::fs::remove_file(self.path).expect("the file goes");
    }
}

fn many_releases() -> Vec<ReleaseDocument> {
    (0..RELEASES).map(|patch| release(&format!("4.1.{patch}"), "^4.0")).collect()
}

async fn served(hub: &Hub) -> String {
    let path = format!("api/upgrades_info/v1/graph?channel={CHANNEL}&arch=amd64");
    let answer = hub.ask(&path).await;
    assert_eq!(answer.status().as_u16(), 200);
    answer.text().await.expect("a graph")
}

/// Reports of all clusters until each was refused, while `meanwhile` makes that happen.
async fn load(hub: &Hub, clusters: Vec<Cluster>, meanwhile: impl AsyncFnOnce()) -> Vec<Cluster> {
    let (count, mut counted) = watch::channel(0);
    let mut load = JoinSet::new();
    for cluster in clusters {
        let client = cluster.client(hub);
        load.spawn(report_until_refused(cluster, client, count.clone()));
    }
    counted.wait_for(|count| *count > 100).await.expect("somebody counts");
    meanwhile().await;
    let mut clusters = load.join_all().await;
    clusters.sort_by_key(|cluster| cluster.id);
    clusters
}

/// Another hub starts over what is on the disk now, and knows all that was acknowledged.
async fn another_hub_knows(hub: &Hub, clusters: &[Cluster], dir: &Path) {
    hub.process().signal("STOP");
    std::fs::create_dir_all(dir).expect("a directory");
    copy_dir(&hub.data(), &dir.join("data"));
    hub.process().signal("CONT");
    drop(std::fs::remove_file(dir.join("data/filler")));
    let other = Hub::start(dir, "report_interval_s = 1\n").await;
    check(clusters, &other.clusters().await, "over a copy of the full disk");
    check_audit(&other, "over a copy of the full disk").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a file system of its own (unshare, as root or with user namespaces)"]
async fn a_full_disk_refuses_writes_loses_nothing_and_ends_by_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let hub = on_a_small_disk(&dir.path().join("first")).await;
    let mut vendor = Vendor::establish(&hub).await;
    let old = [release("4.0.0", "^3.9"), release("4.0.1", "^4.0")];
    vendor.publish(&hub, &content(&old, &[(0, 1)])).await;
    let graph = served(&hub).await;
    let clusters = enrol(&hub, CLUSTERS).await;

    let mut filler = None;
    let mut clusters = load(&hub, clusters, async || filler = Some(Filler::fill(&hub))).await;
    let mut filler = filler.expect("a filler");
    for cluster in &clusters {
        assert!(matches!(cluster.refused, Some(HubError::Busy { .. })), "{:?}", cluster.refused);
    }
    filler.grow();
    writes_are_refused(&hub, &mut clusters[0]).await;
    reads_go_on(&hub).await;
    check(&clusters, &hub.clusters().await, "full");
    assert_eq!(served(&hub).await, graph);
    another_hub_knows(&hub, &clusters, &dir.path().join("copy")).await;

    // Room for the database, not for a publication: it is refused whole.
    filler.spare(SPARE);
    until("the database writes", async || {
        let answer = hold(&hub).await;
        if answer.status().is_success() { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    // Which shows the hold, as it must.
    let graph = served(&hub).await;
    let documents = [&old[..], &many_releases()].concat();
    let assembly = vendor.assemble(&content(&documents, &[(0, 1), (1, 2)]));
    let publication = assembly.publication("too large").expect("a publication");
    let body = serde_json::to_vec(&publication).expect("JSON");
    let request = hub.post("api/v1/publications", "application/json", body.clone());
    let answer = refused(request.send().await.expect("an answer")).await;
    assert_eq!((answer.status, &*answer.slug), (503, "store_unavailable"));
    assert!(answer.retry_after_s > 0, "{answer:?}");
    assert_eq!(served(&hub).await, graph);

    filler.remove();
    for cluster in &mut clusters {
        let client = cluster.client(&hub);
        until("reports are taken again", async || {
            cluster.report(&client).await.map_err(|error| error.to_string())
        })
        .await;
    }
    let request = hub.post("api/v1/publications", "application/json", body);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.expect("a body"));
    assert_ne!(served(&hub).await, graph);
    check(&clusters, &hub.clusters().await, "room again");
    check_audit(&hub, "room again").await;
    assert_eq!(hub.ask("readyz").await.status().as_u16(), 200);
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}

//! Clusters that report to any replica, and remember what was acknowledged.

use channels::names::ClusterId;
use channels::wire::{ClusterRow, GrantRequest, Phase, ProductState, Report, ReportReply};
use cluster_agent::hub::HubClient;
use signing::SecretKey;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::e2e::server::hub::{Hub, now};
use crate::e2e::server::load::{Expected, check_rows, product, report};

/// Between a report that was not answered and the same one again.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// One cluster as it sees itself.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) id: ClusterId,
    pub(super) key: SecretKey,
    /// The highest `seq` that was acknowledged.
    pub(super) acknowledged: u64,
    /// A report that was sent and not answered.
    open: Option<Report>,
}

impl Cluster {
    /// Enrols at a replica.
    pub(super) async fn enrol(hub: &Hub, token: &str, name: &str) -> Self {
        let key = SecretKey::generate().expect("a key");
        let client = HubClient::new(&hub.url(), key.clone()).expect("a client");
        let id = client.enrol(token, name, "0.0.0", now()).await.expect("enrolled").cluster_id;
        Self { name: name.to_owned(), id, key, acknowledged: 0, open: None }
    }

    fn client(&self, url: &str) -> HubClient {
        HubClient::new(url, self.key.clone()).expect("a client")
    }

    /// The next report.
    pub(super) fn next(&self, state: ProductState) -> Report {
        Report { products: vec![state], ..report(self.id, self.acknowledged + 1) }
    }

    /// Sends a report to a replica.
    pub(super) async fn send(&mut self, url: &str, report: &Report) -> Result<ReportReply, String> {
        let reply = self.client(url).report(report, now()).await;
        let reply = reply.map_err(|error| format!("{error:?}"))?;
        assert_eq!(reply.seq, report.cluster.seq);
        self.acknowledged = reply.seq;
        Ok(reply)
    }

    /// Asks a replica to go to a release.
    pub(super) async fn ask(
        &mut self,
        url: &str,
        from: &str,
        wants: GrantRequest,
    ) -> Result<ReportReply, String> {
        let mut state = product(from, Phase::Waiting);
        state.wants = Some(wants);
        let report = self.next(state);
        self.send(url, &report).await
    }

    /// Reports to the replicas in turn until it is told to stop. What was not answered is sent again,
    /// exactly as it was, to another replica.
    async fn run(
        mut self,
        mut urls: watch::Receiver<Vec<String>>,
        count: watch::Sender<u64>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut turn = 0;
        while !*stop.borrow() {
            let urls: Vec<String> = urls.borrow_and_update().clone();
            let report = self.open.take().unwrap_or_else(|| report(self.id, self.acknowledged + 1));
            let url = &urls[turn % urls.len()];
            turn += 1;
            if self.send(url, &report).await.is_ok() {
                count.send_modify(|count| *count += 1);
            } else {
                self.open = Some(report);
                // As an agent pauses, if much shorter.
                tokio::time::sleep(PAUSE).await;
            }
        }
        self
    }
}

/// Clusters that report all the time.
#[derive(Debug)]
pub(super) struct Load {
    urls: watch::Sender<Vec<String>>,
    count: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    clusters: JoinSet<Cluster>,
}

impl Load {
    pub(super) fn start(clusters: Vec<Cluster>, urls: Vec<String>) -> Self {
        let (urls, seen) = watch::channel(urls);
        let (count, _) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let mut set = JoinSet::new();
        for cluster in clusters {
            set.spawn(cluster.run(seen.clone(), count.clone(), stopped.clone()));
        }
        Self { urls, count, stop, clusters: set }
    }

    /// From now on the clusters know these replicas.
    pub(super) fn tell(&self, urls: Vec<String>) {
        self.urls.send_replace(urls);
    }

    /// Waits until so many more reports were acknowledged.
    pub(super) async fn hear(&self, more: u64) {
        let mut count = self.count.subscribe();
        let enough = *count.borrow() + more;
        let heard = count.wait_for(|count| *count >= enough);
        let bound = std::time::Duration::from_secs(90);
        tokio::time::timeout(bound, heard).await.expect("reports go on").expect("somebody counts");
    }

    /// Lets every cluster end its report.
    pub(super) async fn end(self) -> Vec<Cluster> {
        self.stop.send_replace(true);
        self.clusters.join_all().await
    }
}

/// Every acknowledged report is in the rows, by number and by content.
pub(super) fn check(clusters: &[Cluster], rows: &[ClusterRow], case: &str) {
    let expected = clusters.iter().map(|cluster| Expected {
        id: cluster.id,
        acknowledged: cluster.acknowledged,
        open: cluster.open.as_ref(),
    });
    check_rows(expected, rows, case);
}

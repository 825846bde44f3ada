//! Clusters that report as fast as they are answered, and what a hub must know of them afterwards.

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::wire::{
    ClusterHeader, ClusterRow, HealthSummary, HealthVerdict, Phase, ProductState, Progress, Report,
};
use cluster_agent::hub::{HubClient, HubError};
use signing::SecretKey;
use tokio::sync::watch;

use super::hub::{Hub, now};
use super::vendor::{CHANNEL, PRODUCT};

/// One cluster as it sees itself.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Its id at the hub.
    pub(crate) id: ClusterId,
    /// What it signs with.
    pub(crate) key: SecretKey,
    /// The highest `seq` the hub has acknowledged.
    pub(crate) acknowledged: u64,
    /// A report that was sent and not acknowledged.
    pub(crate) open: Option<Report>,
    /// Why it stopped to report.
    pub(crate) refused: Option<HubError>,
}

impl Cluster {
    /// A client with its key.
    pub(crate) fn client(&self, hub: &Hub) -> HubClient {
        HubClient::new(&hub.url(), self.key.clone()).expect("a client")
    }

    /// What it sends next: what was not acknowledged goes again first, exactly as it was.
    pub(crate) fn next(&mut self) -> Report {
        self.open.take().unwrap_or_else(|| report(self.id, self.acknowledged + 1))
    }

    /// Sends one report, or says why it was not taken.
    pub(crate) async fn report(&mut self, client: &HubClient) -> Result<(), HubError> {
        let report = self.next();
        match client.report(&report, now()).await {
            Ok(reply) => {
                assert_eq!(reply.seq, report.cluster.seq);
                self.acknowledged = reply.seq;
                Ok(())
            }
            Err(error) => {
                self.open = Some(report);
                Err(error)
            }
        }
    }
}

/// What one product says.
pub(crate) fn product(version: &str, phase: Phase) -> ProductState {
    ProductState {
        product: PRODUCT.parse().expect("a product"),
        channel: CHANNEL.parse().expect("a channel"),
        arch: "amd64".parse().expect("an architecture"),
        version: version.parse().expect("a version"),
        target: None,
        phase,
        since: now(),
        unit: None,
        progress: None,
        health: HealthSummary { verdict: HealthVerdict::Healthy, ..HealthSummary::default() },
        waiting_on: vec![],
        failure: None,
        accepted_risks: Vec::new(),
        wants: None,
        units: vec![],
    }
}

/// A report whose content says its number, so that a row shows which report it is of.
pub(crate) fn report(id: ClusterId, seq: u64) -> Report {
    let number = u32::try_from(seq).expect("few reports");
    let state = ProductState {
        unit: Some(format!("c-{seq}").parse().expect("a name")),
        progress: Some(Progress { done: number, total: number }),
        ..product("3.9.1", Phase::Soak)
    };
    let agent_version = "0.0.0".to_owned();
    let cluster =
        ClusterHeader { id, seq, sent_at: now(), agent_version, instance: None, heard_seq: None };
    Report { cluster, full: true, products: vec![state] }
}

/// Enrols so many clusters.
pub(crate) async fn enrol(hub: &Hub, clusters: usize) -> Vec<Cluster> {
    let token = hub.invite(u32::try_from(clusters).expect("few clusters")).await;
    let mut enrolled = Vec::new();
    for number in 0..clusters {
        let key = SecretKey::generate().expect("a key");
        let client = HubClient::new(&hub.url(), key.clone()).expect("a client");
        let name = format!("cluster-{number}");
        let reply = client.enrol(&token, &name, "0.0.0", now()).await.expect("enrolled");
        let id = reply.cluster_id;
        enrolled.push(Cluster { id, key, acknowledged: 0, open: None, refused: None });
    }
    enrolled
}

/// Reports as fast as it is answered, until it is not.
pub(crate) async fn report_until_refused(
    mut cluster: Cluster,
    client: HubClient,
    count: watch::Sender<u64>,
) -> Cluster {
    cluster.refused = None;
    loop {
        if let Err(error) = cluster.report(&client).await {
            cluster.refused = Some(error);
            return cluster;
        }
        count.send_modify(|count| *count += 1);
    }
}

/// What the row of a cluster must say.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    /// Whose.
    pub(crate) id: ClusterId,
    /// The highest `seq` that was acknowledged.
    pub(crate) acknowledged: u64,
    /// The report after it, if one was sent: it may have been taken.
    pub(crate) open: Option<&'a Report>,
}

/// Every acknowledged report is in the row of its cluster, by number and by content.
pub(crate) fn check(clusters: &[Cluster], rows: &[ClusterRow], case: &str) {
    let expected = clusters.iter().map(|cluster| Expected {
        id: cluster.id,
        acknowledged: cluster.acknowledged,
        open: cluster.open.as_ref(),
    });
    check_rows(expected, rows, case);
}

/// The same of clusters that are counted elsewhere.
pub(crate) fn check_rows<'a>(
    clusters: impl ExactSizeIterator<Item = Expected<'a>>,
    rows: &[ClusterRow],
    case: &str,
) {
    let rows: BTreeMap<ClusterId, &ClusterRow> = rows.iter().map(|row| (row.id, row)).collect();
    assert_eq!(rows.len(), clusters.len(), "{case}: an enrolment is gone");
    for Expected { id, acknowledged, open } in clusters {
        let row = rows[&id];
        let last = open.map_or(acknowledged, |open| open.cluster.seq);
        let range = acknowledged..=last;
        assert!(range.contains(&row.seq), "{case}: seq {} is not in {range:?}", row.seq);
        let told = row.products.first().and_then(|product| product.progress);
        let told = told.map(|progress| u64::from(progress.done));
        let expected = (row.seq > 0).then_some(row.seq);
        assert_eq!(told, expected, "{case}: seq and content are of different reports");
    }
}

/// The audit chain is whole.
pub(crate) async fn check_audit(hub: &Hub, case: &str) {
    let check: serde_json::Value = hub.get("api/v1/audit/verify").await;
    assert_eq!(check.get("broken_at").filter(|at| !at.is_null()), None, "{case}: {check}");
    assert!(check["rows"].as_u64() > Some(0), "{case}: {check}");
}

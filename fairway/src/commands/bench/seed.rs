//! `fairway bench seed`: enrols the fleet through the hub's own store, without a hub.

use std::path::PathBuf;
use std::sync::Arc;

use channels::names::ClusterId;
use channels::version::ReleaseVersion;
use channels::wire::{ClusterHeader, Drift};
use jiff::{SignedDuration, Timestamp};
use signing::Sha256Digest;
use tokio::task::JoinSet;
use tokio::time::Instant;
use update_server::directive::ReleaseFacts;
use update_server::fleet::{ClusterKey, GraphKey};
use update_server::served::Served;
use update_server::server::DataDir;
use update_server::store::{
    AcceptedReport, Database, Enrolment, NewJoinToken, Server, Store, StoreSettings,
};

use super::model::Model;
use super::roster::{CLUSTERS_MAX, Roster, key};
use crate::clock;
use crate::error::{CliError, Result};
use crate::out::Out;

/// Clusters under way to the writer at once: one of its batches.
const WAVE: u32 = 2000;
/// Waves between two notes of progress.
const WAVES_PER_NOTE: u32 = 25;
/// The store is opened as a hub with its defaults would.
const SETTINGS: StoreSettings = StoreSettings {
    report_interval_s: 300,
    grant_ttl_s: 900,
    queue_capacity: 20_000,
    history_days: 30,
};
/// The join token outlives the seeding.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// Of the agents that do not exist.
const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Arguments of `fairway bench seed`.
#[derive(Debug, clap::Args)]
pub(super) struct SeedArgs {
    /// Data directory of the hub, which must not be running
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// URL of the hub's PostgreSQL database [default: a file in the data directory]
    #[arg(long, value_name = "URL")]
    database: Option<Server>,
    /// How many clusters to enrol
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CLUSTERS_MAX)))]
    clusters: u32,
    /// Products of each
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    products: u8,
    /// Units of each product, as the reports list them
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    units: u8,
    /// What keys and states are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// File for what `bench fleet` must know [default: bench.roster in the data directory]
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
}

/// A catalog without anything in it: seeding needs none.
#[derive(Debug)]
struct NothingServed;

impl Served for NothingServed {
    fn facts(&self, _: &GraphKey, _: &ReleaseVersion, _: &ReleaseVersion) -> ReleaseFacts {
        ReleaseFacts::default()
    }

    fn drift(&self, _: &GraphKey, _: &ReleaseVersion, _: Timestamp) -> Drift {
        Drift::no_graph()
    }

    fn has_graph(&self, _: &GraphKey) -> bool {
        false
    }

    fn has_version(&self, _: &GraphKey, _: &ReleaseVersion) -> bool {
        false
    }

    fn generation(&self) -> u64 {
        0
    }

    fn timestamp_etag(&self) -> Option<String> {
        None
    }
}

fn failed(what: &'static str) -> impl Fn(update_server::store::Refusal) -> CliError {
    move |refusal| CliError::because(format!("failed to {what}"), &refusal)
}

/// Runs `fairway bench seed`.
pub(super) async fn run(args: &SeedArgs, out: &mut Out) -> Result<()> {
    let began = Instant::now();
    let data_dir = DataDir::open(&args.data_dir)
        .map_err(|e| CliError::because("failed to open the data directory", &e))?;
    let database = match &args.database {
        Some(server) => Database::Server(server.clone()),
        None => Database::from(&args.data_dir),
    };
    let opened =
        Store::open(database, SETTINGS, Arc::new(NothingServed), Box::new(|_, _| {}), clock::now());
    let (store, writer) = opened.map_err(|e| CliError::because("failed to open the store", &e))?;
    let model = Model::new(args.seed, usize::from(args.products), usize::from(args.units))
        .map_err(|e| CliError::because("failed to name the fleet", &e))?;
    let fleet = Seeding { model: Arc::new(model), seed: args.seed, store: store.clone() };
    let result = fleet.enrol(args.clusters, out).await;
    // Also after a failure: what was committed is a whole database.
    let stopping = tokio::task::spawn_blocking(move || {
        store.stop();
        writer.join();
    });
    stopping.await.map_err(|e| CliError::because("failed to close the store", &e))?;
    let ids = result?;
    data_dir.close();
    let roster = Roster { seed: args.seed, products: usize::from(args.products), ids };
    let path = args.roster.clone().unwrap_or_else(|| args.data_dir.join("bench.roster"));
    roster.save(&path)?;
    let seconds = began.elapsed().as_secs_f64();
    out.note(&format!("{} clusters enrolled in {seconds:.1} s", args.clusters))?;
    out.line(&path.display().to_string())
}

#[derive(Clone)]
struct Seeding {
    model: Arc<Model>,
    seed: u64,
    store: Store,
}

impl Seeding {
    /// Enrols clusters 0 to `clusters`, in that order, each with a first report.
    async fn enrol(&self, clusters: u32, out: &mut Out) -> Result<Vec<ClusterId>> {
        let token = self.token(clusters).await?;
        let mut ids = Vec::new();
        let mut first = 0;
        let mut waves = 0;
        while first < clusters {
            let end = clusters.min(first.saturating_add(WAVE));
            ids.extend(self.wave(first..end, token).await?);
            first = end;
            waves += 1;
            if waves % WAVES_PER_NOTE == 0 {
                out.note(&format!("{first} of {clusters}"))?;
            }
        }
        Ok(ids)
    }

    /// A join token that nobody could use: its digest is of no secret that was ever shown.
    async fn token(&self, uses: u32) -> Result<Sha256Digest> {
        let now = clock::now();
        let random = signing::SecretKey::generate()
            .map_err(|e| CliError::because("failed to draw a join token", &e))?;
        let digest = Sha256Digest::of(random.public().key_id().as_str().as_bytes());
        let new = NewJoinToken {
            digest,
            uses,
            cluster: None,
            expires_at: now.checked_add(TOKEN_LIFE).unwrap_or(now),
            labels: channels::rollout::Labels::new(),
            note: "bench seed".to_owned(),
            by: "bench".to_owned(),
            now,
        };
        self.store.create_join_token(new).await.map_err(failed("make a join token"))?;
        Ok(digest)
    }

    async fn wave(
        &self,
        numbers: std::ops::Range<u32>,
        token: Sha256Digest,
    ) -> Result<Vec<ClusterId>> {
        let mut enrolments = JoinSet::new();
        for number in numbers.clone() {
            let this = self.clone();
            enrolments.spawn(async move { this.one(number, token).await });
        }
        let mut found = Vec::new();
        while let Some(joined) = enrolments.join_next().await {
            let one = joined.map_err(|e| CliError::because("failed to enrol a cluster", &e))?;
            found.push(one?);
        }
        found.sort_unstable_by_key(|(number, _, _)| *number);
        let mut reports = JoinSet::new();
        for (number, id, key) in &found {
            let (this, number, id, key) = (self.clone(), *number, *id, *key);
            reports.spawn(async move { this.first_report(number, id, key).await });
        }
        while let Some(joined) = reports.join_next().await {
            joined.map_err(|e| CliError::because("failed to report", &e))??;
        }
        Ok(found.into_iter().map(|(_, id, _)| id).collect())
    }

    async fn one(
        &self,
        number: u32,
        token_digest: Sha256Digest,
    ) -> Result<(u32, ClusterId, Sha256Digest)> {
        let public = key(self.seed, number).public().clone();
        let (_, bytes) = public.value();
        let id = Sha256Digest::from_hex(public.key_id().as_str())
            .map_err(|e| CliError::because("failed to name a key", &e))?;
        let bytes: [u8; 32] =
            bytes.try_into().map_err(|_| CliError::failed("a key has not 32 bytes"))?;
        let enrolment = Enrolment {
            token_digest,
            key: ClusterKey { bytes, id },
            name: Model::name(number),
            agent_version: AGENT_VERSION.to_owned(),
            now: clock::now(),
        };
        let reply = self.store.enrol(enrolment).await.map_err(failed("enrol a cluster"))?;
        Ok((number, reply.cluster_id, id))
    }

    async fn first_report(&self, number: u32, id: ClusterId, key: Sha256Digest) -> Result<()> {
        let now = clock::now();
        let header = ClusterHeader {
            id,
            seq: 1,
            sent_at: now,
            agent_version: AGENT_VERSION.to_owned(),
            instance: Some(self.model.instance(number)),
            heard_seq: None,
        };
        let report = self.model.report(header, number, 0, now);
        let body = serde_json::to_vec(&report)
            .map_err(|e| CliError::because("failed to write a report", &e))?;
        let slot = self.store.committed().fleet().slot(id);
        let slot = slot.ok_or_else(|| CliError::failed("a cluster is not where it enrolled"))?;
        let accepted = AcceptedReport {
            slot,
            key,
            report,
            body_digest: Sha256Digest::of(&body),
            received_at: now,
        };
        self.store.report(accepted).await.map_err(failed("commit a report")).map(drop)
    }
}

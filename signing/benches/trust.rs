//! What trust costs: one signature, a refresh, a poll, a graph of 120 kB, many vendors.
//!
//! Prints times of one run and what each is in signature checks, which holds on any machine. All
//! sources are in memory: what is measured is this crate, not a network or a disk.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use signing::message::{self, Claim, Pending, RequestParts, verify_together};
use signing::metadata::{Document, TimestampMetadata};
use signing::trusted::Roots;
use signing::{
    Client, Delegation, Fetched, FileName, MemSource, MemStore, PublicKey, RoleName, RootSpec,
    SecretKey, Signer, Source, SourceError, StagedRepository, TargetEntry, TargetPath, TopRole,
    Versions, build_root, build_targets, cjson,
};
use signing::{Sha256Digest, json};

/// Rounds per figure; the fastest counts, which is the least disturbed.
const ROUNDS: u32 = 60;
/// Nodes of the graph, and edges of each.
const NODES: usize = 500;
const EDGES_PER_NODE: usize = 4;
/// What every repository of this benchmark lists.
const GRAPH: &str = "vendor-0/app/stable.amd64.graph.json";

type Outcome<T> = Result<T, Box<dyn Error>>;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the clock's time")]
fn fastest_us(mut run: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = std::time::Instant::now();
        run()?;
        fastest = fastest.min(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(fastest)
}

/// A graph of the shape and size that a product with a long history has, made up here.
fn graph() -> Outcome<Vec<u8>> {
    let mut nodes = Vec::new();
    let mut edges = Vec::new();
    for index in 0..NODES {
        let version = format!("{}.{}.{}", 4 + index / 100, index / 10 % 10, index % 10);
        let digest = Sha256Digest::of(version.as_bytes());
        nodes.push(json!({
            "version": version,
            "payload": format!("vendor-0/app@{digest}"),
            "metadata": {"url": format!("https://vendor.example/errata/{version}"), "channels": "fast,stable"},
        }));
        let to = (1..=EDGES_PER_NODE).map(|step| json!([index, (index + step) % NODES]));
        edges.extend(to);
    }
    Ok(serde_json::to_vec(&json!({"version": 1, "nodes": nodes, "edges": edges}))?)
}

fn key(number: usize) -> SecretKey {
    let mut seed = [7; 32];
    for (byte, digit) in seed.iter_mut().zip(number.to_be_bytes()) {
        *byte = digit;
    }
    SecretKey::from_seed(seed)
}

/// A hub with so many vendors, the first of which lists the graph.
struct Hub {
    root: Vec<u8>,
    repository: StagedRepository,
    now: Timestamp,
}

impl Hub {
    fn of(vendors: usize) -> Outcome<Self> {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse()?;
        let expires = now + SignedDuration::from_hours(24 * 300);
        let top: Vec<SecretKey> = (1..=6).map(key).collect();
        let [root_1, root_2, targets_1, targets_2, snapshot, timestamp] = &top[..] else {
            return Err("six keys".into());
        };
        let public = |keys: &[&SecretKey]| -> Vec<PublicKey> {
            keys.iter().map(|key| key.public().clone()).collect()
        };
        let roles = BTreeMap::from([
            (TopRole::Root, (public(&[root_1, root_2]), 2)),
            (TopRole::Targets, (public(&[targets_1, targets_2]), 2)),
            (TopRole::Snapshot, (public(&[snapshot]), 1)),
            (TopRole::Timestamp, (public(&[timestamp]), 1)),
        ]);
        let spec = RootSpec { version: 1, expires, roles };
        let root = build_root(&spec, &[root_1, root_2], None)?;
        let mut repository = StagedRepository::new();
        repository.put_metadata(&TopRole::Root.into(), root.clone())?;
        let mut delegations = Vec::new();
        for vendor in 0..vendors {
            let (name, key) = (format!("vendor-{vendor}"), key(100 + vendor));
            let mut listed = BTreeMap::new();
            if vendor == 0 {
                let (path, graph) = (TargetPath::new(GRAPH)?, graph()?);
                listed.insert(path.clone(), TargetEntry::of(&graph));
                repository.put_target(&path, graph);
            }
            let role = RoleName::new(name.as_str())?;
            let bytes = build_targets(1, expires, &listed, &[], &[&key])?;
            repository.put_metadata(&role, bytes)?;
            let (keys, paths) = (vec![key.public().clone()], vec![format!("{name}/*/*")]);
            delegations.push(Delegation { role, keys, threshold: 1, paths, terminating: true });
        }
        let signers: [&dyn Signer; 2] = [targets_1, targets_2];
        let bytes = build_targets(1, expires, &BTreeMap::new(), &delegations, &signers)?;
        repository.put_metadata(&TopRole::Targets.into(), bytes)?;
        let previous = Versions::default();
        let repository = repository.with_online_roles(snapshot, timestamp, now, previous)?;
        Ok(Self { root, repository, now })
    }

    fn client<S: Source>(&self, source: S) -> Outcome<Client<S, MemStore>> {
        Ok(Client::open(&self.root, source, MemStore::new())?)
    }

    fn file(&self, role: TopRole) -> Outcome<&[u8]> {
        let found = match role {
            TopRole::Timestamp => self.repository.get(&FileName::timestamp()),
            TopRole::Root | TopRole::Snapshot | TopRole::Targets => {
                self.repository.newest(&role.into()).map(|(_, bytes)| bytes)
            }
        };
        Ok(found.ok_or("a file of every role")?)
    }
}

/// A repository in memory with the validator its server computed once; without one it is a plain
/// web server or a folder. (`MemSource` itself computes its validator at each request.)
struct Server {
    files: MemSource,
    etag: Option<&'static str>,
}

impl Source for Server {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        if self.etag.is_some() && if_none_match == self.etag {
            return Ok(Fetched::NotModified);
        }
        Ok(match self.files.fetch(file, max_bytes, None).await? {
            Fetched::Body { bytes, .. } => {
                Fetched::Body { bytes, etag: self.etag.map(str::to_owned) }
            }
            other @ (Fetched::NotModified | Fetched::NotFound) => other,
        })
    }
}

/// Prints a figure and what it is in signature checks.
struct Table {
    check_us: f64,
}

impl Table {
    fn row(&self, what: &str, us: f64) {
        println!("{what:<58}{us:10.1} us{:10.2}", us / self.check_us);
    }
}

/// One signature, and everything around it that one metadata file costs.
fn one_file(hub: &Hub) -> Outcome<Table> {
    let bytes = hub.file(TopRole::Timestamp)?;
    let envelope: Value = serde_json::from_slice(bytes)?;
    let message = cjson::encode(&envelope["signed"])?;
    let signature = hex::decode(envelope["signatures"][0]["sig"].as_str().unwrap_or_default())?;
    let roots = Roots::pinned(&hub.root)?;
    let keys = roots.keys(TopRole::Timestamp);
    let key = keys.keys.values().next().ok_or("a key")?;
    let check_us = fastest_us(|| Ok(black_box(key.verify(&message, &signature))?))?;
    let table = Table { check_us };
    println!("timestamp of {} bytes{:>37}{:>16}", bytes.len(), "", "signature checks");
    table.row("ed25519 verify_strict", check_us);
    let role = TopRole::Timestamp.into();
    let parse = || Document::<TimestampMetadata>::parse(&role, bytes);
    let parsed = fastest_us(|| {
        black_box(parse()?);
        Ok(())
    })?;
    table.row("timestamp: parse, canonicalise", parsed);
    let whole = fastest_us(|| Ok(parse()?.verify(keys)?))?;
    table.row("timestamp: parse, canonicalise, verify", whole);
    Ok(table)
}

/// A refresh from nothing, a poll without and one with a validator.
fn refreshes(table: &Table, vendors: usize) -> Outcome<()> {
    let hub = Hub::of(vendors)?;
    let size = |role| hub.file(role).map(<[u8]>::len);
    let (targets, snapshot) = (size(TopRole::Targets)?, size(TopRole::Snapshot)?);
    println!("{vendors} vendors: targets of {targets} bytes, snapshot of {snapshot} bytes");
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let files = hub.repository.as_source();
    let server = |etag| hub.client(Server { files: files.clone(), etag });
    let refresh = |client: &mut Client<Server, MemStore>| {
        black_box(runtime.block_on(client.refresh(hub.now))?);
        Ok(())
    };
    let cold = fastest_us(|| refresh(&mut server(None)?))?;
    table.row(&format!("{vendors} vendors: first refresh (6 signatures)"), cold);
    // The first round of each is no poll yet; the fastest one counts.
    let mut client = server(None)?;
    let equal = fastest_us(|| refresh(&mut client))?;
    table.row(&format!("{vendors} vendors: poll, same timestamp fetched again"), equal);
    let mut client = server(Some("\"1\""))?;
    let not_modified = fastest_us(|| refresh(&mut client))?;
    table.row(&format!("{vendors} vendors: poll, 304"), not_modified);
    println!("{:<58}{:21.0}", "    first refresh / 304", cold / not_modified);
    Ok(())
}

/// A graph as a target: found, fetched and verified, against what reading it costs.
fn one_graph(table: &Table, hub: &Hub) -> Outcome<()> {
    let bytes = graph()?;
    println!("graph of {NODES} nodes, {} edges, {} bytes", NODES * EDGES_PER_NODE, bytes.len());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut client = hub.client(hub.repository.as_source())?;
    runtime.block_on(client.refresh(hub.now))?;
    let path = TargetPath::new(GRAPH)?;
    let target = runtime.block_on(client.target(&path, hub.now))?.ok_or("a graph")?;
    let find = fastest_us(|| {
        black_box(runtime.block_on(client.target(&path, hub.now))?);
        Ok(())
    })?;
    table.row("graph: found under its vendor (role already verified)", find);
    let fetch = fastest_us(|| {
        black_box(runtime.block_on(client.fetch_target(&target))?);
        Ok(())
    })?;
    table.row("graph: fetched, length and SHA-256 checked", fetch);
    let parse = fastest_us(|| {
        black_box(serde_json::from_slice::<Value>(&bytes)?);
        Ok(())
    })?;
    table.row("graph: parsed", parse);
    let strict = fastest_us(|| {
        black_box(json::parse(&bytes)?);
        Ok(())
    })?;
    table.row("graph: parsed as metadata is (no key twice)", strict);
    let value: Value = serde_json::from_slice(&bytes)?;
    let canonical = fastest_us(|| {
        black_box(cjson::encode(&value)?);
        Ok(())
    })?;
    table.row("graph: canonicalised", canonical);
    println!("{:<58}{:21.1}", "    parse / fetch and check", parse / fetch);
    Ok(())
}

/// A signed request of each of so many clusters, looked at but for the signature itself.
fn requests(count: u16) -> Outcome<Vec<Pending>> {
    let now = Timestamp::from_second(1_800_000_000)?;
    let one = |number: u16| -> Outcome<Pending> {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&number.to_le_bytes());
        let key = SecretKey::from_seed(seed);
        let parts = RequestParts {
            method: "POST",
            path: "/api/v1/reports",
            query: "",
            content_type: None,
            body: b"nothing new",
        };
        let headers = message::sign(&parts, &key, now, "nonce")?;
        let public = key.public().clone();
        let id = Sha256Digest::from_hex(public.key_id().as_str())?;
        let claim = Claim::read(headers.fields())?;
        Ok(claim.pending(&parts, &id, public, now, message::MAX_LIFETIME)?)
    };
    (0..count).map(one).collect()
}

/// Requests of many clusters: what checking their signatures together saves.
fn crowds(table: &Table) -> Outcome<()> {
    let all = requests(256)?;
    for count in [1, 4, 16, 64, 128, 256] {
        let us = fastest_us(|| {
            let some = all.iter().take(count).cloned().collect();
            black_box(verify_together(some).each.into_iter().collect::<Result<Vec<_>, _>>()?);
            Ok(())
        })?;
        table.row(
            &format!("each of {count} requests, checked together"),
            us / f64::from(u16::try_from(count)?),
        );
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let hub = Hub::of(1)?;
    let table = one_file(&hub)?;
    crowds(&table)?;
    refreshes(&table, 1)?;
    refreshes(&table, 100)?;
    refreshes(&table, 1000)?;
    one_graph(&table, &hub)
}

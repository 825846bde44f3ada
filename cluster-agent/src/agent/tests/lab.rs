//! A signed repository and a simulated cluster, both over real HTTP, and an agent's configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use channels::cincinnati::to_json;
use channels::wire::{
    Action, Directive, EnrolmentReply, EnrolmentRequest, Grant, KeyRotationReply,
    KeyRotationRequest, Problem, ProductSettings, ProductState, Reason, Report, ReportReply, Role,
};
use jiff::{SignedDuration, Timestamp};
use signing::{
    Delegation, PublicKey, RoleName, RootSpec, SecretKey, Signer, StagedRepository, TargetEntry,
    TargetPath, TopRole, Versions, build_root, build_targets,
};

use super::world::{cluster, graph, release};
use crate::clock;
use crate::config::Settings;
use crate::sim::{ClusterSpec, SimServer};
use crate::status::{self, Status};

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Everything an agent needs around it.
pub(super) struct Lab {
    pub(super) sim: SimServer,
    pub(super) config: PathBuf,
    pub(super) hub: Arc<Mutex<Hub>>,
    files: Files,
    versions: Versions,
    roles_version: u64,
    root: Vec<u8>,
    server: ServerHandle,
}

/// What the hub was told, and what it says.
#[derive(Debug, Default)]
pub(super) struct Hub {
    pub(super) reports: Vec<Report>,
    pub(super) hold: Option<String>,
    /// What the last whole report was told of it.
    pub(super) told_hold: Option<String>,
    /// What it wants of products.
    pub(super) settings: Vec<ProductSettings>,
    /// What it wants measured.
    pub(super) measures: Vec<channels::wire::Measure>,
    /// Status and slug of the problem that answers everything.
    pub(super) refuse: Option<(u16, &'static str)>,
    /// Public keys that enrolments are refused for: slug of the problem by PEM.
    pub(super) taken: BTreeMap<String, &'static str>,
    /// Ids of keys that were replaced.
    pub(super) replaced: Vec<String>,
    /// What a refusal says was committed last.
    pub(super) last_seq: Option<u64>,
    generation: u64,
}

/// Longest wait for anything; a loaded machine is slow, a defect is for ever.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until an agent's status is as `done` wants it.
pub(super) async fn until(
    settings: &Settings,
    what: &str,
    done: impl Fn(&Status) -> bool,
) -> Status {
    let begun = tokio::time::Instant::now();
    loop {
        let seen = status::read(&settings.state_dir).unwrap();
        if let Some(status) = seen.as_ref().filter(|status| done(status)) {
            return status.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn hours(count: i64) -> Timestamp {
    clock::now() + SignedDuration::from_hours(count)
}

/// How much of a publication is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// What promises the documents, without them.
    MetadataOnly,
}

/// What is published.
pub(super) struct Offer {
    /// `upgrade_from` of Kafka 4.0.0.
    pub(super) upgrade_from: &'static str,
    /// Seed of the key that signs graphs; 12 is the vendor's.
    pub(super) channels_key: u8,
    /// The level that Kafka 4.0.0 finalizes.
    pub(super) level: Option<&'static str>,
}

impl Default for Offer {
    fn default() -> Self {
        Self { upgrade_from: "^3.9", channels_key: 12, level: None }
    }
}

impl Lab {
    pub(super) fn start(dir: &Path, listen: SocketAddr) -> Self {
        let sizes = [(Role::Controller, 3, "3.9.0"), (Role::Node, 2, "1.32.0")];
        let spec = ClusterSpec::of("east", 5, 20, &sizes).unwrap();
        let sim = SimServer::start(&[spec], SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let files = Files::default();
        let hub = Arc::new(Mutex::new(Hub::default()));
        let served = web::Data::from(Arc::clone(&files));
        let told = web::Data::from(Arc::clone(&hub));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(served.clone())
                .app_data(told.clone())
                .route("/tuf/{path:.*}", web::get().to(serve))
                .route("/api/v1/enrolments", web::post().to(enrol))
                .route("/api/v1/reports", web::post().to(report))
                .route("/api/v1/clusters/self/key", web::post().to(rotate))
        })
        .workers(1)
        .disable_signals()
        .bind(listen)
        .unwrap();
        let hub_url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        let root = root();
        std::fs::write(dir.join("root.json"), &root).unwrap();
        let config = dir.join("agent.toml");
        std::fs::write(&config, configuration(&hub_url, &sim)).unwrap();
        Self {
            sim,
            config,
            hub,
            files,
            versions: Versions::default(),
            roles_version: 0,
            root,
            server: handle,
        }
    }

    pub(super) fn publish(&mut self, offer: &Offer) {
        self.roles_version += 1;
        let mut staged = StagedRepository::new();
        let mut releases = BTreeMap::new();
        let mut graphs = BTreeMap::new();
        for (path, bytes) in documents(offer) {
            let target = TargetPath::new(path.clone()).unwrap();
            let list = if path.ends_with(".graph.json") { &mut graphs } else { &mut releases };
            list.insert(target.clone(), TargetEntry::of(&bytes));
            staged.put_target(&target, bytes);
        }
        let top = [delegation("acme", 10, "acme/*/*")];
        let acme = [
            delegation("acme.releases", 11, "acme/*/*.release.json"),
            delegation("acme.channels", 12, "acme/*/*.graph.json"),
        ];
        let none = BTreeMap::new();
        self.put(&mut staged, "targets", &none, &top, 2);
        self.put(&mut staged, "acme", &none, &acme, 10);
        self.put(&mut staged, "acme.releases", &releases, &[], 11);
        self.put(&mut staged, "acme.channels", &graphs, &[], offer.channels_key);
        staged.put_metadata(&TopRole::Root.into(), self.root.clone()).unwrap();
        let staged =
            staged.with_online_roles(&key(3), &key(4), clock::now(), self.versions).unwrap();
        let newest = staged.newest(&TopRole::Snapshot.into()).map_or(0, |(version, _)| version);
        self.versions.snapshot = newest;
        self.versions.timestamp = newest;
        let mut files = self.files.lock().unwrap();
        for (path, bytes) in staged.write_order() {
            files.insert(path, bytes.to_vec());
        }
    }

    /// Carries everything published into a directory, as a stick would; without targets, half.
    pub(super) fn carry(&self, dir: &Path, part: Part) {
        for (path, bytes) in self.files.lock().unwrap().iter() {
            if part == Part::MetadataOnly && path.starts_with("targets/") {
                continue;
            }
            let file = dir.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
    }

    fn put(
        &self,
        staged: &mut StagedRepository,
        name: &str,
        targets: &BTreeMap<TargetPath, TargetEntry>,
        delegations: &[Delegation],
        seed: u8,
    ) {
        let signer = key(seed);
        let signers: [&dyn Signer; 1] = [&signer];
        let bytes =
            build_targets(self.roles_version, hours(24), targets, delegations, &signers).unwrap();
        staged.put_metadata(&RoleName::new(name).unwrap(), bytes).unwrap();
    }

    pub(super) async fn stop(self) {
        self.server.stop(false).await;
        self.sim.stop().await;
    }
}

async fn serve(
    path: web::Path<String>,
    files: web::Data<Mutex<BTreeMap<String, Vec<u8>>>>,
) -> HttpResponse {
    match files.lock().unwrap().get(path.as_str()) {
        Some(bytes) => HttpResponse::Ok().body(bytes.clone()),
        None => HttpResponse::NotFound().finish(),
    }
}

/// The problem that is to answer a request, if one is.
fn refusal(hub: &Hub, request: &HttpRequest) -> Option<HttpResponse> {
    let signer = request.headers().get("signature-input").unwrap().to_str().unwrap();
    let replaced = hub.replaced.iter().any(|id| signer.contains(id.as_str()));
    let (status, slug) = hub.refuse.or(replaced.then_some((401, "key_replaced")))?;
    Some(problem(hub, status, slug))
}

fn problem(hub: &Hub, status: u16, slug: &str) -> HttpResponse {
    let problem = Problem {
        kind: format!("/problems/{slug}"),
        title: slug.to_owned(),
        status,
        detail: format!("this hub says {slug}"),
        attack: None,
        last_seq: hub.last_seq,
    };
    let status = actix_web::http::StatusCode::from_u16(status).unwrap();
    HttpResponse::build(status).json(problem)
}

async fn rotate(
    hub: web::Data<Mutex<Hub>>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    if let Some(refusal) = refusal(&hub.lock().unwrap(), &request) {
        return refusal;
    }
    let wanted: KeyRotationRequest = serde_json::from_slice(&body).unwrap();
    let key = PublicKey::from_spki_pem(&wanted.public_key).unwrap();
    let key_id = key.key_id().to_string();
    HttpResponse::Ok().json(KeyRotationReply { cluster_id: wanted.cluster_id, key_id })
}

async fn enrol(hub: web::Data<Mutex<Hub>>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let hub = hub.lock().unwrap();
    if let Some(refusal) = refusal(&hub, &request) {
        return refusal;
    }
    let wanted: EnrolmentRequest = serde_json::from_slice(&body).unwrap();
    if let Some(slug) = hub.taken.get(&wanted.public_key) {
        return problem(&hub, 409, slug);
    }
    HttpResponse::Ok().json(EnrolmentReply { cluster_id: cluster(), next_report_in_s: 1 })
}

async fn report(
    hub: web::Data<Mutex<Hub>>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let report: Report = serde_json::from_slice(&body).unwrap();
    let mut hub = hub.lock().unwrap();
    if let Some(refusal) = refusal(&hub, &request) {
        return refusal;
    }
    let directives = report.products.iter().map(|state| answer(&mut hub, state)).collect();
    let (seq, full) = (report.cluster.seq, report.full);
    if full {
        hub.told_hold = hub.hold.clone();
    }
    hub.reports.push(report);
    HttpResponse::Ok().json(ReportReply {
        seq,
        at: clock::now(),
        timestamp_etag: None,
        directives,
        next_report_in_s: 1,
        // As the hub does: who is held must hear of it, and who is no more as well.
        full_state_wanted: !full && hub.told_hold != hub.hold,
        settings: hub.settings.clone(),
        measures: hub.measures.clone(),
    })
}

fn answer(hub: &mut Hub, state: &ProductState) -> Directive {
    let product = state.product.clone();
    let reason = |code: &str, message: &str| {
        vec![Reason { code: code.to_owned(), message: message.to_owned() }]
    };
    let (action, grant, reasons) = match (&hub.hold, &state.wants) {
        (Some(why), _) => (Action::Hold, None, reason("held", why)),
        (None, None) => (Action::Wait, None, reason("not_asked", "nothing was asked")),
        (None, Some(wants)) => {
            hub.generation += 1;
            let grant = Grant {
                cluster: cluster(),
                product: product.clone(),
                to: wants.to.clone(),
                release_digest: wants.release_digest,
                generation: hub.generation,
                expires_at: hours(1),
            };
            (Action::Proceed, Some(grant), vec![])
        }
    };
    Directive { product, action, grant, reasons, earliest_at: None }
}

fn root() -> Vec<u8> {
    let one = |seed: u8| (vec![key(seed).public().clone()], 1);
    let roles = BTreeMap::from([
        (TopRole::Root, one(1)),
        (TopRole::Targets, one(2)),
        (TopRole::Snapshot, one(3)),
        (TopRole::Timestamp, one(4)),
    ]);
    let spec = RootSpec { version: 1, expires: hours(24 * 365), roles };
    build_root(&spec, &[&key(1)], None).unwrap()
}

fn delegation(name: &str, seed: u8, paths: &str) -> Delegation {
    Delegation {
        role: RoleName::new(name).unwrap(),
        keys: vec![key(seed).public().clone()],
        threshold: 1,
        paths: vec![paths.to_owned()],
        terminating: true,
    }
}

fn documents(offer: &Offer) -> Vec<(String, Vec<u8>)> {
    let kafka = graph(&["3.9.0", "4.0.0"], &[(0, 1)], &[]);
    let platform = graph(&["1.32.0", "1.33.0"], &[(0, 1)], &[]);
    let one = |product: &str, version: &str, role, from: &[&str]| {
        let mut release = release(product, version, role, from);
        if version == "4.0.0" {
            let document = Arc::make_mut(&mut release.document);
            document.finalize = offer.level.map(|level| channels::wire::Finalize {
                summary: "raises the level".to_owned(),
                level: level.to_owned(),
            });
        }
        let bytes = serde_json::to_vec(&*release.document).unwrap();
        (format!("{product}/{version}.release.json"), bytes)
    };
    vec![
        ("acme/kafka/stable.amd64.graph.json".to_owned(), to_json(&kafka)),
        ("acme/platform/stable.amd64.graph.json".to_owned(), to_json(&platform)),
        one("acme/kafka", "3.9.0", Role::Controller, &[]),
        one("acme/kafka", "4.0.0", Role::Controller, &[offer.upgrade_from]),
        one("acme/platform", "1.32.0", Role::Node, &[]),
        one("acme/platform", "1.33.0", Role::Node, &["~1.32"]),
    ]
}

fn configuration(hub_url: &str, sim: &SimServer) -> String {
    let units = |names: &[&str], with_id: bool| {
        let lines: Vec<String> = names
            .iter()
            .zip(1..)
            .map(|(name, id)| {
                let url = sim.metrics_url("east", &name.parse().unwrap());
                let id = if with_id { format!("node_id = {id}, ") } else { String::new() };
                format!("{{ name = \"{name}\", {id}metrics_url = \"{url}\", on_node = \"\" }}")
            })
            .collect();
        lines.join(", ")
    };
    let steps: String = ["controller", "node"]
        .map(|role| format!("[timings.{role}]\nsoak_ms = 1000\ngreen_probes = 2\n"))
        .concat();
    let url = sim.cluster_url("east");
    format!(
        r#"state_dir = "state"
[cluster]
name = "east"
[hub]
url = "{hub_url}"
root = "root.json"
reports = false
refresh_ms = 1000
[policy]
mode = "auto"
[probes]
fast_ms = 200
idle_ms = 1000
node_fast_ms = 400
[timings]
baseline_ms = 2000
refused_retry_ms = 2000
{steps}
[[products]]
product = "acme/kafka"
channel = "stable"
initial_version = "3.9.0"
[[products.pools]]
name = "controllers"
role = "controller"
units = [{controllers}]
[products.pools.simulated]
url = "{url}"
[[products]]
product = "acme/platform"
channel = "stable"
initial_version = "1.32.0"
[[products.pools]]
name = "workers"
role = "node"
units = [{nodes}]
[products.pools.simulated]
url = "{url}"
"#,
        controllers = units(&["c-1", "c-2", "c-3"], true),
        nodes = units(&["n-1", "n-2"], false),
    )
}

//! Serves simulated clusters on loopback, several per process.
//!
//! | request | what |
//! |---|---|
//! | `GET /clusters/{c}` | [`super::ClusterState`] as JSON |
//! | `GET /clusters/{c}/units/{u}/metrics` | the unit's page; 503 while it is down, silence while it hangs |
//! | `POST /clusters/{c}/units/{u}/upgrade` | [`UpgradeBody`]; the same step again does nothing |
//! | `GET /clusters/{c}/steps/{id}` | how that step stands |
//! | `POST`, `DELETE /clusters/{c}/units/{u}/fault` | sets a [`Fault`]; clears all of a unit |
//! | `POST /clusters/{c}/defects` | [`Defect`] |
//!
//! All units share one listener, so a unit that is down answers 503 where a real one would refuse
//! the connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use channels::names::UnitName;
use serde::{Deserialize, Serialize};

use super::clock::now_ms;
use super::cluster::{Answer, SimCluster, SimError};
use super::fault::Fault;
use super::spec::{ClusterSpec, ClusterState};
use crate::driver::StepId;

/// How long a unit that hangs keeps a connection open; longer than any scraper waits.
const HANG: Duration = Duration::from_mins(2);

/// Largest request body: a fault or an upgrade is a short object.
const BODY_MAX_BYTES: usize = 16 * 1024;

/// `POST /clusters/{c}/units/{u}/upgrade`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeBody {
    /// The step that orders it.
    pub step_id: StepId,
    /// The component version the unit comes up with.
    pub version: String,
}

/// `POST /clusters/{c}/defects`: every unit that comes up in a version has a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// The bad component version.
    pub version: String,
    /// What is bad about it.
    pub fault: Fault,
}

/// Why a simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimServerError {
    /// Two clusters of one name.
    #[error("two simulated clusters are called {name:?}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A unit's name cannot be one.
    #[error("cannot name the simulated units")]
    UnitName {
        /// What is wrong with it.
        source: channels::names::NameError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

struct Clusters(BTreeMap<String, Mutex<SimCluster>>);

impl Clusters {
    /// The cluster as it is at this moment.
    fn at_now(&self, name: &str) -> Option<MutexGuard<'_, SimCluster>> {
        let mut cluster = self.0.get(name)?.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.advance(now_ms());
        Some(cluster)
    }
}

/// A running simulator; ends when [`SimServer::stop`] is called or the process ends.
#[derive(Debug)]
pub struct SimServer {
    address: SocketAddr,
    clusters: Arc<Clusters>,
    handle: ServerHandle,
}

impl std::fmt::Debug for Clusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SimServer {
    /// Starts serving; port 0 takes a free one. Must be called inside a tokio runtime.
    pub fn start(specs: &[ClusterSpec], listen: SocketAddr) -> Result<Self, SimServerError> {
        let mut clusters = BTreeMap::new();
        for spec in specs {
            let cluster = Mutex::new(SimCluster::new(spec, now_ms()));
            if clusters.insert(spec.name.clone(), cluster).is_some() {
                return Err(SimServerError::DuplicateName { name: spec.name.clone() });
            }
        }
        let clusters = Arc::new(Clusters(clusters));
        let data = web::Data::from(Arc::clone(&clusters));
        let failed = |source| SimServerError::Listen { address: listen, source };
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::JsonConfig::default().limit(BODY_MAX_BYTES))
                .configure(routes)
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(listen)
        .map_err(failed)?;
        let address = server.addrs().first().copied().unwrap_or(listen);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { address, clusters, handle })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of one cluster, as the `simulated` driver wants it.
    pub fn cluster_url(&self, cluster: &str) -> String {
        format!("http://{}/clusters/{cluster}", self.address)
    }

    /// The URL of one unit's page.
    pub fn metrics_url(&self, cluster: &str, unit: &UnitName) -> String {
        format!("{}/units/{unit}/metrics", self.cluster_url(cluster))
    }

    /// What `GET /clusters/{c}` answers.
    pub fn state(&self, cluster: &str) -> Option<ClusterState> {
        self.clusters.at_now(cluster).map(|cluster| cluster.state())
    }

    /// Changes a cluster from inside the process, as the HTTP routes do from outside.
    pub fn with<R>(&self, cluster: &str, change: impl FnOnce(&mut SimCluster) -> R) -> Option<R> {
        self.clusters.at_now(cluster).map(|mut cluster| change(&mut cluster))
    }

    /// Stops serving at once.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/clusters/{c}", web::get().to(state))
        .route("/clusters/{c}/defects", web::post().to(set_defect))
        .route("/clusters/{c}/steps/{id}", web::get().to(step))
        .route("/clusters/{c}/units/{u}/metrics", web::get().to(metrics))
        .route("/clusters/{c}/units/{u}/upgrade", web::post().to(upgrade))
        .route("/clusters/{c}/units/{u}/fault", web::post().to(set_fault))
        .route("/clusters/{c}/units/{u}/fault", web::delete().to(clear_faults));
}

fn no_cluster(name: &str) -> HttpResponse {
    HttpResponse::NotFound().body(format!("no cluster is called {name:?}\n"))
}

fn done(result: Result<(), SimError>) -> HttpResponse {
    match result {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(error @ SimError::NoSuchUnit { .. }) => {
            HttpResponse::NotFound().body(format!("{error}\n"))
        }
        Err(
            error @ (SimError::Busy { .. }
            | SimError::StepDiffers { .. }
            | SimError::TooManyFaults { .. }),
        ) => HttpResponse::Conflict().body(format!("{error}\n")),
    }
}

async fn state(clusters: web::Data<Clusters>, path: web::Path<String>) -> HttpResponse {
    match clusters.at_now(&path) {
        Some(cluster) => HttpResponse::Ok().json(cluster.state()),
        None => no_cluster(&path),
    }
}

async fn step(clusters: web::Data<Clusters>, path: web::Path<(String, StepId)>) -> HttpResponse {
    let (name, id) = path.into_inner();
    let Some(cluster) = clusters.at_now(&name) else { return no_cluster(&name) };
    match cluster.step(&id) {
        Some(step) => HttpResponse::Ok().json(step),
        None => HttpResponse::NotFound().body(format!("step {id} was never given\n")),
    }
}

async fn metrics(
    clusters: web::Data<Clusters>,
    path: web::Path<(String, UnitName)>,
) -> HttpResponse {
    let (name, unit) = path.into_inner();
    let answer = match clusters.at_now(&name) {
        Some(cluster) => cluster.answer(&unit),
        None => return no_cluster(&name),
    };
    match answer {
        Ok(Answer::Page(page)) => {
            HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page)
        }
        Ok(Answer::Down) => HttpResponse::ServiceUnavailable().finish(),
        Ok(Answer::Hangs) => {
            tokio::time::sleep(HANG).await;
            HttpResponse::ServiceUnavailable().finish()
        }
        Err(error) => done(Err(error)),
    }
}

async fn upgrade(
    clusters: web::Data<Clusters>,
    path: web::Path<(String, UnitName)>,
    body: web::Json<UpgradeBody>,
) -> HttpResponse {
    let (name, unit) = path.into_inner();
    let Some(mut cluster) = clusters.at_now(&name) else { return no_cluster(&name) };
    done(cluster.upgrade(&unit, body.step_id, &body.version))
}

async fn set_fault(
    clusters: web::Data<Clusters>,
    path: web::Path<(String, UnitName)>,
    fault: web::Json<Fault>,
) -> HttpResponse {
    let (name, unit) = path.into_inner();
    let Some(mut cluster) = clusters.at_now(&name) else { return no_cluster(&name) };
    done(cluster.set_fault(&unit, fault.into_inner()))
}

async fn clear_faults(
    clusters: web::Data<Clusters>,
    path: web::Path<(String, UnitName)>,
) -> HttpResponse {
    let (name, unit) = path.into_inner();
    let Some(mut cluster) = clusters.at_now(&name) else { return no_cluster(&name) };
    done(cluster.clear_faults(&unit))
}

async fn set_defect(
    clusters: web::Data<Clusters>,
    path: web::Path<String>,
    defect: web::Json<Defect>,
) -> HttpResponse {
    let Some(mut cluster) = clusters.at_now(&path) else { return no_cluster(&path) };
    let Defect { version, fault } = defect.into_inner();
    cluster.set_defect(&version, fault);
    HttpResponse::NoContent().finish()
}

#[cfg(test)]
mod tests;

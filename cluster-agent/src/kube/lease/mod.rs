//! The Lease that lets one agent of several act: asked for, renewed and given back by a task of
//! its own, so that a slow probe never costs it.
//!
//! `tenancy` holds the rules. Nothing here decides what an agent without the lease may do.

mod tenancy;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

pub use tenancy::{DURATION, HOLD, LOOK_EVERY, Term};
use tenancy::{Move, Record, Tenancy};

use super::{Kube, KubeError};
use crate::clock;

/// Giving the lease back must not hold up the end of the process.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// The object, of which everything we do not know is kept as it is.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct LeaseObject {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: serde_json::Value,
    #[serde(default)]
    spec: LeaseSpec,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaseSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder_identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_duration_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acquire_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renew_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_transitions: Option<i64>,
}

impl LeaseObject {
    fn record(&self) -> Record {
        let holder = self.spec.holder_identity.clone().filter(|name| !name.is_empty());
        let seconds = self.spec.lease_duration_seconds.unwrap_or(0);
        Record {
            holder,
            renewed: self.spec.renew_time.clone(),
            duration: Duration::from_secs(seconds),
        }
    }
}

/// Keeps the lease while it lives.
#[derive(Debug)]
pub struct LeaseKeeper {
    me: String,
    began: Instant,
    term: watch::Receiver<Term>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl LeaseKeeper {
    /// Begins to ask for the lease `name` in `namespace` as `me`, a name that no other process has.
    pub fn start(kube: Kube, namespace: &str, name: &str, me: String) -> Self {
        let began = Instant::now();
        let tenancy = Tenancy::new(me.clone());
        let (terms, term) = watch::channel(tenancy.term(Duration::ZERO));
        let (stop, stopped) = oneshot::channel();
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        let holder = Holder { kube, path, name: name.to_owned(), me: me.clone(), began, tenancy };
        let task = tokio::spawn(holder.keep(terms, stopped));
        Self { me, began, term, stop, task }
    }

    /// Its name on the lease.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// How it stands, and the process's clock that its times are of.
    pub fn term(&self) -> (Term, Duration) {
        let at = self.began.elapsed();
        let term = match self.term.borrow().clone() {
            Term::Held { until } if at >= until => {
                Term::Unknown { why: "it ran out before it was renewed".to_owned() }
            }
            term @ (Term::Held { .. } | Term::Elsewhere { .. } | Term::Unknown { .. }) => term,
        };
        (term, at)
    }

    /// Gives the lease back, if it is held, so that the next agent need not wait.
    pub async fn release(self) {
        // A failed send means that the task has ended already.
        let _ = self.stop.send(());
        if tokio::time::timeout(RELEASE_TIMEOUT, self.task).await.is_err() {
            tracing::warn!("the lease was not given back in time; it runs out by itself");
        }
    }
}

/// The task.
struct Holder {
    kube: Kube,
    path: String,
    name: String,
    me: String,
    began: Instant,
    tenancy: Tenancy,
}

impl Holder {
    async fn keep(mut self, terms: watch::Sender<Term>, mut stopped: oneshot::Receiver<()>) {
        loop {
            let before = self.tenancy.term(self.began.elapsed());
            if let Err(error) = self.look().await {
                self.tenancy.failed(error.chain());
            }
            let term = self.tenancy.term(self.began.elapsed());
            self.log(&before, &term);
            // Nobody listens any more: the agent is going.
            let _ = terms.send(term);
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        if let Err(error) = self.give_back().await {
            tracing::warn!(error = error.chain(), "the lease was not given back; it runs out");
        }
    }

    /// One look, and the write it calls for. A conflict means that another was faster: the next
    /// look says who.
    async fn look(&mut self) -> Result<(), KubeError> {
        let found: Option<LeaseObject> = self.kube.get(&self.path, &self.name).await?;
        let asked_at = self.began.elapsed();
        let what = self.tenancy.judge(found.as_ref().map(LeaseObject::record), asked_at);
        let written = match (what, found) {
            (Move::Wait, _) | (Move::Take | Move::Renew, None) => return Ok(()),
            (Move::Create, _) => {
                let body = self.new_object();
                self.kube.create::<LeaseObject>(&self.path, &body).await
            }
            (Move::Take | Move::Renew, Some(mut lease)) => {
                self.sign(&mut lease.spec, what);
                self.put(&lease).await
            }
        };
        match written {
            Ok(_) => self.tenancy.accepted(asked_at),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn sign(&self, spec: &mut LeaseSpec, what: Move) {
        let now = micros(clock::now());
        if what == Move::Take {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        spec.holder_identity = Some(self.me.clone());
        spec.lease_duration_seconds = Some(DURATION.as_secs());
        spec.renew_time = Some(now);
    }

    fn new_object(&self) -> serde_json::Value {
        let mut spec = LeaseSpec::default();
        self.sign(&mut spec, Move::Take);
        serde_json::json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": self.name },
            "spec": spec,
        })
    }

    /// Replaces the object; its `resourceVersion` makes the server refuse if it changed meanwhile.
    async fn put(&self, lease: &LeaseObject) -> Result<LeaseObject, KubeError> {
        let body = serde_json::json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": lease.metadata,
            "spec": lease.spec,
        });
        self.kube.replace(&self.path, &self.name, None, &body).await
    }

    async fn give_back(&mut self) -> Result<(), KubeError> {
        let found: Option<LeaseObject> = self.kube.get(&self.path, &self.name).await?;
        let ours = |lease: &LeaseObject| lease.spec.holder_identity.as_ref() == Some(&self.me);
        let Some(mut lease) = found.filter(ours) else { return Ok(()) };
        lease.spec.holder_identity = None;
        lease.spec.renew_time = Some(micros(clock::now()));
        self.put(&lease).await.map(drop)
    }

    fn log(&self, before: &Term, after: &Term) {
        match (before, after) {
            (Term::Held { .. }, Term::Held { .. }) => {}
            (_, Term::Held { .. }) => tracing::info!(holder = self.me, "holds the lease"),
            (Term::Elsewhere { holder: old, .. }, Term::Elsewhere { holder, .. })
                if old == holder => {}
            (_, Term::Elsewhere { holder, .. }) => {
                tracing::info!(holder, "another agent holds the lease: this one only watches");
            }
            (Term::Unknown { why: old }, Term::Unknown { why }) if old == why => {}
            (_, Term::Unknown { why }) => {
                tracing::warn!(why, "the lease is not held: no unit starts");
            }
        }
    }
}

/// As the API writes the times of a Lease: RFC 3339 with microseconds.
fn micros(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

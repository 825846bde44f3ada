//! The task that reads resources and writes their status and events.
//!
//! It decides nothing: the loop says what is shown and whether this agent is the one that writes.
//! Every write is fenced by the `resourceVersion` it was read with; a conflict is read again.

use std::collections::BTreeMap;
use std::time::Duration;

use ::kube::api::ListParams;
use channels::names::ProductRef;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::object::{Object, object_name};
use super::{Read, Shown};
use crate::clock;
use crate::kube::events::{self, Subject};
use crate::kube::resource::order::shape;
use crate::kube::resource::spec::ClusterUpdateSpec;
use crate::kube::resource::status::ClusterUpdateStatus;
use crate::kube::resource::transitions::{Note, orders, transitions};
use crate::kube::{Kube, KubeError};

/// Where the resources are.
const PATH: &str = "/apis/fairway.dev/v1/clusterupdates";

/// `apiVersion` of the resources.
const API_VERSION: &str = "fairway.dev/v1";

/// Resources read: several times the products one agent can have.
const RESOURCES_MAX: usize = 64;

/// Shortest time between two rounds: a roll's phases can change faster than people read.
const ROUND_AT_LEAST: Duration = Duration::from_secs(1);

/// Figures that move all the time are written this often.
const FIGURES_EVERY: Duration = Duration::from_secs(30);

/// Events a minute: a flapping gate must not fill the API server.
pub(super) const EVENTS_PER_MINUTE: u32 = 60;

/// What the task remembers about one resource.
#[derive(Debug, Clone)]
struct Known {
    uid: String,
    generation: i64,
    spec: Option<ClusterUpdateSpec>,
    written: Option<ClusterUpdateStatus>,
    written_at: Instant,
}

/// How many events may still be written this minute.
#[derive(Debug)]
pub(super) struct Budget {
    since: Instant,
    used: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), used: 0 }
    }

    pub(super) fn take(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_mins(1) {
            *self = Self::new();
        }
        self.used = self.used.saturating_add(1);
        self.used <= EVENTS_PER_MINUTE
    }
}

/// The task.
pub(super) struct Publisher {
    kube: Kube,
    period: Duration,
    reads: watch::Sender<Read>,
    showing: watch::Receiver<Shown>,
    telling: mpsc::Receiver<(ProductRef, Note)>,
    known: BTreeMap<String, Known>,
    budget: Budget,
}

impl Publisher {
    /// Reads every `period` into `reads`, shows what is in `showing`, tells what comes from
    /// `telling`.
    pub(super) fn new(
        kube: Kube,
        period: Duration,
        reads: watch::Sender<Read>,
        showing: watch::Receiver<Shown>,
        telling: mpsc::Receiver<(ProductRef, Note)>,
    ) -> Self {
        let budget = Budget::new();
        Self { kube, period, reads, showing, telling, known: BTreeMap::new(), budget }
    }

    /// Until the loop's end of the link is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let began = Instant::now();
            if let Err(error) = self.round().await {
                self.failed(&error);
            }
            tokio::time::sleep_until(began + ROUND_AT_LEAST).await;
            if self.wait(began + self.period).await.is_err() {
                return;
            }
        }
    }

    /// Says once what keeps resources from being read.
    fn failed(&self, error: &KubeError) {
        let why = error.chain();
        self.reads.send_if_modified(|read| {
            let news = read.trouble.is_none();
            if news {
                tracing::warn!(error = why, "ClusterUpdate resources cannot be read");
            }
            read.trouble = Some(why);
            news
        });
    }

    /// Until the next look is due, or something is to be shown that people wait for.
    async fn wait(&mut self, due: Instant) -> Result<(), watch::error::RecvError> {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return Ok(()),
                changed = self.showing.changed() => {
                    changed?;
                    if self.is_urgent() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn is_urgent(&self) -> bool {
        let shown = self.showing.borrow();
        let now = clock::now();
        shown.acting
            && shown.views.iter().any(|(product, view)| {
                let known = self.known.get(&object_name(product));
                known.and_then(|known| known.written.as_ref()).is_some_and(|written| {
                    ClusterUpdateStatus::of(view, Some(written), now).differs_materially(written)
                })
            })
    }

    /// Reads all resources, tells the loop, and brings every status up to date.
    pub(super) async fn round(&mut self) -> Result<(), KubeError> {
        let objects = match self.kube.list::<Object>(PATH, &ListParams::default()).await {
            Ok(objects) => objects,
            // Without the resource's definition there are no resources.
            Err(error) if error.is_not_found() => vec![],
            Err(error) => return Err(error),
        };
        if objects.len() > RESOURCES_MAX {
            let what = format!("read {PATH}");
            return Err(KubeError::TooMany { what, limit: RESOURCES_MAX });
        }
        let found = objects.iter().filter_map(|object| Some((object.product()?, object.found())));
        let read = Read { complete: true, found: found.collect(), trouble: None };
        self.reads.send_if_modified(|old| {
            let news = *old != read;
            *old = read;
            news
        });
        let shown = self.showing.borrow_and_update().clone();
        let told = self.told();
        self.known.retain(|name, _| objects.iter().any(|object| object.text("name") == name));
        for object in &objects {
            self.audit(object, &shown).await;
            if shown.acting
                && let Some(notes) = told.get(object.text("name"))
            {
                self.write_events(object, notes, &shown.agent.holder).await;
            }
            if shown.acting
                && let Err(error) = self.bring_up_to_date(object, &shown).await
            {
                // Somebody else wrote in between; the next round reads what they wrote.
                let conflict = error.is_conflict();
                if !conflict {
                    tracing::warn!(
                        name = object.text("name"),
                        error = error.chain(),
                        "status not written"
                    );
                }
            }
        }
        Ok(())
    }

    /// What was told since the last round, by the name of the resource.
    fn told(&mut self) -> BTreeMap<String, Vec<Note>> {
        let mut told: BTreeMap<String, Vec<Note>> = BTreeMap::new();
        while let Ok((product, note)) = self.telling.try_recv() {
            told.entry(object_name(&product)).or_default().push(note);
        }
        told
    }

    /// Tells what was ordered since the resource was last seen.
    async fn audit(&mut self, object: &Object, shown: &Shown) {
        let name = object.text("name").to_owned();
        let spec = shape(&object.spec).ok();
        let (uid, generation) = (object.text("uid").to_owned(), object.generation());
        let before = self.known.get(&name).filter(|known| known.uid == uid).cloned();
        let known = Known {
            uid,
            generation,
            spec: spec.clone(),
            written: before.as_ref().and_then(|known| known.written.clone()),
            written_at: before.as_ref().map_or_else(Instant::now, |known| known.written_at),
        };
        let notes = match (before, spec) {
            (Some(Known { generation: old, spec: Some(was), .. }), Some(is))
                if old != generation =>
            {
                orders(&was, &is)
            }
            _ => vec![],
        };
        self.known.insert(name.clone(), known);
        for note in &notes {
            tracing::info!(name, reason = note.reason, generation, "ordered: {}", note.message);
        }
        if shown.acting {
            self.write_events(object, &notes, &shown.agent.holder).await;
        }
    }

    async fn bring_up_to_date(&mut self, object: &Object, shown: &Shown) -> Result<(), KubeError> {
        let before = object.status();
        let now = clock::now();
        let Some(status) = status_of(object, shown, before.as_ref(), now) else { return Ok(()) };
        let name = object.text("name");
        let figures_due =
            self.known.get(name).is_none_or(|known| known.written_at.elapsed() >= FIGURES_EVERY);
        let due = match &before {
            None => true,
            Some(before) => status.differs_materially(before) || figures_due && status != *before,
        };
        if due {
            let body = json!({
                "apiVersion": API_VERSION,
                "kind": "ClusterUpdate",
                "metadata": object.metadata,
                "spec": object.spec,
                "status": status,
            });
            self.kube.replace::<Value>(PATH, name, Some("status"), &body).await?;
            let notes = transitions(before.as_ref(), &status);
            self.write_events(object, &notes, &shown.agent.holder).await;
        }
        if let Some(known) = self.known.get_mut(name) {
            if due {
                known.written_at = Instant::now();
            }
            known.written = Some(if due { status } else { before.unwrap_or(status) });
        }
        Ok(())
    }

    async fn write_events(&mut self, object: &Object, notes: &[Note], instance: &str) {
        let subject = Subject {
            api_version: API_VERSION.to_owned(),
            kind: "ClusterUpdate",
            name: object.text("name").to_owned(),
            uid: object.text("uid").to_owned(),
        };
        for note in notes {
            if !self.budget.take() {
                tracing::warn!(reason = note.reason, "too many events, not written");
                continue;
            }
            let written = events::write(&self.kube, &subject, note, instance, clock::now()).await;
            if let Err(error) = written {
                tracing::warn!(reason = note.reason, error = error.chain(), "event not written");
            }
        }
    }
}

/// The status to be; `None` while nothing is known that could be shown.
fn status_of(
    object: &Object,
    shown: &Shown,
    before: Option<&ClusterUpdateStatus>,
    now: Timestamp,
) -> Option<ClusterUpdateStatus> {
    let product = object.product();
    if let Some(view) = product.as_ref().and_then(|product| shown.views.get(product)) {
        return Some(ClusterUpdateStatus::of(view, before, now));
    }
    if product.is_some_and(|product| shown.products.contains(&product)) {
        return None;
    }
    let why = format!(
        "product {} is not configured at this agent; it has {}",
        object.spec.get("product").and_then(Value::as_str).unwrap_or("(none)"),
        shown.products.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    );
    let generation = Some(object.generation());
    Some(ClusterUpdateStatus::refused(generation, &why, before, shown.agent.clone(), now))
}

//! What Kubernetes adds to the loop: the Lease by which one agent acts, and the resources by which
//! people steer.
//!
//! Thin: reads what two tasks found, hands it to the core, shows them what the core says. Without
//! the lease, or before the resources have been read once, nothing starts.

use std::collections::BTreeMap;
use std::time::Duration;

use channels::names::ProductRef;
use channels::wire::{AgentInstance, ProductState};
use jiff::{SignedDuration, Timestamp};

use super::core::Core;
use crate::config::{Reports, Settings};
use crate::history::History;
use crate::kube::Kube;
use crate::kube::lease::{LeaseKeeper, Term};
use crate::kube::resource::{
    self, AgentStatus, Found, Link, Place, Read, Shown, SpecView, Standing, Standings, View, moves,
    order,
};
use crate::plan::{LeaseFact, Policy};
use crate::state::{Approval, FinalizeApproval, ResumeOrder};

/// A status is shown only this long after the start: what needs several probes is unknown at first,
/// and conditions must not flap at every restart.
const SHOW_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// The Lease and the resources.
#[derive(Debug)]
pub(super) struct Steering {
    configured: Policy,
    reports: Reports,
    keeper: LeaseKeeper,
    link: Link,
    standings: Standings,
    specs: BTreeMap<ProductRef, (String, SpecView)>,
    read: bool,
    trouble: Option<String>,
    unleased_since: Option<Timestamp>,
    places: BTreeMap<ProductRef, Place>,
    started_at: Timestamp,
}

impl Steering {
    /// Starts both tasks; `None` if Kubernetes is not configured. `instance` names this process.
    pub(super) fn start(
        settings: &Settings,
        kube: Option<Kube>,
        configured: &Policy,
        instance: Option<AgentInstance>,
        now: Timestamp,
    ) -> Option<Self> {
        let kube = kube?;
        let kubernetes = kube.settings();
        let place = kubernetes.place.pod.as_ref().unwrap_or(&settings.cluster_name);
        // Without randomness the time tells this process from the one before.
        let run = instance.map_or_else(|| now.as_millisecond().to_string(), |run| run.to_string());
        let me = format!("{place}_{run}");
        let keeper =
            LeaseKeeper::start(kube.clone(), &kubernetes.namespace, &kubernetes.lease, me.clone());
        let shown = Shown {
            acting: false,
            agent: AgentStatus { version: env!("CARGO_PKG_VERSION").to_owned(), holder: me },
            views: BTreeMap::new(),
            products: configured.products.keys().cloned().collect(),
        };
        let period = Duration::from_millis(kubernetes.period_ms);
        Some(Self {
            configured: configured.clone(),
            reports: settings.hub.reports,
            keeper,
            link: Link::start(kube, period, shown),
            standings: Standings::new(),
            specs: BTreeMap::new(),
            read: false,
            trouble: None,
            unleased_since: Some(now),
            places: BTreeMap::new(),
            started_at: now,
        })
    }

    /// Takes in what was read, and hands the lease to the core. Returns the owner's policy.
    pub(super) fn steer(&mut self, core: &mut Core, now: Timestamp) -> Policy {
        if let Some(read) = self.link.news() {
            self.take(read, now);
        }
        let fact = self.lease_fact(now);
        core.leased(Some(fact));
        resource::policy(&self.configured, &self.standings, now)
    }

    /// Judges every resource that is new or has changed.
    fn take(&mut self, read: Read, now: Timestamp) {
        self.read |= read.complete;
        self.trouble = read.trouble;
        if !read.complete {
            return;
        }
        let gone = |product: &ProductRef| !read.found.contains_key(product);
        for product in self.standings.keys().filter(|product| gone(product)) {
            tracing::info!(%product, "its ClusterUpdate is gone: it goes on as configured");
        }
        self.standings.retain(|product, _| !gone(product));
        self.specs.retain(|product, _| !gone(product));
        for (product, found) in read.found {
            if self.configured.products.contains_key(&product) {
                self.judge(product, &found, now);
            }
        }
    }

    fn judge(&mut self, product: ProductRef, found: &Found, now: Timestamp) {
        let generation = Some(found.generation);
        let known = self.specs.get(&product);
        if known.is_some_and(|(uid, spec)| *uid == found.uid && spec.generation == generation) {
            return;
        }
        let judged =
            found.spec.clone().and_then(|spec| order(&spec, &self.configured, self.reports));
        let refused = judged.as_ref().err().map(ToString::to_string);
        match judged {
            Ok(order) => {
                tracing::info!(%product, generation, "follows its ClusterUpdate");
                let standing = Standing::Followed { order: Box::new(order), since: now };
                self.standings.insert(product.clone(), standing);
            }
            Err(error) => {
                tracing::warn!(%product, generation, %error, "its ClusterUpdate is refused");
                let why = error.to_string();
                // A valid one stays in force.
                let valid = matches!(self.standings.get(&product), Some(Standing::Followed { .. }));
                if !valid {
                    let standing = Standing::Refused { why, since: now };
                    self.standings.insert(product.clone(), standing);
                }
            }
        }
        self.specs.insert(product, (found.uid.clone(), SpecView { generation, refused }));
    }

    fn lease_fact(&mut self, now: Timestamp) -> LeaseFact {
        let (term, at) = self.keeper.term();
        let ago = |then: Duration| {
            let ago = SignedDuration::try_from(at.saturating_sub(then)).unwrap_or_default();
            now.saturating_sub(ago).unwrap_or(now)
        };
        let why = match term {
            Term::Held { until } if self.read => {
                self.unleased_since = None;
                let left = until.saturating_sub(at);
                let left = SignedDuration::try_from(left).unwrap_or_default();
                return LeaseFact::Held { until: now.saturating_add(left).unwrap_or(now) };
            }
            Term::Held { .. } => {
                let why = self.trouble.as_deref().unwrap_or("not answered");
                format!("ClusterUpdate resources have not been read yet: {why}")
            }
            Term::Elsewhere { holder, since } => {
                return LeaseFact::Elsewhere { holder, since: ago(since) };
            }
            Term::Unknown { why } => why,
        };
        let since = *self.unleased_since.get_or_insert(now);
        LeaseFact::Unknown { why, since }
    }

    /// Approved moves: those of the order file, and what resources desire.
    pub(super) fn approvals(&self, file: Vec<Approval>, history: &History) -> Vec<Approval> {
        resource::approvals(file, &self.standings, history)
    }

    /// Approved finalize steps: those of the order file and of resources.
    pub(super) fn finalize_approvals(
        &self,
        file: Vec<FinalizeApproval>,
        history: &History,
    ) -> Vec<FinalizeApproval> {
        resource::finalize_approvals(file, &self.standings, history)
    }

    /// The resume that a resource orders, if one is due.
    pub(super) fn resume(&self, history: &History, now: Timestamp) -> Option<ResumeOrder> {
        resource::resume(&self.standings, history, now)
    }

    /// Shows how products are.
    pub(super) fn show(&mut self, core: &Core, states: &[ProductState], now: Timestamp) {
        self.tell_moves(states);
        let settled = self.started_at.saturating_add(SHOW_AFTER).unwrap_or(now) <= now;
        let looked = |state: &&ProductState| core.known.contains_key(&state.product);
        let views = states
            .iter()
            .filter(|_| settled && core.observation.is_some())
            .filter(looked)
            .filter_map(|state| {
                let spec = self.specs.get(&state.product);
                let spec = spec.map(|(_, spec)| spec.clone()).unwrap_or_default();
                let view = View::of(core, state, spec, self.keeper.me())?;
                Some((state.product.clone(), view))
            })
            .collect();
        let (term, _) = self.keeper.term();
        self.link.show(Shown {
            acting: matches!(term, Term::Held { .. }),
            agent: AgentStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                holder: self.keeper.me().to_owned(),
            },
            views,
            products: self.configured.products.keys().cloned().collect(),
        });
    }

    fn tell_moves(&mut self, states: &[ProductState]) {
        for state in states {
            let place = Place { unit: state.unit.clone(), phase: state.phase };
            let before = self.places.insert(state.product.clone(), place);
            // What an agent finds when it starts is no news.
            for note in before.iter().flat_map(|before| moves(before, state)) {
                self.link.tell(&state.product, note);
            }
        }
    }

    /// Gives the lease back.
    pub(super) async fn stop(self) {
        drop(self.link);
        self.keeper.release().await;
    }
}

//! One agent's belongings and one round of its loop.

mod hear;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use channels::names::{ClusterId, PoolName, ProductRef};
use channels::wire::{AgentInstance, ClusterHeader, ProductState, Report};
use jiff::{SignedDuration, Timestamp};
use signing::causes::chain;

use super::AgentError;
use super::checks::Checks;
use super::core::{Change, Core};
use super::due::{is_due, jittered, jittered_max, later};
use super::events::DriverFacts;
use super::ledger::{Ledger, Turn};
use super::links::{Links, Metadata, Refresh, Sending};
use super::open::{draw_instance, drivers, finalizers, footprint, open_releases, open_reporter};
use super::open_change::open_change;
use super::orphans::settle_orphans;
use super::outbox::{Outbox, shape};
use super::prober::{Pace, Prober};
use super::report::{product_states, report};
use super::steer::Steering;
use super::supervision::{Supervision, is_stopped, pass, stage_waits};
use super::told::Told;
use crate::clock;
use crate::config::Settings;
use crate::crash::{CrashPoint, Side};
use crate::driver::{Finalizer, Pass, PoolDriver, StepId, StepOrder, Task};
use crate::footprint::{Footprint, GateTally};
use crate::kube::Kube;
use crate::observation::UnitKey;
use crate::plan::{Ask, Grants, Policy};
use crate::state::{Control, Document, StateDir};
use crate::status::Status;
use crate::telemetry::Signal;

/// A report for the sake of its answer is sent this long after the last one.
const WORD_AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// One agent.
#[derive(Debug)]
pub(super) struct Shell {
    // belongings
    settings: Settings,
    state: StateDir,
    control: Control,
    drivers: BTreeMap<(ProductRef, PoolName), PoolDriver>,
    pub(super) finalizers: BTreeMap<ProductRef, Finalizer>,
    pub(super) checks: Checks,
    pub(super) missing: BTreeSet<(UnitKey, Signal)>,
    prober: Prober,
    links: Links,
    steering: Option<Steering>,
    configured: Policy,
    governed: bool,
    crash: CrashPoint,
    cluster_id: Option<ClusterId>,
    instance: Option<AgentInstance>,
    heard_seq: Option<u64>,
    // memory
    document: Document,
    pub(super) core: Core,
    // what is due
    outbox: Outbox,
    told: Told,
    word_at: Timestamp,
    refresh_at: Timestamp,
    refreshing: bool,
    refresh_void: bool,
    // views
    ledger: Ledger,
    footprint: Option<Footprint>,
    gates: GateTally,
    started_at: Timestamp,
    answered_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
    supervision: Supervision,
    shown: Option<Status>,
    orders_error: Option<String>,
}

impl Shell {
    /// Opens everything an agent needs, and takes the lock of its state directory.
    pub(super) fn open(settings: Settings, crash: CrashPoint) -> Result<Self, AgentError> {
        let state =
            StateDir::open(&settings.state_dir).map_err(|source| AgentError::State { source })?;
        let now = clock::now();
        let mut document = state
            .load(&settings.cluster_name, now)
            .map_err(|source| AgentError::State { source })?;
        let control = Control::new(&settings.state_dir);
        settle_orphans(&settings, &state, &control, &mut document, now)?;
        let reporter = open_reporter(&settings)?;
        if reporter.is_none() {
            // No hub is heard any more that could take it back.
            document.wanted.clear();
        }
        let cluster_id = reporter.as_ref().map(|reporter| reporter.cluster);
        let releases = open_releases(&settings)?;
        let grants = cluster_id.map_or(Grants::None, Grants::From);
        let policy = settings.policy(grants);
        let instance = draw_instance();
        // One client for everything: what it knows of the API server is read and kept once.
        let kube = settings.kubernetes.clone().map(Kube::new);
        let steering = Steering::start(&settings, kube.clone(), &policy, instance, now);
        let configured = policy.clone();
        let core = Core::new(policy, std::mem::take(&mut document.history));
        let footprint = footprint(&settings)?;
        tracing::info!(
            cluster.name = settings.cluster_name,
            cluster.id = cluster_id.map(tracing::field::display),
            state_dir = %settings.state_dir.display(),
            resumes = core.history.out.as_ref().map(|out| tracing::field::display(out.key().clone())),
            "agent started"
        );
        Ok(Self {
            drivers: drivers(&settings, kube.as_ref())?,
            finalizers: finalizers(&settings)?,
            checks: Checks::open(&settings)?,
            missing: BTreeSet::new(),
            prober: Prober::new(&settings, kube)?,
            links: Links::start(reporter, releases),
            steering,
            configured,
            governed: false,
            control,
            supervision: Supervision::new(&settings),
            settings,
            state,
            crash,
            cluster_id,
            instance,
            heard_seq: None,
            document,
            core,
            outbox: Outbox::default(),
            told: Told::default(),
            word_at: now,
            refresh_at: now,
            refreshing: false,
            refresh_void: false,
            ledger: Ledger::default(),
            footprint,
            gates: GateTally::default(),
            started_at: now,
            answered_at: None,
            verified_at: None,
            shown: None,
            orders_error: None,
        })
    }

    /// One round; says after how long the next is due.
    pub(super) async fn tick(&mut self) -> Result<Duration, AgentError> {
        let now = clock::now();
        self.steer(now);
        self.read_orders(now).await?;
        self.prober.exchange(&mut self.core, now);
        let pace = if self.core.is_engaged() { Pace::Engaged } else { Pace::Idle };
        let out = self.core.history.out.as_ref().map(|out| out.key().clone());
        if let Some(seen) = self.prober.probe(pace, out.as_ref(), now).await {
            self.name_missing_metrics(&seen);
            let change = self.core.observe(seen, clock::now());
            self.apply(change).await?;
        } else {
            // What was ordered since the last probe counts at this very decision.
            self.core.retarget(now);
        }
        self.advance().await?;
        self.finalize().await?;
        let ask = self.decide().await?;
        self.check().await;
        self.refresh_if_due(clock::now())?;
        self.report_and_show(ask.as_ref(), Urgency::Slot)?;
        let pace = if self.core.is_engaged() { Pace::Engaged } else { Pace::Idle };
        Ok(self.prober.due_in(pace, clock::now()))
    }

    /// Gives back what other agents wait for, and closes what other processes see of this one.
    pub(super) async fn stop(self) {
        if let Some(steering) = self.steering {
            steering.stop().await;
        }
        if let Some(footprint) = self.footprint {
            footprint.stop().await;
        }
    }

    /// Advances the unit that is out.
    async fn advance(&mut self) -> Result<(), AgentError> {
        let held = self.core.history.out.as_ref().map(|out| (out.order.clone(), out.pool.clone()));
        if self.pass() == Pass::Act {
            self.supervision.follow(&self.drivers, held, is_stopped(&self.core)).await;
        } else {
            self.supervision.forget();
        }
        let Some(out) = &self.core.history.out else { return Ok(()) };
        let place = (out.key().product.clone(), out.pool.clone());
        let Some(driver) = self.drivers.get(&place) else {
            return Err(AgentError::NoDriver { unit: out.key().to_string(), pool: place.1 });
        };
        let tasks = Task::ALL.into_iter().filter(|task| driver.has(*task)).collect();
        let mut status = None;
        let task = self.core.awaited_task().map(|(_, task)| task);
        if let Some((order, task)) = self.core.awaited_task().filter(|(_, task)| driver.has(*task))
        {
            match driver.status(order, task, self.pass()).await {
                Ok(found) => status = Some(found),
                Err(error) => {
                    // Not knowing is a reason to wait, never a reason to start again.
                    let why = chain(&error);
                    tracing::warn!(unit = %out.key(), %task, error = why, "driver does not answer");
                    self.core.driver_silent(task, &why);
                    return Ok(());
                }
            }
        }
        let waits = status.as_ref().and_then(|status| stage_waits(&out.order, task?, status));
        let change = self
            .core
            .advance(&DriverFacts { tasks, status }, clock::now())
            .map_err(|source| AgentError::Illegal { source })?;
        if self.core.awaited_task().map(|(_, task)| task) == task {
            self.core.current_wait = self.core.current_wait.take().or(waits);
        }
        self.apply(change).await
    }

    /// Plans; begins what the plan says.
    async fn decide(&mut self) -> Result<Option<Ask>, AgentError> {
        // Read last: whoever opens a change looks once more whether a unit went in between.
        let change = open_change(&self.settings, clock::now());
        self.core.quorum_change(change);
        let (change, ask) = self.core.decide(StepId::new(), clock::now());
        self.apply(change).await?;
        Ok(ask)
    }

    /// Persists a change, then runs its effects, then tells.
    pub(super) async fn apply(&mut self, change: Change) -> Result<(), AgentError> {
        if change.persist {
            self.save()?;
        }
        let phase = self.core.history.out.as_ref().map(|out| out.phase.wire());
        if change.moved
            && let Some(phase) = phase
        {
            self.crash.pass(phase, Side::Before);
        }
        for (order, stage) in change.start {
            self.start(&order, stage).await;
        }
        if let Some(order) = &change.finalize {
            self.start_finalize(order).await;
        }
        if change.moved {
            self.log_move();
            if let Some(phase) = phase {
                self.crash.pass(phase, Side::After);
            }
            self.report_and_show(None, Urgency::Now)?;
        }
        Ok(())
    }

    /// What drivers may do at this moment: asked anew for each, because each takes its time.
    fn pass(&self) -> Pass {
        pass(self.core.standing.lease.as_ref(), clock::now())
    }

    /// Starts a stage; if that fails, the next round finds it absent and the phase decides.
    async fn start(&mut self, order: &StepOrder, stage: Task) {
        let place = self.core.history.out.as_ref().map(|out| &out.pool);
        let driver =
            place.and_then(|pool| self.drivers.get(&(order.key.product.clone(), pool.clone())));
        let Some(driver) = driver else { return };
        if self.pass() == Pass::Look {
            tracing::info!(unit = %order.key, %stage, "stage not started: the lease is not held");
            self.core.start_ended(Some("the lease is not held".to_owned()));
            return;
        }
        if !driver.has(stage) {
            return;
        }
        tracing::info!(
            unit = %order.key, %stage, step.id = %order.step_id, release.version = %order.to,
            "starting stage"
        );
        let error = driver.start(order, stage).await.err().map(|error| chain(&error));
        if let Some(error) = &error {
            tracing::warn!(unit = %order.key, %stage, error, "stage not started");
        }
        self.core.start_ended(error);
    }

    fn save(&mut self) -> Result<(), AgentError> {
        self.document.history = self.core.history.clone();
        self.state.save(&self.document).map_err(|source| AgentError::State { source })
    }

    fn log_move(&self) {
        match (&self.core.history.out, &self.core.history.pause) {
            (Some(out), Some(pause)) => tracing::warn!(
                unit = %out.key(), phase = out.phase.wire().as_str(), gate = pause.why.gate,
                "paused: {}", pause.why.message
            ),
            (Some(out), None) => tracing::info!(
                unit = %out.key(), phase = out.phase.wire().as_str(), step.id = %out.order.step_id,
                release.from = %out.order.from, release.to = %out.order.to, "phase"
            ),
            (None, _) => tracing::info!("nothing is out"),
        }
    }

    fn refresh_if_due(&mut self, now: Timestamp) -> Result<(), AgentError> {
        let due = is_due(self.refresh_at, jittered_max(self.settings.hub.refresh_ms), now);
        if self.refreshing || !due && !self.core.lacks_documents(now) {
            return Ok(());
        }
        let metadata = if due { Metadata::Ask } else { Metadata::Kept };
        let order = Refresh {
            metadata,
            etag: self.outbox.hint(self.settings.hub.refresh_ms, now),
            policy: Arc::new(self.core.policy.clone()),
            history: self.core.history.clone(),
            approvals: self.core.approvals.clone(),
            answers: self.core.answers.clone(),
        };
        match self.links.refreshes.try_send(order) {
            Ok(()) => self.refreshing = true,
            Err(tokio::sync::mpsc::error::TrySendError::Full(_)) => {}
            Err(tokio::sync::mpsc::error::TrySendError::Closed(_)) => {
                return Err(AgentError::TaskEnded);
            }
        }
        if metadata == Metadata::Ask {
            self.refresh_at = later(now, jittered(self.settings.hub.refresh_ms));
        }
        Ok(())
    }

    /// Reports if it is time, and keeps the view on disk up to date.
    fn report_and_show(&mut self, ask: Option<&Ask>, urgency: Urgency) -> Result<(), AgentError> {
        let now = clock::now();
        let ask = ask.filter(|_| self.outbox.may_ask(now));
        let (states, turns) = product_states(&self.core, &mut self.ledger, ask, now);
        for turn in turns {
            if let Turn::Waits(product, why) = &turn {
                self.gates.note(product, &why.gate);
            }
            turn.log();
        }
        if urgency == Urgency::Now {
            self.outbox.urge();
        }
        let due = !self.outbox.is_quiet(now)
            && (self.outbox.is_urgent(now)
                || ask.is_some()
                || (self.core.wants_word && is_due(self.word_at, WORD_AGAIN, now))
                || self.outbox.is_slot(now)
                || self.outbox.has_news(&shape(&states), now));
        if due && self.core.observation.is_some() {
            self.send(states.clone(), ask.map(|ask| ask.product.clone()), now)?;
        }
        if let Some(steering) = &mut self.steering {
            steering.show(&self.core, &states, now);
        }
        self.expose(&states, now);
        self.show(states, now)
    }

    fn send(
        &mut self,
        states: Vec<ProductState>,
        asks: Option<ProductRef>,
        now: Timestamp,
    ) -> Result<(), AgentError> {
        let (Some(reports), Some(cluster)) = (&self.links.reports, self.cluster_id) else {
            return Ok(());
        };
        let permit = match reports.try_reserve() {
            Ok(permit) => permit,
            // The hub is slow: what is missing here is in the next full report.
            Err(tokio::sync::mpsc::error::TrySendError::Full(())) => return Ok(()),
            Err(tokio::sync::mpsc::error::TrySendError::Closed(())) => {
                return Err(AgentError::TaskEnded);
            }
        };
        // The number is on disk before it is used, so that a crash can never use it twice.
        self.document.seq = self.document.seq.saturating_add(1);
        self.document.history = self.core.history.clone();
        self.state.save(&self.document).map_err(|source| AgentError::State { source })?;
        self.outbox.sent(asks.as_ref(), shape(&states), now);
        self.word_at = later(now, WORD_AGAIN);
        let header = ClusterHeader {
            id: cluster,
            seq: self.document.seq,
            sent_at: now,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance,
            heard_seq: self.heard_seq,
        };
        // Only what is told is answered: whether a product is held, for one thing.
        let brief = !self.core.wants_word && self.told.has(&states, now);
        self.told.sent((!brief).then_some(&states));
        let report = if brief {
            Report { cluster: header, full: false, products: Vec::new() }
        } else {
            report(header, states)
        };
        permit.send(Sending { report, asks });
        Ok(())
    }
}

/// Whether a report goes out at once, or as soon after as a hub in trouble can bear, or when its
/// slot comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Now,
    Slot,
}

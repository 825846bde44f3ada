//! One run: the core, the cluster, the driver, the hub and people, stepped probe by probe. After
//! everything that happens the laws are asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use channels::names::{ProductRef, UnitName};
use channels::wire::Role;
use jiff::Timestamp;

use super::super::world::{Death, Dice, PROBE_MS, at};
use super::catalogue::{Catalogue, QUESTION};
use super::court::{Change as Changed, Court};
use super::hands::{CordonedBy, Hands, Started};
use super::hub::Hub;
use super::laws;
use super::looks::{Circumstances, Looks};
use super::network::{Delivered, Network};
use super::plant::Plant;
use super::sabotage::Sabotage;
use super::shape::Shape;
use super::tally::Tally;
use crate::agent::core::{Change, Core};
use crate::agent::events::DriverFacts;
use crate::driver::{StepId, StepOrder, StepStatus, Task};
use crate::history::{Cause, History};
use crate::observation::{
    ClusterGate, Finding, GateScope, Heard, Observation, Observer, ObserverSettings, Target,
    UnitKey, Witness, WitnessSource,
};
use crate::phase::Phase;
use crate::plan::{
    CheckOutcome, CheckResult, CheckSource, LeaseFact, Policy, QuorumChange, RiskAnswer,
    RiskAnswers, RiskOutcome,
};
use crate::state::{Approval, FinalizeApproval, LocalHold, ResumeOrder};

const START_MS: i64 = 1_790_000_000_000;

/// Age at which an answer about a risk no longer counts.
const RISK_AGE_MS: u64 = 20_000;

/// Lines of what happened that are kept for whoever looks into a failure.
const JOURNAL_MAX: usize = 200;

/// What people on the cluster ordered.
#[derive(Debug, Clone, Default)]
pub(super) struct People {
    pub(super) hold: Option<LocalHold>,
    pub(super) approvals: Vec<Approval>,
    pub(super) finalize: Vec<FinalizeApproval>,
}

/// Facts of the moment that other parts would hand in.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment {
    pub(super) lease: Option<LeaseFact>,
    pub(super) quorum_change: Option<QuorumChange>,
    /// What the check of the release says; `None` = nothing.
    pub(super) check: Option<CheckOutcome>,
    pub(super) alert: bool,
    /// The API server does not answer.
    pub(super) api_silent: bool,
    /// Nodes that are not Ready.
    pub(super) not_ready: BTreeSet<UnitName>,
    /// What the cluster's Prometheus says to questions about risks; `None` = nothing.
    pub(super) risk: Option<RiskOutcome>,
}

pub(super) struct Run {
    pub(super) shape: Shape,
    pub(super) sim: Plant,
    pub(super) targets: Vec<Target>,
    /// The owner's policy; the core has a copy.
    pub(super) policy: Policy,
    pub(super) core: Core,
    pub(super) disk: History,
    observer: Observer,
    /// The time on everybody's wall.
    pub(super) now_ms: i64,
    /// The agent's clock is ahead by this much.
    pub(super) skew_ms: i64,
    /// The agent stands still for so long before its next probe.
    pub(super) stands_still_ms: i64,
    pub(super) network: Network,
    pub(super) hands: Hands,
    pub(super) hub: Hub,
    /// Grants last this long, milliseconds.
    pub(super) grant_lasts_ms: i64,
    pub(super) people: People,
    pub(super) moment: Moment,
    pub(super) catalogue: Catalogue,
    pub(super) news: bool,
    pub(super) die_in: Option<(u32, Death)>,
    pub(super) looks: Looks,
    pub(super) court: Court,
    pub(super) tally: Tally,
    pub(super) journal: VecDeque<String>,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) dice: Dice,
    pub(super) held_good: BTreeMap<UnitKey, crate::telemetry::Probe>,
    pub(super) generation: u64,
    /// The newest answer about risks.
    risk_answer: Option<RiskAnswer>,
    ids: u128,
}

impl Run {
    pub(super) fn new(shape: Shape, sabotage: Option<Sabotage>) -> Self {
        let policy = shape.policy();
        let core = Core::new(policy.clone(), History::default());
        let targets = shape.targets();
        let hub = if shape.hub { Hub::Grants } else { Hub::Absent };
        let observer = Observer::new(targets.clone(), ObserverSettings::default()).unwrap();
        Self {
            sim: Plant::new(&shape.spec(), shape.combined, START_MS),
            targets,
            policy,
            disk: core.history.clone(),
            core,
            observer,
            now_ms: START_MS,
            skew_ms: 0,
            stands_still_ms: 0,
            network: Network::default(),
            hands: Hands::default(),
            hub,
            grant_lasts_ms: 900_000,
            people: People::default(),
            moment: Moment { check: Some(CheckOutcome::Passed), ..Moment::default() },
            catalogue: Catalogue::new(&shape),
            news: true,
            die_in: None,
            looks: Looks::default(),
            court: Court::default(),
            tally: Tally::default(),
            journal: VecDeque::new(),
            sabotage,
            dice: Dice::new(shape.seed),
            held_good: BTreeMap::new(),
            generation: 0,
            risk_answer: None,
            ids: u128::from(shape.seed) << 32,
            shape,
        }
    }

    /// The time on the agent's clock.
    pub(super) fn now(&self) -> Timestamp {
        at(self.now_ms + self.skew_ms)
    }

    pub(super) fn id(&mut self) -> StepId {
        self.ids += 1;
        StepId(uuid::Uuid::from_u128(self.ids))
    }

    pub(super) fn say(&mut self, what: &str) {
        if self.journal.len() >= JOURNAL_MAX {
            self.journal.pop_front();
        }
        self.journal.push_back(format!("{:>8} ms  {what}", self.now_ms - START_MS));
    }

    /// `kill -9` and start: only what is on disk survives.
    pub(super) fn kill(&mut self) {
        self.say("agent dies");
        self.core = Core::new(self.core.policy.clone(), self.disk.clone());
        self.observer = Observer::new(self.targets.clone(), ObserverSettings::default()).unwrap();
        self.news = true;
        self.court.died = true;
        // What it heard from the hub died with it.
        self.court.disowned = false;
        self.court.held.clear();
        self.held_good.clear();
    }

    /// One probe and everything the agent makes of it.
    pub(super) fn step(&mut self) {
        let gap = PROBE_MS + std::mem::take(&mut self.stands_still_ms);
        self.now_ms += gap;
        self.sim.advance(self.now_ms);
        self.court.was_paused = self.core.history.pause.as_ref().map(|pause| pause.at);
        (self.court.resumed, self.court.died) = (false, false);
        self.tell();
        let _alive = self.think();
        laws::after_step(self);
        self.tally.note(&self.core);
    }

    /// Hands in everything the shell would.
    fn tell(&mut self) {
        let now = self.now();
        if std::mem::take(&mut self.news) {
            self.core.learn(self.catalogue.known(), now);
        }
        self.core.orders(self.people.hold.clone(), self.people.approvals.clone());
        self.core.finalize_approved(self.people.finalize.clone());
        self.core.leased(self.moment.lease.clone());
        self.core.quorum_change(self.moment.quorum_change.clone());
        let results = self.checks(now);
        self.core.checks(CheckSource::Kubernetes, results);
        self.answer_risks(now);
        Sabotage::tell(self);
    }

    /// The cluster's Prometheus answers, or its last answer grows old.
    fn answer_risks(&mut self, now: Timestamp) {
        if let Some(outcome) = self.moment.risk.clone() {
            self.risk_answer = Some(RiskAnswer { outcome, at: now });
        }
        let answer = self.risk_answer.clone().filter(|_| self.shape.asks);
        let by_query = answer.map(|answer| (QUESTION.to_owned(), answer)).into_iter().collect();
        let answers = RiskAnswers { asked: self.shape.asks, max_age_ms: RISK_AGE_MS, by_query };
        self.core.answers(answers, now);
    }

    /// Whether the cluster is known not to be exposed to a risk that depends on it.
    pub(super) fn risk_is_clear(&self) -> bool {
        let young = |answer: &&RiskAnswer| {
            self.now().duration_since(answer.at).as_millis() <= i128::from(RISK_AGE_MS)
        };
        self.shape.asks
            && self
                .risk_answer
                .as_ref()
                .filter(young)
                .is_some_and(|answer| answer.outcome == RiskOutcome::Clear)
    }

    fn checks(&self, now: Timestamp) -> BTreeMap<ProductRef, Vec<CheckResult>> {
        let Some(outcome) = self.moment.check.clone().filter(|_| self.shape.checked) else {
            return BTreeMap::new();
        };
        let moves = self.core.targets.iter().filter_map(|(product, target)| match target {
            crate::plan::Target::Move(goal) => Some((product.clone(), goal.release_digest)),
            crate::plan::Target::Settled | crate::plan::Target::Blocked { .. } => None,
        });
        moves
            .map(|(product, release)| {
                let name = "images".to_owned();
                let outcome = outcome.clone();
                (product, vec![CheckResult { name, release, unit: None, outcome, at: now }])
            })
            .collect()
    }

    /// `false` if the agent died on the way.
    fn think(&mut self) -> bool {
        let seen = self.observe();
        let now = self.now();
        let change = self.core.observe(seen, now);
        if !self.apply(&change) {
            return false;
        }
        if let Some(facts) = self.facts() {
            let change = self.core.advance(&facts, now).unwrap();
            if !self.apply(&change) {
                return false;
            }
        }
        if let Some(run) = self.core.finalizing() {
            let step = run.order.step_id;
            let release = (run.order.product.clone(), run.order.release.clone());
            if let Some(status) = self.hands.status(&self.sim, step, Task::After, self.now_ms) {
                if matches!(status, StepStatus::Finished { exit_code: 0, .. }) {
                    self.court.finalized.push(release);
                }
                let change = self.core.finalize_told(&status, now);
                if !self.apply(&change) {
                    return false;
                }
            }
        }
        let id = self.id();
        let (change, ask) = self.core.decide(id, now);
        Sabotage::decided(self);
        if !self.apply(&change) {
            return false;
        }
        match ask {
            Some(ask) => self.ask(&ask),
            // An agent that waits for a word of its hub reports at once.
            None if self.core.wants_word => self.report(),
            None => return true,
        }
        let id = self.id();
        let (change, _) = self.core.decide(id, now);
        Sabotage::decided(self);
        self.apply(&change)
    }

    /// Persists, then acts; `false` if the agent died on the way.
    fn apply(&mut self, change: &Change) -> bool {
        let dies = self.dying(change);
        if dies == Some(Death::BeforePersist) {
            self.kill();
            return false;
        }
        if change.persist && self.sabotage != Some(Sabotage::NeverPersists) {
            self.disk = self.core.history.clone();
        }
        self.entered();
        if dies == Some(Death::AfterPersist) {
            self.kill();
            return false;
        }
        for (order, stage) in &change.start {
            self.start(order, *stage);
        }
        if let Some(order) = &change.finalize {
            laws::before_finalize(self, order);
            self.say(&format!("finalize {} of {}", order.release, order.product));
            self.core.start_ended(None);
            self.hands.finalize(order.step_id, self.now_ms);
        }
        if dies == Some(Death::AfterEffect) {
            self.kill();
            return false;
        }
        true
    }

    /// Looks at what the memory says of the unit that is out, and lets the laws judge news of it.
    fn entered(&mut self) {
        let out = self.core.history.out.clone();
        let before = self.court.out.take();
        let step = |out: &crate::history::Out| (out.order.key.clone(), out.cause);
        let same = before.as_ref().map(step) == out.as_ref().map(step);
        if let Some(before) = &before
            && !same
        {
            if !matches!(before.phase, Phase::After { .. }) {
                laws::soak_ended(self, before);
            }
            self.court.ended_at_ms = self.now_ms;
        }
        if let Some(out) = &out {
            if before.as_ref().map(|b| &b.phase) != Some(&out.phase) {
                self.tally.phase(&out.phase);
                let what = format!("{} {:?} {}", out.key().unit, out.cause, phase(&out.phase));
                if before.as_ref().map(|b| phase(&b.phase)) != Some(phase(&out.phase)) || !same {
                    self.say(&what);
                }
            }
            if !same && out.cause == Cause::Planned {
                laws::taken_out(self, out);
            }
            if let Some(before) = before.as_ref().filter(|_| same) {
                let hook = matches!(out.phase, Phase::After { dropped: None, .. });
                if hook && !matches!(before.phase, Phase::After { .. }) {
                    laws::soak_ended(self, before);
                }
                laws::same_target(self, before, out);
            }
        }
        self.court.out = out;
    }

    fn dying(&mut self, change: &Change) -> Option<Death> {
        if !change.moved {
            return None;
        }
        let (left, death) = self.die_in?;
        if left > 0 {
            self.die_in = Some((left - 1, death));
            return None;
        }
        self.die_in = None;
        self.say(&format!("{death:?}"));
        Some(death)
    }

    fn has(&self, order: &StepOrder, stage: Task) -> bool {
        match stage {
            Task::Mutate => true,
            Task::Before | Task::After => self.shape.hooks,
            Task::Quiesce | Task::Restore => self.shape.drains && order.role == Role::Node,
            Task::Preflight => match order.role {
                Role::Node => self.shape.drains,
                Role::Controller | Role::Broker | Role::Workload => self.shape.preflights,
            },
        }
    }

    fn start(&mut self, order: &StepOrder, stage: Task) {
        if !self.has(order, stage) {
            return;
        }
        laws::before_start(self, order, stage);
        let unit = order.key.unit.clone();
        let fate = self.hands.fates.get(&stage).copied();
        let now_ms = self.now_ms;
        let started = self.hands.start(&mut self.sim, order, stage, now_ms, &mut self.dice);
        self.say(&format!("{unit}: {stage} {started:?} {fate:?}"));
        if started == Started::No {
            self.core.start_ended(Some("cannot lock the claim".to_owned()));
            return;
        }
        self.core.start_ended(None);
        self.tally.started(stage);
        if stage == Task::Mutate && started == Started::Yes {
            let leader = self.looks.last().and_then(|look| look.leader.clone());
            let step = order.step_id;
            self.court.change = Some(Changed { step, unit, leader, paused: false });
        }
        Sabotage::started(self, order, stage);
    }

    /// `None` if the driver cannot say how the stage stands.
    fn facts(&mut self) -> Option<DriverFacts> {
        let out = self.core.history.out.as_ref().map(|out| out.order.clone());
        let has = |task: &Task| out.as_ref().is_some_and(|order| self.has(order, *task));
        let tasks: BTreeSet<Task> = Task::ALL.into_iter().filter(has).collect();
        let Some((order, stage)) = self.core.awaited_task() else {
            return Some(DriverFacts { tasks, status: None });
        };
        if !tasks.contains(&stage) {
            return Some(DriverFacts { tasks, status: None });
        }
        let status = self.hands.status(&self.sim, order.step_id, stage, self.now_ms);
        if status.is_none() {
            self.core.driver_silent(stage, "connection refused");
        }
        status.map(|status| DriverFacts { tasks, status: Some(status) })
    }

    fn observe(&mut self) -> Observation {
        let now = self.now();
        let roles: BTreeMap<UnitKey, Role> =
            self.targets.iter().map(|target| (target.key.clone(), target.role)).collect();
        let mut results = BTreeMap::new();
        let mut delivered: BTreeMap<UnitName, Delivered> = BTreeMap::new();
        for target in self.observer.probe_targets(|_| true) {
            let role = roles[&target.key];
            let (mut result, how) =
                self.network.probe(&self.sim, &target, role, (now, self.now_ms), &mut self.dice);
            delivered.insert(target.key.unit.clone(), how);
            Sabotage::scraped(self, &target.key, how, &mut result, now);
            results.insert(target.key, result);
        }
        if self.shape.witnesses && !self.moment.api_silent {
            let words = self.words(now);
            self.observer.hear(WitnessSource::Kubernetes, words);
        }
        let alert = ClusterGate {
            scope: GateScope::All,
            finding: Finding::AlertFires { alert: "DisksSlow".to_owned() },
            stops: false,
        };
        self.observer.gates(self.moment.alert.then_some(alert).into_iter().collect());
        let heard = self.shape.witnesses && !self.moment.api_silent;
        let keeps = |target: &&Target| heard && self.is_held(&target.key.unit);
        let held = self.targets.iter().filter(keeps).map(|target| target.key.unit.clone());
        let held: BTreeSet<UnitName> = held.collect();
        let around = Circumstances { delivered: &delivered, held: &held, alert: self.moment.alert };
        self.looks.note(&self.sim, &self.targets, &around, self.now_ms);
        self.observer.apply(results, u64::try_from(PROBE_MS).unwrap(), now)
    }

    /// Somebody else keeps the node, or it is not Ready.
    fn is_held(&self, name: &UnitName) -> bool {
        self.moment.not_ready.contains(name)
            || self.hands.cordons.get(name) == Some(&CordonedBy::Person)
    }

    /// What the API server says of each node.
    fn words(&self, now: Timestamp) -> BTreeMap<UnitKey, Heard> {
        let nodes = self.targets.iter().filter(|target| target.role == Role::Node);
        nodes
            .map(|target| {
                let name = &target.key.unit;
                let ready = !self.moment.not_ready.contains(name) && self.sim.is_up(name);
                let mut findings = vec![];
                if !ready {
                    findings.push(Finding::NotReady);
                }
                if self.hands.cordons.get(name) == Some(&CordonedBy::Person) {
                    findings.push(Finding::ForeignCordon { by: "ada".to_owned() });
                }
                let word = Witness {
                    at: now,
                    version: None,
                    incarnation: None,
                    ready: Some(ready),
                    findings,
                };
                (target.key.clone(), Ok(word))
            })
            .collect()
    }

    /// A person says resume.
    pub(super) fn resume(&mut self) {
        self.say("resume");
        self.court.resumed = true;
        self.court.was_paused = None;
        let id = self.id();
        let order = ResumeOrder { at: self.now() };
        let now = self.now();
        let change = self.core.resume(&order, id, now).unwrap();
        let _alive = self.apply(&change);
    }
}

/// The phase's name.
pub(super) fn phase(phase: &crate::phase::Phase) -> String {
    let text = format!("{phase:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

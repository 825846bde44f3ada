//! A cluster, a hub and an agent's core in one process, stepped by half seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use channels::graph::{Graph, GraphBuilder, Node, Risk};
use channels::names::{ClusterId, ProductRef, UnitName};
use channels::version::ReleaseVersion;
use channels::wire::{
    self, Action, ArchContent, Component, Directive, Grant, Image, Reason, ReleaseDocument,
    ReportReply, Role,
};
use jiff::Timestamp;
use signing::Sha256Digest;

use crate::agent::core::{Change, Core};
use crate::agent::events::DriverFacts;
use crate::agent::ledger::Ledger;
use crate::agent::report::product_states;
use crate::driver::{StepId, StepOrder, StepStatus, Task};
use crate::gate::GatePolicy;
use crate::history::History;
use crate::observation::{Observer, ObserverSettings, Placement, Target, UnitKey, VersionEvidence};
use crate::phase::StepTimings;
use crate::plan::{
    Grants, HubWishes, Knowledge, Known, Mode, Policy, ProductPolicy, ProductRules, Timings,
    VerifiedRelease,
};
use crate::sim::{Answer, ClusterSpec, SimCluster};
use crate::state::ResumeOrder;
use crate::telemetry::{Page, Probe, ScrapeError, Signal};

/// One probe.
pub(super) const PROBE_MS: i64 = 500;

/// How long a stage that is not the change takes.
const STAGE_MS: i64 = 1_500;

const START_MS: i64 = 1_790_000_000_000;

pub(super) fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

pub(super) fn product(text: &str) -> ProductRef {
    text.parse().unwrap()
}

pub(super) fn unit(text: &str) -> UnitName {
    text.parse().unwrap()
}

fn key(of: &str, name: &str) -> UnitKey {
    UnitKey { product: product(of), unit: unit(name) }
}

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

/// Small and good enough: the same seed gives the same run.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the hub says to whoever asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hub {
    /// There is none.
    Absent,
    /// Yes.
    Grants,
    /// Someone placed a hold.
    Holds(String),
    /// Reports are not answered.
    Silent,
}

pub(super) struct World {
    pub(super) sim: SimCluster,
    pub(super) now_ms: i64,
    pub(super) core: Core,
    pub(super) disk: History,
    pub(super) hub: Hub,
    pub(super) asked: u64,
    pub(super) cordoned: BTreeSet<UnitName>,
    pub(super) most_cordoned: usize,
    pub(super) phases: Vec<(String, wire::Phase)>,
    /// The hub holds this product only.
    pub(super) held_product: Option<ProductRef>,
    /// The hub says wait until then to this product only.
    pub(super) waits_until: Option<(ProductRef, Timestamp)>,
    /// What the driver says of every change, which then changes nothing.
    pub(super) change_says: Option<StepStatus>,
    /// A stage that the driver cannot start.
    pub(super) broken: Option<Task>,
    pub(super) failed_starts: u32,
    /// Controllers have a preflight command.
    pub(super) checks_controllers: bool,
    /// What the command of `refusing` prints before it ends with code 3.
    pub(super) says_no: Option<String>,
    /// The command that says no.
    pub(super) refusing: Task,
    /// Hooks of every pool.
    pub(super) hooks: BTreeSet<Task>,
    /// Every stage and hook that was started, in order.
    pub(super) started: Vec<(String, Task)>,
    /// Every start of a finalize command.
    pub(super) finalizes: Vec<StepId>,
    /// What the finalize command prints before it ends with code 3.
    pub(super) finalize_says_no: Option<String>,
    /// Why the finalize command cannot be started.
    pub(super) finalize_error: Option<&'static str>,
    /// Stages other than the change do not end.
    pub(super) slow_checks: bool,
    stages: BTreeMap<(StepId, Task), i64>,
    drains: bool,
    observer: Observer,
    targets: Vec<Target>,
    pub(super) policy: Policy,
    known: Known,
    generation: u64,
    steps_made: u128,
    ledger: Ledger,
    /// Dies at this many changes from now, on this side of the write.
    pub(super) die_in: Option<(u32, Death)>,
}

/// Where the agent dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    BeforePersist,
    AfterPersist,
    AfterEffect,
}

pub(super) struct Build {
    pub(super) seed: u64,
    pub(super) controllers: usize,
    pub(super) nodes: usize,
    pub(super) hub: Hub,
    pub(super) drains: bool,
    pub(super) mode: Mode,
    /// The node that the agent runs on.
    pub(super) hosts_agent: Option<&'static str>,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            seed: 1,
            controllers: 3,
            nodes: 3,
            hub: Hub::Grants,
            drains: true,
            mode: Mode::Auto,
            hosts_agent: None,
        }
    }
}

impl World {
    pub(super) fn new(build: &Build) -> Self {
        let sizes =
            [(Role::Controller, build.controllers, "3.9.0"), (Role::Node, build.nodes, "1.32.0")];
        let spec = ClusterSpec::of("east", build.seed, 10, &sizes).unwrap();
        let sim = SimCluster::new(&spec, START_MS);
        let targets = targets(build.controllers, build.nodes);
        let policy = policy(build);
        let core = Core::new(policy.clone(), History::default());
        Self {
            sim,
            now_ms: START_MS,
            disk: core.history.clone(),
            core,
            hub: build.hub.clone(),
            asked: 0,
            cordoned: BTreeSet::new(),
            most_cordoned: 0,
            phases: vec![],
            held_product: None,
            waits_until: None,
            change_says: None,
            broken: None,
            failed_starts: 0,
            checks_controllers: false,
            says_no: None,
            refusing: Task::Quiesce,
            hooks: BTreeSet::new(),
            started: vec![],
            finalizes: vec![],
            finalize_says_no: None,
            finalize_error: None,
            slow_checks: false,
            stages: BTreeMap::new(),
            drains: build.drains,
            observer: Observer::new(targets.clone(), ObserverSettings::default()).unwrap(),
            targets,
            policy,
            known: known(),
            generation: 0,
            steps_made: 0,
            ledger: Ledger::default(),
            die_in: None,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        at(self.now_ms)
    }

    pub(super) fn know(&mut self, known: Known) {
        self.known = known;
    }

    /// `kill -9` and start: only what is on disk survives.
    pub(super) fn kill(&mut self) {
        self.core = Core::new(self.policy.clone(), self.disk.clone());
        self.observer = Observer::new(self.targets.clone(), ObserverSettings::default()).unwrap();
    }

    /// Half a second. Whatever the agent wanted to do when it died is lost.
    pub(super) fn step(&mut self) {
        self.now_ms += PROBE_MS;
        self.sim.advance(self.now_ms);
        let known = self.known.clone();
        self.core.learn(known, self.now());
        let seen = self.observe();
        let change = self.core.observe(seen, self.now());
        if !self.apply(&change) {
            return;
        }
        let facts = self.facts();
        let change = self.core.advance(&facts, self.now()).unwrap();
        if !self.apply(&change) {
            return;
        }
        if let Some(run) = self.core.finalizing() {
            let status = self.finalize_status(run.order.step_id);
            let change = self.core.finalize_told(&status, self.now());
            if !self.apply(&change) {
                return;
            }
        }
        let id = self.step_id();
        let (change, ask) = self.core.decide(id, self.now());
        if !self.apply(&change) {
            return;
        }
        let Some(ask) = ask else { return };
        self.asked += 1;
        match self.reply(&ask) {
            Some(reply) => self.core.hear(&reply, Some(&ask.product), self.now()),
            None => self.core.unheard("connection refused".to_owned(), None, self.now()),
        }
        let id = self.step_id();
        let (change, _) = self.core.decide(id, self.now());
        self.apply(&change);
    }

    pub(super) fn steps(&mut self, count: u32) {
        for _ in 0..count {
            self.step();
        }
    }

    pub(super) fn until(&mut self, most: u32, done: impl Fn(&Self) -> bool) {
        for _ in 0..most {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("not reached after {most} probes:\n{}", self.text());
    }

    /// Persists, then acts; `false` if the agent died on the way.
    fn apply(&mut self, change: &Change) -> bool {
        let dies = self.dying(change);
        if dies == Some(Death::BeforePersist) {
            self.kill();
            return false;
        }
        if change.persist {
            self.disk = self.core.history.clone();
        }
        if dies == Some(Death::AfterPersist) {
            self.kill();
            return false;
        }
        for (order, stage) in &change.start {
            self.start(order, *stage);
        }
        if let Some(order) = &change.finalize {
            let error = self.finalize_error.map(str::to_owned);
            self.core.start_ended(error);
            if self.finalize_error.is_none() {
                self.finalizes.push(order.step_id);
                self.stages.insert((order.step_id, Task::After), self.now_ms);
            }
        }
        if change.moved
            && let Some(out) = &self.core.history.out
        {
            self.phases.push((out.key().unit.to_string(), out.phase.wire()));
        }
        if dies == Some(Death::AfterEffect) {
            self.kill();
            return false;
        }
        true
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
        Some(death)
    }

    /// The finalize command takes as long as any.
    fn finalize_status(&self, step: StepId) -> StepStatus {
        let Some(since) = self.stages.get(&(step, Task::After)) else { return StepStatus::Absent };
        if self.slow_checks || self.now_ms - since < STAGE_MS {
            return StepStatus::Running { since: at(*since), detail: None };
        }
        let exit_code = if self.finalize_says_no.is_some() { 3 } else { 0 };
        let log_tail = self.finalize_says_no.clone().unwrap_or_default();
        StepStatus::Finished { exit_code, log_tail }
    }

    /// Moves a unit into a pool of its own, before all others.
    pub(super) fn move_to_pool(&mut self, name: &str, pool: &str) {
        let target = self.targets.iter_mut().find(|target| target.key.unit == unit(name)).unwrap();
        target.pool = pool.parse().unwrap();
        let product = target.key.product.clone();
        for policy in [&mut self.policy, &mut self.core.policy] {
            policy.products.get_mut(&product).unwrap().pools.insert(0, pool.parse().unwrap());
        }
        self.observer = Observer::new(self.targets.clone(), ObserverSettings::default()).unwrap();
    }

    /// Changes the owner's rules of a product, for this agent and the ones after it.
    pub(super) fn rule(&mut self, name: &str, change: impl Fn(&mut ProductRules)) {
        for policy in [&mut self.policy, &mut self.core.policy] {
            change(&mut policy.products.get_mut(&product(name)).unwrap().rules);
        }
    }

    fn has(&self, order: &StepOrder, stage: Task) -> bool {
        stage == Task::Mutate
            || self.hooks.contains(&stage)
            || (self.drains && order.role == Role::Node && stage.stage().is_some())
            || (self.checks_controllers && stage == Task::Preflight)
    }

    fn start(&mut self, order: &StepOrder, stage: Task) {
        if !self.has(order, stage) {
            return;
        }
        if self.broken == Some(stage) {
            self.failed_starts += 1;
            self.core.start_ended(Some("cannot lock the claim".to_owned()));
            return;
        }
        self.core.start_ended(None);
        let unit = &order.key.unit;
        self.started.push((unit.to_string(), stage));
        match stage {
            Task::Mutate if self.change_says.is_some() => return,
            Task::Mutate => {
                self.sim.upgrade(unit, order.step_id, &order.component.version).unwrap();
                return;
            }
            Task::Quiesce => {
                self.cordoned.insert(unit.clone());
            }
            Task::Restore => {
                self.cordoned.remove(unit);
            }
            Task::Preflight | Task::Before | Task::After => {}
        }
        self.most_cordoned = self.most_cordoned.max(self.cordoned.len());
        self.stages.entry((order.step_id, stage)).or_insert(self.now_ms);
    }

    fn facts(&self) -> DriverFacts {
        let out = self.core.history.out.as_ref().map(|out| &out.order);
        let has = |task: &Task| out.is_some_and(|order| self.has(order, *task));
        let tasks: BTreeSet<Task> = Task::ALL.into_iter().filter(has).collect();
        let Some((order, stage)) = self.core.awaited_task() else {
            return DriverFacts { tasks, status: None };
        };
        let done = |finished: bool, since: i64| {
            if finished {
                StepStatus::Finished { exit_code: 0, log_tail: String::new() }
            } else {
                StepStatus::Running { since: at(since), detail: None }
            }
        };
        let status = tasks.contains(&stage).then(|| match stage {
            Task::Mutate => self.change_says.clone().unwrap_or_else(|| {
                let step = self.sim.step(&order.step_id);
                step.map_or(StepStatus::Absent, |step| done(step.finished, step.started_at_ms))
            }),
            other => {
                self.stages.get(&(order.step_id, other)).map_or(StepStatus::Absent, |since| match (
                    done(!self.slow_checks && self.now_ms - since >= STAGE_MS, *since),
                    &self.says_no,
                ) {
                    (StepStatus::Finished { .. }, Some(said)) if other == self.refusing => {
                        StepStatus::Finished { exit_code: 3, log_tail: said.clone() }
                    }
                    (status, _) => status,
                })
            }
        });
        DriverFacts { tasks, status }
    }

    fn observe(&mut self) -> crate::observation::Observation {
        let now = self.now();
        let results: BTreeMap<UnitKey, Result<Probe, ScrapeError>> = self
            .observer
            .probe_targets(|_| true)
            .into_iter()
            .map(|target| {
                let probe = match self.sim.answer(&target.key.unit).unwrap() {
                    Answer::Page(text) => Ok(Probe {
                        page: Page::read(text.as_bytes(), &target.wanted),
                        date: None,
                        requested_at: now,
                        received_at: now,
                    }),
                    Answer::Down | Answer::Hangs => Err(ScrapeError::Timeout { limit_ms: 1000 }),
                };
                (target.key, probe)
            })
            .collect();
        self.observer.apply(results, PROBE_MS as u64, now)
    }

    fn reply(&mut self, ask: &crate::plan::Ask) -> Option<ReportReply> {
        let product = ask.product.clone();
        let held = Hub::Holds("not this one".to_owned());
        let hub = if self.held_product.as_ref() == Some(&product) { &held } else { &self.hub };
        let until = self.waits_until.as_ref().filter(|(waits, _)| *waits == product);
        let earliest_at = until.map(|(_, at)| *at).filter(|at| *at > self.now());
        let (action, grant, reasons) = match hub {
            _ if earliest_at.is_some() => {
                let message = "the next wave has not begun".to_owned();
                (Action::Wait, None, vec![Reason { code: "wave".to_owned(), message }])
            }
            Hub::Absent | Hub::Silent => return None,
            Hub::Holds(reason) => {
                let reason = Reason { code: "held".to_owned(), message: reason.clone() };
                (Action::Hold, None, vec![reason])
            }
            Hub::Grants => {
                self.generation += 1;
                let grant = Grant {
                    cluster: cluster(),
                    product: product.clone(),
                    to: ask.request.to.clone(),
                    release_digest: ask.request.release_digest,
                    generation: self.generation,
                    expires_at: at(self.now_ms + 900_000),
                };
                (Action::Proceed, Some(grant), vec![])
            }
        };
        let directives = vec![Directive { product, action, grant, reasons, earliest_at }];
        Some(ReportReply {
            seq: self.asked,
            at: self.now(),
            timestamp_etag: None,
            directives,
            next_report_in_s: 300,
            full_state_wanted: false,
            settings: vec![],
            measures: vec![],
        })
    }

    /// How many grants the hub gave.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The hub answers a report that asked for nothing: what it holds it says all the same.
    pub(super) fn answer(&mut self) {
        let held = matches!(self.hub, Hub::Holds(_));
        let action = if held { Action::Hold } else { Action::Wait };
        let products = self.policy.products.keys().cloned();
        let directives = products
            .map(|product| Directive {
                product,
                action,
                grant: None,
                reasons: vec![],
                earliest_at: None,
            })
            .collect();
        let reply = ReportReply {
            seq: self.asked,
            at: self.now(),
            timestamp_etag: None,
            directives,
            next_report_in_s: 300,
            full_state_wanted: false,
            settings: vec![],
            measures: vec![],
        };
        self.core.hear(&reply, None, self.now());
    }

    pub(super) fn step_id(&mut self) -> StepId {
        self.steps_made += 1;
        StepId(uuid::Uuid::from_u128(self.steps_made))
    }

    pub(super) fn resume(&mut self) {
        let id = self.step_id();
        let order = ResumeOrder { at: self.now() };
        let change = self.core.resume(&order, id, self.now()).unwrap();
        self.apply(&change);
    }

    /// Products as the agent reports them.
    pub(super) fn report(&mut self) -> BTreeMap<ProductRef, wire::ProductState> {
        let now = self.now();
        let (states, _) = product_states(&self.core, &mut self.ledger, None, now);
        states.into_iter().map(|state| (state.product.clone(), state)).collect()
    }

    pub(super) fn gates(&mut self, name: &str) -> Vec<String> {
        let state = self.report().remove(&product(name)).unwrap();
        state.waiting_on.into_iter().map(|why| why.gate).collect()
    }

    pub(super) fn runs(&self, name: &str) -> String {
        self.core.history.products[&product(name)].version.to_string()
    }

    pub(super) fn is_done(&self) -> bool {
        self.runs("acme/kafka") == "4.0.0" && self.runs("acme/platform") == "1.33.0"
    }

    pub(super) fn text(&self) -> String {
        format!(
            "out {:?}\npause {:?}\nwaiting {:#?}\ncurrent {:?}\nledger {:?}",
            self.core.history.out.as_ref().map(|out| (&out.order.key.unit, &out.phase)),
            self.core.history.pause,
            self.core.plan.as_ref().map(|plan| &plan.waiting_on),
            self.core.current_wait,
            self.sim.state().ledger.violations,
        )
    }

    /// What must hold at the end of every run, whatever happened.
    pub(super) fn check(&self) {
        let ledger = self.sim.state().ledger;
        assert_eq!(ledger.violations, Vec::<String>::new());
        assert_eq!(ledger.double_upgrades, 0);
        assert!(ledger.max_out <= 1, "{} units out at once", ledger.max_out);
        assert!(self.most_cordoned <= 1, "{} nodes cordoned at once", self.most_cordoned);
        let roles: Vec<Role> = ledger.restarts.iter().map(|restart| restart.role).collect();
        assert!(roles.is_sorted(), "controllers before nodes: {roles:?}");
    }
}

pub(super) fn cluster() -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(7))
}

fn targets(controllers: usize, nodes: usize) -> Vec<Target> {
    let one = |name: String, role: Role, product_name: &str, node_id: Option<i64>| Target {
        key: UnitKey { product: product(product_name), unit: unit(&name) },
        role,
        also_broker: false,
        pool: "pool".parse().unwrap(),
        node_id,
        placement: Placement::Elsewhere,
        metrics_url: Some(String::new()),
        witnesses: std::collections::BTreeSet::new(),
        evidence_from: crate::observation::EvidenceFrom::Page,
        version_evidence: VersionEvidence::default_of(role),
        required: Signal::required_of(role),
        stale_after_ms: 1_500,
    };
    let controllers = (1..=controllers)
        .map(|n| one(format!("c-{n}"), Role::Controller, "acme/kafka", Some(n as i64)));
    let nodes = (1..=nodes).map(|n| one(format!("n-{n}"), Role::Node, "acme/platform", None));
    controllers.chain(nodes).collect()
}

pub(super) fn policy(build: &Build) -> Policy {
    let step = StepTimings {
        await_return_ms: 120_000,
        await_health_ms: 120_000,
        soak_ms: 5_000,
        green_probes: 2,
    };
    let roles = [Role::Controller, Role::Broker, Role::Node, Role::Workload];
    let one = |initial: &str| ProductPolicy {
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        mode: build.mode,
        pin: None,
        hub: HubWishes::default(),
        accepted_risks: vec![],
        initial_version: version(initial),
        pools: vec!["pool".parse().unwrap()],
        rules: ProductRules::default(),
    };
    Policy {
        gate: GatePolicy::default(),
        timings: Timings {
            baseline_ms: 7_000,
            refused_retry_ms: 3_000,
            steps: roles.map(|role| (role, step)).into(),
            ..Timings::default()
        },
        grants: if build.hub == Hub::Absent { Grants::None } else { Grants::From(cluster()) },
        products: BTreeMap::from([
            (product("acme/kafka"), one("3.9.0")),
            (product("acme/platform"), one("1.32.0")),
        ]),
        hosts: build.hosts_agent.iter().map(|name| key("acme/platform", name)).collect(),
    }
}

/// A graph with these versions and edges.
pub(super) fn graph(
    versions: &[&str],
    edges: &[(usize, usize)],
    risky: &[(usize, usize)],
) -> Graph {
    let mut builder = GraphBuilder::new(None);
    for text in versions {
        builder.node(Node {
            version: version(text),
            payload: format!("registry/x@{text}"),
            metadata: BTreeMap::new(),
        });
    }
    for (from, to) in edges {
        builder.edge(*from, *to);
    }
    if !risky.is_empty() {
        let risk = Risk {
            name: "SlowStart".to_owned(),
            message: "starts slowly".to_owned(),
            url: "https://example.com/risk".to_owned(),
            matching_rules: vec![channels::graph::MatchingRule::Always],
        };
        let group = builder.risks(vec![risk]);
        for (from, to) in risky {
            builder.conditional(*from, *to, group);
        }
    }
    builder.build().unwrap()
}

/// A verified release whose units of `role` report its version.
pub(super) fn release(
    name: &str,
    text: &str,
    role: Role,
    upgrade_from: &[&str],
) -> VerifiedRelease {
    let digest = Sha256Digest::of(text.as_bytes());
    let image = Image { repository: format!("acme/{role}"), digest };
    let product = product(name);
    let component = Component { role, version: text.to_owned(), image: image.clone() };
    let content = ArchContent { payload: image, components: vec![component] };
    let document = ReleaseDocument {
        format: 1,
        critical: vec![],
        vendor: product.vendor,
        product: product.product,
        version: version(text),
        released_at: Timestamp::UNIX_EPOCH,
        severity: wire::Severity::None,
        advisories: vec![],
        url: None,
        upgrade_from: upgrade_from.iter().map(|r| r.parse().unwrap()).collect(),
        downgrade_from: vec![],
        dependencies: vec![],
        arches: BTreeMap::from([("amd64".parse().unwrap(), content)]),
        finalize: None,
    };
    VerifiedRelease { document: Arc::new(document), digest }
}

/// Knowledge of one product: all its releases verified.
pub(super) fn knowledge(graph: Graph, releases: Vec<VerifiedRelease>) -> Knowledge {
    Knowledge {
        graph: Some(Arc::new(graph)),
        releases: releases.into_iter().map(|r| (r.document.version.clone(), Ok(r))).collect(),
        failure: None,
    }
}

/// Both products may move one release on.
pub(super) fn known() -> Known {
    let kafka = knowledge(
        graph(&["3.9.0", "4.0.0"], &[(0, 1)], &[]),
        vec![
            release("acme/kafka", "3.9.0", Role::Controller, &[]),
            release("acme/kafka", "4.0.0", Role::Controller, &["^3.9"]),
        ],
    );
    let platform = knowledge(
        graph(&["1.32.0", "1.33.0"], &[(0, 1)], &[]),
        vec![
            release("acme/platform", "1.32.0", Role::Node, &[]),
            release("acme/platform", "1.33.0", Role::Node, &["~1.32"]),
        ],
    );
    Known::from([(product("acme/kafka"), kafka), (product("acme/platform"), platform)])
}

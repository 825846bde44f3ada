//! What a seed's cluster looks like: units, policy, who may decide.

use std::collections::BTreeMap;

use channels::names::UnitName;
use channels::wire::Role;

use super::super::world::{Dice, cluster, product, unit, version};
use crate::gate::GatePolicy;
use crate::observation::{
    EvidenceFrom, Placement, Target, UnitKey, VersionEvidence, WitnessSource,
};
use crate::phase::StepTimings;
use crate::plan::{
    FinalizeRules, Grants, HubWishes, Mode, Policy, PoolRules, ProductPolicy, ProductRules, Timings,
};
use crate::sim::ClusterSpec;
use crate::telemetry::Signal;

pub(super) const KAFKA: &str = "acme/kafka";
pub(super) const PLATFORM: &str = "acme/platform";
pub(super) const SHOP: &str = "acme/shop";
pub(super) const PRODUCTS: [&str; 3] = [KAFKA, PLATFORM, SHOP];

/// How long a unit must be watched before the next.
pub(super) const SOAK_MS: i64 = 4_000;

/// Ten times as fast as reality; quorum timers are never scaled.
const SPEED: u32 = 10;

/// A cluster and its owner's rules.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn for itself")]
pub(super) struct Shape {
    pub(super) seed: u64,
    pub(super) controllers: usize,
    pub(super) brokers: usize,
    pub(super) nodes: usize,
    pub(super) workloads: usize,
    /// Quorums of one or two may be rolled.
    pub(super) small_quorum: bool,
    /// A majority is enough; not all other voters.
    pub(super) majority_only: bool,
    pub(super) hub: bool,
    pub(super) mode: Mode,
    /// Nodes are drained.
    pub(super) drains: bool,
    /// Controllers have a preflight command.
    pub(super) preflights: bool,
    pub(super) hooks: bool,
    /// A release check must have passed.
    pub(super) checked: bool,
    /// Releases of Kafka have a level to finalize.
    pub(super) finalizes: bool,
    /// Controllers are brokers too.
    pub(super) combined: bool,
    /// Each has a level of its own, which must be finalized before the next release.
    pub(super) levels: bool,
    /// Workloads need a newer Kafka, nodes newer workloads.
    pub(super) dependent: bool,
    /// There is a Prometheus that can be asked about risks.
    pub(super) asks: bool,
    /// Nodes need a word of the API server.
    pub(super) witnesses: bool,
    pub(super) zones: bool,
    /// Controllers sit on nodes.
    pub(super) placed: bool,
    /// The node this agent runs on.
    pub(super) host: Option<UnitName>,
}

impl Shape {
    /// The cluster of a seed.
    pub(super) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5EED);
        let mut one_in = |n: u64| dice.below(n) == 0;
        let small_quorum = one_in(2);
        let flags = [(); 11].map(|()| one_in(3));
        let [
            manual,
            no_hub,
            no_drains,
            preflights,
            hooks,
            checked,
            free,
            witnesses,
            zones,
            placed,
            away,
        ] = flags;
        let majority_only = one_in(6);
        let mut pick =
            |list: &[usize]| list[usize::try_from(dice.below(list.len() as u64)).unwrap()];
        let controllers = pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]);
        let brokers = pick(&[0, 0, 1, 2, 3]);
        let nodes = pick(&[0, 1, 2, 2, 3]);
        let workloads = pick(&[0, 0, 1, 2]);
        let mut more = Dice::new(seed ^ 0xF00D);
        let mut one_of = |n: u64| more.below(n) == 0;
        let (patch, levels, dependent, asks) = (one_of(2), one_of(3), one_of(3), !one_of(4));
        let combined = one_of(4);
        let host = (nodes > 0 && !away).then(|| unit(&format!("n-{}", pick(&[1, nodes]))));
        Self {
            seed,
            controllers,
            brokers: if combined { 0 } else { brokers },
            nodes,
            workloads,
            small_quorum,
            majority_only,
            hub: !no_hub,
            mode: match (manual, patch) {
                (false, _) => Mode::Auto,
                (true, false) => Mode::Manual,
                (true, true) => Mode::Patch,
            },
            drains: !no_drains,
            preflights,
            hooks,
            checked,
            finalizes: !free,
            combined,
            levels,
            dependent,
            asks,
            witnesses,
            zones,
            placed: placed && nodes >= controllers,
            host,
        }
    }

    /// Nothing that goes out of its way: for tests that break one thing.
    pub(super) fn plain(seed: u64) -> Self {
        Self {
            controllers: 3,
            brokers: 2,
            nodes: 2,
            workloads: 0,
            small_quorum: false,
            majority_only: false,
            hub: true,
            mode: Mode::Auto,
            drains: true,
            preflights: false,
            hooks: false,
            checked: false,
            finalizes: true,
            combined: false,
            levels: false,
            dependent: false,
            asks: true,
            witnesses: false,
            zones: false,
            placed: false,
            host: Some(unit("n-1")),
            ..Self::draw(seed)
        }
    }

    /// A quorum that its owner does not let anyone roll.
    pub(super) fn is_stuck(&self) -> bool {
        self.controllers < 3 && !self.small_quorum
    }

    pub(super) fn spec(&self) -> ClusterSpec {
        let sizes = [
            (Role::Controller, self.controllers, "3.9.0"),
            (Role::Broker, if self.combined { self.controllers } else { self.brokers }, "3.9.0"),
            (Role::Node, self.nodes, "1.32.0"),
            (Role::Workload, self.workloads, "1.0.0"),
        ];
        ClusterSpec::of("east", self.seed, SPEED, &sizes).unwrap()
    }

    pub(super) fn targets(&self) -> Vec<Target> {
        let mut controllers = 0;
        let one = |spec: &crate::sim::UnitSpec| {
            controllers += i64::from(spec.role == Role::Controller);
            let node = self.placed && spec.role == Role::Controller;
            let placement = if node {
                Placement::OnNode(unit(&format!("n-{controllers}")))
            } else {
                Placement::Elsewhere
            };
            let both = self.combined && spec.role == Role::Controller;
            let mut required = Signal::required_of(spec.role);
            if both {
                required.extend(Signal::required_of(Role::Broker));
            }
            let asked = self.witnesses && spec.role == Role::Node;
            Target {
                key: UnitKey { product: product_of(spec.role), unit: spec.name.clone() },
                role: spec.role,
                also_broker: both,
                pool: "pool".parse().unwrap(),
                node_id: (spec.role == Role::Controller).then_some(controllers),
                placement,
                metrics_url: Some(String::new()),
                witnesses: asked.then_some(WitnessSource::Kubernetes).into_iter().collect(),
                evidence_from: EvidenceFrom::Page,
                version_evidence: VersionEvidence::default_of(spec.role),
                required,
                stale_after_ms: 1_500,
            }
        };
        // A broker that is a controller's other half is no unit of its own.
        let all = self.spec().units;
        let own = |spec: &&crate::sim::UnitSpec| !self.combined || spec.role != Role::Broker;
        all.iter().filter(own).map(one).collect()
    }

    pub(super) fn policy(&self) -> Policy {
        let step = StepTimings {
            await_return_ms: 20_000,
            await_health_ms: 40_000,
            soak_ms: u64::try_from(SOAK_MS).unwrap(),
            green_probes: 2,
        };
        let roles = [Role::Controller, Role::Broker, Role::Node, Role::Workload];
        let products = [(KAFKA, "3.9.0"), (PLATFORM, "1.32.0"), (SHOP, "1.0.0")];
        let products = products.map(|(name, initial)| {
            let policy = ProductPolicy {
                channel: "stable".parse().unwrap(),
                arch: "amd64".parse().unwrap(),
                mode: self.mode,
                pin: None,
                hub: HubWishes::default(),
                accepted_risks: vec![],
                initial_version: version(initial),
                pools: vec!["pool".parse().unwrap()],
                rules: self.rules(name),
            };
            (product(name), policy)
        });
        let host = self.host.iter();
        Policy {
            gate: GatePolicy {
                allow_small_quorum: self.small_quorum,
                all_other_voters: !self.majority_only,
                ..GatePolicy::default()
            },
            timings: Timings {
                baseline_ms: 3_000,
                refused_retry_ms: 2_000,
                steps: roles.map(|role| (role, step)).into(),
                ..Timings::default()
            },
            grants: if self.hub { Grants::From(cluster()) } else { Grants::None },
            products: products.into(),
            hosts: host
                .map(|name| UnitKey { product: product(PLATFORM), unit: name.clone() })
                .collect(),
        }
    }

    fn rules(&self, name: &str) -> ProductRules {
        let finalize = FinalizeRules {
            configured: self.finalizes,
            required_before_next: self.finalizes && self.levels,
        };
        let mut rules = ProductRules { finalize, ..ProductRules::default() };
        if self.checked && name == KAFKA {
            rules.checks.required.insert("images".to_owned());
        }
        if self.zones && name == PLATFORM {
            let zone = |n: usize| (unit(&format!("n-{n}")), format!("zone-{}", n % 2));
            rules.zones = (1..=self.nodes).map(zone).collect();
            let pool = PoolRules { zones: vec!["zone-1".to_owned()], ..PoolRules::default() };
            rules.pools = BTreeMap::from([("pool".parse().unwrap(), pool)]);
        }
        rules
    }
}

/// The product a unit of this role belongs to.
pub(super) fn product_of(role: Role) -> channels::names::ProductRef {
    product(match role {
        Role::Controller | Role::Broker => KAFKA,
        Role::Node => PLATFORM,
        Role::Workload => SHOP,
    })
}

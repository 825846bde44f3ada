//! Beside the stages of a step: what its driver waits for, and telling what rolls by itself that the
//! roll is paused.

use std::collections::BTreeMap;
use std::time::Duration;

use channels::names::{PoolName, ProductRef};
use channels::wire::WaitingOn;
use jiff::Timestamp;
use signing::causes::chain;
use tokio::time::Instant;

use super::Core;
use crate::config::{DriverSettings, Settings};
use crate::driver::{Pass, PoolDriver, StepOrder, StepStatus, Task};
use crate::observation::UnitKey;
use crate::plan::LeaseFact;

/// Drivers by product and pool.
type Drivers = BTreeMap<(ProductRef, PoolName), PoolDriver>;

/// After a failure, pauses are taken back again this much later: it takes a request for each unit.
const FREE_AGAIN: Duration = Duration::from_secs(10);

/// What is told to whom. Of pauses nothing is remembered but that there can be none any more: which
/// there are stands on the objects, where a restarted agent finds them.
#[derive(Debug, Default)]
pub(super) struct Supervision {
    units: BTreeMap<(ProductRef, PoolName), Vec<UnitKey>>,
    freed: bool,
    tried: Option<Instant>,
}

impl Supervision {
    /// Knows the units of pools that are rolled by something else.
    pub(super) fn new(settings: &Settings) -> Self {
        let pools = settings.products.iter().flat_map(|(product, configured)| {
            configured.pools.iter().map(move |pool| (product, pool))
        });
        let rolled = pools.filter(|(_, pool)| matches!(pool.driver, DriverSettings::Kubernetes(_)));
        let units = rolled.map(|(product, pool)| {
            let keys = pool.units.iter().map(|unit| unit.target.key.clone()).collect();
            ((product.clone(), pool.name.clone()), keys)
        });
        Self { units: units.collect(), ..Self::default() }
    }

    /// Tells the driver of the unit that is out how the roll stands. Once nothing is paused any more,
    /// pauses of this agent's are taken back from every unit, whichever step they were for.
    pub(super) async fn follow(
        &mut self,
        drivers: &Drivers,
        out: Option<(StepOrder, PoolName)>,
        paused: bool,
    ) {
        if let Some((order, pool)) = out {
            tell(drivers, &order, &pool, paused).await;
        }
        if paused {
            self.forget();
        } else if !self.freed && self.tried.is_none_or(|at| at.elapsed() >= FREE_AGAIN) {
            self.tried = Some(Instant::now());
            self.freed = self.free(drivers).await;
        }
    }

    /// Whoever acts meanwhile may pause something.
    pub(super) fn forget(&mut self) {
        (self.freed, self.tried) = (false, None);
    }

    /// Whether everything has been told to go on.
    async fn free(&self, drivers: &Drivers) -> bool {
        let mut freed = true;
        for (place, units) in &self.units {
            let Some(driver) = drivers.get(place) else { continue };
            if let Err(error) = driver.driver.free(units).await {
                let (pool, why) = (&place.1, chain(&error));
                tracing::warn!(%pool, error = why, "pauses cannot be taken back yet");
                freed = false;
            }
        }
        freed
    }
}

/// Whether drivers may change anything: the holder of the lease acts, if there is one. A shell says
/// that it holds it only once it has read what people ordered.
pub(super) fn pass(lease: Option<&LeaseFact>, now: Timestamp) -> Pass {
    match lease {
        None => Pass::Act,
        Some(LeaseFact::Held { until }) if now < *until => Pass::Act,
        Some(LeaseFact::Held { .. } | LeaseFact::Elsewhere { .. } | LeaseFact::Unknown { .. }) => {
            Pass::Look
        }
    }
}

/// Whether what the unit that is out does by itself is to stop: in a pause, and a drain in a hold as
/// well, because what it evicts is not undone.
pub(super) fn is_stopped(core: &Core) -> bool {
    let drains = core.awaited_task().is_some_and(|(_, task)| task == Task::Quiesce);
    let product = core.history.out.as_ref().map(|out| &out.order.key.product);
    core.history.pause.is_some() || drains && product.is_some_and(|product| core.is_held(product))
}

/// Tells a driver; if it cannot be told, it is told again in the next round.
async fn tell(drivers: &Drivers, order: &StepOrder, pool: &PoolName, paused: bool) {
    let place = (order.key.product.clone(), pool.clone());
    let Some(driver) = drivers.get(&place) else { return };
    if let Err(error) = driver.driver.supervise(order, paused).await {
        let why = chain(&error);
        tracing::warn!(unit = %order.key, paused, error = why, "cannot tell the driver");
    }
}

/// What a stage that runs waits for, if its driver says so.
pub(super) fn stage_waits(order: &StepOrder, task: Task, status: &StepStatus) -> Option<WaitingOn> {
    let StepStatus::Running { since, detail: Some(detail) } = status else { return None };
    Some(WaitingOn {
        gate: task.as_str().to_owned(),
        unit: Some(order.key.unit.clone()),
        message: detail.clone(),
        observed: None,
        limit: None,
        since: Some(*since),
    })
}

#[cfg(test)]
mod tests {
    use channels::wire::Role;
    use serde_json::json;

    use super::*;
    use crate::config::{Field, FieldValue, KubernetesPool, StrimziPool};
    use crate::driver::{Driver, HookRunner, KubernetesDriver};
    use crate::kube::fake::FakeApi;

    const KAFKA: &str = "/apis/kafka.strimzi.io/v1/namespaces/kafka/kafkas/east";

    fn order() -> StepOrder {
        StepOrder::sample(
            ("acme/kafka", "east"),
            Role::Workload,
            ["1.0.0", "2.0.0"],
            ("2.0.0", "acme/kafka", b"2.0.0"),
        )
    }

    fn drivers(api: &FakeApi, state_dir: &std::path::Path) -> Drivers {
        let kinds = json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "kafka.strimzi.io/v1",
            "resources": [{
                "name": "kafkas", "singularName": "kafka", "namespaced": true, "kind": "Kafka",
                "verbs": ["get", "patch"],
            }],
        });
        api.put("/apis/kafka.strimzi.io/v1", kinds);
        let east = json!({
            "metadata": { "name": "east", "generation": 1, "annotations": {} },
            "spec": { "kafka": { "version": "1.0.0" } },
            "status": {
                "observedGeneration": 1, "conditions": [{ "type": "Ready", "status": "True" }],
            },
        });
        api.put(KAFKA, east);
        let pool = KubernetesPool::Strimzi(StrimziPool {
            namespace: "kafka".to_owned(),
            api_version: Some("kafka.strimzi.io/v1".to_owned()),
            fields: vec![Field {
                pointer: "/spec/kafka/version".parse().unwrap(),
                value: FieldValue::ComponentVersion,
            }],
            registry: None,
            stuck_after_ms: 600_000,
        });
        let driver = KubernetesDriver::open(&api.kube(), &pool).unwrap();
        let place = ("acme/kafka".parse().unwrap(), "east".parse().unwrap());
        let driver = Driver::Kubernetes(Box::new(driver));
        let hooks = HookRunner::open(state_dir, BTreeMap::new()).unwrap();
        Drivers::from([(place, PoolDriver { driver, hooks })])
    }

    fn paused(api: &FakeApi) -> bool {
        let annotations = &api.object(KAFKA)["metadata"]["annotations"];
        annotations["strimzi.io/pause-reconciliation"] == "true"
    }

    struct Lab {
        api: FakeApi,
        drivers: Drivers,
        step: (StepOrder, PoolName),
        _dir: tempfile::TempDir,
    }

    impl Lab {
        /// A step that has changed its unit.
        async fn start() -> Self {
            let (api, dir) = (FakeApi::start(), tempfile::tempdir().unwrap());
            let drivers = drivers(&api, dir.path());
            let step: (StepOrder, PoolName) = (order(), "east".parse().unwrap());
            let driver = drivers.values().next().unwrap();
            driver.start(&step.0, Task::Mutate).await.unwrap();
            Self { api, drivers, step, _dir: dir }
        }

        async fn follow(&self, supervision: &mut Supervision, out: bool, paused: bool) {
            supervision.follow(&self.drivers, out.then(|| self.step.clone()), paused).await;
        }

        fn supervision(&self) -> Supervision {
            let place = self.drivers.keys().next().unwrap().clone();
            let units = BTreeMap::from([(place, vec![self.step.0.key.clone()])]);
            Supervision { units, ..Supervision::default() }
        }
    }

    #[tokio::test]
    async fn a_step_that_ends_while_it_is_paused_is_freed_when_the_pause_is_over() {
        let lab = Lab::start().await;
        let mut supervision = lab.supervision();
        lab.follow(&mut supervision, true, false).await;
        assert!(!paused(&lab.api));
        lab.follow(&mut supervision, true, true).await;
        assert!(paused(&lab.api));
        lab.follow(&mut supervision, false, true).await;
        assert!(paused(&lab.api), "the pause is not over");
        lab.follow(&mut supervision, false, false).await;
        assert!(!paused(&lab.api));
    }

    #[tokio::test]
    async fn an_agent_restarted_after_the_step_frees_it_when_the_pause_is_over() {
        let lab = Lab::start().await;
        lab.follow(&mut lab.supervision(), true, true).await;
        let mut restarted = lab.supervision();
        lab.follow(&mut restarted, false, true).await;
        assert!(paused(&lab.api), "the pause is not over");
        lab.follow(&mut restarted, false, false).await;
        assert!(!paused(&lab.api));
        // And one that was restarted when everything was over.
        lab.follow(&mut lab.supervision(), true, true).await;
        lab.follow(&mut lab.supervision(), false, true).await;
        lab.follow(&mut lab.supervision(), false, false).await;
        assert!(!paused(&lab.api));
    }

    #[tokio::test]
    async fn a_step_that_goes_on_is_told_so() {
        let lab = Lab::start().await;
        let mut supervision = lab.supervision();
        lab.follow(&mut supervision, true, true).await;
        lab.follow(&mut supervision, true, false).await;
        assert!(!paused(&lab.api));
        lab.follow(&mut supervision, true, true).await;
        assert!(paused(&lab.api));
    }

    #[tokio::test]
    async fn what_another_agent_paused_meanwhile_is_freed_by_the_next_holder_of_the_lease() {
        let lab = Lab::start().await;
        let mut supervision = lab.supervision();
        lab.follow(&mut supervision, true, false).await;
        supervision.forget();
        lab.follow(&mut lab.supervision(), true, true).await;
        lab.follow(&mut supervision, false, false).await;
        assert!(!paused(&lab.api));
    }

    #[test]
    fn only_the_holder_of_the_lease_acts_while_it_holds_it() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(pass(None, now), Pass::Act, "this cluster has none");
        let held = LeaseFact::Held { until: now + jiff::SignedDuration::from_secs(1) };
        assert_eq!(pass(Some(&held), now), Pass::Act);
        for fact in [
            LeaseFact::Held { until: now },
            LeaseFact::Elsewhere { holder: "b".to_owned(), since: now },
            LeaseFact::Unknown { why: "ClusterUpdate not read".to_owned(), since: now },
        ] {
            assert_eq!(pass(Some(&fact), now), Pass::Look);
        }
    }

    #[test]
    fn what_a_running_stage_waits_for_is_said_with_its_name_and_its_beginning() {
        let (order, since) = (order(), jiff::Timestamp::from_second(1_800_000_000).unwrap());
        let detail = Some("pod quorum-1 may not go yet".to_owned());
        let waits = stage_waits(&order, Task::Mutate, &StepStatus::Running { since, detail });
        let waits = waits.unwrap();
        assert_eq!((waits.gate.as_str(), waits.since), ("mutate", Some(since)));
        assert_eq!(waits.message, "pod quorum-1 may not go yet");
        let mute = StepStatus::Running { since, detail: None };
        assert_eq!(stage_waits(&order, Task::Mutate, &mute), None);
    }
}

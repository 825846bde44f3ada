//! Beside the stages of a step: what its driver waits for, and telling what rolls by itself that the
//! roll is paused.

use std::collections::BTreeMap;

use channels::names::{PoolName, ProductRef};
use channels::wire::WaitingOn;
use signing::causes::chain;

use super::Core;
use crate::driver::{PoolDriver, StepOrder, StepStatus, Task};

/// Drivers by product and pool.
type Drivers = BTreeMap<(ProductRef, PoolName), PoolDriver>;

/// Whom a pause was told.
#[derive(Debug, Default)]
pub(super) struct Supervision {
    paused: Option<(StepOrder, PoolName)>,
}

impl Supervision {
    /// Tells the driver of the unit that is out how the roll stands. A step that ended while it was
    /// paused is told as well when the pause is over.
    pub(super) async fn follow(
        &mut self,
        drivers: &Drivers,
        out: Option<(StepOrder, PoolName)>,
        paused: bool,
    ) {
        if !paused
            && let Some((order, pool)) = self.paused.take_if(|told| Some(&*told) != out.as_ref())
            && !tell(drivers, &order, &pool, false).await
        {
            self.paused = Some((order, pool));
        }
        let Some((order, pool)) = out else { return };
        let told = tell(drivers, &order, &pool, paused).await;
        if paused {
            self.paused = Some((order, pool));
        } else if told && self.paused.as_ref().is_some_and(|(of, _)| of.step_id == order.step_id) {
            self.paused = None;
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

/// Whether it could be told, or there is nobody to tell.
async fn tell(drivers: &Drivers, order: &StepOrder, pool: &PoolName, paused: bool) -> bool {
    let place = (order.key.product.clone(), pool.clone());
    let Some(driver) = drivers.get(&place) else { return true };
    match driver.driver.supervise(order, paused).await {
        Ok(()) => true,
        Err(error) => {
            let why = chain(&error);
            tracing::warn!(unit = %order.key, paused, error = why, "cannot tell the driver");
            false
        }
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
            "spec": { "kafka": { "version": "1.0.0" } }, "status": { "observedGeneration": 1 },
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

    #[tokio::test]
    async fn a_step_that_ends_while_it_is_paused_is_freed_when_the_pause_is_over() {
        let api = FakeApi::start();
        let dir = tempfile::tempdir().unwrap();
        let (drivers, mut supervision) = (drivers(&api, dir.path()), Supervision::default());
        let out = || Some((order(), "east".parse().unwrap()));
        let step = out();
        supervision.follow(&drivers, step.clone(), false).await;
        assert!(!paused(&api));
        supervision.follow(&drivers, step, true).await;
        assert!(paused(&api));
        supervision.follow(&drivers, None, true).await;
        assert!(paused(&api), "the pause is not over");
        supervision.follow(&drivers, None, false).await;
        assert!(!paused(&api));
    }

    #[tokio::test]
    async fn a_step_that_goes_on_is_told_so() {
        let api = FakeApi::start();
        let dir = tempfile::tempdir().unwrap();
        let (drivers, mut supervision) = (drivers(&api, dir.path()), Supervision::default());
        let step = Some((order(), "east".parse().unwrap()));
        supervision.follow(&drivers, step.clone(), true).await;
        supervision.follow(&drivers, step.clone(), false).await;
        assert!(!paused(&api));
        supervision.follow(&drivers, step, true).await;
        assert!(paused(&api));
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

//! Controllers and brokers in a StatefulSet whose pods change only when they are made to.
//!
//! The agent picks the order. Per step: mark the set, change its template while every member is
//! Ready, wait until the controller has seen it, ask exactly one pod to go. A pod whose eviction is
//! refused is asked again and never deleted.

use std::collections::{BTreeMap, BTreeSet};

use ::kube::api::ListParams;

use channels::names::UnitName;
use jiff::Timestamp;
use serde_json::json;

use super::next::{Next, next, refusal};
use super::set::{Crew, StatefulSet};
use super::words::{places, words};
use crate::clock;
use crate::config::StatefulSetPool;
use crate::driver::{DriverError, EXIT_TIMED_OUT, Pass, Stage, StepId, StepOrder, StepStatus};
use crate::kube::node::evict::{Evicted, evict};
use crate::kube::node::{budget, objects};
use crate::kube::object::{
    Form, Mark, Place, Pod, Template, Written, checked_version, grace_needed, image_name,
};
use crate::kube::outcome::{ASK_EVERY, Recent, Stages, ended, running};
use crate::kube::permission::Need;
use crate::kube::{Kube, KubeError};
use crate::observation::{Heard, UnitKey};
use crate::phase::elapsed_ms;

/// The set changes all the time while its pods do; a mark that lost such a race is written again.
const MARK_TRIES: u32 = 5;

/// What a look at members says.
#[derive(Debug, Clone, Default)]
pub struct MembersLook {
    /// A word about each unit, or why there is none.
    pub words: BTreeMap<UnitKey, Heard>,
    /// The node each unit's pod is on; `None` = on none yet.
    pub places: BTreeMap<UnitKey, Option<UnitName>>,
}

/// Changes members of one StatefulSet.
#[derive(Debug)]
pub struct StatefulSetMembers {
    kube: Kube,
    pool: StatefulSetPool,
    sets: Place,
    pods: Place,
    stages: Stages,
    refusals: Recent<String>,
}

impl StatefulSetMembers {
    /// For the units of one pool, which are the set's pods.
    pub fn new(kube: Kube, pool: StatefulSetPool) -> Self {
        let sets = Place::new("apps/v1", "statefulsets", &pool.namespace, "StatefulSet");
        let pods = Place::new("v1", "pods", &pool.namespace, "pod");
        let refusals = Recent::new(ASK_EVERY);
        Self { kube, pool, sets, pods, stages: Stages::new(), refusals }
    }

    /// Marks the set; checks and moves are made in [`Self::status`].
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        self.stages.start(stage, || self.begin(order)).await
    }

    /// How a stage stands; of a change, after one more move if one is due and `pass` lets it.
    pub async fn status(
        &self,
        order: &StepOrder,
        stage: Stage,
        pass: Pass,
    ) -> Result<StepStatus, DriverError> {
        let step = order.step_id;
        self.stages.status(step, stage, || self.preflight(order), || self.pass(step, pass)).await
    }

    /// What the API server says about the units, and on which nodes they are.
    pub async fn look(&self, units: &[UnitKey], now: Timestamp) -> MembersLook {
        match self.crew().await {
            Ok(crew) => MembersLook {
                words: words(&crew, units, &self.pool.wanted, now),
                places: places(&crew, units),
            },
            Err(error) => {
                let why = error.chain();
                let silent = units.iter().map(|key| (key.clone(), Err(why.clone())));
                MembersLook { words: silent.collect(), places: BTreeMap::new() }
            }
        }
    }

    async fn crew(&self) -> Result<Crew, KubeError> {
        let set: StatefulSet = self.sets.get(&self.kube, &self.pool.name).await?;
        let selector = set.spec.selector.query();
        if selector.is_empty() {
            // Every pod of the namespace would be listed.
            return Ok(Crew { set, pods: BTreeMap::new() });
        }
        let list: Vec<Pod> = self.pods.list(&self.kube, &selector).await?;
        let pods = list.into_iter().map(|pod| (pod.metadata.name.clone(), pod)).collect();
        Ok(Crew { set, pods })
    }

    /// Changes nothing; says what stands against the step, or what it has found.
    async fn preflight(&self, order: &StepOrder) -> Result<StepStatus, DriverError> {
        let mark = self.mark(order, None)?;
        let crew = self.crew().await?;
        let unit = order.key.unit.as_str();
        if let Some(why) = refusal(&crew, &mark, &self.pool, order.role) {
            return Ok(ended(1, why));
        }
        if let Some(why) = self.forbidden().await? {
            return Ok(ended(1, why));
        }
        Ok(match self.budgets(crew.pods.get(unit)).await? {
            Ok(found) => ended(0, found),
            Err(why) => ended(1, why),
        })
    }

    /// What the disruption budgets of a pod say: `Err` if they never let it go.
    async fn budgets(&self, pod: Option<&Pod>) -> Result<Result<String, String>, KubeError> {
        let Some(pod) = pod else {
            return Ok(Ok("there is no pod to evict".to_owned()));
        };
        let namespace = &self.pool.namespace;
        let path = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
        let budgets: Vec<objects::Budget> = self.kube.list(&path, &ListParams::default()).await?;
        if let Some(finding) = budget::permanent(pod, &budgets, &BTreeSet::new()) {
            return Ok(Err(finding.to_string()));
        }
        let names: Vec<&str> = budgets
            .iter()
            .filter(|budget| budget::covers(budget, pod))
            .map(|budget| budget.metadata.name.as_str())
            .collect();
        let name = &pod.metadata.name;
        Ok(Ok(match names.as_slice() {
            [] => format!("no disruption budget covers pod {name}"),
            names => format!("pod {name} goes when disruption budget {} allows", names.join(", ")),
        }))
    }

    /// What this agent's account may not do, although the step needs it.
    async fn forbidden(&self) -> Result<Option<String>, KubeError> {
        let namespace = &self.pool.namespace;
        let needs = [Need::patch("apps", "statefulsets"), Need::evict()];
        for need in needs {
            if let Some(why) = need.refused(&self.kube, namespace).await? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    fn mark(&self, order: &StepOrder, was: Option<String>) -> Result<Mark, DriverError> {
        Ok(Mark {
            step: order.step_id,
            unit: order.key.unit.clone(),
            version: checked_version(&order.component.version)?.to_owned(),
            image: image_name(&self.pool.registry, &order.component.image)?,
            fields: vec![],
            was,
            at: clock::now(),
        })
    }

    /// Writes the mark, so that a restarted agent knows what it had begun; the rest is the same
    /// work as every later look at the step.
    async fn begin(&self, order: &StepOrder) -> Result<(), DriverError> {
        for _ in 0..MARK_TRIES {
            let crew = self.crew().await?;
            if Mark::of(&crew.set.metadata, &order.step_id).is_some() {
                return Ok(());
            }
            let was = crew.pods.get(order.key.unit.as_str()).map(|pod| pod.metadata.uid.clone());
            let body = json!({ "metadata": {
                "resourceVersion": crew.set.metadata.resource_version,
                "annotations": self.mark(order, was)?.annotations(),
            } });
            if self.sets.patch(&self.kube, &self.pool.name, Form::Strategic, body).await?
                == Written::Done
            {
                return Ok(());
            }
        }
        Err(KubeError::Contended { what: self.sets.named(&self.pool.name) }.into())
    }

    async fn pass(&self, step: StepId, pass: Pass) -> Result<StepStatus, KubeError> {
        let crew = self.crew().await?;
        let Some(mark) = Mark::of(&crew.set.metadata, &step) else { return Ok(StepStatus::Absent) };
        let (waited_ms, limit_ms) = (elapsed_ms(mark.at, clock::now()), self.pool.timeout_ms);
        let late = waited_ms > limit_ms;
        let wait = match next(&crew, &mark, &self.pool) {
            Next::Made => return Ok(ended(0, format!("pod {} has been made anew", mark.unit))),
            Next::Impossible(why) => return Ok(ended(1, why)),
            Next::Wait(why) => why,
            // What is over begins nothing any more.
            Next::PatchTemplate if late => "the template was not changed in time".to_owned(),
            Next::Evict { pod } if late => format!("pod {pod} was not let go in time"),
            Next::PatchTemplate if pass == Pass::Look => {
                pass.waits("the template is not changed yet".to_owned())
            }
            Next::Evict { pod } if pass == Pass::Look => {
                pass.waits(format!("pod {pod} stays as it is"))
            }
            Next::PatchTemplate => self.patch_template(&crew, &mark).await?,
            Next::Evict { pod } => self.evict(step, &crew, &pod).await?,
        };
        if late {
            let seconds = limit_ms / 1000;
            return Ok(ended(EXIT_TIMED_OUT, format!("not done after {seconds} s: {wait}")));
        }
        Ok(running(mark.at, wait))
    }

    async fn patch_template(&self, crew: &Crew, mark: &Mark) -> Result<String, KubeError> {
        let body = json!({
            "metadata": { "resourceVersion": crew.set.metadata.resource_version },
            "spec": { "template": Template::patch_to(mark, &self.pool.wanted) },
        });
        let name = &self.pool.name;
        Ok(match self.sets.patch(&self.kube, name, Form::Strategic, body).await? {
            Written::Done => format!("the template of StatefulSet {name} has been changed"),
            Written::Changed => format!("StatefulSet {name} changed meanwhile"),
        })
    }

    async fn evict(&self, step: StepId, crew: &Crew, pod: &str) -> Result<String, KubeError> {
        if let Some(refused) = self.refusals.of(step) {
            return Ok(refused);
        }
        let Some(found) = crew.pods.get(pod) else { return Ok(format!("pod {pod} is gone")) };
        let grace_s = grace_needed(&found.spec, self.pool.grace_s);
        Ok(match evict(&self.kube, found, grace_s).await? {
            Evicted::Accepted => format!("pod {pod} is stopping"),
            Evicted::Gone => format!("pod {pod} is gone"),
            Evicted::NamespaceLeaving => "its namespace is being deleted".to_owned(),
            Evicted::Budget(why) | Evicted::Refused(why) => {
                let refused = format!("pod {pod} may not go yet: {why}");
                self.refusals.put(step, refused.clone());
                refused
            }
        })
    }
}

//! Controllers and brokers in a StatefulSet whose pods change only when they are made to.
//!
//! The agent picks the order. Per step: mark the set, change its template while every member is
//! Ready, wait until the controller has seen it, ask exactly one pod to go. A pod whose eviction is
//! refused is asked again and never deleted.

use std::collections::BTreeMap;

use ::kube::Client;
use channels::wire::Role;
use jiff::Timestamp;
use serde_json::json;

use super::next::{Next, next, refusal};
use super::set::{Crew, StatefulSet};
use super::words::words;
use crate::clock;
use crate::driver::{EXIT_TIMED_OUT, Stage, StepId, StepOrder, StepStatus};
use crate::kube::KubeError;
use crate::kube::budgets;
use crate::kube::object::{
    Eviction, Form, List, Mark, Place, Pod, Registry, STEP, Template, Wanted, Written,
    checked_version, evict, grace_needed,
};
use crate::kube::outcome::{Outcomes, ended, running};
use crate::observation::{Heard, UnitKey};
use crate::phase::elapsed_ms;

/// A StatefulSet and how its members are changed; local configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatefulSetSettings {
    /// Namespace of the set.
    pub namespace: String,
    /// Its name; the units are its pods, `<name>-<ordinal>`.
    pub name: String,
    /// The containers that run the component.
    pub wanted: Wanted,
    /// Where its images are pulled from.
    pub registry: Registry,
    /// A pod is given at least this long to stop, seconds; never less than 30.
    pub grace_s: u32,
    /// Longest time from the beginning of a change until the pod has been made anew, milliseconds.
    pub timeout_ms: u64,
}

/// Changes members of one StatefulSet.
#[derive(Debug)]
pub struct StatefulSetMembers {
    settings: StatefulSetSettings,
    role: Role,
    units: Vec<UnitKey>,
    sets: Place,
    pods: Place,
    outcomes: Outcomes,
}

impl StatefulSetMembers {
    /// For the units of one pool, which are the set's pods.
    pub fn new(settings: StatefulSetSettings, role: Role, units: Vec<UnitKey>) -> Self {
        let sets = Place::new("apps/v1", "statefulsets", &settings.namespace, "StatefulSet");
        let pods = Place::new("v1", "pods", &settings.namespace, "pod");
        Self { settings, role, units, sets, pods, outcomes: Outcomes::default() }
    }

    /// Checks, or marks the set and makes the first move.
    pub async fn start(
        &self,
        client: &Client,
        order: &StepOrder,
        stage: Stage,
    ) -> Result<(), KubeError> {
        match stage {
            Stage::Preflight => {
                let outcome = self.preflight(client, order).await?;
                self.outcomes.put(order.step_id, outcome);
                Ok(())
            }
            Stage::Mutate => self.begin(client, order).await,
            _ => Err(KubeError::NoStage { stage }),
        }
    }

    /// How a stage stands; of a change, after one more move if one is due.
    pub async fn status(
        &self,
        client: &Client,
        step: &StepId,
        stage: Stage,
    ) -> Result<StepStatus, KubeError> {
        match stage {
            Stage::Preflight => Ok(self.outcomes.of(step)),
            Stage::Mutate => self.pass(client, step).await,
            _ => Err(KubeError::NoStage { stage }),
        }
    }

    /// What the API server says about the units.
    pub async fn look(&self, client: &Client, now: Timestamp) -> BTreeMap<UnitKey, Heard> {
        match self.crew(client).await {
            Ok(crew) => words(&crew, &self.units, &self.settings.wanted, now),
            Err(error) => {
                let why = error.chain();
                self.units.iter().map(|key| (key.clone(), Err(why.clone()))).collect()
            }
        }
    }

    async fn crew(&self, client: &Client) -> Result<Crew, KubeError> {
        let set: StatefulSet = self.sets.get(client, &self.settings.name).await?;
        let selector = set.spec.selector.query();
        if selector.is_empty() {
            // Every pod of the namespace would be listed.
            return Ok(Crew { set, pods: BTreeMap::new() });
        }
        let list: List<Pod> = self.pods.list(client, &selector).await?;
        let pods = list.items.into_iter().map(|pod| (pod.metadata.name.clone(), pod)).collect();
        Ok(Crew { set, pods })
    }

    /// Changes nothing; says what stands against the step, or what it has found.
    async fn preflight(&self, client: &Client, order: &StepOrder) -> Result<StepStatus, KubeError> {
        self.mark(order, None)?;
        let crew = self.crew(client).await?;
        let unit = order.key.unit.as_str();
        if let Some(why) = refusal(&crew, unit, &self.settings.wanted, self.role) {
            return Ok(ended(1, why));
        }
        let namespace = &self.settings.namespace;
        let labels = crew.pods.get(unit).map(|pod| pod.metadata.labels.clone());
        let budgets = budgets::covering(client, namespace, &labels.unwrap_or_default()).await?;
        if let Some(why) = budgets.iter().find_map(|budget| budget.never_allows()) {
            return Ok(ended(1, why));
        }
        if budgets.len() > 1 {
            let names: Vec<&str> = budgets.iter().map(|budget| budget.name()).collect();
            let names = names.join(", ");
            let why = format!("pod {unit} has several disruption budgets ({names}): Kubernetes never evicts it");
            return Ok(ended(1, why));
        }
        Ok(ended(0, budgets::said(unit, &budgets)))
    }

    fn mark(&self, order: &StepOrder, was: Option<String>) -> Result<Mark, KubeError> {
        Ok(Mark {
            step: order.step_id,
            unit: order.key.unit.clone(),
            version: checked_version(&order.component.version)?.to_owned(),
            image: self.settings.registry.image(&order.component.image)?,
            fields: vec![],
            was,
            at: clock::now(),
        })
    }

    /// Writes the mark, so that a restarted agent knows what it had begun; the rest is the same
    /// work as every later look at the step.
    async fn begin(&self, client: &Client, order: &StepOrder) -> Result<(), KubeError> {
        let crew = self.crew(client).await?;
        if crew.set.mark(&order.step_id).is_some() {
            return Ok(());
        }
        let was = crew.pods.get(order.key.unit.as_str()).map(|pod| pod.metadata.uid.clone());
        let mark = self.mark(order, was)?;
        let body = json!({ "metadata": {
            "resourceVersion": crew.set.metadata.resource_version,
            "annotations": { STEP: mark.to_text().map_err(KubeError::encode)? },
        } });
        match self.sets.patch(client, &self.settings.name, Form::Strategic, body).await? {
            Written::Done => Ok(()),
            Written::Changed => Err(KubeError::Changed { what: self.sets.named(&self.settings.name) }),
        }
    }

    async fn pass(&self, client: &Client, step: &StepId) -> Result<StepStatus, KubeError> {
        let crew = self.crew(client).await?;
        let Some(mark) = crew.set.mark(step) else { return Ok(StepStatus::Absent) };
        let wait = match next(&crew, &mark, &self.settings.wanted) {
            Next::Made => return Ok(ended(0, format!("pod {} has been made anew", mark.unit))),
            Next::Impossible(why) => return Ok(ended(1, why)),
            Next::Wait(why) => why,
            Next::PatchTemplate => self.patch_template(client, &crew, &mark).await?,
            Next::Evict { pod } => self.evict(client, &crew, &pod).await?,
        };
        let (waited_ms, limit_ms) = (elapsed_ms(mark.at, clock::now()), self.settings.timeout_ms);
        if waited_ms > limit_ms {
            let seconds = limit_ms / 1000;
            return Ok(ended(EXIT_TIMED_OUT, format!("not done after {seconds} s: {wait}")));
        }
        Ok(running(mark.at, wait))
    }

    async fn patch_template(
        &self,
        client: &Client,
        crew: &Crew,
        mark: &Mark,
    ) -> Result<String, KubeError> {
        let body = json!({
            "metadata": { "resourceVersion": crew.set.metadata.resource_version },
            "spec": { "template": Template::patch_to(mark, &self.settings.wanted) },
        });
        let name = &self.settings.name;
        Ok(match self.sets.patch(client, name, Form::Strategic, body).await? {
            Written::Done => format!("the template of StatefulSet {name} has been changed"),
            Written::Changed => format!("StatefulSet {name} changed meanwhile"),
        })
    }

    async fn evict(&self, client: &Client, crew: &Crew, pod: &str) -> Result<String, KubeError> {
        let Some(found) = crew.pods.get(pod) else { return Ok(format!("pod {pod} is gone")) };
        let grace_s = grace_needed(&found.spec, i64::from(self.settings.grace_s));
        let namespace = &self.settings.namespace;
        Ok(match evict(client, &self.pods, &found.metadata, namespace, grace_s).await? {
            Eviction::Accepted => format!("pod {pod} is stopping"),
            Eviction::Gone => format!("pod {pod} is gone"),
            Eviction::Refused(why) => format!("pod {pod} may not go yet: {why}"),
        })
    }
}

//! The shell around workloads: reads, writes once, watches.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ::kube::core::GroupVersionKind;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::built_in::BuiltIn;
use super::custom::{self, patch_to, values};
use super::seen::{Body, Next, Seen};
use super::strimzi::{self, Paused};
use crate::clock;
use crate::config::{Field, Registry, ResourcePool, StrimziPool, WorkloadKind, WorkloadPool};
use crate::driver::{DriverError, Stage, StepId, StepOrder, StepStatus};
use crate::kube::object::{Form, Mark, Place, Pod, Template, Written, checked_version, image_name};
use crate::kube::outcome::{ASK_EVERY, Progress, Recent, Stages, ended, running};
use crate::kube::permission::Need;
use crate::kube::{Kube, KubeError};
use crate::observation::{Heard, UnitKey};

/// Controllers write an object's status while it is being changed; a change that lost such a race
/// is decided again.
const CHANGE_TRIES: u32 = 5;

/// What the units of a pool are.
#[derive(Debug)]
enum Kind {
    BuiltIn(WorkloadPool),
    Custom(ResourcePool),
    Strimzi(StrimziPool),
}

/// Changes workloads of one pool.
#[derive(Debug)]
pub struct Workloads {
    kube: Kube,
    kind: Kind,
    /// Where the objects are; of custom resources once the API server has said.
    place: OnceCell<(Place, Need)>,
    stages: Stages,
    progress: Progress,
    /// The step whose resource was told to pause: once, so that a person may take it back.
    told: Mutex<Option<StepId>>,
    /// The step that was found to have changed nothing.
    unchanged: Recent<()>,
}

impl Workloads {
    fn of(kube: Kube, kind: Kind) -> Self {
        Self {
            kube,
            kind,
            place: OnceCell::new(),
            stages: Stages::new(),
            progress: Progress::default(),
            told: Mutex::new(None),
            unchanged: Recent::new(ASK_EVERY),
        }
    }

    /// Deployments, StatefulSets or DaemonSets.
    pub fn built_in(kube: Kube, pool: WorkloadPool) -> Self {
        Self::of(kube, Kind::BuiltIn(pool))
    }

    /// Custom resources.
    pub fn custom(kube: Kube, pool: ResourcePool) -> Self {
        Self::of(kube, Kind::Custom(pool))
    }

    /// Kafka clusters of Strimzi's.
    pub fn strimzi(kube: Kube, pool: StrimziPool) -> Self {
        Self::of(kube, Kind::Strimzi(pool))
    }

    fn namespace(&self) -> &str {
        match &self.kind {
            Kind::BuiltIn(pool) => &pool.namespace,
            Kind::Custom(pool) => &pool.namespace,
            Kind::Strimzi(pool) => &pool.namespace,
        }
    }

    fn stuck_after_ms(&self) -> u64 {
        match &self.kind {
            Kind::BuiltIn(pool) => pool.stuck_after_ms,
            Kind::Custom(pool) => pool.stuck_after_ms,
            Kind::Strimzi(pool) => pool.stuck_after_ms,
        }
    }

    fn fields(&self) -> (&[Field], Option<&Registry>) {
        match &self.kind {
            Kind::BuiltIn(_) => (&[], None),
            Kind::Custom(pool) => (&pool.fields, pool.registry.as_ref()),
            Kind::Strimzi(pool) => (&pool.fields, pool.registry.as_ref()),
        }
    }

    /// Where the objects are. The plural of a custom resource is asked for once.
    async fn place(&self) -> Result<&(Place, Need), KubeError> {
        self.place.get_or_try_init(|| self.find_place()).await
    }

    async fn find_place(&self) -> Result<(Place, Need), KubeError> {
        let resource = match &self.kind {
            Kind::BuiltIn(pool) => {
                let plural = match pool.kind {
                    WorkloadKind::Deployment => "deployments",
                    WorkloadKind::StatefulSet => "statefulsets",
                    WorkloadKind::DaemonSet => "daemonsets",
                };
                let place = Place::new("apps/v1", plural, &pool.namespace, pool.kind.as_str());
                return Ok((place, Need::patch("apps", plural)));
            }
            Kind::Custom(pool) => self.pinned(&pool.api_version, &pool.resource_kind).await?,
            Kind::Strimzi(StrimziPool { api_version: Some(version), .. }) => {
                self.pinned(version, strimzi::KIND).await?
            }
            Kind::Strimzi(_) => {
                let what = format!("find the API group {}", strimzi::GROUP);
                let client = self.kube.client().await?;
                let found = ::kube::discovery::group(&client, strimzi::GROUP);
                let group = self.kube.bounded(&what, found).await?;
                let missing = KubeError::Missing { what: format!("kind {}", strimzi::KIND) };
                group.recommended_kind(strimzi::KIND).ok_or(missing)?.0
            }
        };
        let place =
            Place::new(&resource.api_version, &resource.plural, self.namespace(), &resource.kind);
        Ok((place, Need::patch(&resource.group, &resource.plural)))
    }

    async fn pinned(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<::kube::core::ApiResource, KubeError> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let what = format!("find the kind {kind} of {api_version}");
        let client = self.kube.client().await?;
        let wanted = GroupVersionKind::gvk(group, version, kind);
        let found = ::kube::discovery::pinned_kind(&client, &wanted);
        Ok(self.kube.bounded(&what, found).await?.0)
    }

    async fn seen(&self, unit: &UnitKey) -> Result<Seen, KubeError> {
        let name = unit.unit.as_str();
        let (place, _) = self.place().await?;
        let damaged = |source| KubeError::Damaged { what: place.named(name), source };
        match &self.kind {
            Kind::BuiltIn(pool) => {
                let found: BuiltIn = place.get(&self.kube, name).await?;
                Ok(found.seen(pool.kind, &pool.wanted))
            }
            Kind::Custom(pool) => {
                let found: Value = place.get(&self.kube, name).await?;
                custom::seen(found, pool).map_err(damaged)
            }
            Kind::Strimzi(pool) => {
                let found: Value = place.get(&self.kube, name).await?;
                let pods = Place::new("v1", "pods", &pool.namespace, "pod");
                let pods: Vec<Pod> = pods.list(&self.kube, &strimzi::selector(name)).await?;
                strimzi::seen(found, &pods, unit).map_err(damaged)
            }
        }
    }

    /// Changes the object; checks are made in [`Self::status`].
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        self.stages.start(stage, || self.change(order)).await
    }

    /// How a stage stands.
    pub async fn status(&self, order: &StepOrder, stage: Stage) -> Result<StepStatus, DriverError> {
        let (check, look) = (|| self.preflight(order), || self.watch(order, clock::now()));
        self.stages.status(order.step_id, stage, check, look).await
    }

    /// What the API server says about the units, which are the objects of their names.
    pub async fn look(&self, units: &[UnitKey], now: Timestamp) -> BTreeMap<UnitKey, Heard> {
        let looks = units.iter().map(|key| async move {
            let word = match self.seen(key).await {
                Ok(seen) => Ok(seen.word(now)),
                Err(error) => Err(error.chain()),
            };
            (key.clone(), word)
        });
        futures_util::future::join_all(looks).await.into_iter().collect()
    }

    /// Tells an operator of its own to pause for the step that is out. Only Strimzi has one; other
    /// rollouts cannot be stopped without being rolled back. A step that has changed nothing has no
    /// mark on the resource, and there is nothing to be paused for it. The way back is [`Self::free`].
    pub async fn supervise(&self, order: &StepOrder, pause: bool) -> Result<(), DriverError> {
        let Kind::Strimzi(_) = &self.kind else { return Ok(()) };
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !pause || told == Some(order.step_id) || self.unchanged.of(order.step_id).is_some() {
            return Ok(());
        }
        let seen = self.seen(&order.key).await?;
        if Mark::of(&seen.meta, &order.step_id).is_none() {
            self.unchanged.put(order.step_id, ());
            return Ok(());
        }
        if strimzi::paused(&seen.meta, &order.key) == Paused::No {
            self.annotate(&order.key, strimzi::pause(&seen.meta, order)).await?;
            tracing::info!(unit = %order.key, "Strimzi paused");
        }
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(order.step_id);
        Ok(())
    }

    /// Takes back the pauses of this agent's on these units, whichever step they were for: nothing
    /// is paused any more. The annotations are asked, because a restarted agent remembers none.
    pub async fn free(&self, units: &[UnitKey]) -> Result<(), DriverError> {
        let Kind::Strimzi(_) = &self.kind else { return Ok(()) };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let freed = units.iter().map(|unit| self.free_one(unit));
        for outcome in futures_util::future::join_all(freed).await {
            outcome?;
        }
        Ok(())
    }

    async fn free_one(&self, unit: &UnitKey) -> Result<(), KubeError> {
        let seen = match self.seen(unit).await {
            // What is not there is not paused.
            Err(KubeError::Missing { .. }) => return Ok(()),
            found => found?,
        };
        if strimzi::paused(&seen.meta, unit) == Paused::ByUs {
            self.annotate(unit, strimzi::unpause(&seen.meta)).await?;
            tracing::info!(%unit, "Strimzi goes on");
        }
        Ok(())
    }

    async fn annotate(&self, unit: &UnitKey, body: Value) -> Result<(), KubeError> {
        let (place, _) = self.place().await?;
        let name = unit.unit.as_str();
        match place.patch(&self.kube, name, Form::Merge, body).await? {
            Written::Done => Ok(()),
            // Said again at the next turn, on what is there by then.
            Written::Changed => Err(KubeError::Contended { what: place.named(name) }),
        }
    }

    /// Changes nothing; says what stands against the step.
    async fn preflight(&self, order: &StepOrder) -> Result<StepStatus, DriverError> {
        let mark = self.mark(order)?;
        let seen = self.seen(&order.key).await?;
        if let Some(why) = seen.refusal() {
            return Ok(ended(1, why));
        }
        if let Err(why) = self.patch(&seen, &mark) {
            return Ok(ended(1, format!("{}: {why}", seen.named)));
        }
        let (_, need) = self.place().await?;
        if let Some(why) = need.refused(&self.kube, self.namespace()).await? {
            return Ok(ended(1, why));
        }
        Ok(ended(0, format!("{} can be changed", seen.named)))
    }

    fn mark(&self, order: &StepOrder) -> Result<Mark, DriverError> {
        let image = match (&self.kind, self.fields().1) {
            (Kind::BuiltIn(pool), _) => image_name(&pool.registry, &order.component.image)?,
            (Kind::Custom(_) | Kind::Strimzi(_), Some(registry)) => {
                image_name(registry, &order.component.image)?
            }
            (Kind::Custom(_) | Kind::Strimzi(_), None) => String::new(),
        };
        let (fields, registry) = self.fields();
        Ok(Mark {
            step: order.step_id,
            unit: order.key.unit.clone(),
            version: checked_version(&order.component.version)?.to_owned(),
            image,
            fields: values(fields, registry, order)?,
            was: None,
            at: clock::now(),
        })
    }

    /// The patch of an object: the mark and the change at once, decided on what was read.
    fn patch(&self, seen: &Seen, mark: &Mark) -> Result<(Form, Value), String> {
        let (form, mut patch) = match &seen.body {
            Body::Template(_, wanted) => {
                let template = Template::patch_to(mark, wanted);
                let metadata = json!({ "annotations": mark.annotations() });
                (Form::Strategic, json!({ "metadata": metadata, "spec": { "template": template } }))
            }
            Body::Resource(object) => (Form::Merge, patch_to(object, self.fields().0, mark)?),
        };
        if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
            let version = Value::from(seen.meta.resource_version.clone());
            metadata.insert("resourceVersion".to_owned(), version);
        }
        Ok((form, patch))
    }

    async fn change(&self, order: &StepOrder) -> Result<(), DriverError> {
        let unit = order.key.unit.as_str();
        let mark = self.mark(order)?;
        let (place, _) = self.place().await?;
        for _ in 0..CHANGE_TRIES {
            let seen = self.seen(&order.key).await?;
            if Mark::of(&seen.meta, &order.step_id).is_some() {
                return Ok(());
            }
            if let Some(why) = seen.refusal() {
                return Err(KubeError::NotFit { why }.into());
            }
            let (form, patch) =
                self.patch(&seen, &mark).map_err(|why| KubeError::NotFit { why })?;
            if place.patch(&self.kube, unit, form, patch).await? == Written::Done {
                return Ok(());
            }
        }
        Err(KubeError::Contended { what: place.named(unit) }.into())
    }

    async fn watch(&self, order: &StepOrder, now: Timestamp) -> Result<StepStatus, KubeError> {
        let seen = self.seen(&order.key).await?;
        let Some(mark) = Mark::of(&seen.meta, &order.step_id) else {
            return Ok(StepStatus::Absent);
        };
        let how = match seen.next(&mark) {
            Next::Done => return Ok(ended(0, format!("{} is rolled out", seen.named))),
            Next::Failed(why) => return Ok(ended(1, why)),
            Next::Wait(how) => how,
        };
        let (still_ms, limit_ms) =
            (self.progress.still_for_ms(order.step_id, seen.reached, now), self.stuck_after_ms());
        if still_ms > limit_ms {
            let seconds = limit_ms / 1000;
            let why = format!("{} has not got on for {seconds} s: {how}", seen.named);
            return Ok(ended(1, why));
        }
        Ok(running(mark.at, how))
    }
}

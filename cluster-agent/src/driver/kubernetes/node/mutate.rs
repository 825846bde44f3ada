//! Mutate: the Job that changes the node, and how it stands.
//!
//! A Job that ended well proves nothing: evidence is what the node says of itself afterwards. One that
//! failed stays: were it cleared away, the half-changed node would look as if nothing had begun.

use std::time::Duration;

use ::kube::api::ListParams;
use jiff::Timestamp;
use serde_json::json;

use super::super::super::{
    DriverError, EXIT_TIMED_OUT, LOG_TAIL_BYTES, Pass, StepOrder, StepStatus,
};
use super::super::job::{UNIT_ANNOTATION, name_of};
use super::{EXIT_REFUSED, NodeDriver, done, is_marked, running};
use crate::kube::node::objects::{Job, Object};
use crate::kube::node::pods_of;
use crate::kube::object::{Condition, Pod, condition};
use crate::kube::{KubeError, STEP_ANNOTATION};

/// Lines of a failed Job's log that are read.
const LOG_LINES: i64 = 100;

/// Jobs of a unit that was changed well stay this long, for people who look how it went.
const JOB_KEPT_S: u64 = 24 * 3600;

/// Jobs of earlier attempts that one pass lets expire; nobody tries a unit more often.
const EXPIRED_MAX: usize = 10;

/// Where the Jobs of a namespace are.
pub(super) fn jobs_of(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/jobs")
}

impl NodeDriver {
    /// Creates the Job, unless it is there. Only a node that is cordoned for this step is changed.
    pub(super) async fn create_job(&self, order: &StepOrder) -> Result<(), DriverError> {
        let unit = order.key.unit.to_string();
        let Some(node) = self.node(order).await? else {
            return Err(DriverError::NoUnit { unit });
        };
        if !is_marked(&node, order.step_id) {
            return Err(DriverError::NotCordoned { unit });
        }
        let job = self.template.render(order, &self.pool)?;
        let path = jobs_of(&self.pool.namespace);
        match self.kube.create::<Object>(&path, &job).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => self.own_job(order).await.map(drop),
            Err(error) => Err(error.into()),
        }
    }

    /// The Job of the step, if it is there and really the step's.
    async fn own_job(&self, order: &StepOrder) -> Result<Option<Job>, DriverError> {
        let name = name_of(order.step_id);
        let job: Option<Job> = self.kube.get(&jobs_of(&self.pool.namespace), &name).await?;
        let step = order.step_id.to_string();
        if let Some(job) = &job
            && job.metadata.labels.get(STEP_ANNOTATION) != Some(&step)
        {
            let unit = format!("Job {}", job.metadata.place());
            let by = "somebody who gave it the name of this step's".to_owned();
            return Err(DriverError::HeldByOther { unit, by });
        }
        Ok(job)
    }

    /// How the Job stands.
    pub(super) async fn job_status(
        &self,
        order: &StepOrder,
        pass: Pass,
        now: Timestamp,
    ) -> Result<StepStatus, DriverError> {
        let Some(job) = self.own_job(order).await? else { return Ok(StepStatus::Absent) };
        let conditions = &job.status.conditions;
        let holds = |kind: &str| condition(conditions, kind).filter(|c| Condition::holds(c));
        if holds("Complete").is_some() {
            if pass == Pass::Act {
                self.let_expire(order, &job).await;
            }
            return Ok(done());
        }
        let pods: Vec<Pod> = {
            let mine = format!("{STEP_ANNOTATION}={}", order.step_id);
            let params = ListParams::default().labels(&mine);
            self.kube.list(&pods_of(&self.pool.namespace), &params).await?
        };
        if let Some(failed) = holds("Failed") {
            let late = failed.reason == "DeadlineExceeded";
            let exit_code = if late { EXIT_TIMED_OUT } else { EXIT_REFUSED };
            let mut log_tail = format!(
                "Job {} failed: {} {}\n",
                job.metadata.place(),
                failed.reason,
                failed.message
            );
            log_tail.push_str(&self.log_tail(&pods).await);
            return Ok(StepStatus::Finished { exit_code, log_tail });
        }
        let since = job.status.start_time.or(job.metadata.creation_timestamp).unwrap_or(now);
        Ok(running(since, describe(&job, &pods)))
    }

    /// Lets the API server clear away the Job and those of earlier attempts at its unit: they are of
    /// use to nobody any more. That it cannot be done is said, and holds up nothing.
    async fn let_expire(&self, order: &StepOrder, job: &Job) {
        if job.spec.ttl_seconds_after_finished.is_some() {
            return;
        }
        // Half of the pass: what the Job says must be told in any case.
        let within = Duration::from_millis(self.kube.settings().timeout_ms / 2);
        let why = match tokio::time::timeout(within, self.expire_all(order)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.chain(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(job = job.metadata.place(), why, "a Job that is over stays");
    }

    async fn expire_all(&self, order: &StepOrder) -> Result<(), KubeError> {
        let path = jobs_of(&self.pool.namespace);
        let params = ListParams::default().labels(STEP_ANNOTATION);
        let jobs: Vec<Job> = self.kube.list(&path, &params).await?;
        let (unit, own) = (order.key.to_string(), name_of(order.step_id));
        let of_unit = |job: &&Job| job.metadata.annotations.get(UNIT_ANNOTATION) == Some(&unit);
        let kept = |job: &&Job| job.spec.ttl_seconds_after_finished.is_none() && job.is_over();
        let earlier = jobs.iter().filter(of_unit).filter(kept).map(|job| &job.metadata.name);
        let patch = json!({ "spec": { "ttlSecondsAfterFinished": JOB_KEPT_S } });
        // Its own last: while that stays, the next pass tries again.
        let earlier = earlier.filter(|name| **name != own).take(EXPIRED_MAX);
        for name in earlier.chain([&own]) {
            self.kube.merge::<Object>(&path, name, &patch).await?;
        }
        Ok(())
    }

    /// The end of the log of the newest pod. That it cannot be had (the node may be away) is said,
    /// and is no error.
    async fn log_tail(&self, pods: &[Pod]) -> String {
        let newest = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp);
        let Some(pod) = newest else { return "no pod of it is left".to_owned() };
        let bytes = i64::try_from(LOG_TAIL_BYTES).unwrap_or(i64::MAX);
        let meta = &pod.metadata;
        match self.kube.log_tail(&meta.namespace, &meta.name, LOG_LINES, bytes).await {
            Ok(log) => printable(&log),
            Err(error) => {
                format!("the log of pod {} is not there: {}", meta.place(), error.chain())
            }
        }
    }
}

/// A log without control characters, at most [`LOG_TAIL_BYTES`] long, from its end.
fn printable(log: &str) -> String {
    let clean: String = log.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let excess = clean.len().saturating_sub(LOG_TAIL_BYTES);
    let from = (excess..=clean.len()).find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
    clean.get(from..).unwrap_or_default().to_owned()
}

/// What a Job that runs is doing, or why it does not.
fn describe(job: &Job, pods: &[Pod]) -> String {
    let waiting = pods.iter().find_map(|pod| {
        let waits = pod.status.container_statuses.iter().find_map(|c| c.state.waiting.as_ref())?;
        Some(format!("pod {}: {} {}", pod.metadata.name, waits.reason, waits.message))
    });
    let place = job.metadata.place();
    match waiting {
        Some(why) => format!("Job {place} waits: {}", why.trim_end()),
        None => match pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp) {
            Some(pod) => format!("Job {place}: pod {} is {}", pod.metadata.name, pod.status.phase),
            None => format!("Job {place} has no pod yet"),
        },
    }
}

//! Quiesce: the cordon, and evictions until no pod is left that a drain takes.
//!
//! Nothing is deleted, and no budget is touched: what is refused is asked again, at the cadence of
//! rolling.md §5.1, for as long as the pool allows. The agent's own pod goes last.

use futures_util::future::join_all;
use jiff::Timestamp;

use super::super::super::{DriverError, EXIT_TIMED_OUT, Pass, StepOrder, StepStatus};
use super::{NodeDriver, refused, running};
use crate::clock;
use crate::kube::KubeError;
use crate::kube::node::evict::{Evicted, evict};
use crate::kube::node::fate::{Fate, daemon_sets, fate};
use crate::kube::node::mark::{self, Mark, Marked, mark_of, marked};
use crate::kube::node::objects::Node;
use crate::kube::node::{PODS, on_node};
use crate::kube::object::Pod;
use crate::phase::elapsed_ms;

/// Evictions asked for at once.
const EVICTIONS_AT_ONCE: usize = 4;

/// Evictions asked for in one pass; the next pass follows within a second.
const EVICTIONS_PER_PASS: usize = 12;

/// Pods named in the detail of a running drain.
const NAMED_MAX: usize = 5;

impl NodeDriver {
    /// Cordons the node and marks it. A mark that an earlier step of this very unit left is taken
    /// over, with what it knows of the time before.
    pub(super) async fn cordon(&self, order: &StepOrder) -> Result<(), DriverError> {
        let pods: Vec<Pod> = self.kube.list(PODS, &on_node(order.key.unit.as_str())).await?;
        let (_, unready) = daemon_sets(&pods);
        let now = clock::now();
        self.change(order, |node| {
            let unit = order.key.unit.to_string();
            let foreign = |by: &str| DriverError::HeldByOther { unit, by: by.to_owned() };
            let (step, unit, at) = (order.step_id, order.key.clone(), now);
            let mark = match marked(node) {
                Marked::By(own) if own.step == step && node.spec.unschedulable => return Ok(None),
                // Its time goes on; somebody made the node schedulable in mid-drain.
                Marked::By(own) if own.step == step => own,
                Marked::By(before) if before.unit == unit => Mark { step, at, ..before },
                Marked::By(other) => return Err(foreign(&format!("a step of {}", other.unit))),
                Marked::Unreadable => return Err(foreign("a mark that cannot be read")),
                Marked::No if node.spec.unschedulable => return Err(foreign("someone")),
                Marked::No => {
                    Mark { step, unit, at, unschedulable: false, unready: unready.clone() }
                }
            };
            Ok(Some(mark::cordon(node, &mark)))
        })
        .await
    }

    /// One pass of the drain.
    pub(super) async fn drain(
        &self,
        order: &StepOrder,
        pass: Pass,
        now: Timestamp,
    ) -> Result<StepStatus, DriverError> {
        let Some(node) = self.node(order).await? else {
            return Ok(refused(format!("there is no node {} any more", order.key.unit)));
        };
        let Some(mark) = mark_of(&node, order.step_id) else { return Ok(StepStatus::Absent) };
        if !node.spec.unschedulable {
            return Ok(refused("the node was made schedulable while it was drained".to_owned()));
        }
        if self.scratch.is_stopped(order.step_id) {
            return Ok(refused("the roll was stopped while the node was drained".to_owned()));
        }
        let pods: Vec<Pod> = self.kube.list(PODS, &on_node(order.key.unit.as_str())).await?;
        let left = Left::of(&pods, |pod| fate(pod, &self.pool.drain, Some(mark.at)));
        if left.is_empty() {
            return Ok(StepStatus::Finished { exit_code: 0, log_tail: left.came_back() });
        }
        self.scratch.keep_tries_of(&left.uids());
        if pass == Pass::Act {
            self.evict_due(&left, &node, now).await;
        }
        let detail = pass.waits(self.describe(&left));
        if elapsed_ms(mark.at, now) > self.pool.drain.timeout_ms {
            let log_tail = format!("the drain took too long; {detail}");
            return Ok(StepStatus::Finished { exit_code: EXIT_TIMED_OUT, log_tail });
        }
        Ok(running(mark.at, detail))
    }

    /// Asks those pods to go whose turn it is.
    async fn evict_due(&self, left: &Left<'_>, node: &Node, now: Timestamp) {
        let due: Vec<&Pod> = left
            .evicted
            .iter()
            .filter(|pod| left.is_last_of_all(pod) || !self.is_own(pod))
            .filter(|pod| self.scratch.is_due(&pod.metadata.uid, now))
            .take(EVICTIONS_PER_PASS)
            .copied()
            .collect();
        let grace_s = self.pool.drain.grace_s;
        for pods in due.chunks(EVICTIONS_AT_ONCE) {
            let mut asked = Vec::with_capacity(pods.len());
            for pod in pods {
                self.scratch.tried(&pod.metadata.uid, "no answer yet".to_owned(), now);
                asked.push(evict(&self.kube, pod, grace_s));
            }
            for (pod, answer) in pods.iter().zip(join_all(asked).await) {
                self.note(node, pod, answer, now);
            }
        }
    }

    /// Remembers what an eviction was answered; not knowing is no reason to stop asking for others.
    fn note(&self, node: &Node, pod: &Pod, answer: Result<Evicted, KubeError>, now: Timestamp) {
        let said = match answer {
            Ok(Evicted::Accepted) => "it goes".to_owned(),
            Ok(Evicted::Gone) => "it is gone".to_owned(),
            Ok(Evicted::NamespaceLeaving) => "its namespace is being deleted".to_owned(),
            Ok(Evicted::Budget(why) | Evicted::Refused(why)) => why,
            Err(error) => error.chain(),
        };
        let place = pod.metadata.place();
        tracing::debug!(node = node.metadata.name, pod = place, answer = said, "eviction");
        self.scratch.tried(&pod.metadata.uid, said, now);
    }

    /// Whether the pod is this agent's own.
    fn is_own(&self, pod: &Pod) -> bool {
        let place = &self.kube.settings().place;
        let same = |own: &Option<String>, value: &str| own.as_deref() == Some(value);
        same(&place.pod, &pod.metadata.name) && same(&place.namespace, &pod.metadata.namespace)
    }

    fn describe(&self, left: &Left<'_>) -> String {
        let stuck =
            left.unmovable.iter().map(|(pod, why)| format!("{}: {why}", pod.metadata.place()));
        let asked = left.evicted.iter().map(|pod| {
            let answer = self.scratch.answer(&pod.metadata.uid);
            let answer = answer.unwrap_or_else(|| "it is not its turn yet".to_owned());
            format!("{}: {answer}", pod.metadata.place())
        });
        let leaving = left
            .leaving
            .iter()
            .map(|pod| format!("{}: it is on its way out", pod.metadata.place()));
        let named: Vec<String> = stuck.chain(asked).chain(leaving).take(NAMED_MAX).collect();
        let named = named.join("; ");
        let came_back = left.came_back();
        let more = if came_back.is_empty() { String::new() } else { format!("; {came_back}") };
        match left.count() {
            1 => format!("1 pod is left: {named}{more}"),
            count => format!("{count} pods are left: {named}{more}"),
        }
    }
}

/// The pods that a drain still has to see off.
struct Left<'a> {
    evicted: Vec<&'a Pod>,
    leaving: Vec<&'a Pod>,
    unmovable: Vec<(&'a Pod, &'static str)>,
    /// Not to be seen off, but to be told of.
    came_back: Vec<&'a Pod>,
}

impl<'a> Left<'a> {
    fn of(pods: &'a [Pod], fate: impl Fn(&Pod) -> Fate) -> Self {
        let mut left =
            Self { evicted: vec![], leaving: vec![], unmovable: vec![], came_back: vec![] };
        for pod in pods {
            match fate(pod) {
                Fate::Stays => {}
                Fate::CameBack => left.came_back.push(pod),
                Fate::Leaving => left.leaving.push(pod),
                Fate::Evicted => left.evicted.push(pod),
                Fate::Unmovable(why) => left.unmovable.push((pod, why)),
            }
        }
        left
    }

    fn count(&self) -> usize {
        self.evicted.len() + self.leaving.len() + self.unmovable.len()
    }

    fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The pods that came back to the node although it is cordoned; empty if there is none.
    fn came_back(&self) -> String {
        let told = |pod: &&Pod| {
            format!("{} tolerates the cordon, has come back and stays", pod.metadata.place())
        };
        self.came_back.iter().map(told).take(NAMED_MAX).collect::<Vec<_>>().join("; ")
    }

    fn is_last_of_all(&self, pod: &Pod) -> bool {
        self.count() == 1 && self.evicted.iter().any(|last| last.metadata.uid == pod.metadata.uid)
    }

    fn uids(&self) -> Vec<&str> {
        self.evicted.iter().map(|pod| pod.metadata.uid.as_str()).collect()
    }
}

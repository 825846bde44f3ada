//! Preflight of a node: everything that would stop the step half-way, found before the cordon.
//!
//! It changes nothing but a mark that an earlier step of the very unit left: this step's name and time
//! go into it. What cannot be asked is an error, which is waited for; what stands against the step
//! ends it, with every reason by name.

use ::kube::api::ListParams;
use jiff::Timestamp;
use serde::Deserialize;

use super::super::super::{DriverError, Pass, StepOrder, StepStatus};
use super::{NodeDriver, done, refused};
use crate::config::NodeEvidence;
use crate::kube::node::hold::Holds;
use crate::kube::node::mark::{self, Mark, Marked, marked};
use crate::kube::node::objects::{Budget, Node};
use crate::kube::node::{BUDGETS, PODS, against_drain, gather_holds, on_node};
use crate::kube::object::Pod;
use crate::kube::{Kube, KubeError};
use serde::de::IgnoredAny;

/// Reasons that are listed; the rest is counted.
const REASONS_MAX: usize = 20;

/// The API server's `/version`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerVersion {
    major: String,
    minor: String,
}

impl NodeDriver {
    pub(super) async fn preflight(
        &self,
        order: &StepOrder,
        pass: Pass,
        now: Timestamp,
    ) -> Result<StepStatus, DriverError> {
        let Some(node) = self.node(order).await? else {
            return Ok(refused(format!("there is no node {}", order.key.unit)));
        };
        if pass == Pass::Act {
            self.take_over(order, now).await?;
        }
        let mut reasons = self.held(order, &node, now).await;
        reasons.extend(self.missing_rights().await?);
        reasons.extend(self.strands_agent(order).await?);
        match self.template.render(order, &self.pool) {
            Ok(job) => reasons.extend(self.dry_run(&job).await?),
            Err(error) => reasons.push(error.to_string()),
        }
        if self.pool.evidence == NodeEvidence::KubeletVersion {
            reasons.extend(newer_than_server(&self.kube, &order.component.version).await?);
        }
        let pods: Vec<Pod> = self.kube.list(PODS, &on_node(order.key.unit.as_str())).await?;
        let budgets: Vec<Budget> = self.kube.list(BUDGETS, &ListParams::default()).await?;
        let found = against_drain(&pods, &budgets, &self.pool);
        reasons.extend(found.iter().map(ToString::to_string));
        Ok(if reasons.is_empty() { done() } else { refused(listed(&reasons)) })
    }

    /// Renames the mark of an earlier step of this unit. The time of its drain begins anew.
    async fn take_over(&self, order: &StepOrder, now: Timestamp) -> Result<(), DriverError> {
        self.change(order, |node| {
            Ok(match marked(node) {
                Marked::By(before) if before.unit == order.key && before.step != order.step_id => {
                    let mark = Mark { step: order.step_id, at: now, ..before };
                    Some(mark::rename(node, &mark))
                }
                Marked::By(_) | Marked::No | Marked::Unreadable => None,
            })
        })
        .await
    }

    /// Who else has the node in hand.
    async fn held(&self, order: &StepOrder, node: &Node, now: Timestamp) -> Vec<String> {
        let mut holds = Holds::default();
        let mut failed = Vec::new();
        gather_holds(&self.kube, &mut holds, &mut failed, now).await;
        let mut reasons: Vec<String> =
            holds.findings(node).iter().map(ToString::to_string).collect();
        if let Marked::By(mark) = marked(node)
            && mark.unit != order.key
        {
            reasons.push(format!("the node is cordoned by a step of {}", mark.unit));
        }
        let unknown = |(name, why): (&str, String)| format!("{name} cannot be told: {why}");
        reasons.extend(failed.into_iter().map(unknown));
        reasons
    }

    /// Lets the API server judge the Job without making it.
    async fn dry_run(&self, job: &serde_json::Value) -> Result<Option<String>, KubeError> {
        let path = super::mutate::jobs_of(&self.pool.namespace);
        match self.kube.create_dry::<IgnoredAny>(&path, job).await {
            Ok(_) => Ok(None),
            // The Job of this very step is there already: it was judged then.
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => match error.refusal() {
                Some(refusal) if refusal.code < 500 && refusal.code != 429 => {
                    Ok(Some(format!("the Job is refused: {}", refusal.message)))
                }
                Some(_) | None => Err(error),
            },
        }
    }
}

/// A kubelet must never be newer than its API server.
async fn newer_than_server(kube: &Kube, version: &str) -> Result<Option<String>, KubeError> {
    let Some(server) = kube.get_path::<ServerVersion>("/version").await? else { return Ok(None) };
    Ok(skew(&server.major, &server.minor, version))
}

/// Why a kubelet of `version` must not meet this server; `None` if it may, or if it cannot be told
/// because a version has no such parts.
fn skew(major: &str, minor: &str, version: &str) -> Option<String> {
    let number = |text: &str| -> Option<u64> {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let mut parts = version.trim_start_matches('v').split('.');
    let kubelet = (number(parts.next()?)?, number(parts.next()?)?);
    let server = (number(major)?, number(minor)?);
    (kubelet > server).then(|| {
        format!("kubelet {version} is newer than the API server, {}.{}", server.0, server.1)
    })
}

fn listed(reasons: &[String]) -> String {
    let text = reasons.iter().take(REASONS_MAX).cloned().collect::<Vec<_>>().join("\n");
    match reasons.len().checked_sub(REASONS_MAX) {
        Some(more @ 1..) => format!("{text}\nand {more} more"),
        Some(0) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_newer_than_the_api_server_is_refused() {
        assert!(skew("1", "33", "v1.34.0").unwrap().contains("newer than the API server, 1.33"));
        assert_eq!(skew("1", "33+", "1.33.9"), None);
        assert_eq!(skew("1", "33", "1.32.0"), None);
        assert_eq!(skew("", "", "1.32.0"), None);
    }
}

//! Disruption budgets that cover one pod, for a look before it is asked to go.

use std::collections::BTreeMap;

use ::kube::Client;
use ::kube::core::{Request, Selector, SelectorExt as _};
use ::kube::api::ListParams;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Deserialize;

use super::KubeError;

/// The budgets of a namespace.
#[derive(Debug, Deserialize)]
struct Budgets {
    items: Vec<PodDisruptionBudget>,
}

/// A budget that covers a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    name: String,
    allowed: i32,
    healthy: i32,
    needed: i32,
    expected: i32,
}

impl Budget {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Why it will never let a pod go; `None` if it does, or will once pods are healthy.
    pub(crate) fn never_allows(&self) -> Option<String> {
        (self.allowed == 0 && self.expected > 0 && self.needed >= self.expected).then(|| {
            format!(
                "disruption budget {} needs {} of {} pods healthy and so never lets one go",
                self.name, self.needed, self.expected
            )
        })
    }
}

/// One line about the budgets of a pod.
pub(crate) fn said(pod: &str, budgets: &[Budget]) -> String {
    if budgets.is_empty() {
        return format!("no disruption budget covers pod {pod}");
    }
    let each = budgets.iter().map(|budget| {
        format!(
            "disruption budget {} allows {} ({} of {} healthy, {} needed)",
            budget.name, budget.allowed, budget.healthy, budget.expected, budget.needed
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

/// The budgets that cover a pod with those labels.
pub(crate) async fn covering(
    client: &Client,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<Budget>, KubeError> {
    let what = || format!("list disruption budgets of {namespace}");
    let path = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
    let request = Request::new(path)
        .list(&ListParams::default())
        .map_err(|e| KubeError::request(what(), ::kube::Error::BuildRequest(e)))?;
    let found: Budgets = client.request(request).await.map_err(|e| KubeError::request(what(), e))?;
    Ok(found.items.iter().filter(|budget| covers(budget, labels)).map(read).collect())
}

fn covers(budget: &PodDisruptionBudget, labels: &BTreeMap<String, String>) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    // A budget without a selector covers nothing; one that cannot be read might cover the pod.
    selector.is_some_and(|selector| {
        Selector::try_from(selector).map_or(true, |selector| selector.matches(labels))
    })
}

fn read(budget: &PodDisruptionBudget) -> Budget {
    let status = budget.status.clone().unwrap_or_default();
    Budget {
        name: budget.metadata.name.clone().unwrap_or_default(),
        allowed: status.disruptions_allowed,
        healthy: status.current_healthy,
        needed: status.desired_healthy,
        expected: status.expected_pods,
    }
}

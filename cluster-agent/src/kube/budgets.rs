//! Disruption budgets that cover one pod, for a look before it is asked to go.

use std::collections::BTreeMap;

use ::kube::api::ListParams;
use ::kube::core::{Selector, SelectorExt as _};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::{Kube, KubeError};

/// A budget that covers a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    name: String,
    allowed: i32,
    healthy: i32,
    needed: i32,
    expected: i32,
}

/// Why a pod will never be let go, by the name of what keeps it; `None` if it is, or will be once
/// other pods are healthy.
pub(crate) fn never(pod: &str, budgets: &[Budget]) -> Option<String> {
    if budgets.len() > 1 {
        let names: Vec<&str> = budgets.iter().map(|budget| budget.name.as_str()).collect();
        let names = names.join(", ");
        return Some(format!(
            "disruption budgets {names} all cover pod {pod}: it is never evicted"
        ));
    }
    let blocks = |budget: &&Budget| {
        budget.allowed == 0 && budget.expected > 0 && budget.needed >= budget.expected
    };
    budgets.iter().find(blocks).map(|budget| {
        format!(
            "disruption budget {} needs {} of {} pods healthy and so never lets pod {pod} go",
            budget.name, budget.needed, budget.expected
        )
    })
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
    kube: &Kube,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<Budget>, KubeError> {
    let path = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
    let found: Vec<PodDisruptionBudget> = kube.list(&path, &ListParams::default()).await?;
    Ok(found.iter().filter(|budget| covers(budget, labels)).map(read).collect())
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

//! Disruption budgets that could never allow a pod to go: found before anything is cordoned. Pure.
//!
//! A budget that merely has no disruption left at this moment is no finding: it is waited for.

use std::collections::BTreeSet;

use super::objects::{Budget, Expression, Selector};
use crate::kube::object::Pod;
use crate::observation::Finding;

/// Whether a selector picks labels. An empty selector picks everything.
fn picks(selector: &Selector, pod: &Pod) -> bool {
    let labels = &pod.metadata.labels;
    let by_labels = selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    // An operator yet unheard of: it may pick the pod.
    let holds = |expression: &Expression| {
        expression.holds(labels.get(&expression.key).map(String::as_str)).unwrap_or(true)
    };
    by_labels && selector.match_expressions.iter().all(holds)
}

/// Whether the budget is about the pod.
pub(crate) fn covers(budget: &Budget, pod: &Pod) -> bool {
    let selector = budget.spec.selector.as_ref();
    budget.metadata.namespace == pod.metadata.namespace
        && selector.is_some_and(|selector| picks(selector, pod))
}

/// Why no eviction of this pod can ever be allowed as things are; `None` if one can.
///
/// `waived` are budgets (`namespace/name`) that somebody else moves the pods of, such as Strimzi's
/// drain cleaner: there the refusal of an eviction is the beginning of the move.
pub(crate) fn permanent(
    pod: &Pod,
    budgets: &[Budget],
    waived: &BTreeSet<String>,
) -> Option<Finding> {
    // The API server asks no budget about pods that do not run yet or any more.
    if pod.is_finished() || pod.status.phase == "Pending" {
        return None;
    }
    let about: Vec<&Budget> = budgets.iter().filter(|budget| covers(budget, pod)).collect();
    let found = |budget: String, why: String| {
        Some(Finding::DisruptionBudget { budget, pod: pod.metadata.place(), why })
    };
    if about.len() > 1 {
        let names: Vec<String> = about.iter().map(|budget| budget.metadata.place()).collect();
        let why = "several budgets cover it, and then the API server refuses every eviction";
        return found(names.join(", "), why.to_owned());
    }
    let budget = about.first()?;
    if waived.contains(&budget.metadata.place()) {
        return None;
    }
    let status = &budget.status;
    if status.observed_generation < budget.metadata.generation {
        // Its figures are of an earlier budget.
        return None;
    }
    // Without this policy an unready pod goes only while enough others are healthy, and if all are
    // wanted healthy, they never are.
    let policy = budget.spec.unhealthy_pod_eviction_policy.as_deref();
    if !pod.serves() && policy == Some("AlwaysAllow") {
        return None;
    }
    let never = status.disruptions_allowed <= 0
        && status.expected_pods > 0
        && status.desired_healthy >= status.expected_pods;
    if !never {
        return None;
    }
    let why = format!(
        "it wants {} of {} pods healthy at all times",
        status.desired_healthy, status.expected_pods
    );
    found(budget.metadata.place(), why)
}

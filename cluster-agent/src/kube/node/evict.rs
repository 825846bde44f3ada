//! Evictions: one POST per pod, and what the answer means.
//!
//! The body is made here, because the library's has a wrong key and loses grace period and
//! preconditions. Nothing is ever deleted instead, and no refusal is an error: all are waited for.

use serde::de::IgnoredAny;
use serde_json::json;

use super::pods_of;
use crate::kube::object::Pod;
use crate::kube::{Kube, KubeError, Refusal};

/// What became of asking a pod to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// It goes.
    Accepted,
    /// It is gone, or another pod has its name.
    Gone,
    /// A disruption budget does not allow it at the moment; the sentence names the budget.
    Budget(String),
    /// Its namespace is being deleted: it goes by itself.
    NamespaceLeaving,
    /// The API server, or a webhook, refuses for another reason.
    Refused(String),
}

/// Asks one pod to go, by its uid.
pub(crate) async fn evict(
    kube: &Kube,
    pod: &Pod,
    grace_s: Option<u32>,
) -> Result<Evicted, KubeError> {
    let meta = &pod.metadata;
    let mut options = json!({ "preconditions": { "uid": meta.uid } });
    if let Some(grace_s) = grace_s {
        options["gracePeriodSeconds"] = json!(grace_s);
    }
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": meta.name, "namespace": meta.namespace },
        "deleteOptions": options,
    });
    let path = pods_of(&meta.namespace);
    let answer = kube.post_subresource::<IgnoredAny>(&path, &meta.name, "eviction", &body).await;
    match answer {
        Ok(_) => Ok(Evicted::Accepted),
        Err(error) => match error.refusal() {
            Some(refusal) => Ok(meaning(refusal)),
            None => Err(error),
        },
    }
}

/// What a refusal of an eviction means.
fn meaning(refusal: &Refusal) -> Evicted {
    let budgets = refusal.causes.iter().filter(|(reason, _)| reason == "DisruptionBudget");
    let named: Vec<&str> = budgets.map(|(_, message)| message.as_str()).collect();
    match refusal.code {
        404 | 409 => Evicted::Gone,
        429 if named.is_empty() => Evicted::Budget(refusal.message.clone()),
        429 => Evicted::Budget(named.join("; ")),
        403 if refusal.has_cause("NamespaceTerminating") => Evicted::NamespaceLeaving,
        code => Evicted::Refused(format!("{code} {}: {}", refusal.reason, refusal.message)),
    }
}

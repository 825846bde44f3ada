//! Deployments, StatefulSets and DaemonSets, by their counts. Pure.

use serde::Deserialize;

use super::seen::{Body, Rollout, Seen};
use crate::config::{Wanted, WorkloadKind};
use crate::kube::VERSION_ANNOTATION;
use crate::kube::object::{Condition, Meta, Said, Strategy, Template, condition};

/// An object of one of the three kinds; fields of the others are simply not there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BuiltIn {
    /// Its metadata.
    pub(super) metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<i64>,
    paused: bool,
    template: Template,
    update_strategy: Strategy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: i64,
    updated_replicas: i64,
    available_replicas: i64,
    conditions: Vec<Condition>,
    desired_number_scheduled: i64,
    updated_number_scheduled: i64,
    number_available: i64,
}

/// Pods that there should be, are, are new, and serve.
#[derive(Debug, Clone, Copy)]
struct Counts {
    desired: i64,
    current: i64,
    updated: i64,
    available: i64,
}

impl BuiltIn {
    fn counts(&self, kind: WorkloadKind) -> Counts {
        let status = &self.status;
        match kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => Counts {
                desired: self.spec.replicas.unwrap_or(1),
                current: status.replicas,
                updated: status.updated_replicas,
                available: status.available_replicas,
            },
            WorkloadKind::DaemonSet => Counts {
                desired: status.desired_number_scheduled,
                // A DaemonSet replaces pods in place: there is none beside the desired ones.
                current: status.updated_number_scheduled,
                updated: status.updated_number_scheduled,
                available: status.number_available,
            },
        }
    }

    /// What it says, as a workload.
    pub(super) fn seen(self, kind: WorkloadKind, wanted: &Wanted) -> Seen {
        let named = format!("{} {}", kind.as_str(), self.metadata.name);
        let counts = self.counts(kind);
        let observed = self.status.observed_generation >= self.metadata.generation;
        let all_new =
            observed && counts.updated >= counts.desired && counts.current <= counts.updated;
        let version = if all_new { self.version(wanted) } else { Said::Nothing };
        let old = counts.current.saturating_sub(counts.updated);
        Seen {
            rollout: self.rollout(kind, counts, observed),
            reached: [counts.updated, 0_i64.saturating_sub(old), counts.available],
            version,
            ready: Some(counts.available > 0 || counts.desired == 0),
            held: self.held(kind, &named),
            must_be_whole: false,
            body: Body::Template(Box::new(self.spec.template), wanted.clone()),
            meta: self.metadata,
            named,
        }
    }

    /// The version of its template. Before the first step the owner may have annotated the object
    /// itself, which rolls nothing out.
    fn version(&self, wanted: &Wanted) -> Said {
        let template = &self.spec.template;
        let own = self.metadata.annotations.get(VERSION_ANNOTATION);
        match own.filter(|_| !template.metadata.annotations.contains_key(VERSION_ANNOTATION)) {
            Some(version) => Said::Version(version.clone()),
            None => template.version(wanted),
        }
    }

    fn rollout(&self, kind: WorkloadKind, counts: Counts, observed: bool) -> Rollout {
        let Counts { desired, current, updated, available } = counts;
        let how = if !observed {
            format!("its controller has not seen generation {} yet", self.metadata.generation)
        } else if updated < desired {
            format!("{updated} of {desired} pods are updated")
        } else if current > updated {
            format!("{} old pods have not stopped", current.saturating_sub(updated))
        } else if available < desired {
            format!("{available} of {desired} updated pods are available")
        } else {
            return Rollout::Complete;
        };
        let progressing = condition(&self.status.conditions, "Progressing");
        match progressing.filter(|c| observed && c.status == "False") {
            Some(condition) if kind == WorkloadKind::Deployment => {
                Rollout::Failed(format!("{how}; {}", condition.said()))
            }
            Some(_) | None => Rollout::Underway(how),
        }
    }

    fn held(&self, kind: WorkloadKind, named: &str) -> Option<String> {
        if kind == WorkloadKind::Deployment {
            return self.spec.paused.then(|| format!("{named} is paused: it rolls nothing out"));
        }
        let strategy = &self.spec.update_strategy;
        if strategy.name() != "RollingUpdate" {
            return Some(format!(
                "{named} has updateStrategy {}; a workload must roll out by itself, with RollingUpdate",
                strategy.name()
            ));
        }
        let partition = strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition);
        let partition = partition.filter(|&from| from > 0)?;
        Some(format!("{named} has partition {partition}: pods below it are never updated"))
    }
}

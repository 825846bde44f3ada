//! Pod templates and pod specs: which version they stand for, and the patch that changes it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{DIGEST, Mark, Meta, VERSION_LABEL};
use crate::config::Wanted;
use crate::kube::VERSION_ANNOTATION;

/// A pod template, or a pod, which has the same shape.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Template {
    /// Labels and annotations.
    pub(crate) metadata: Meta,
    /// Containers.
    pub(crate) spec: PodSpec,
}

/// What runs in a pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    /// The containers.
    pub(crate) containers: Vec<Container>,
    /// The containers that run before them.
    pub(crate) init_containers: Vec<Container>,
    /// The node it is on.
    pub(crate) node_name: Option<String>,
    /// How long a pod may take to stop, seconds.
    pub(crate) termination_grace_period_seconds: Option<i64>,
    /// What is mounted into it.
    pub(crate) volumes: Vec<Volume>,
    /// The taints of nodes that it bears.
    pub(crate) tolerations: Vec<Toleration>,
}

/// The taint of a cordoned node.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

/// A taint that is borne.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Toleration {
    /// Of this key; empty = of every key.
    pub(crate) key: String,
    /// `Exists`, or `Equal` if it is empty.
    pub(crate) operator: String,
    /// With this value, unless `Exists`.
    pub(crate) value: String,
    /// With this effect; empty = with every effect.
    pub(crate) effect: String,
}

impl PodSpec {
    /// Whether the scheduler puts it on a cordoned node as on any other.
    pub(crate) fn tolerates_cordon(&self) -> bool {
        self.tolerations.iter().any(|borne| {
            let any_value = borne.operator == "Exists";
            let of_key = borne.key == CORDONED && (any_value || borne.value.is_empty());
            let of_effect = matches!(borne.effect.as_str(), "" | "NoSchedule");
            of_effect && (of_key || borne.key.is_empty() && any_value)
        })
    }
}

/// A volume, of which only matters whether its content goes with the pod, and whether it can follow
/// it to another node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume {
    /// Set if it is made with the pod and lost with it.
    pub(crate) empty_dir: Option<IgnoredAny>,
    /// Set if it is claimed.
    pub(crate) persistent_volume_claim: Option<ClaimName>,
}

/// The claim of a volume.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimName {
    /// Its name.
    pub(crate) claim_name: String,
}

impl Volume {
    /// The claim that it is of.
    pub(crate) fn claim(&self) -> Option<&str> {
        self.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.as_str())
    }
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    /// Its name within the pod.
    pub(crate) name: String,
    /// Its image.
    pub(crate) image: String,
}

/// What a template says about its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// This one.
    Version(String),
    /// Nothing.
    Nothing,
    /// It names a version, and an image that is not that version's.
    Contradicts(String),
}

impl Template {
    /// The container of that name.
    fn container(&self, name: &str) -> Option<&Container> {
        self.spec.containers.iter().find(|container| container.name == name)
    }

    /// Which configured container it lacks.
    pub(crate) fn lacks<'a>(&self, wanted: &'a Wanted) -> Option<&'a str> {
        if self.container(&wanted.container).is_none() {
            return Some(&wanted.container);
        }
        let inits: BTreeMap<&str, &Container> =
            self.spec.init_containers.iter().map(|c| (c.name.as_str(), c)).collect();
        let missing = wanted.init_containers.iter().find(|name| !inits.contains_key(name.as_str()));
        missing.map(String::as_str)
    }

    /// The version it stands for. The annotation is the agent's own; a chart's label counts while
    /// there is none. Someone who changes the image by hand leaves the annotation behind, and then
    /// it says nothing.
    pub(crate) fn version(&self, wanted: &Wanted) -> Said {
        let annotations = &self.metadata.annotations;
        let Some(version) = annotations.get(VERSION_ANNOTATION) else {
            return match self.metadata.labels.get(VERSION_LABEL) {
                Some(label) => Said::Version(label.clone()),
                None => Said::Nothing,
            };
        };
        let image = self.container(&wanted.container).map_or("", |c| c.image.as_str());
        match annotations.get(DIGEST) {
            Some(digest) if !image.ends_with(&format!("@{digest}")) => Said::Contradicts(format!(
                "it is annotated as {version} ({digest}), and its container {} runs {image}",
                wanted.container
            )),
            Some(_) | None => Said::Version(version.clone()),
        }
    }

    /// Whether it is what the mark wants.
    pub(crate) fn is_at(&self, mark: &Mark, wanted: &Wanted) -> bool {
        let runs = |list: &[Container], name: &str| {
            list.iter().any(|container| container.name == name && container.image == mark.image)
        };
        self.metadata.annotations.get(VERSION_ANNOTATION) == Some(&mark.version)
            && runs(&self.spec.containers, &wanted.container)
            && wanted.init_containers.iter().all(|name| runs(&self.spec.init_containers, name))
    }

    /// The strategic merge patch of a pod template that makes it what the mark wants.
    pub(crate) fn patch_to(mark: &Mark, wanted: &Wanted) -> Value {
        let set = |name: &str| json!({ "name": name, "image": mark.image });
        let mut spec = json!({ "containers": [set(&wanted.container)] });
        if let (Some(spec), false) = (spec.as_object_mut(), wanted.init_containers.is_empty()) {
            let inits: Vec<Value> = wanted.init_containers.iter().map(|name| set(name)).collect();
            spec.insert("initContainers".to_owned(), Value::Array(inits));
        }
        json!({
            "metadata": { "annotations": { VERSION_ANNOTATION: mark.version, DIGEST: mark.digest() } },
            "spec": spec,
        })
    }
}

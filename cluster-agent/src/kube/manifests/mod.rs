//! What an administrator applies before the agent runs in a cluster: the resource's definition and
//! the rights of the agent's account.
//!
//! Texts only; nothing here talks to a server. The files in `deploy/kubernetes` are these texts.

#[cfg(test)]
mod deployed_tests;
mod rights;

use ::kube::CustomResourceExt as _;

use super::resource::ClusterUpdate;

pub use rights::{Part, rbac};

/// Namespace of the agent in the files of `deploy/kubernetes`.
pub const NAMESPACE: &str = "fairway-system";

/// Name of the agent's account and of its roles.
pub const ACCOUNT: &str = "fairway-agent";

/// Why a manifest cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The definition cannot be written as YAML.
    #[error("the definition of ClusterUpdate cannot be written as YAML: {why}")]
    Yaml {
        /// What the writer said.
        why: String,
    },
}

/// The definition of `ClusterUpdate`, from the types that the agent reads and writes.
pub fn crd() -> Result<String, ManifestError> {
    let body = serde_saphyr::to_string(&ClusterUpdate::crd())
        .map_err(|error| ManifestError::Yaml { why: error.to_string() })?;
    Ok(format!("# Written by `cluster-agent manifests crd`.\n{body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployed(file: &str) -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/");
        std::fs::read_to_string(format!("{path}{file}")).unwrap()
    }

    #[test]
    fn the_deployed_definition_is_the_one_of_the_types() {
        let again = "cluster-agent manifests crd > deploy/kubernetes/2-crd.yaml";
        assert!(deployed("2-crd.yaml") == crd().unwrap(), "run: {again}");
    }

    #[test]
    fn the_deployed_rights_are_the_ones_of_the_table() {
        let again = "cluster-agent manifests rbac > deploy/kubernetes/3-rbac.yaml";
        assert!(deployed("3-rbac.yaml") == rbac(NAMESPACE, &[]), "run: {again}");
    }

    #[test]
    fn the_definition_is_a_status_page_and_is_structural() {
        let crd = serde_json::to_value(ClusterUpdate::crd()).unwrap();
        assert_eq!(crd["spec"]["scope"], "Cluster");
        let version = &crd["spec"]["versions"][0];
        assert_eq!(version["subresources"]["status"], serde_json::json!({}));
        let columns: Vec<&str> = version["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|column| column["name"].as_str())
            .collect();
        for column in ["Version", "Desired", "Progressing", "Available", "Waiting", "Status"] {
            assert!(columns.contains(&column), "{column}");
        }
        let schema = &version["schema"]["openAPIV3Schema"];
        assert_structural(schema, "");
        let conditions = &schema["properties"]["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map");
        assert_eq!(conditions["x-kubernetes-list-map-keys"], serde_json::json!(["type"]));
    }

    /// Every value has one type, and nothing is left open.
    fn assert_structural(schema: &serde_json::Value, path: &str) {
        let type_ = schema["type"].as_str();
        assert!(type_.is_some(), "{path} has no type: {schema}");
        assert!(schema.get("$ref").is_none(), "{path} is a reference");
        if let Some(properties) = schema["properties"].as_object() {
            for (name, inner) in properties {
                if path.is_empty() && name == "metadata" {
                    continue;
                }
                assert_structural(inner, &format!("{path}.{name}"));
            }
        }
        if type_ == Some("array") {
            assert_structural(&schema["items"], &format!("{path}[]"));
            assert!(schema["maxItems"].is_number(), "{path} is unbounded");
        }
    }
}

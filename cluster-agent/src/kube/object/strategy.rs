//! When a controller replaces pods that were made from an older template.

use serde::Deserialize;

/// When pods change.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Strategy {
    /// `RollingUpdate` unless said.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// How a rolling update goes.
    pub(crate) rolling_update: Option<RollingUpdate>,
}

impl Strategy {
    /// Its name; the default is Kubernetes' own.
    pub(crate) fn name(&self) -> &str {
        self.kind.as_deref().unwrap_or("RollingUpdate")
    }
}

/// How a rolling update goes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RollingUpdate {
    /// Pods below this ordinal stay as they are.
    pub(crate) partition: Option<i64>,
}

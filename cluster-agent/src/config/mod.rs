//! Configuration: one TOML file, read once at start.
//!
//! `fragments` is the file as written, `settings` what it means: defaults filled in, ranges and
//! names checked. Which driver and which commands a pool has is decided here and nowhere else; no
//! signed document can reach it. `FAIRWAY_STATE_DIR` and `FAIRWAY_HUB_URL` override their keys.

mod checks;
mod commands;
mod fragments;
mod hub;
mod kafka;
mod kubernetes;
mod listen;
mod owner;
mod pools;
mod prometheus;
mod ranges;
mod settings;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use hub::{HubSettings, Reports};
pub use kubernetes::{
    AgentPlace, DrainSettings, EtcdSettings, Field, FieldValue, KubernetesKind, KubernetesPool,
    KubernetesSettings, KuredSettings, MemberEvidence, NodeEvidence, NodePool, Pointer, Registry,
    ResourcePool, StatefulSetPool, StrimziPool, Wanted, WorkloadKind, WorkloadPool,
};
pub use pools::{DriverSettings, PoolSettings, UnitSettings};
pub use settings::{ProbeSettings, ProductSettings, Settings};

/// Largest configuration file read; a thousand units take a few hundred kibibytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML of the expected shape.
    #[error("{} is not a valid configuration", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A key is missing.
    #[error("{key} is missing: {hint}")]
    Missing {
        /// The key, with its table.
        key: String,
        /// What to write.
        hint: &'static str,
    },
    /// A value does not fit.
    #[error("{key}: {why}")]
    Invalid {
        /// The key, with its table.
        key: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl ConfigError {
    fn invalid(key: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Invalid { key: key.into(), why: why.to_string() }
    }
}

/// Values of the environment that override keys of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `FAIRWAY_STATE_DIR`.
    pub state_dir: Option<PathBuf>,
    /// `FAIRWAY_HUB_URL`.
    pub hub_url: Option<String>,
    /// Where this agent runs in a Kubernetes cluster.
    pub place: AgentPlace,
}

impl Overrides {
    /// Reads the environment.
    pub fn from_env() -> Self {
        Self {
            state_dir: std::env::var_os("FAIRWAY_STATE_DIR").map(PathBuf::from),
            hub_url: std::env::var("FAIRWAY_HUB_URL").ok(),
            place: AgentPlace::from_env(),
        }
    }
}

impl Settings {
    /// Reads and checks a configuration file. Relative paths in it are relative to its directory
    /// and absolute in the settings.
    pub fn load(path: &Path, overrides: Overrides) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(read)?.len();
        if size > FILE_BYTES_MAX {
            return Err(read(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        // Absolute, because commands of the exec driver run in `/`.
        let absolute = std::path::absolute(path).map_err(read)?;
        let base = absolute.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, path, base, overrides)
    }

    /// Checks the text of a configuration file.
    pub fn parse(
        text: &str,
        path: &Path,
        base: &Path,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let mut fragment: fragments::Fragment = toml::from_str(text).map_err(|source| {
            ConfigError::Parse { path: path.to_owned(), source: Box::new(source) }
        })?;
        if let Some(dir) = overrides.state_dir {
            fragment.state_dir = Some(dir);
        }
        if let Some(url) = overrides.hub_url {
            fragment.hub.url = Some(url);
        }
        settings::settings(fragment, overrides.place, base)
    }
}

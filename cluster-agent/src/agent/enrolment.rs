//! The cluster's identity at its hub, remembered in the state directory.

use std::path::Path;

use channels::names::ClusterId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AgentError;
use crate::config::Settings;
use crate::hub::{HubClient, open_or_create_key};
use crate::state::{Durability, StateDir, StateError, encode, read_bounded, replace};

/// `enrolment.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The hub it is enrolled at.
    pub hub_url: String,
    /// The identity that hub issued.
    pub cluster_id: ClusterId,
}

const ENROLMENT_FILE: &str = "enrolment.json";

/// The identity, if the cluster is enrolled.
pub fn load_enrolment(state_dir: &Path) -> Result<Option<Enrolment>, StateError> {
    let path = state_dir.join(ENROLMENT_FILE);
    let Some(bytes) = read_bounded(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| StateError::Unreadable { path, source })
}

/// Registers the cluster's key at the hub. Safe to repeat: the same key keeps its identity.
pub async fn enroll(
    settings: &Settings,
    join_token: &str,
    now: Timestamp,
) -> Result<Enrolment, AgentError> {
    let state = StateDir::open(&settings.state_dir).map_err(|source| AgentError::State { source })?;
    let hub = |source| AgentError::Hub { source: Box::new(source) };
    let key = open_or_create_key(state.path()).map_err(hub)?;
    let client = HubClient::new(&settings.hub.url, key).map_err(hub)?;
    let version = env!("CARGO_PKG_VERSION");
    let reply =
        client.enrol(join_token, &settings.cluster_name, version, now).await.map_err(hub)?;
    let enrolment =
        Enrolment { hub_url: settings.hub.url.clone(), cluster_id: reply.cluster_id };
    let path = state.path().join(ENROLMENT_FILE);
    encode(&path, &enrolment)
        .and_then(|bytes| replace(&path, &bytes, Durability::Flushed))
        .map_err(|source| AgentError::State { source })?;
    Ok(enrolment)
}

//! The cluster's identity at its hub, remembered in the state directory.

use std::path::Path;

use channels::names::ClusterId;
use channels::wire::EnrolmentReply;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::KeyId;
use signing::causes::chain;

use super::AgentError;
use crate::config::Settings;
use crate::hub::{
    HubClient, HubError, KeyPlace, begin_rotation, finish_rotation, forget_key, open_key,
    open_or_create_key, put_in_force,
};
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

/// Which key an enrolment registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrolKey {
    /// The one there is; the first is made.
    Kept,
    /// A new one, which replaces the one there is once the hub has taken it.
    New,
}

/// Registers a key of the cluster at the hub. Safe to repeat with the same token: the same key keeps
/// its identity, and a new key whose registration was not answered is asked for again.
pub async fn enroll(
    settings: &Settings,
    join_token: &str,
    key: EnrolKey,
    now: Timestamp,
) -> Result<Enrolment, AgentError> {
    let state =
        StateDir::open(&settings.state_dir).map_err(|source| AgentError::State { source })?;
    let hub = |source| AgentError::Hub { source: Box::new(source) };
    let place = match key {
        EnrolKey::Kept => KeyPlace::InForce,
        EnrolKey::New => KeyPlace::Enrolling,
    };
    let reply = match ask(settings, state.path(), place, join_token, now).await {
        // The hub took that key, its answer was lost, and the token is one that was minted since:
        // for that hub it replaces the key, so the same one will never do.
        Err(error) if place == KeyPlace::Enrolling && error.needs_another_key() => {
            tracing::warn!(error = chain(&error), "another new key is made");
            forget_key(state.path(), place).map_err(hub)?;
            ask(settings, state.path(), place, join_token, now).await
        }
        answer => answer,
    };
    let reply = reply.map_err(hub)?;
    let enrolment = Enrolment { hub_url: settings.hub.url.clone(), cluster_id: reply.cluster_id };
    let path = state.path().join(ENROLMENT_FILE);
    encode(&path, &enrolment)
        .and_then(|bytes| replace(&path, &bytes, Durability::Flushed))
        .map_err(|source| AgentError::State { source })?;
    if place == KeyPlace::Enrolling {
        // A rotation of the key before has nobody left to ask for it.
        forget_key(state.path(), KeyPlace::Next).map_err(hub)?;
        // Last: as long as the new key is at its own place, the same command finds it again.
        put_in_force(state.path(), place).map_err(hub)?;
    }
    Ok(enrolment)
}

/// Asks the hub to take the key at a place, which is made if there is none.
async fn ask(
    settings: &Settings,
    state_dir: &Path,
    place: KeyPlace,
    join_token: &str,
    now: Timestamp,
) -> Result<EnrolmentReply, HubError> {
    let hub = &settings.hub;
    let client = HubClient::over(&hub.network, &hub.url, open_or_create_key(state_dir, place)?)?;
    client.enrol(join_token, &settings.cluster_name, env!("CARGO_PKG_VERSION"), now).await
}

/// How far `rotate_key` came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The hub has the new key.
    Done(KeyId),
    /// An agent runs with this state directory: it asks for the key before its next report.
    LeftToTheAgent(KeyId),
}

/// Replaces the cluster's key at its hub, or goes on where an earlier call was interrupted.
pub async fn rotate_key(settings: &Settings, now: Timestamp) -> Result<Rotated, AgentError> {
    let state_error = |source| AgentError::State { source };
    let hub = |source| AgentError::Hub { source: Box::new(source) };
    let dir = &settings.state_dir;
    let (cluster, mut client) = open_client(settings)?;
    let next = begin_rotation(dir).map_err(hub)?;
    let state = match StateDir::open(dir) {
        Err(StateError::Locked { .. }) => return Ok(Rotated::LeftToTheAgent(next)),
        opened => opened.map_err(state_error)?,
    };
    let document = state.load(&settings.cluster_name, now).map_err(state_error)?;
    let seq = document.seq.saturating_add(1);
    finish_rotation(dir, &mut client, cluster, seq, now).await.map_err(hub)?;
    Ok(Rotated::Done(next))
}

/// The identity of an enrolled cluster, and a client that signs with its key.
pub(super) fn open_client(settings: &Settings) -> Result<(ClusterId, HubClient), AgentError> {
    let url = settings.hub.url.clone();
    let dir = &settings.state_dir;
    let enrolment = load_enrolment(dir).map_err(|source| AgentError::State { source })?;
    let Some(enrolment) = enrolment else { return Err(AgentError::NotEnrolled { url }) };
    if enrolment.hub_url != url {
        return Err(AgentError::OtherHub { found: enrolment.hub_url, expected: url });
    }
    let hub = |source| AgentError::Hub { source: Box::new(source) };
    let key = open_key(dir, KeyPlace::InForce).map_err(hub)?;
    let key = key.ok_or_else(|| AgentError::NoKey { path: KeyPlace::InForce.path(dir) })?;
    Ok((enrolment.cluster_id, HubClient::over(&settings.hub.network, &url, key).map_err(hub)?))
}

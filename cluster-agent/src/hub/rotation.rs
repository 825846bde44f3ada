//! Another key for the cluster, in three steps that may each be the last before a crash.
//!
//! 1. The next key is written beside the one in force. From here on the rotation is under way.
//! 2. The hub is asked, signed by both keys. It answers the same request again as before.
//! 3. The next key is renamed over the one in force.
//!
//! Whoever finds a next key does steps 2 and 3, however often: the agent before every report, and
//! `cluster-agent rotate-key`. Nothing here decides *that* a key is replaced.

use std::path::Path;

use channels::names::ClusterId;
use jiff::Timestamp;
use signing::KeyId;

use super::client::HubClient;
use super::error::HubError;
use super::identity::{KeyPlace, open_key, open_or_create_key, put_in_force};

/// Begins a rotation, or finds the one that is under way. Returns the id of the next key.
pub fn begin_rotation(state_dir: &Path) -> Result<KeyId, HubError> {
    Ok(open_or_create_key(state_dir, KeyPlace::Next)?.public().key_id())
}

/// Finishes a rotation that is under way; `client` signs with the new key from then on. `seq` must
/// be above every report that was sent. Says which key is new; `None` if there was nothing to do.
pub async fn finish_rotation(
    state_dir: &Path,
    client: &mut HubClient,
    cluster: ClusterId,
    seq: u64,
    now: Timestamp,
) -> Result<Option<KeyId>, HubError> {
    let Some(next) = open_key(state_dir, KeyPlace::Next)? else { return Ok(None) };
    let asked = next.public().key_id();
    let reply = client.rotate_key(cluster, &next, seq, now).await?;
    if reply.key_id != asked.to_string() {
        return Err(HubError::OtherKey { asked: asked.to_string(), found: reply.key_id });
    }
    put_in_force(state_dir, KeyPlace::Next)?;
    client.sign_with(next);
    Ok(Some(asked))
}

#[cfg(test)]
mod tests;

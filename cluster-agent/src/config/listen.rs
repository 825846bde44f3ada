//! Where the agent shows itself.

use std::net::SocketAddr;

use serde::Deserialize;

/// `[listen]`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// Without one, nothing listens.
    pub(super) address: Option<SocketAddr>,
}

//! What a hub says about itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ProductRef;

/// `GET /api/v1/hub/keys`: public halves of the hub's online keys, for `fairway init` to sign into
/// root 1 and `fairway rotate` into a later one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubKeys {
    /// Key of the `snapshot` role, SPKI PEM.
    pub snapshot: String,
    /// Key of the `timestamp` role, SPKI PEM.
    pub timestamp: String,
    /// Key that takes over `snapshot` as soon as a root names it, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_next: Option<String>,
    /// Key that takes over `timestamp` as soon as a root names it, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_next: Option<String>,
}

/// `POST /api/v1/hub/keys/{role}/next`; no body is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextKeyRequest {
    /// Make a key even if one waits, which is destroyed: a waiting one may be known to whoever was
    /// on the hub's machine.
    #[serde(default)]
    pub fresh: bool,
}

/// `GET /api/v1/hub`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubStatus {
    /// Version of the server.
    pub version: String,
    /// Server's clock.
    pub at: Timestamp,
    /// Version of root, absent before the first publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_version: Option<u64>,
    /// When the earliest of the served metadata expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Products with at least one graph.
    pub products: Vec<ProductRef>,
    /// The product answered on the path without vendor and product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_product: Option<ProductRef>,
}

//! The two documents between us and a signer program.

use crate::key::PublicKey;
use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

/// Version of the protocol. A program refuses versions it does not know.
const VERSION: u32 = 1;

/// What a program is asked.
#[derive(Debug, Serialize)]
pub(super) struct Question {
    version: u32,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Question {
    pub(super) fn public() -> Self {
        let operation = "public";
        Self { version: VERSION, operation, key_id: None, scheme: None, message: None }
    }

    pub(super) fn sign(key: &PublicKey, message: &[u8]) -> Self {
        Self {
            version: VERSION,
            operation: "sign",
            key_id: Some(key.key_id().to_string()),
            scheme: Some(key.scheme().as_str()),
            message: Some(Base64::encode_string(message)),
        }
    }

    /// One line.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings and a number: there is always a JSON form.
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// What it answers. Unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    pub(super) signature: Option<String>,
    pub(super) public_key: Option<String>,
    pub(super) error: Option<String>,
}

impl Answer {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("not its JSON document ({error})"))
    }
}

/// Base64, with line ends around it as command lines leave them.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    Base64::decode_vec(text.trim()).map_err(|error| error.to_string())
}

//! Canonical JSON: nothing is lost, and the canonical form of the canonical form is itself.

use super::as_json;
use signing::{cjson, json};

/// Any bytes.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let Ok(canonical) = cjson::encode(&value) else { return };
    let again = json::parse(&as_json(&canonical)).expect("canonical form is not JSON");
    assert_eq!(value, again, "another value was signed");
    assert_eq!(cjson::encode(&again).expect("no canonical form"), canonical, "not a fixed point");
}

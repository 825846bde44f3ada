//! What a text means, and whether an edit of it means what it should.

use serde_json::Value;

use super::EditError;
use crate::yaml;

/// The content of a YAML document, without its style.
pub(super) fn meaning(text: &str) -> Result<Value, EditError> {
    yaml::read(text).map_err(|fault| EditError::Syntax { problem: fault.to_string() })
}

/// Passes `after` on if it means what `before` means with `change` made to it.
pub(super) fn verified(
    before: &str,
    after: String,
    change: impl FnOnce(&mut Value),
) -> Result<String, EditError> {
    let mut wanted = meaning(before)?;
    change(&mut wanted);
    match meaning(&after) {
        Ok(found) if found == wanted => Ok(after),
        Ok(_) | Err(_) => Err(EditError::Meaning),
    }
}

/// Makes a list under a key be another one.
pub(super) fn set_list(value: &mut Value, key: &str, items: Vec<Value>) {
    if let Some(map) = value.as_object_mut() {
        map.insert(key.to_owned(), Value::Array(items));
    }
}

/// The list under a key; an absent one is empty.
pub(super) fn list(value: &Value, key: &str) -> Vec<Value> {
    value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

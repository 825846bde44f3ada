//! Edits of `promotions.yaml`, the record of when releases entered channels.

use serde_json::Value;

use super::EditError;
use super::list::Text;
use super::verify::{list, set_list, verified};
use crate::promotion::Entry;

const ENTERED: &str = "entered";

/// First lines of a record that is made new.
const HEADING: &str = "# When releases entered channels; written by `fairway promote`, kept with \
                       the channels.\n";

/// The record with entries added at its end; made where there is none.
pub fn record(text: Option<&str>, entries: &[Entry]) -> Result<String, EditError> {
    let before = text.unwrap_or(HEADING);
    let mut edited = Text::new(before);
    let mut added = Vec::new();
    for entry in entries {
        let line = format!(
            "{{channel: {}, version: {}, at: {}, why: {}}}",
            quoted(entry.channel.as_str()),
            quoted(&entry.version.to_string()),
            quoted(&entry.at.to_string()),
            quoted(&entry.why)
        );
        edited.append_item(ENTERED, &line)?;
        added.push(serde_json::to_value(entry).map_err(|_| EditError::Meaning)?);
    }
    // A text of comments alone has no meaning to start from; an empty mapping stands for it.
    let start = if text.is_some() { before } else { "{}" };
    verified(start, edited.into_string(), |value| {
        let items: Vec<Value> = list(value, ENTERED).into_iter().chain(added).collect();
        set_list(value, ENTERED, items);
    })
}

/// A JSON string is a YAML string, whatever is in it.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

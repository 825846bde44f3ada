//! Edits of `channels/<name>.yaml`.

use serde_json::Value;

use super::EditError;
use super::list::{Item, Text};
use super::verify::{list, meaning, set_list, verified};
use crate::version::ReleaseVersion;

const VERSIONS: &str = "versions";
const TOMBSTONES: &str = "tombstones";

/// The channel file with a version added to `versions`, in its place by version order.
pub fn promote(text: &str, version: &ReleaseVersion) -> Result<String, EditError> {
    let before = meaning(text)?;
    if place_of(&list(&before, TOMBSTONES), version).is_some() {
        return Err(EditError::Withdrawn { version: version.clone() });
    }
    let item = Item { value: version.to_string(), comment: String::new() };
    let (after, items) = add(text, VERSIONS, TOMBSTONES, version, &item)?;
    verified(text, after, |value| set_list(value, VERSIONS, items))
}

/// The channel file with a version moved from `versions` to `tombstones`, its comment with it.
pub fn withdraw(text: &str, version: &ReleaseVersion) -> Result<String, EditError> {
    let before = meaning(text)?;
    let mut versions = list(&before, VERSIONS);
    let missing = || EditError::NotListed { version: version.clone(), key: VERSIONS };
    let place = place_of(&versions, version).ok_or_else(missing)?;
    let mut edited = Text::new(text);
    let written = edited.items(VERSIONS)?.ok_or(EditError::Style { key: VERSIONS, line: 0 })?;
    let item = written.get(place).ok_or(EditError::Meaning)?.clone();
    // The list is made first where there is none, while the other one still shows its style.
    let (after, tombstones) = add(text, TOMBSTONES, VERSIONS, version, &item)?;
    edited = Text::new(&after);
    edited.remove(VERSIONS, place)?;
    versions.remove(place);
    verified(text, edited.into_string(), |value| {
        set_list(value, VERSIONS, versions);
        set_list(value, TOMBSTONES, tombstones);
    })
}

/// Adds to a list behind the last older version; also what the list is then.
fn add(
    text: &str,
    key: &'static str,
    like: &'static str,
    version: &ReleaseVersion,
    item: &Item,
) -> Result<(String, Vec<Value>), EditError> {
    let mut items = list(&meaning(text)?, key);
    if place_of(&items, version).is_some() {
        return Err(EditError::Listed { version: version.clone(), key });
    }
    let older = |item: &Value| parsed(item).is_some_and(|listed| listed < *version);
    let place = items.iter().rposition(older).map_or(0, |last| last + 1);
    let mut edited = Text::new(text);
    if edited.items(key)?.map_or(0, |items| items.len()) != items.len() {
        // The text shows other items than the parser finds, so places in it mean nothing.
        return Err(EditError::Style { key, line: edited.key(key).map_or(0, |line| line + 1) });
    }
    edited.insert(key, like, place, item)?;
    items.insert(place, Value::String(version.to_string()));
    Ok((edited.into_string(), items))
}

fn parsed(item: &Value) -> Option<ReleaseVersion> {
    item.as_str().and_then(|text| text.parse().ok())
}

fn place_of(items: &[Value], version: &ReleaseVersion) -> Option<usize> {
    items.iter().position(|item| parsed(item).as_ref() == Some(version))
}

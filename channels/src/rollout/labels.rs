//! Labels of a cluster, with the bounds that Kubernetes gives them, and changes of them.
//!
//! A fleet's owner sets them at the hub; nothing that a cluster says becomes a label.

use std::collections::BTreeMap;

/// A cluster's labels, as the hub holds them.
pub type Labels = BTreeMap<String, String>;

/// A change of labels: a value sets one, `None` takes it away, the others stay.
pub type LabelPatch = BTreeMap<String, Option<String>>;

/// Most labels of one cluster: rings, places and owners are a dozen, and every set is kept in memory.
pub const LABELS_MAX: usize = 64;

/// Longest name and longest value (Kubernetes, "Labels and Selectors").
pub const LABEL_MAX_BYTES: usize = 63;

/// Longest prefix of a key, the part before its slash: a DNS subdomain.
const PREFIX_MAX_BYTES: usize = 253;

/// Why something is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The part of a key behind its slash, or the whole key.
    #[error(
        "label {key:?}: the name must have 1 to 63 letters, digits, '-', '_' or '.', and begin \
         and end with a letter or digit"
    )]
    Name {
        /// The key, cut to a printable length.
        key: String,
    },
    /// The part before the slash.
    #[error(
        "label {key:?}: the prefix before '/' must be a DNS name of at most 253 characters (a-z, \
         0-9, '-' and '.')"
    )]
    Prefix {
        /// The key, cut to a printable length.
        key: String,
    },
    /// A value.
    #[error(
        "label {key:?} cannot be {value:?}: a value is empty or has up to 63 letters, digits, '-', \
         '_' or '.', and begins and ends with a letter or digit"
    )]
    Value {
        /// The key, cut to a printable length.
        key: String,
        /// The value, cut to a printable length.
        value: String,
    },
    /// More than a cluster may have.
    #[error("{found} labels, at most {max} are kept per cluster", max = LABELS_MAX)]
    TooMany {
        /// How many there would be.
        found: usize,
    },
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Letters and digits at both ends, and these or `-`, `_`, `.` between them.
fn is_word(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= LABEL_MAX_BYTES
        && ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_dns_label(text: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= LABEL_MAX_BYTES
        && ends.iter().all(|end| end.is_some_and(is_end))
        && text.bytes().all(|byte| is_end(byte) || byte == b'-')
}

/// Checks a key: `name`, or `prefix/name`.
pub fn check_key(key: &str) -> Result<(), LabelError> {
    let name = match key.split_once('/') {
        None => key,
        Some((prefix, name)) => {
            if prefix.len() > PREFIX_MAX_BYTES || !prefix.split('.').all(is_dns_label) {
                return Err(LabelError::Prefix { key: shown(key) });
            }
            name
        }
    };
    if is_word(name) { Ok(()) } else { Err(LabelError::Name { key: shown(key) }) }
}

/// Checks the value of `key`.
pub fn check_value(key: &str, value: &str) -> Result<(), LabelError> {
    if value.is_empty() || is_word(value) {
        return Ok(());
    }
    Err(LabelError::Value { key: shown(key), value: shown(value) })
}

/// Checks every key and value, and how many there are.
pub fn check(labels: &Labels) -> Result<(), LabelError> {
    for (key, value) in labels {
        check_key(key)?;
        check_value(key, value)?;
    }
    let found = labels.len();
    if found > LABELS_MAX { Err(LabelError::TooMany { found }) } else { Ok(()) }
}

/// Checks every key and value of a change. A key that is taken away may be anything: one that a
/// cluster has must go, whatever the rules were when it came.
pub fn check_patch(patch: &LabelPatch) -> Result<(), LabelError> {
    for (key, value) in patch {
        if let Some(value) = value {
            check_key(key)?;
            check_value(key, value)?;
        }
    }
    let found = patch.len();
    // Every label replaced: as many come as go.
    if found > 2 * LABELS_MAX { Err(LabelError::TooMany { found }) } else { Ok(()) }
}

/// The labels after a change.
pub fn patched(labels: &Labels, patch: &LabelPatch) -> Result<Labels, LabelError> {
    let mut after = labels.clone();
    for (key, value) in patch {
        match value {
            Some(value) => drop(after.insert(key.clone(), value.clone())),
            None => drop(after.remove(key)),
        }
    }
    let found = after.len();
    if found > LABELS_MAX { Err(LabelError::TooMany { found }) } else { Ok(after) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_the_bounds_of_kubernetes() {
        let long = "a".repeat(63);
        for good in ["ring", "a", "topology.kubernetes.io/zone", "A_b.c-9", long.as_str()] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        let longer = "a".repeat(64);
        for bad in ["", "-a", "a-", "a b", "a=b", "x/", longer.as_str(), "ä"] {
            assert!(matches!(check_key(bad), Err(LabelError::Name { .. })), "{bad}");
        }
        for bad in ["/a", "A/a", "a..b/a", "-a.b/c", "a_b/c"] {
            assert!(matches!(check_key(bad), Err(LabelError::Prefix { .. })), "{bad}");
        }
        for good in ["", "canary", "4.18", long.as_str()] {
            assert_eq!(check_value("ring", good), Ok(()), "{good}");
        }
        for bad in ["-", "a,b", "a\n", longer.as_str()] {
            assert!(matches!(check_value("ring", bad), Err(LabelError::Value { .. })), "{bad}");
        }
    }

    #[test]
    fn a_change_sets_takes_away_and_leaves_the_rest() {
        let labels = Labels::from([("ring".into(), "prod".into()), ("site".into(), "east".into())]);
        let patch = LabelPatch::from([
            ("ring".into(), Some("canary".into())),
            ("owner".into(), Some(String::new())),
            ("site".into(), None),
            ("absent".into(), None),
        ]);
        check_patch(&patch).unwrap();
        let expected =
            Labels::from([("owner".into(), String::new()), ("ring".into(), "canary".into())]);
        assert_eq!(patched(&labels, &patch), Ok(expected));
    }

    #[test]
    fn one_label_too_many_is_refused_and_one_too_many_to_take_away_is_not() {
        let key = |n: usize| format!("k{n}");
        let full: Labels = (0..LABELS_MAX).map(|n| (key(n), String::new())).collect();
        assert_eq!(check(&full), Ok(()));
        let one_more = LabelPatch::from([("more".into(), Some(String::new()))]);
        let error = patched(&full, &one_more).unwrap_err();
        assert_eq!(error, LabelError::TooMany { found: LABELS_MAX + 1 });
        let replaced = LabelPatch::from([("more".into(), Some(String::new())), (key(0), None)]);
        assert_eq!(patched(&full, &replaced).map(|labels| labels.len()), Ok(LABELS_MAX));
    }
}

//! Fields of custom resources that may be written, by JSON pointer.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::{ConfigError, Registry};

/// Fields of one resource: a version, an image, and a few more.
const FIELDS_MAX: usize = 8;

/// Steps of one pointer; specs are not deeper.
const DEPTH_MAX: usize = 16;

/// One field as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldTable {
    pointer: String,
    value: FieldValue,
}

/// A field and what goes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Where it is; always below `/spec`.
    pub pointer: Pointer,
    /// What goes into it.
    pub value: FieldValue,
}

/// What of a release goes into a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// The version that the component reports of itself.
    ComponentVersion,
    /// The version of the release.
    Version,
    /// `registry/repository@digest`.
    Image,
    /// The digest alone.
    Digest,
}

/// A JSON pointer (RFC 6901) to a member of objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// The names on the way, outermost first.
    pub fn steps(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Pointer {
    type Err = &'static str;

    fn from_str(value: &str) -> Result<Self, &'static str> {
        let Some(rest) = value.strip_prefix('/') else { return Err("it must begin with /") };
        let steps: Vec<String> =
            rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        if steps.iter().any(String::is_empty) {
            return Err("it has an empty step");
        }
        if steps.len() > DEPTH_MAX {
            return Err("it has more than 16 steps");
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self
            .0
            .iter()
            .flat_map(|step| ["/".to_owned(), step.replace('~', "~0").replace('/', "~1")])
            .collect();
        f.pad(&text)
    }
}

/// Checks the fields of a pool.
pub(super) fn fields(
    given: &[FieldTable],
    registry: Option<&Registry>,
    key: &dyn Fn(&str) -> String,
) -> Result<Vec<Field>, ConfigError> {
    if given.is_empty() || given.len() > FIELDS_MAX {
        let why = format!("there must be 1 to {FIELDS_MAX}, there are {}", given.len());
        return Err(ConfigError::invalid(key("kubernetes.fields"), why));
    }
    let mut fields = Vec::with_capacity(given.len());
    for field in given {
        let pointer: Pointer = field
            .pointer
            .parse()
            .map_err(|e| ConfigError::invalid(key("kubernetes.fields.pointer"), e))?;
        if pointer.steps().len() < 2 || pointer.steps().first().is_some_and(|step| step != "spec") {
            let why = format!("{pointer} is not below /spec, where a resource is told what to be");
            return Err(ConfigError::invalid(key("kubernetes.fields.pointer"), why));
        }
        if field.value == FieldValue::Image && registry.is_none() {
            return Err(ConfigError::Missing {
                key: key("kubernetes.registry"),
                hint: "an image needs the registry it is pulled from, host[:port][/path]",
            });
        }
        if fields.iter().any(|other: &Field| other.pointer == pointer) {
            let why = format!("{pointer} is listed twice");
            return Err(ConfigError::invalid(key("kubernetes.fields.pointer"), why));
        }
        fields.push(Field { pointer, value: field.value });
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pointer: &str, value: FieldValue) -> FieldTable {
        FieldTable { pointer: pointer.to_owned(), value }
    }

    fn refused(given: &[FieldTable]) -> String {
        fields(given, None, &str::to_owned).unwrap_err().to_string()
    }

    #[test]
    fn a_pointer_reads_back_as_it_was_written() {
        for text in ["/spec/kafka/version", "/spec/a~1b/c~0d"] {
            assert_eq!(text.parse::<Pointer>().unwrap().to_string(), text);
        }
        assert_eq!("/spec/a~1b".parse::<Pointer>().unwrap().steps(), ["spec", "a/b"]);
    }

    #[test]
    fn only_the_spec_may_be_written() {
        for bad in ["/metadata/labels/x", "/status/version", "/spec"] {
            let why = refused(&[table(bad, FieldValue::Version)]);
            assert!(why.contains("is not below /spec"), "{why}");
        }
        assert!(refused(&[table("spec/x", FieldValue::Version)]).contains("begin with /"));
        assert!(refused(&[table("/spec//x", FieldValue::Version)]).contains("empty step"));
    }

    #[test]
    fn an_image_without_a_registry_is_refused() {
        let why = refused(&[table("/spec/image", FieldValue::Image)]);
        assert!(why.contains("kubernetes.registry is missing"), "{why}");
    }

    #[test]
    fn a_field_is_listed_once() {
        let twice = table("/spec/version", FieldValue::Version);
        assert!(refused(&[twice.clone(), twice]).contains("listed twice"));
    }
}

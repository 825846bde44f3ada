//! Label selectors: which clusters are in a ring.
//!
//! Labels are set at the hub by the fleet's owner; a cluster cannot claim them.

mod text;

use serde::{Deserialize, Serialize};

use super::labels::{LabelError, Labels};

/// Most values of one expression, and most labels and expressions of one selector.
pub const SELECTOR_TERMS_MAX: usize = 256;

/// All of its terms must hold. A selector without terms is refused: a forgotten selector would put
/// the whole fleet into the first ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SelectorFile", into = "SelectorFile")]
pub struct Selector {
    match_labels: Labels,
    match_expressions: Vec<Expression>,
}

/// One term about one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// What must be true of it.
    pub operator: Operator,
    /// The values of `in` and `not_in`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What must be true of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// It is there, with one of the values.
    In,
    /// It is not there, or has none of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// Why terms are no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It would match everything.
    #[error("a selector has no terms; write match_labels or match_expressions, or `rest: true`")]
    Empty,
    /// More terms or values than are read.
    #[error("a selector has more than {max} terms or values", max = SELECTOR_TERMS_MAX)]
    TooLong,
    /// A label without a name.
    #[error("a selector names a label \"\"; write the label's name")]
    NoKey,
    /// `in` or `not_in` without values.
    #[error("label {key:?} is compared with no values; list them under `values`")]
    NoValues {
        /// The label.
        key: String,
    },
    /// Text that is none of the terms.
    #[error(
        "{text:?} is no term of a selector; write key=value, key!=value, key in (a,b), key notin \
         (a,b), key or !key, with commas between them"
    )]
    NotATerm {
        /// The part that is not read, cut to a printable length.
        text: String,
    },
    /// Text with a key or value that no label has.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// `exists` or `does_not_exist` with values.
    #[error("label {key:?} is only asked for, so `values` say nothing; take them out, or use `in`")]
    ValuesUnused {
        /// The label.
        key: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectorFile {
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    match_labels: Labels,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    match_expressions: Vec<Expression>,
}

impl TryFrom<SelectorFile> for Selector {
    type Error = SelectorError;
    fn try_from(file: SelectorFile) -> Result<Self, SelectorError> {
        Self::new(file.match_labels, file.match_expressions)
    }
}

impl From<Selector> for SelectorFile {
    fn from(selector: Selector) -> Self {
        let Selector { match_labels, match_expressions } = selector;
        Self { match_labels, match_expressions }
    }
}

impl Selector {
    /// Takes labels that must have these values, and further terms.
    pub fn new(
        match_labels: Labels,
        match_expressions: Vec<Expression>,
    ) -> Result<Self, SelectorError> {
        let terms = match_labels.len() + match_expressions.len();
        if terms == 0 {
            return Err(SelectorError::Empty);
        }
        let values = match_expressions.iter().map(|expression| expression.values.len());
        if terms > SELECTOR_TERMS_MAX || values.max().unwrap_or(0) > SELECTOR_TERMS_MAX {
            return Err(SelectorError::TooLong);
        }
        let mut keys = match_labels.keys().chain(match_expressions.iter().map(|e| &e.key));
        if keys.any(String::is_empty) {
            return Err(SelectorError::NoKey);
        }
        for Expression { key, operator, values } in &match_expressions {
            match (operator, values.is_empty()) {
                (Operator::In | Operator::NotIn, true) => {
                    return Err(SelectorError::NoValues { key: key.clone() });
                }
                (Operator::Exists | Operator::DoesNotExist, false) => {
                    return Err(SelectorError::ValuesUnused { key: key.clone() });
                }
                (Operator::In | Operator::NotIn, false)
                | (Operator::Exists | Operator::DoesNotExist, true) => {}
            }
        }
        Ok(Self { match_labels, match_expressions })
    }

    /// Whether a cluster with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.holds(labels))
    }

    /// Whether everything `other` selects is surely selected here too: every term of this selector
    /// is implied by one of the other's. May say `false` where a cleverer proof would say `true`.
    pub fn covers(&self, other: &Self) -> bool {
        let labels = self.match_labels.iter().map(|(key, value)| Expression {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        });
        labels.chain(self.match_expressions.iter().cloned()).all(|term| other.implies(&term))
    }

    fn implies(&self, term: &Expression) -> bool {
        let fixed = self
            .match_labels
            .get(&term.key)
            .is_some_and(|value| term.holds(&Labels::from([(term.key.clone(), value.clone())])));
        fixed || self.match_expressions.iter().any(|own| own.implies(term))
    }
}

impl Expression {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    fn implies(&self, other: &Self) -> bool {
        let all_within = |some: &[String], all: &[String]| some.iter().all(|v| all.contains(v));
        self.key == other.key
            && match (self.operator, other.operator) {
                (Operator::In, Operator::In) => all_within(&self.values, &other.values),
                (Operator::In, Operator::NotIn) => {
                    !self.values.iter().any(|value| other.values.contains(value))
                }
                (Operator::In | Operator::Exists, Operator::Exists)
                | (Operator::DoesNotExist, Operator::DoesNotExist | Operator::NotIn) => true,
                (Operator::NotIn, Operator::NotIn) => all_within(&other.values, &self.values),
                (Operator::In, Operator::DoesNotExist)
                | (Operator::NotIn, Operator::In | Operator::Exists | Operator::DoesNotExist)
                | (Operator::Exists, Operator::In | Operator::NotIn | Operator::DoesNotExist)
                | (Operator::DoesNotExist, Operator::In | Operator::Exists) => false,
            }
    }
}

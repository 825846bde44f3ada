//! Command templates: argument arrays with placeholders, from local configuration only.
//!
//! There is no shell. A placeholder is replaced inside the one argument it stands in, in a single
//! pass, so a value can neither become a second argument nor be expanded again. Values that came
//! out of a signed document are held to a narrow alphabet all the same, because an operator's
//! command may well hand its arguments to a shell.

use std::collections::BTreeMap;

use super::super::{DriverError, StepOrder};

/// Longest value put into a command: an OCI repository path may have 255 characters.
const VALUE_MAX_BYTES: usize = 255;

/// Arguments in one command; more is a mistake in the configuration.
const ARGUMENTS_MAX: usize = 128;

/// Why an argument array cannot be used as a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No program.
    #[error("the command is empty; its first element must be a program")]
    Empty,
    /// Too long.
    #[error("the command has {count} arguments, at most {ARGUMENTS_MAX} are allowed")]
    TooLong {
        /// How many it has.
        count: usize,
    },
    /// The program would depend on a document.
    #[error("the program {argument:?} must not hold a placeholder")]
    ProgramVaries {
        /// The first element.
        argument: String,
    },
    /// `{…}` that is not a placeholder.
    #[error("{argument:?} holds {name:?}, which is not a placeholder; write {{{{ for a brace")]
    UnknownPlaceholder {
        /// The argument.
        argument: String,
        /// What stands between the braces.
        name: String,
    },
    /// A brace that opens or closes nothing.
    #[error("{argument:?} has a single brace; write {{{{ or }}}} for a literal one")]
    StrayBrace {
        /// The argument.
        argument: String,
    },
    /// A NUL byte cannot be passed to a process.
    #[error("{argument:?} holds a NUL byte")]
    Nul {
        /// The argument.
        argument: String,
    },
}

/// What a command is for, and so which placeholders it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A stage or a hook of a step on one unit.
    Step,
    /// Finalizing a product.
    Finalize,
    /// A check before a roll.
    RollCheck,
    /// A check before a unit.
    UnitCheck,
}

/// What a command may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Placeholder {
    Unit,
    Version,
    ComponentVersion,
    Digest,
    Repository,
    StepId,
    From,
    Level,
    ReleaseDigest,
}

impl Placeholder {
    const ALL: [Self; 9] = [
        Self::Unit,
        Self::Version,
        Self::ComponentVersion,
        Self::Digest,
        Self::Repository,
        Self::StepId,
        Self::From,
        Self::Level,
        Self::ReleaseDigest,
    ];

    fn fits(self, purpose: Purpose) -> bool {
        match self {
            Self::Version | Self::StepId => true,
            Self::Unit | Self::ComponentVersion | Self::Digest | Self::Repository => {
                matches!(purpose, Purpose::Step | Purpose::UnitCheck)
            }
            Self::From => purpose != Purpose::Finalize,
            Self::Level => purpose == Purpose::Finalize,
            Self::ReleaseDigest => purpose != Purpose::Step,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Version => "version",
            Self::ComponentVersion => "component_version",
            Self::Digest => "digest",
            Self::Repository => "repository",
            Self::StepId => "step_id",
            Self::From => "from",
            Self::Level => "level",
            Self::ReleaseDigest => "release_digest",
        }
    }
}

/// Values of placeholders.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(BTreeMap<Placeholder, String>);

impl<const N: usize> From<[(Placeholder, String); N]> for Values {
    fn from(values: [(Placeholder, String); N]) -> Self {
        Self(BTreeMap::from(values))
    }
}

impl Values {
    /// What is told about a step on one unit.
    pub(super) fn of_step(order: &StepOrder) -> Self {
        Self::from([
            (Placeholder::Unit, order.key.unit.to_string()),
            (Placeholder::Version, order.to.to_string()),
            (Placeholder::ComponentVersion, order.component.version.clone()),
            (Placeholder::Digest, order.component.image.digest.to_string()),
            (Placeholder::Repository, order.component.image.repository.clone()),
            (Placeholder::StepId, order.step_id.to_string()),
            (Placeholder::From, order.from.to_string()),
        ])
    }

    fn fill(&self, pieces: &[Piece]) -> Result<String, DriverError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Value(placeholder) => text.push_str(&self.checked(*placeholder)?),
            }
        }
        Ok(text)
    }

    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = (Placeholder, String)>) {
        self.0.extend(more);
    }

    /// The same values as environment variables (`FAIRWAY_UNIT`, `FAIRWAY_COMPONENT_VERSION`, …).
    pub(super) fn variables(&self) -> Result<Vec<(String, String)>, DriverError> {
        let named = |placeholder: &Placeholder| {
            let name = format!("FAIRWAY_{}", placeholder.name().to_ascii_uppercase());
            Ok((name, self.checked(*placeholder)?))
        };
        self.0.keys().map(named).collect()
    }
}

/// A piece of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

/// A checked argument array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTemplate {
    program: String,
    arguments: Vec<Vec<Piece>>,
}

impl CommandTemplate {
    /// Checks the argument array of a stage or hook.
    pub fn parse(argv: &[String]) -> Result<Self, TemplateError> {
        Self::parse_for(argv, Purpose::Step)
    }

    /// Checks an argument array: program first, placeholders known, braces in pairs.
    pub fn parse_for(argv: &[String], purpose: Purpose) -> Result<Self, TemplateError> {
        let (program, rest) = argv.split_first().ok_or(TemplateError::Empty)?;
        if rest.len() > ARGUMENTS_MAX {
            return Err(TemplateError::TooLong { count: rest.len() });
        }
        if program.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        let program = match pieces(program, purpose)?.as_slice() {
            [Piece::Text(text)] => text.clone(),
            _ => return Err(TemplateError::ProgramVaries { argument: program.clone() }),
        };
        let arguments =
            rest.iter().map(|argument| pieces(argument, purpose)).collect::<Result<_, _>>()?;
        Ok(Self { program, arguments })
    }

    /// The program, as configured.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The argument array with these values, program first.
    pub(super) fn fill(&self, values: &Values) -> Result<Vec<String>, DriverError> {
        let mut argv = vec![self.program.clone()];
        for pieces in &self.arguments {
            argv.push(values.fill(pieces)?);
        }
        Ok(argv)
    }
}

/// A text with placeholders that is no command: a value of a Job template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTemplate(Vec<Piece>);

impl TextTemplate {
    /// Checks a text: placeholders known, braces in pairs.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        pieces(text, Purpose::Step).map(Self)
    }

    /// The text for one step; values are held to the same alphabet as in a command.
    pub(in crate::driver) fn render(&self, order: &StepOrder) -> Result<String, DriverError> {
        Values::of_step(order).fill(&self.0)
    }
}

/// What else a command of a step on one unit is told in its environment.
pub(super) fn of_unit(order: &StepOrder) -> [(String, String); 3] {
    [
        ("FAIRWAY_PRODUCT".to_owned(), order.key.product.to_string()),
        ("FAIRWAY_ROLE".to_owned(), order.role.to_string()),
        ("FAIRWAY_ATTEMPT".to_owned(), order.attempt.to_string()),
    ]
}

impl Values {
    /// Letters, digits and `._+:/@~-`, not starting with `-`, `/` or `.`, and no `..`.
    fn checked(&self, placeholder: Placeholder) -> Result<String, DriverError> {
        let value = self.0.get(&placeholder).cloned().unwrap_or_default();
        let refuse = |why| DriverError::UnsafeValue {
            placeholder: placeholder.name(),
            value: value.chars().take(80).collect(),
            why,
        };
        if value.is_empty() || value.len() > VALUE_MAX_BYTES {
            return Err(refuse("it must have 1 to 255 characters"));
        }
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+:/@~-".contains(&b)) {
            return Err(refuse("only letters, digits and ._+:/@~- are allowed"));
        }
        if value.starts_with(['-', '/', '.', '~']) {
            return Err(refuse("it could be read as an option or a path"));
        }
        if value.contains("..") {
            return Err(refuse("it could leave its directory"));
        }
        Ok(value)
    }
}

/// Splits an argument at its placeholders.
fn pieces(argument: &str, purpose: Purpose) -> Result<Vec<Piece>, TemplateError> {
    if argument.contains('\0') {
        return Err(TemplateError::Nul { argument: argument.to_owned() });
    }
    let stray = || TemplateError::StrayBrace { argument: argument.to_owned() };
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = argument;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else {
            let inside = from.strip_prefix('{').ok_or_else(stray)?;
            let (name, after) = inside.split_once('}').ok_or_else(stray)?;
            let known = Placeholder::ALL.into_iter().find(|p| p.name() == name && p.fits(purpose));
            let placeholder = known.ok_or_else(|| TemplateError::UnknownPlaceholder {
                argument: argument.to_owned(),
                name: name.to_owned(),
            })?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Value(placeholder));
            rest = after;
        }
    }
    text.push_str(rest);
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

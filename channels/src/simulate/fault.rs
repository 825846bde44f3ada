//! What goes wrong in one run, in one line each: `bad:5%,label=tier=edge`.
//!
//! `KIND[:VALUE][,KEY=VALUE]…`. The same lines stand behind `--faults` and in a scenario file.
//! Times are lengths of time after the start of the rollout.

use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::names::NameError;
use crate::rollout::{Labels, Percent, Period};
use crate::version::{ReleaseVersion, Requirement};

/// Most faults of one run: more cannot be told apart in a report.
pub const FAULTS_MAX: usize = 32;
/// Longest fault read, in bytes.
const FAULT_MAX_BYTES: usize = 1024;
/// Largest scenario file read.
pub const SCENARIO_MAX_BYTES: usize = 64 * 1024;

/// One thing that goes wrong, or that a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    text: String,
    kind: Kind,
    who: Who,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The release fails on this share of clusters, at the end of their upgrade.
    Bad { share: Percent },
    /// Upgrades of this share of clusters take so many hundredths as long.
    Slow { hundredths: u32, share: Percent },
    /// This share of clusters begins and is never heard of again.
    Silent { share: Percent },
    /// This share of clusters succeeds, and is less healthy than before after this time.
    Regress { share: Percent, after: Period },
    /// The health of this share of clusters cannot be read.
    Blind { share: Percent, span: Span },
    /// The hub is down.
    Outage { span: Span },
    /// Somebody holds the rollout.
    Hold { span: Span },
    /// Somebody acknowledges every failure seen by then.
    Resume { at: Period },
}

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Period,
    /// `None`: to the end.
    pub(super) to: Option<Period>,
}

impl Span {
    pub(super) fn includes(self, after: jiff::SignedDuration) -> bool {
        self.from.duration() <= after && self.to.is_none_or(|to| after < to.duration())
    }
}

/// Whom a fault may hit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Who {
    labels: Labels,
    versions: Vec<Requirement>,
}

/// A fault that cannot be read, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault is called so.
    #[error(
        "fault {text:?}: there is no {kind:?}; there are bad, slow, silent, regress, blind, outage, \
         hold and resume"
    )]
    Kind {
        /// The fault.
        text: String,
        /// What was written.
        kind: String,
    },
    /// It has a key its kind does not take, or one twice.
    #[error("fault {text:?}: {key:?} has no place here, or is there twice; {kind} takes {takes}")]
    Key {
        /// The fault.
        text: String,
        /// The key.
        key: String,
        /// The kind.
        kind: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// Something it must say is missing.
    #[error("fault {text:?}: {missing} is missing; write for example {example}")]
    Missing {
        /// The fault.
        text: String,
        /// What is missing.
        missing: &'static str,
        /// One that is whole.
        example: &'static str,
    },
    /// A value cannot be read.
    #[error("fault {text:?}: {problem}")]
    Value {
        /// The fault.
        text: String,
        /// What is wrong with it and what to write.
        problem: NameError,
    },
    /// It ends before it begins.
    #[error("fault {text:?}: it goes from {from} to {to}; it must end after it begins")]
    Backwards {
        /// The fault.
        text: String,
        /// Its beginning.
        from: Period,
        /// Its end.
        to: Period,
    },
    /// It is too long to be one.
    #[error("a fault has {bytes} bytes; at most {max} are read", max = FAULT_MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Keys as they were written; each is taken once by the kind that knows it.
struct Keys<'t> {
    text: &'t str,
    kind: &'static Form,
    value: Option<&'t str>,
    rest: Vec<(&'t str, &'t str)>,
}

/// How a kind is written.
struct Form {
    name: &'static str,
    takes: &'static str,
    example: &'static str,
}

const FORMS: [Form; 8] = [
    Form { name: "bad", takes: "a share, label and version", example: "bad:5%" },
    Form {
        name: "slow",
        takes: "a factor, share, label and version",
        example: "slow:3x,share=10%",
    },
    Form { name: "silent", takes: "a share, label and version", example: "silent:2%" },
    Form {
        name: "regress",
        takes: "a share, after, label and version",
        example: "regress:5%,after=6h",
    },
    Form {
        name: "blind",
        takes: "a share (or none for all), from, to, label and version",
        example: "blind:10%,from=1d,to=2d",
    },
    Form { name: "outage", takes: "from and to", example: "outage:from=1d,to=1d6h" },
    Form { name: "hold", takes: "from and to", example: "hold:from=1d,to=2d" },
    Form { name: "resume", takes: "at", example: "resume:at=2d" },
];

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let text = text.trim();
        if text.len() > FAULT_MAX_BYTES {
            return Err(FaultError::TooLong { bytes: text.len() });
        }
        let end = text.find([':', ',']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let kind = FORMS
            .iter()
            .find(|form| form.name == name)
            .ok_or_else(|| FaultError::Kind { text: text.to_owned(), kind: name.to_owned() })?;
        let mut keys = Keys { text, kind, value: None, rest: Vec::new() };
        for part in rest.trim_start_matches([':', ',']).split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(pair) => keys.rest.push(pair),
                None if keys.value.is_none() && keys.rest.is_empty() => keys.value = Some(part),
                None => return Err(keys.stray(part)),
            }
        }
        let kind = keys.kind()?;
        let who = if keys.is_about_clusters() { keys.who()? } else { Who::default() };
        match keys.rest.first() {
            Some((key, _)) => Err(keys.stray(key)),
            None => match keys.value {
                Some(value) => Err(keys.stray(value)),
                None => Ok(Self { text: text.to_owned(), kind, who }),
            },
        }
    }
}

impl<'t> Keys<'t> {
    fn stray(&self, key: &str) -> FaultError {
        let Form { name, takes, .. } = self.kind;
        FaultError::Key { text: self.text.to_owned(), key: key.to_owned(), kind: name, takes }
    }

    fn is_about_clusters(&self) -> bool {
        ["bad", "slow", "silent", "regress", "blind"].contains(&self.kind.name)
    }

    fn kind(&mut self) -> Result<Kind, FaultError> {
        Ok(match self.kind.name {
            "bad" => Kind::Bad { share: self.main_share()? },
            "slow" => Kind::Slow {
                hundredths: self.factor()?,
                share: self.optional("share", share)?.unwrap_or(Percent::ALL),
            },
            "silent" => Kind::Silent { share: self.main_share()? },
            "regress" => Kind::Regress {
                share: self.main_share()?,
                after: self.needed("after", str::parse)?,
            },
            "blind" => Kind::Blind {
                share: match self.value.take() {
                    Some(text) => self.read(text, share)?,
                    None => Percent::ALL,
                },
                span: self.span(Some(Period::ZERO))?,
            },
            "outage" => Kind::Outage { span: self.span(None)? },
            "hold" => Kind::Hold { span: self.span(None)? },
            _ => Kind::Resume { at: self.needed("at", str::parse)? },
        })
    }

    fn take(&mut self, key: &str) -> Option<&'t str> {
        let place = self.rest.iter().position(|(name, _)| *name == key)?;
        Some(self.rest.remove(place).1)
    }

    fn read<T>(
        &self,
        text: &str,
        parse: fn(&str) -> Result<T, NameError>,
    ) -> Result<T, FaultError> {
        parse(text).map_err(|problem| FaultError::Value { text: self.text.to_owned(), problem })
    }

    fn optional<T>(
        &mut self,
        key: &str,
        parse: fn(&str) -> Result<T, NameError>,
    ) -> Result<Option<T>, FaultError> {
        self.take(key).map(|text| self.read(text, parse)).transpose()
    }

    fn missing(&self, missing: &'static str) -> FaultError {
        FaultError::Missing { text: self.text.to_owned(), missing, example: self.kind.example }
    }

    fn needed<T>(
        &mut self,
        key: &'static str,
        parse: fn(&str) -> Result<T, NameError>,
    ) -> Result<T, FaultError> {
        self.optional(key, parse)?.ok_or_else(|| self.missing(key))
    }

    fn main_share(&mut self) -> Result<Percent, FaultError> {
        let text = self.value.take().ok_or_else(|| self.missing("its share"))?;
        self.read(text, share)
    }

    /// `3x` or `1.5x`, from one to a thousand times as long.
    fn factor(&mut self) -> Result<u32, FaultError> {
        let text = self.value.take().ok_or_else(|| self.missing("its factor"))?;
        let factor = text.strip_suffix('x').and_then(|number| {
            let percent: Percent = format!("{number}%").parse().ok()?;
            Some(percent.hundredths()).filter(|factor| (100..=100_000).contains(factor))
        });
        let why = "write how many times as long, from 1x to 1000x, such as 1.5x";
        factor.ok_or_else(|| FaultError::Value {
            text: self.text.to_owned(),
            problem: NameError::new("factor", text, why),
        })
    }

    fn span(&mut self, from: Option<Period>) -> Result<Span, FaultError> {
        let from: Option<Period> = self.optional("from", str::parse)?.or(from);
        let from = from.ok_or_else(|| self.missing("from"))?;
        let to: Option<Period> = self.optional("to", str::parse)?;
        match to {
            Some(to) if to <= from => {
                Err(FaultError::Backwards { text: self.text.to_owned(), from, to })
            }
            _ => Ok(Span { from, to }),
        }
    }

    fn who(&mut self) -> Result<Who, FaultError> {
        let mut who = Who::default();
        while let Some(pair) = self.take("label") {
            let why = "write label=NAME=VALUE";
            let (label, value) = pair.split_once('=').ok_or_else(|| FaultError::Value {
                text: self.text.to_owned(),
                problem: NameError::new("label", pair, why),
            })?;
            if who.labels.insert(label.to_owned(), value.to_owned()).is_some() {
                return Err(self.stray(pair));
            }
        }
        while let Some(requirement) = self.take("version") {
            who.versions.push(self.read(requirement, str::parse)?);
        }
        Ok(who)
    }
}

/// `5%`, or a fraction with its point such as `0.05`.
fn share(text: &str) -> Result<Percent, NameError> {
    let why = "write 0% to 100%, or a fraction such as 0.05";
    let refuse = || NameError::new("share", text, why);
    let percent = match text.split_once('.') {
        Some((whole, decimals)) if !text.ends_with('%') => {
            let digits = decimals.len() <= 4
                && !decimals.is_empty()
                && decimals.bytes().all(|byte| byte.is_ascii_digit());
            let parts: Option<u32> = format!("{decimals:0<4}").parse().ok().filter(|_| digits);
            match (whole, parts) {
                ("0", Some(parts)) => Percent::from_hundredths(parts),
                ("1", Some(0)) => Percent::ALL,
                _ => return Err(refuse()),
            }
        }
        _ => text.parse().map_err(|_| refuse())?,
    };
    if percent > Percent::ALL { Err(refuse()) } else { Ok(percent) }
}

impl Fault {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is the release that harms clusters.
    pub(super) fn is_harm(&self) -> bool {
        match self.kind {
            Kind::Bad { .. } | Kind::Silent { .. } | Kind::Regress { .. } => true,
            Kind::Slow { .. }
            | Kind::Blind { .. }
            | Kind::Outage { .. }
            | Kind::Hold { .. }
            | Kind::Resume { .. } => false,
        }
    }

    /// Whether a cluster with these labels and this version may be hit. One whose version is not
    /// known is hit by a fault that names none.
    pub(super) fn may_hit(&self, labels: &Labels, version: Option<&ReleaseVersion>) -> bool {
        self.who.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
            && self
                .who
                .versions
                .iter()
                .all(|requirement| version.is_some_and(|version| requirement.matches(version)))
    }

    /// The times at which it begins or ends.
    pub(super) fn times(&self) -> Vec<Period> {
        match self.kind {
            Kind::Bad { .. } | Kind::Slow { .. } | Kind::Silent { .. } | Kind::Regress { .. } => {
                Vec::new()
            }
            Kind::Blind { span, .. } | Kind::Outage { span } | Kind::Hold { span } => {
                [span.from].into_iter().chain(span.to).collect()
            }
            Kind::Resume { at } => vec![at],
        }
    }
}

/// A scenario file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The file is larger than is read.
    #[error("{}: has {bytes} bytes; at most {max} are read", file.display(), max = SCENARIO_MAX_BYTES)]
    TooLarge {
        /// The file.
        file: std::path::PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file is not well formed.
    #[error("{}:{line}:{column}: {problem}; write `faults:` and a list of faults", file.display())]
    Syntax {
        /// The file.
        file: std::path::PathBuf,
        /// Line, from 1; 0 when the parser cannot tell.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        problem: String,
    },
    /// A fault cannot be read.
    #[error("{}:{line}: {fault}", file.display())]
    Fault {
        /// The file.
        file: std::path::PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: FaultError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    faults: Vec<Spanned<String>>,
}

/// Reads a scenario file: `faults:` and a list of them. `file` is named in errors.
pub fn scenario(file: &Path, text: &str) -> Result<Vec<Fault>, ScenarioError> {
    let bytes = text.len();
    if bytes > SCENARIO_MAX_BYTES {
        return Err(ScenarioError::TooLarge { file: file.to_owned(), bytes });
    }
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    let read: ScenarioFile =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let place = error.location();
            let (line, column) = place.map_or((0, 0), |place| (place.line(), place.column()));
            let problem = error.to_string();
            let tail = format!(" at line {line}, column {column}");
            let problem = problem.strip_suffix(&tail).unwrap_or(&problem).to_owned();
            ScenarioError::Syntax { file: file.to_owned(), line, column, problem }
        })?;
    read.faults
        .into_iter()
        .map(|fault| {
            fault.value.parse().map_err(|error| ScenarioError::Fault {
                file: file.to_owned(),
                line: fault.referenced.line(),
                fault: error,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        text.parse::<Fault>().unwrap().kind
    }

    fn percent(text: &str) -> Percent {
        text.parse().unwrap()
    }

    #[test]
    fn every_kind_is_read_as_its_example_shows() {
        for form in &FORMS {
            let fault: Fault = form.example.parse().unwrap();
            assert_eq!(fault.text(), form.example);
        }
        assert_eq!(kind("bad:0.05"), kind("bad:5%"));
        assert_eq!(kind("bad:1.0"), Kind::Bad { share: Percent::ALL });
        assert_eq!(kind("slow:1.5x"), Kind::Slow { hundredths: 150, share: Percent::ALL });
        let regress = Kind::Regress { share: percent("5%"), after: "6h".parse().unwrap() };
        assert_eq!(kind("regress:5%,after=6h"), regress);
        let always = Span { from: Period::ZERO, to: None };
        assert_eq!(kind("blind"), Kind::Blind { share: Percent::ALL, span: always });
        let span = Span { from: "1d".parse().unwrap(), to: Some("1d6h".parse().unwrap()) };
        assert_eq!(kind("outage:from=1d,to=1d6h"), Kind::Outage { span });
    }

    #[test]
    fn labels_and_versions_narrow_a_fault() {
        let fault: Fault =
            "bad:5%,label=tier=edge,version=>=1.33.0,version=<1.34.0".parse().unwrap();
        let edge = Labels::from([("tier".to_owned(), "edge".to_owned())]);
        let version = |text: &str| text.parse::<ReleaseVersion>().unwrap();
        assert!(fault.may_hit(&edge, Some(&version("1.33.5"))));
        assert!(!fault.may_hit(&edge, Some(&version("1.34.0"))));
        assert!(!fault.may_hit(&edge, None));
        assert!(!fault.may_hit(&Labels::new(), Some(&version("1.33.5"))));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let refused = |text: &str| text.parse::<Fault>().unwrap_err();
        assert!(matches!(refused("worse:5%"), FaultError::Kind { kind, .. } if kind == "worse"));
        assert!(matches!(refused(""), FaultError::Kind { .. }));
        for (text, stray) in [
            ("bad:5%,after=1h", "after"),
            ("bad:5%,6%", "6%"),
            ("outage:1d,from=1d", "1d"),
            ("resume:at=1d,at=2d", "at"),
            ("hold:from=1d,label=a=b", "label"),
            ("bad:5%,label=a=b,label=a=c", "a=c"),
        ] {
            let fault = refused(text);
            assert!(matches!(&fault, FaultError::Key { key, .. } if key == stray), "{fault}");
        }
        for (text, lacks) in [
            ("bad", "its share"),
            ("regress:5%", "after"),
            ("slow", "its factor"),
            ("hold", "from"),
        ] {
            let fault = refused(text);
            assert!(
                matches!(&fault, FaultError::Missing { missing, .. } if *missing == lacks),
                "{fault}"
            );
        }
        for text in
            ["bad:5", "bad:1.5", "bad:101%", "bad:0.00005", "slow:0.5x", "slow:2", "bad:5%,label=a"]
        {
            assert!(matches!(refused(text), FaultError::Value { .. }), "{text}");
        }
        assert!(matches!(refused("outage:from=2d,to=1d"), FaultError::Backwards { .. }));
        assert!(matches!(refused(&"x".repeat(2000)), FaultError::TooLong { bytes: 2000 }));
    }

    #[test]
    fn a_scenario_names_the_line_of_a_fault_that_cannot_be_read() {
        let file = Path::new("s.yaml");
        let good = scenario(file, "faults:\n  - bad:5%,label=tier=edge\n  - blind\n").unwrap();
        assert_eq!(
            good.iter().map(Fault::text).collect::<Vec<_>>(),
            ["bad:5%,label=tier=edge", "blind"]
        );
        let error = scenario(file, "faults:\n  - blind\n  - bad:5\n").unwrap_err();
        assert!(matches!(&error, ScenarioError::Fault { line: 3, .. }), "{error}");
        let error = scenario(file, "fault: []\n").unwrap_err();
        assert!(matches!(&error, ScenarioError::Syntax { line: 1, .. }), "{error}");
        let error = scenario(file, &" ".repeat(SCENARIO_MAX_BYTES + 1)).unwrap_err();
        assert!(matches!(&error, ScenarioError::TooLarge { .. }), "{error}");
    }
}

//! Reading one fault: `KIND[:VALUE][,KEY=VALUE]…`.

use std::str::FromStr;

use super::{FAULT_MAX_BYTES, Fault, FaultError, Kind, Span, Who};
use crate::names::NameError;
use crate::rollout::{Percent, Period};

/// Keys as they were written; each is taken once by the kind that knows it.
struct Keys<'t> {
    text: &'t str,
    kind: &'static Form,
    value: Option<&'t str>,
    rest: Vec<(&'t str, &'t str)>,
}

/// How a kind is written.
pub(super) struct Form {
    name: &'static str,
    takes: &'static str,
    pub(super) example: &'static str,
}

pub(super) const FORMS: [Form; 8] = [
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

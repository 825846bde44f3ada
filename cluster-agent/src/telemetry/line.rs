//! The one form of a sample line that `prometheus-parse` reads right.
//!
//! The crate matches `\w+`, then `\{[^}]+\}`, then splits labels at every `,` and `=`. Valid
//! exposition text that this mangles is refused here, by name, before the crate sees it.

use std::collections::BTreeMap;

use super::wanted::LineKind;

/// Labels on one line at most; Prometheus itself suggests far fewer.
const LABELS_MAX: usize = 64;

/// Last millisecond of year 9999: beyond it the crate puts its own time instead.
const TIMESTAMP_MAX_MS: u64 = 253_402_300_799_999;

/// A line the crate will read as it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CheckedLine<'a> {
    /// What to hand to the crate: the line without exemplar and outer white space.
    pub text: &'a str,
    /// Identity of the sample: labels, with `le` and `quantile` by their number.
    pub identity: Vec<(&'a str, Identity<'a>)>,
    /// The explicit timestamp, milliseconds.
    pub timestamp_ms: Option<i64>,
}

/// A label value as far as telling samples apart goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity<'a> {
    Text(&'a str),
    /// Bits of a bound: `1` and `1.0` are one bucket.
    Bound(u64),
}

/// Checks one line whose first `name_len` bytes are a wanted sample name; the error is why the
/// crate would mangle or drop it.
pub(super) fn check(
    line: &str,
    name_len: usize,
    kind: LineKind,
) -> Result<CheckedLine<'_>, &'static str> {
    let (name, rest) = line.split_at_checked(name_len).ok_or("the name is cut")?;
    if name.contains(':') {
        return Err("the name holds ':'");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let identity = identity(labels, kind)?;
    if !rest.starts_with([' ', '\t']) {
        return Err("no space between name or labels and value");
    }
    let (tail, _exemplar) = rest.split_once(" #").unwrap_or((rest, ""));
    let mut tokens = tail.split([' ', '\t']).filter(|token| !token.is_empty());
    let value = tokens.next().ok_or("there is no value")?;
    value.parse::<f64>().map_err(|_| "the value is not a number")?;
    let timestamp_ms = tokens.next().map(timestamp).transpose()?;
    if tokens.next().is_some() {
        return Err("there is text after value and timestamp");
    }
    let text_len = line.len() - rest.len() + tail.len();
    let text = line.get(..text_len).unwrap_or(line).trim_end();
    Ok(CheckedLine { text, identity, timestamp_ms })
}

fn timestamp(token: &str) -> Result<i64, &'static str> {
    match token.parse::<i64>() {
        Ok(ms) if ms.unsigned_abs() <= TIMESTAMP_MAX_MS => Ok(ms),
        Ok(_) => Err("the timestamp is out of range"),
        Err(_) => Err("the timestamp is not a whole number of milliseconds"),
    }
}

type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// Reads `a="x",b="y",}` and returns what follows the brace.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return if labels.is_empty() {
                Err("the braces are empty")
            } else {
                Ok((labels, after))
            };
        }
        let (name, after) = rest.split_once('=').ok_or("the label braces are not closed")?;
        if !is_label_name(name) {
            return Err("a label name is not plain letters, digits and '_'");
        }
        let quoted = after.strip_prefix('"').ok_or("a label value is not quoted")?;
        let end = quoted.find(['"', '\\', ',', '=', '}']).ok_or("a label value is not closed")?;
        let (value, after) = quoted.split_at_checked(end).ok_or("a label value is cut")?;
        rest = after.strip_prefix('"').ok_or("a label value holds ',', '=', '}' or a backslash")?;
        if labels.insert(name, value).is_some() {
            return Err("a label appears twice");
        }
        if labels.len() > LABELS_MAX {
            return Err("there are more than 64 labels");
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("labels are not separated by a single ','"),
        }
    }
}

fn is_label_name(name: &str) -> bool {
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts_well && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn identity(labels: Labels<'_>, kind: LineKind) -> Result<Vec<(&str, Identity<'_>)>, &'static str> {
    let bound_label = match kind {
        LineKind::Plain => None,
        LineKind::Bucket => Some(("le", "a bucket without a number in its le label")),
        LineKind::Quantile => Some(("quantile", "a quantile without a number in its label")),
    };
    let mut bound = None;
    let mut identity = Vec::with_capacity(labels.len());
    for (name, value) in labels {
        match bound_label {
            Some((label, why)) if label == name => {
                let number = value.parse::<f64>().ok().filter(|n| !n.is_nan()).ok_or(why)?;
                bound = Some(number);
                // -0 and 0 are one bound.
                identity.push((name, Identity::Bound((number + 0.0).to_bits())));
            }
            Some(_) | None => identity.push((name, Identity::Text(value))),
        }
    }
    match (bound_label, bound) {
        (Some((_, why)), None) => Err(why),
        (Some(_), Some(_)) | (None, _) => Ok(identity),
    }
}

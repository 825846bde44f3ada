//! The family filter in front of `prometheus-parse`.
//!
//! The crate drops or mangles some valid lines without saying so. The filter hands it only lines
//! of wanted families that it reads right, and remembers for every other family why it was refused.
//! It never repairs a line: a family that cannot be read whole is unknown.

use std::collections::BTreeSet;

use memchr::{memchr, memmem};

use super::line::{self, Identity};
use super::page::PageError;
use super::wanted::{FamilyKind, LineKind, Wanted};

/// Largest metrics page; a kubelet with 100 pods serves 2 MB.
pub const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Longest line of a wanted family; other lines are skipped whatever their length.
pub const LINE_MAX_BYTES: usize = 64 * 1024;

/// Samples of one family at most; wanted ones have tens.
pub const SAMPLES_PER_FAMILY_MAX: usize = 4096;

/// What the filter made of one wanted family.
#[derive(Debug, Default)]
pub(super) struct FamilyLines<'a> {
    /// Lines for the crate, in page order.
    pub lines: Vec<&'a str>,
    /// Why the family is refused, and the first such line (from 1).
    pub refused: Option<(&'static str, usize)>,
    /// Oldest explicit timestamp, milliseconds.
    pub oldest_timestamp_ms: Option<i64>,
    seen: BTreeSet<(&'a str, Vec<(&'a str, Identity<'a>)>)>,
    typed: bool,
}

impl FamilyLines<'_> {
    fn refuse(&mut self, why: &'static str, line_no: usize) {
        self.refused.get_or_insert((why, line_no));
    }
}

/// Sorts the page's lines into the wanted families, by their index in `wanted`.
pub(super) fn filter<'a>(
    body: &'a [u8],
    wanted: &Wanted,
) -> Result<Vec<FamilyLines<'a>>, PageError> {
    if body.len() > BODY_MAX_BYTES {
        return Err(PageError::TooLarge { limit_bytes: BODY_MAX_BYTES });
    }
    if body.last().is_some_and(|&last| last != b'\n') {
        return Err(PageError::Truncated);
    }
    let mut families: Vec<FamilyLines<'a>> = Vec::new();
    families.resize_with(wanted.families().count(), FamilyLines::default);
    let mut rest = body;
    let mut line_no = 0;
    let mut skipped: &[u8] = b"";
    while let Some(end) = memchr(b'\n', rest) {
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
        rest = after.get(1..).unwrap_or(b"");
        line_no += 1;
        // Lines of one family stand together: most are dismissed by comparing with the last one.
        let same_name = !skipped.is_empty()
            && line.starts_with(skipped)
            && line.get(skipped.len()).is_some_and(|&b| b == b'{' || b == b' ');
        if !same_name {
            skipped = sort_line(line, line_no, wanted, &mut families);
        }
    }
    Ok(families)
}

/// Whether the filter would make nothing of a line, wherever it stands: then its name, or nothing
/// where the name is not the reason.
pub(super) fn dismissed<'a>(line: &'a [u8], wanted: &Wanted) -> Option<&'a [u8]> {
    let line = line.trim_ascii();
    let name_len = line.iter().position(|&b| !is_name_byte(b)).unwrap_or(line.len());
    let name = line.get(..name_len).unwrap_or(b"");
    match line.first() {
        None => Some(b""),
        Some(b'#') => {
            declared(line).is_none_or(|(name, _)| wanted.family(name).is_none()).then_some(b"")
        }
        Some(first) if name.is_empty() || first.is_ascii_digit() => {
            mentioned(line, wanted).next().is_none().then_some(b"")
        }
        Some(_) => wanted.line(name).is_none().then_some(name),
    }
}

/// Puts one line where it belongs; returns its name if lines of that name can be skipped.
fn sort_line<'a>(
    line: &'a [u8],
    line_no: usize,
    wanted: &Wanted,
    families: &mut [FamilyLines<'a>],
) -> &'a [u8] {
    let line = line.trim_ascii();
    let name_len = line.iter().position(|&b| !is_name_byte(b)).unwrap_or(line.len());
    let name = line.get(..name_len).unwrap_or(b"");
    match line.first() {
        None => {}
        Some(b'#') => type_line(line, line_no, wanted, families),
        Some(first) if name.is_empty() || first.is_ascii_digit() => {
            refuse_mentioned(line, line_no, wanted, families);
        }
        Some(_) => match wanted.line(name) {
            None => return name,
            Some((index, kind)) => {
                if let Some(family) = families.get_mut(index) {
                    take_sample(line, name, kind, line_no, family);
                }
            }
        },
    }
    b""
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b':'
}

fn take_sample<'a>(
    line: &'a [u8],
    name: &'a [u8],
    kind: LineKind,
    line_no: usize,
    family: &mut FamilyLines<'a>,
) {
    if family.refused.is_some() {
        return;
    }
    if line.len() > LINE_MAX_BYTES {
        return family.refuse("the line is longer than 64 KiB", line_no);
    }
    let (Ok(text), Ok(name)) = (std::str::from_utf8(line), std::str::from_utf8(name)) else {
        return family.refuse("the line is not UTF-8", line_no);
    };
    if family.lines.len() >= SAMPLES_PER_FAMILY_MAX {
        return family.refuse("the family has more than 4096 samples", line_no);
    }
    match line::check(text, name.len(), kind) {
        Err(why) => family.refuse(why, line_no),
        Ok(checked) => {
            if !family.seen.insert((name, checked.identity)) {
                return family.refuse("a sample appears twice", line_no);
            }
            family.oldest_timestamp_ms = match (family.oldest_timestamp_ms, checked.timestamp_ms) {
                (Some(old), Some(new)) => Some(old.min(new)),
                (old, new) => old.or(new),
            };
            family.lines.push(checked.text);
        }
    }
}

/// Name and type of a `# TYPE` line.
fn declared(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut words =
        line.get(1..).unwrap_or(b"").split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    if words.next() != Some(b"TYPE") {
        return None;
    }
    Some((words.next()?, words.next()))
}

/// Families of sample names that a line holds somewhere.
fn mentioned<'a>(line: &'a [u8], wanted: &'a Wanted) -> impl Iterator<Item = usize> + 'a {
    let names = wanted.sample_names();
    names.filter(|(name, _)| memmem::find(line, name.as_bytes()).is_some()).map(|(_, index)| index)
}

/// `# TYPE name type`: refuses a wanted family that is something else than expected.
fn type_line(line: &[u8], line_no: usize, wanted: &Wanted, families: &mut [FamilyLines<'_>]) {
    let Some((name, kind)) = declared(line) else { return };
    let Some((index, expected)) = wanted.family(name) else { return };
    let Some(family) = families.get_mut(index) else { return };
    if family.typed {
        family.refuse("the family has a second TYPE line", line_no);
    }
    family.typed = true;
    let found = match kind {
        Some(b"histogram" | b"gaugehistogram") => FamilyKind::Histogram,
        Some(b"summary") => FamilyKind::Summary,
        // `untyped` says nothing: the samples themselves must fit.
        Some(b"untyped" | b"unknown") => expected,
        Some(_) => FamilyKind::Number,
        None => return family.refuse("the TYPE line names no type", line_no),
    };
    if found != expected {
        family.refuse("its TYPE is not the expected one", line_no);
    }
}

/// A line that starts with no bare name (`{"quoted", …}`, stray bytes) may still be a sample of a
/// wanted family to some other reader: every family it mentions is refused.
fn refuse_mentioned(
    line: &[u8],
    line_no: usize,
    wanted: &Wanted,
    families: &mut [FamilyLines<'_>],
) {
    for index in mentioned(line, wanted) {
        if let Some(family) = families.get_mut(index) {
            family.refuse("a line names it but does not start with the bare name", line_no);
        }
    }
}

//! The hub's own metrics page as samples. It reads what [`crate::metrics::Metrics::render`] writes
//! and nothing else; a line it cannot read is left out.

use std::collections::BTreeMap;

use super::config::Allowed;

/// A series of the page: its labels, the metric's name as `__name__`.
pub(super) type Labels = BTreeMap<String, String>;

/// Bits of the value of every allowed series.
pub(super) fn series(page: &str, allowed: &Allowed) -> BTreeMap<Labels, u64> {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let end = line.find(['{', ' '])?;
            let (name, rest) = line.split_at_checked(end)?;
            if !allowed.has(name) {
                return None;
            }
            let mut labels = Labels::from([("__name__".to_owned(), name.to_owned())]);
            let value = match rest.strip_prefix('{') {
                Some(rest) => read_labels(rest, &mut labels)?,
                None => rest,
            };
            let value: f64 = value.trim().parse().ok()?;
            Some((labels, value.to_bits()))
        })
        .collect()
}

/// Reads `a="b",c="d"}` and returns what follows it.
fn read_labels<'p>(mut rest: &'p str, labels: &mut Labels) -> Option<&'p str> {
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        rest = loop {
            match chars.next()? {
                (at, '"') => break after.get(at + 1..)?,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.to_owned(), value);
    }
}

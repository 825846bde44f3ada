//! Free text: secrets that announce themselves, users and queries of addresses, output of commands.
//! Pure.
//!
//! Whoever wrote the text did not write it for this program, so a name that announces a secret is
//! looked for wherever it stands: in an environment, in JSON, in an address, in an argument.

use super::redact::HIDDEN;

/// Words that end the name of a secret.
const ANNOUNCED: [&str; 13] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "private_key",
    "credential",
    "credentials",
];

/// Words that announce one without any mark.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// What stands before the end of a command's output in a reason; see `phase::command_failed`.
const OUTPUT_AFTER: &str = " command ended with code ";

/// Whether a name is one of a secret.
pub(super) fn announces(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ANNOUNCED.iter().any(|word| lower.ends_with(word))
}

/// A text as it may leave the cluster.
pub(super) fn free_text(text: &str) -> String {
    without_announced(&plain_addresses(without_output(text).as_str()))
}

/// A reason without what a command printed; its code stays.
fn without_output(text: &str) -> String {
    let Some((before, after)) = text.split_once(OUTPUT_AFTER) else { return text.to_owned() };
    let Some((code, output)) = after.split_once(':') else { return text.to_owned() };
    if output.trim() == "it printed nothing" {
        return text.to_owned();
    }
    format!("{before}{OUTPUT_AFTER}{code}: {HIDDEN}")
}

/// Addresses without user, query and fragment.
fn plain_addresses(text: &str) -> String {
    const SLASHES: &str = "://";
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(SLASHES) {
        let (before, address) = rest.split_at(at + SLASHES.len());
        out.push_str(before);
        let (address, after) = address.split_at(address.find(ends).unwrap_or(address.len()));
        let (place, more) = address.split_at(address.find(['?', '#']).unwrap_or(address.len()));
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(HIDDEN);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        out.push_str(path);
        // A mark at the end of a sentence is no query.
        if more.len() > 1 {
            out.push('?');
            out.push_str(HIDDEN);
        } else {
            out.push_str(more);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\')
}

/// Hides what follows a name that announces a secret.
fn without_announced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_name) {
        let (before, from_name) = rest.split_at(at);
        let (name, after) =
            from_name.split_at(from_name.find(|c| !is_name(c)).unwrap_or(from_name.len()));
        out.push_str(before);
        out.push_str(name);
        rest = after;
        if let Some(value) = value_after(name, after) {
            let (mark, hidden_on) = after.split_at(value.start);
            out.push_str(mark);
            out.push_str(HIDDEN);
            rest = hidden_on.get(value.length..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// Where a secret stands behind its name.
struct Value {
    start: usize,
    length: usize,
}

fn value_after(name: &str, after: &str) -> Option<Value> {
    let lower = name.trim_start_matches('-').to_ascii_lowercase();
    let scheme = SCHEMES.contains(&lower.as_str());
    if !scheme && !announces(&lower) {
        return None;
    }
    let unquoted = after.trim_start_matches(is_quote).trim_start();
    let marked = unquoted.strip_prefix(['=', ':']).map(str::trim_start);
    let spaced = after.strip_prefix(char::is_whitespace).map(str::trim_start);
    let value = match marked {
        Some(value) if !scheme => value,
        // `--password hunter2`, `Bearer abc`.
        Some(_) | None if scheme || name.starts_with('-') => spaced?,
        Some(_) | None => return None,
    };
    // What comes next may name a scheme: that one hides what follows it.
    let word = value.get(..value.find(|c| !is_name(c)).unwrap_or(value.len())).unwrap_or_default();
    if SCHEMES.contains(&word.to_ascii_lowercase().as_str()) && word.len() < value.len() {
        return None;
    }
    let open_length = value.find(|c| !is_quote(c)).unwrap_or(value.len());
    let (open, secret) = value.split_at(open_length);
    let length = if open.is_empty() {
        secret.find(char::is_whitespace).unwrap_or(secret.len())
    } else {
        closing(open, secret)
    };
    (length > 0).then(|| Value { start: after.len() - secret.len(), length })
}

/// Where a quoted text ends: at the same quotes, and not at an escaped one of its own.
fn closing(open: &str, secret: &str) -> usize {
    let ends = secret.match_indices(open).map(|(at, _)| at);
    let escaped = |at: usize| {
        let before = secret.get(..at).unwrap_or_default();
        (before.len() - before.trim_end_matches('\\').len()) % 2 == 1
    };
    ends.into_iter().find(|at| !escaped(*at)).unwrap_or(secret.len())
}

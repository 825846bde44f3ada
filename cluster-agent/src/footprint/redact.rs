//! Takes secrets out of what leaves the cluster. Pure.
//!
//! A configuration is shown by what is known to be harmless: numbers, and texts under keys listed
//! here. Everything else is hidden, so a key that is added later is hidden until somebody says that
//! it may be shown. What was hidden is then looked for in every other text, because a command that
//! fails likes to print its arguments.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::announced::{announces, free_text};

/// Stands where something was.
pub(super) const HIDDEN: &str = "[redacted]";

/// Shorter texts are no secrets anybody could keep, and would be found in every other word.
const SECRET_CHARS_MIN: usize = 6;

/// Keys whose texts are names, choices, places or times. No credentials, no free text of commands.
#[rustfmt::skip]
const SHOWN: &[&str] = &[
    // where and who
    "name", "arch", "state_dir", "root", "address", "ca", "ca_file", "token_file", "cert_file",
    "key_file", "kubeconfig", "context", "namespace", "namespaces", "lease", "kured",
    // products and pools
    "product", "channel", "initial_version", "mode", "pin", "role", "reason", "until",
    "version_metric", "version_label", "required_signals", "on_node", "zone", "zones", "time_zone", "when",
    "from", "to", "days", "start", "end", "at", "duration", "start_time", "end_time",
    // Kubernetes
    "kind", "kinds", "templates", "service_account", "service_accounts", "job_template",
    "container", "init_containers", "evidence", "prefix", "label", "annotation", "api_version",
    "resource_kind", "pointer", "value", "version_pointer", "ready_condition",
    "failed_condition", "waived_budgets", "pool",
    // Prometheus
    "watchdog", "expect", "empty",
    // Kafka
    "mechanism", "protocol",
];

/// Keys whose texts are addresses: shown without user, query and fragment.
#[rustfmt::skip]
const ADDRESSES: &[&str] = &[
    "url", "mirrors", "proxy", "metrics_url", "metrics_urls", "bootstrap", "brokers",
    "registry", "server_name",
];

/// What was hidden so far, to be looked for elsewhere.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: BTreeSet<String>,
}

impl Redactor {
    /// The configuration as it may be shown.
    pub(super) fn config(&mut self, config: &toml::Table) -> Json {
        self.table(config)
    }

    fn table(&mut self, table: &toml::Table) -> Json {
        let show = |(key, value): (&String, &toml::Value)| {
            let shown = match key.as_str() {
                "environment" => self.hidden(value),
                "command" => self.command(value),
                _ => self.value(key, value),
            };
            (key.clone(), shown)
        };
        Json::Object(table.iter().map(show).collect())
    }

    fn value(&mut self, key: &str, value: &toml::Value) -> Json {
        match value {
            toml::Value::String(text) => Json::String(self.text(key, text)),
            toml::Value::Integer(number) => Json::from(*number),
            toml::Value::Float(number) => Json::from(*number),
            toml::Value::Boolean(yes) => Json::from(*yes),
            toml::Value::Datetime(at) => Json::from(at.to_string()),
            toml::Value::Array(values) => {
                Json::Array(values.iter().map(|value| self.value(key, value)).collect())
            }
            toml::Value::Table(table) => self.table(table),
        }
    }

    fn text(&mut self, key: &str, text: &str) -> String {
        if text.contains("-----BEGIN") || text.contains('\n') {
            return self.hide(text);
        }
        if ADDRESSES.contains(&key) {
            return self.address(text);
        }
        if SHOWN.contains(&key) { text.to_owned() } else { self.hide(text) }
    }

    /// Everything below `environment`: names are shown, values are not.
    fn hidden(&mut self, value: &toml::Value) -> Json {
        match value {
            toml::Value::Table(table) => {
                let hide =
                    |(name, value): (&String, &toml::Value)| (name.clone(), self.hidden(value));
                Json::Object(table.iter().map(hide).collect())
            }
            toml::Value::Array(values) => {
                Json::Array(values.iter().map(|value| self.hidden(value)).collect())
            }
            toml::Value::String(text) => Json::String(self.hide(text)),
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => Json::String(self.hide(&value.to_string())),
        }
    }

    /// A program and, of its arguments, those that are placeholders.
    fn command(&mut self, value: &toml::Value) -> Json {
        let Some(words) = value.as_array() else { return self.value("command", value) };
        let show = |(index, word): (usize, &toml::Value)| {
            let harmless = word.as_str().filter(|text| index == 0 || is_placeholder(text));
            harmless.map_or_else(|| self.hidden(word), Json::from)
        };
        Json::Array(words.iter().enumerate().map(show).collect())
    }

    fn address(&mut self, text: &str) -> String {
        let (scheme, rest) = text.split_once("://").map_or(("", text), |(s, rest)| (s, rest));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = match authority.rsplit_once('@') {
            Some((user, host)) => {
                for part in user.split(':') {
                    self.hide(part);
                }
                format!("{HIDDEN}@{host}")
            }
            None => authority.to_owned(),
        };
        let path = match path.find(['?', '#']) {
            Some(cut) => {
                self.hide(path.get(cut..).unwrap_or_default());
                format!("{}?{HIDDEN}", path.get(..cut).unwrap_or_default())
            }
            None => path.to_owned(),
        };
        if scheme.is_empty() { host + &path } else { format!("{scheme}://{host}{path}") }
    }

    fn hide(&mut self, text: &str) -> String {
        for part in text.lines().map(str::trim).chain([text.trim()]) {
            if part.chars().count() >= SECRET_CHARS_MIN {
                self.secrets.insert(part.to_owned());
            }
        }
        HIDDEN.to_owned()
    }

    /// Takes out of every text what was hidden in the configuration, and what announces itself.
    pub(super) fn scrub(&self, value: &mut Json) {
        match value {
            Json::String(text) => *text = self.scrubbed(text),
            Json::Array(values) => values.iter_mut().for_each(|value| self.scrub(value)),
            Json::Object(fields) => {
                for (name, value) in fields {
                    if let Json::String(text) = value
                        && announces(name)
                    {
                        HIDDEN.clone_into(text);
                    } else {
                        self.scrub(value);
                    }
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    /// One text.
    pub(super) fn scrubbed(&self, text: &str) -> String {
        if text.contains("-----BEGIN") {
            return HIDDEN.to_owned();
        }
        let mut text = text.to_owned();
        // Longest first: a secret may be part of another one.
        let mut secrets: Vec<&String> = self.secrets.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        free_text(&text)
    }
}

/// Whether an argument consists of placeholders and the marks between them.
fn is_placeholder(word: &str) -> bool {
    let mut inside = false;
    let outside = |c: char| matches!(c, '@' | ':' | '/' | '-' | '.' | '=' | ',');
    let fits = word.chars().all(|c| match c {
        '{' => !std::mem::replace(&mut inside, true),
        '}' => std::mem::replace(&mut inside, false),
        c => {
            if inside {
                c.is_ascii_lowercase() || c == '_'
            } else {
                outside(c)
            }
        }
    });
    fits && !inside && word.contains('{')
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;

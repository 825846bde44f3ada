//! What of the log the address asks for. What cannot be read is not asked for, and is said.

use form_urlencoded::{Serializer, parse};
use jiff::civil::Date;

use crate::store::AuditFilter;

/// Longest text of one field: names and ids are shorter.
const MAX_CHARS: usize = 300;

/// Whether the whole chain is to be checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Check {
    #[default]
    No,
    Whole,
}

/// Everything the address asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) object: String,
    /// As typed.
    pub(super) since: String,
    pub(super) until: String,
    /// Rows below this number.
    pub(super) before: Option<u64>,
    pub(super) check: Check,
}

impl Asked {
    pub(super) fn read(query: &str) -> Self {
        let mut asked = Self::default();
        for (key, value) in parse(query.as_bytes()) {
            let value: String = value.trim().chars().take(MAX_CHARS).collect();
            match key.as_ref() {
                "actor" => asked.actor = value,
                "action" => asked.action = value,
                "object" => asked.object = value,
                "since" => asked.since = value,
                "until" => asked.until = value,
                "before" => asked.before = value.parse().ok(),
                "check" => asked.check = Check::Whole,
                _ => {}
            }
        }
        asked
    }

    pub(super) fn filter(&self) -> AuditFilter {
        AuditFilter {
            actor: self.actor.clone(),
            action: self.action.clone(),
            object: self.object.clone(),
            since: self.since.parse().ok(),
            until: self.until.parse().ok(),
        }
    }

    /// Whether every row is asked for.
    pub(super) fn is_all(&self) -> bool {
        self.filter() == AuditFilter::default()
    }

    /// The days that are none, as typed.
    pub(super) fn unread_days(&self) -> Vec<&str> {
        let days = [self.since.as_str(), self.until.as_str()].into_iter();
        days.filter(|day| !day.is_empty() && day.parse::<Date>().is_err()).collect()
    }

    /// The same question from another row on.
    pub(super) fn address(&self, before: Option<u64>) -> String {
        let mut query = Serializer::new(String::new());
        let fields = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("object", &self.object),
            ("since", &self.since),
            ("until", &self.until),
        ];
        for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(key, value);
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/audit".to_owned() } else { format!("/audit?{query}") }
    }

    /// The same question with one field set to what a row has.
    pub(super) fn only(&self, set: impl FnOnce(&mut Self)) -> String {
        let mut asked = self.clone();
        set(&mut asked);
        asked.address(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_asks_the_same_question_again() {
        let asked = Asked::read("actor=mira+x&action=hold&object=%22%26&since=2026-01-02&before=7");
        assert_eq!((asked.actor.as_str(), asked.object.as_str()), ("mira x", "\"&"));
        assert_eq!(asked.before, Some(7));
        let (_, query) = asked
            .address(Some(7))
            .split_once('?')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert_eq!(Asked::read(&query), asked);
        assert_eq!(Asked::default().address(None), "/audit");
    }

    #[test]
    fn what_is_no_day_is_told_and_asks_for_nothing() {
        let asked = Asked::read("since=yesterday&until=2026-02-30&before=x&refresh=0");
        assert_eq!(asked.unread_days(), ["yesterday", "2026-02-30"]);
        assert!(asked.is_all());
        assert_eq!((asked.before, asked.check), (None, Check::No));
        assert_eq!(Asked::read("check=1").check, Check::Whole);
    }
}

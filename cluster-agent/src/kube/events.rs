//! Events about a resource: one object per series, counted up when the same thing happens again.
//!
//! The name of an event is made from what it is about, so that a restarted agent goes on with the
//! same series. Events are for people: one that cannot be written is logged and forgotten.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use signing::Sha256Digest;

use super::resource::Note;
use super::{Kube, KubeError};

/// Events of objects that belong to no namespace are kept in this one, by Kubernetes' own rule.
pub const EVENT_NAMESPACE: &str = "default";

/// Who writes them.
pub const REPORTER: &str = "fairway.dev/cluster-agent";

/// Longest message of an event, by Kubernetes' own rule.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// Longest name of the object in an event's name; the digest makes it unique.
const NAME_CHARS_MAX: usize = 200;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `group/version` of its kind.
    pub api_version: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: String,
}

/// The parts of an event that are read before it is counted up.
#[derive(Debug, Deserialize)]
struct Known {
    #[serde(default)]
    count: Option<i64>,
}

/// Writes one event about `subject`; `instance` names the writing process.
pub async fn write(
    kube: &Kube,
    subject: &Subject,
    note: &Note,
    instance: &str,
    now: Timestamp,
) -> Result<(), KubeError> {
    let path = format!("/api/v1/namespaces/{EVENT_NAMESPACE}/events");
    let body = body(subject, note, instance, now);
    match kube.create::<Value>(&path, &body).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => {
            let name = name(subject, note);
            let known: Option<Known> = kube.get(&path, &name).await?;
            let count = known.and_then(|known| known.count).unwrap_or(1).saturating_add(1);
            let again = json!({
                "count": count,
                "lastTimestamp": seconds(now),
                "message": message(note),
                "type": note.urgency.as_str(),
            });
            kube.merge::<Value>(&path, &name, &again).await.map(drop)
        }
        Err(error) => Err(error),
    }
}

fn body(subject: &Subject, note: &Note, instance: &str, now: Timestamp) -> Value {
    let at = seconds(now);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name(subject, note), "namespace": EVENT_NAMESPACE },
        "involvedObject": {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "name": subject.name,
            "uid": subject.uid,
        },
        "type": note.urgency.as_str(),
        "reason": note.reason,
        "message": message(note),
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "reportingComponent": REPORTER,
        "reportingInstance": instance,
        "source": { "component": REPORTER, "host": instance },
    })
}

/// Name of the series.
fn name(subject: &Subject, note: &Note) -> String {
    let series = format!("{}\n{}\n{}", subject.uid, note.reason, note.subject);
    let digest = Sha256Digest::of(series.as_bytes()).to_string();
    let short: String = digest.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    let object: String = subject.name.chars().take(NAME_CHARS_MAX).collect();
    format!("{object}.{short}")
}

fn message(note: &Note) -> &str {
    let mut end = note.message.len().min(MESSAGE_BYTES_MAX);
    while !note.message.is_char_boundary(end) {
        end -= 1;
    }
    note.message.get(..end).unwrap_or_default()
}

/// As the API writes the times of an event: whole seconds.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::resource::Urgency;

    fn subject() -> Subject {
        Subject {
            api_version: "fairway.dev/v1".into(),
            kind: "ClusterUpdate",
            name: "acme.kafka".into(),
            uid: "u1".into(),
        }
    }

    fn note(subject: &str, message: &str) -> Note {
        Note {
            urgency: Urgency::Normal,
            reason: "Waiting".into(),
            subject: subject.into(),
            message: message.into(),
        }
    }

    #[test]
    fn the_same_thing_with_other_figures_is_the_same_series() {
        let first = name(&subject(), &note("quorum_lag/c2", "lag 3000 ms"));
        assert_eq!(first, name(&subject(), &note("quorum_lag/c2", "lag 9000 ms")));
        assert_ne!(first, name(&subject(), &note("quorum_lag/c3", "lag 3000 ms")));
        assert!(first.starts_with("acme.kafka."), "{first}");
        let of_another_life = Subject { uid: "u2".into(), ..subject() };
        assert_ne!(first, name(&of_another_life, &note("quorum_lag/c2", "lag 3000 ms")));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = note("s", &"ü".repeat(2_000));
        assert_eq!(message(&long).len(), MESSAGE_BYTES_MAX);
        let odd = note("s", &format!("x{}", "ü".repeat(2_000)));
        assert_eq!(message(&odd).len(), MESSAGE_BYTES_MAX - 1);
    }
}

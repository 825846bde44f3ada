//! Where a channel's releases come from and what they need to enter, for those who wait for one.

use jiff::{Span, SpanFieldwise};
use serde::{Deserialize, Serialize};

use crate::names::ChannelName;

/// The rule of a channel's feeder (docs/channel-repository.md, "Promotion"), as its graph says it.
///
/// It informs people; no edge depends on it. Fields are declared in the order of their JSON names,
/// which is the order they are written in. A reader that does not know every key says nothing about
/// the feeder, because a condition that is left out would promise a release too early.
///
/// ```
/// let json = r#"{"delay":"P1W","name":"fast-4","soak":{"clusters":20,"days":7}}"#;
/// let feeding: channels::graph::Feeding = serde_json::from_str(json)?;
/// assert_eq!(feeding.soak.map(|soak| soak.days), Some(7));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feeding {
    /// How long a release stays in the feeding channel first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// `public`: only releases with a published erratum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errata: Option<String>,
    /// Only versions that this regular expression matches whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The feeding channel; it may be an internal one, which has no graph.
    pub name: ChannelName,
    /// How the feeding channel's clusters must have fared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<SoakRule>,
}

/// A length of time as people write it, `P1W`; equal where the same numbers of the same units are
/// written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Span", into = "Span")]
pub struct Delay(SpanFieldwise);

impl From<Span> for Delay {
    fn from(span: Span) -> Self {
        Self(span.fieldwise())
    }
}

impl From<Delay> for Span {
    fn from(Delay(span): Delay) -> Self {
        span.0
    }
}

/// A release enters after `days` healthy days in a row on `clusters` clusters of the feeding
/// channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoakRule {
    /// Healthy clusters that make a day count.
    pub clusters: u64,
    /// Whole days, in UTC.
    pub days: u32,
    /// Unhealthy clusters from which on a day starts the count afresh, less one.
    #[serde(default)]
    pub max_unhealthy: u64,
}

impl Feeding {
    /// Characters of `errata` and of `filter`: they are shown to people. The longest of OpenShift's
    /// graph data (2026) has 45.
    pub const MAX_WORD_CHARS: usize = 1_000;

    /// Whether nothing in it is longer than is shown.
    pub fn is_bounded(&self) -> bool {
        let words = [&self.errata, &self.filter];
        words.into_iter().flatten().all(|word| word.chars().count() <= Self::MAX_WORD_CHARS)
    }
}

//! `promotions.yaml`: when releases entered channels, and how long they soak.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::graph::SoakRule;
use crate::names::ChannelName;
use crate::version::ReleaseVersion;
use crate::yaml;

/// Name of the file, beside `fairway.toml`.
pub const PROMOTIONS_FILE: &str = "promotions.yaml";

/// What the file holds. Git is not asked: a record survives a squashed history and a shallow clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// By the channel a release enters: how its clusters in the feeding channel must have fared.
    #[serde(default)]
    pub soak: BTreeMap<ChannelName, SoakRule>,
    /// Entries in the order they were made; a later one for the same release replaces an earlier
    /// one.
    #[serde(default)]
    pub entered: Vec<Entry>,
}

/// One release entered one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The channel.
    pub channel: ChannelName,
    /// The release, as the channel lists it.
    pub version: ReleaseVersion,
    /// When.
    pub at: Timestamp,
    /// Why, for people: `rule`, or the words of who overruled it.
    #[serde(default)]
    pub why: String,
}

impl Record {
    /// Reads the file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, yaml::Fault> {
        let content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        if !text.lines().any(content) {
            return Ok(Self::default());
        }
        yaml::read(text)
    }

    /// When a release last entered a channel.
    pub fn entered(&self, channel: &ChannelName, version: &ReleaseVersion) -> Option<Timestamp> {
        let entries = self.entered.iter().rev();
        let mut of_it =
            entries.filter(|entry| entry.channel == *channel && entry.version == *version);
        of_it.next().map(|entry| entry.at)
    }
}

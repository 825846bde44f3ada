//! Which releases may enter which channel, and when the others may.
//!
//! A pure rule over the channels, a record of when releases entered them, a history of how clusters
//! fared, and `now`. It promotes nothing: `fairway promote` edits the files, and a person commits
//! them. What is not known is a reason to wait: a release whose entry into the feeding channel is
//! not recorded is not promoted by the rule.

mod decide;
mod history;
mod members;
#[cfg(test)]
mod properties;
mod record;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

pub use decide::{due, verdict, verdicts};
pub use history::{HealthDay, HealthHistory};
pub use record::{Entry, PROMOTIONS_FILE, Record};

use crate::names::ChannelName;
use crate::repository::ProductSource;
use crate::version::ReleaseVersion;

/// What the rule is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The product's channels, feeders and releases.
    pub product: &'a ProductSource,
    /// When releases entered channels, and soak rules.
    pub record: &'a Record,
    /// How clusters fared.
    pub history: &'a HealthHistory,
}

/// Whether one release may enter one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The channel it would enter.
    pub channel: ChannelName,
    /// The release, as the feeding channel lists it.
    pub version: ReleaseVersion,
    /// The feeding channel, where the channel has one.
    pub feeder: Option<ChannelName>,
    /// When it entered the feeding channel, where that is known.
    pub entered: Option<Timestamp>,
    /// What it waits for; empty = it may enter.
    pub waits: Vec<Wait>,
    /// The earliest time at which it may enter if nothing else happens; absent where waiting alone
    /// does not help.
    pub earliest: Option<Timestamp>,
}

impl Verdict {
    /// Whether it may enter.
    pub fn may_enter(&self) -> bool {
        self.waits.is_empty()
    }
}

/// What a release waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Wait {
    /// The channel is fed by nothing: releases enter it by hand.
    NotFed,
    /// The channel does not exist.
    NoChannel,
    /// The feeding channel does not exist.
    NoFeeder {
        /// Its name.
        feeder: ChannelName,
    },
    /// It is in the channel already.
    AlreadyIn,
    /// There is no such release.
    NoRelease,
    /// The feeding channel does not have it.
    NotInFeeder {
        /// The feeding channel.
        feeder: ChannelName,
    },
    /// It is a tombstone in the channel or in one of those it comes through.
    Tombstone {
        /// Where.
        channel: ChannelName,
    },
    /// The feeder's filter does not match it.
    Filtered {
        /// The expression, which must match the whole version.
        filter: String,
    },
    /// The feeder asks for a public erratum, and the release names no page.
    NoErratum,
    /// Nobody recorded when it entered the feeding channel, so its delay cannot be told.
    EntryUnknown {
        /// The feeding channel.
        feeder: ChannelName,
    },
    /// It has not been in the feeding channel for long enough.
    Delay {
        /// When it will have been.
        until: Timestamp,
    },
    /// The feeder's delay is no length of time that can be added to its entry.
    DelayUnusable,
    /// Too few healthy days on enough clusters of the feeding channel.
    Soak {
        /// Healthy days in a row so far.
        healthy_days: u32,
        /// Healthy days asked for.
        days: u32,
        /// Healthy clusters a day needs.
        clusters: u64,
    },
}

impl Wait {
    /// Stable, `snake_case` name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotFed => "not_fed",
            Self::NoChannel => "no_channel",
            Self::NoFeeder { .. } => "no_feeder",
            Self::AlreadyIn => "already_in",
            Self::NoRelease => "no_release",
            Self::NotInFeeder { .. } => "not_in_feeder",
            Self::Tombstone { .. } => "tombstone",
            Self::Filtered { .. } => "filtered",
            Self::NoErratum => "no_erratum",
            Self::EntryUnknown { .. } => "entry_unknown",
            Self::Delay { .. } => "delay",
            Self::DelayUnusable => "delay_unusable",
            Self::Soak { .. } => "soak",
        }
    }

    /// Whether a person may set it aside when promoting by hand. What was withdrawn, or does not
    /// exist, never is.
    pub fn may_be_overruled(&self) -> bool {
        match self {
            Self::NotFed
            | Self::NotInFeeder { .. }
            | Self::NoFeeder { .. }
            | Self::Filtered { .. }
            | Self::NoErratum
            | Self::EntryUnknown { .. }
            | Self::Delay { .. }
            | Self::DelayUnusable
            | Self::Soak { .. } => true,
            Self::NoChannel | Self::AlreadyIn | Self::NoRelease | Self::Tombstone { .. } => false,
        }
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFed => f.write_str("the channel has no feeder"),
            Self::NoChannel => f.write_str("there is no such channel"),
            Self::NoFeeder { feeder } => write!(f, "the feeding channel {feeder} does not exist"),
            Self::AlreadyIn => f.write_str("it is in the channel already"),
            Self::NoRelease => f.write_str("it has no release file"),
            Self::NotInFeeder { feeder } => write!(f, "it is not in {feeder}"),
            Self::Tombstone { channel } => write!(f, "it was withdrawn in {channel}"),
            Self::Filtered { filter } => write!(f, "the feeder's filter {filter:?} leaves it out"),
            Self::NoErratum => f.write_str("its release file names no url, and errata are public"),
            Self::EntryUnknown { feeder } => {
                write!(f, "{PROMOTIONS_FILE} does not say when it entered {feeder}")
            }
            Self::Delay { until } => write!(f, "its delay ends at {until}"),
            Self::DelayUnusable => f.write_str("the feeder's delay cannot be added to a time"),
            Self::Soak { healthy_days, days, clusters } => {
                write!(f, "{healthy_days} of {days} healthy days on at least {clusters} clusters")
            }
        }
    }
}

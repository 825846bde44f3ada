//! How clusters fared on releases: the evidence that promotion by soak asks for.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::names::{ChannelName, ProductRef};
use crate::version::ReleaseVersion;

/// Answer of `GET /api/v1/soak`. As a file it is a health history for `fairway promote --history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoakAnswer {
    /// When the hub answered.
    pub at: Timestamp,
    /// Which product.
    pub product: ProductRef,
    /// One per channel and release that clusters run or ran, as far back as the hub keeps notes.
    pub releases: Vec<SoakRelease>,
    /// Days that are over, oldest first.
    pub days: Vec<SoakDay>,
}

/// Clusters that follow one channel and run one release, over all the time the hub has notes of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoakRelease {
    /// Which channel.
    pub channel: ChannelName,
    /// Which release.
    pub version: ReleaseVersion,
    /// The first note that has a cluster on it.
    pub since: Timestamp,
    /// Hours times clusters in which they were healthy. Time without notes counts for nothing.
    pub healthy_cluster_hours: f64,
    /// The same, unhealthy.
    pub unhealthy_cluster_hours: f64,
    /// The same, neither.
    pub unknown_cluster_hours: f64,
    /// Failures in rollouts of this release, acknowledged or not, in whichever channel.
    pub failures: u64,
}

/// One UTC day of the clusters that follow one channel and run one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoakDay {
    /// Which channel.
    pub channel: ChannelName,
    /// Which release.
    pub version: ReleaseVersion,
    /// The day, in UTC.
    pub date: Date,
    /// Clusters that every report of the day called healthy, on this release from its begin to its
    /// end, and that were never silent.
    pub healthy: u64,
    /// Clusters that any report of the day called unhealthy, or that paused or went back to an older
    /// release.
    pub unhealthy: u64,
    /// All others: nobody knows, or the day was not whole.
    pub unknown: u64,
}

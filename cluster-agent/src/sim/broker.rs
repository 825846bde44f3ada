//! A broker as its metrics show it: in sync or catching up, and what it knows of the metadata log.

/// After a restart a broker's replicas need this long to come back into the ISR, at speed 1.
pub(super) const RESYNC_MS: i64 = 5000;

/// Partitions each broker leads; enough that a broker that is down shows on every other.
pub(super) const PARTITIONS_LED: u32 = 24;

/// Of those, how many have a replica on any one other broker.
pub(super) const PARTITIONS_SHARED: u32 = 8;

/// State of one broker's process.
#[derive(Debug, Clone, Default)]
pub(super) struct Broker {
    /// Until when its replicas are out of the ISR, milliseconds since 1970.
    pub(super) in_sync_at_ms: i64,
    /// End of the metadata log as far as it has read it, and in which epoch.
    pub(super) metadata_end: i64,
    /// See `metadata_end`.
    pub(super) epoch: u64,
    /// The leader it knows.
    pub(super) leader: Option<u32>,
}

//! Kafka's own protocol, as far as an agent needs it: the quorum's state by its leader, changes of
//! the voter set, finalized features, partitions.
//!
//! Optional: health is told by metrics pages, and this is the second witness where the agent holds
//! a Kafka credential. Nothing here is taken from a signed document; servers and credentials are
//! local configuration.

pub mod change;
mod client;
mod connection;
mod controllers;
mod error;
mod partitions;
mod quorum;
mod raise;
mod sasl;
mod settings;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;
mod tls;
mod topics;
mod wire;
mod witness;

pub use client::KafkaClient;
pub use connection::Features;
pub use error::{ErrorCode, KafkaError};
pub use quorum::{
    CaughtUp, DirectoryId, DirectoryIdError, Endpoint, EndpointError, QuorumView, Replica,
};
pub use raise::{RaiseError, Raised};
pub use settings::{
    Address, AddressError, KafkaSettings, Mechanism, SaslSettings, TlsSettings, UnknownMechanism,
};
pub use witness::{Look, WitnessTarget, Witnesses};

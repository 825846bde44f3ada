//! Talking to the hub: enrolment, keys and reports ([`HubClient`]), and the releases and graphs that may
//! be believed ([`TrustedReleases`]).
//!
//! The two are apart on purpose. What a report's reply says is the hub's word, good for holding
//! back; what may be *installed* comes only through [`TrustedReleases`], from metadata that the
//! vendors signed. Nothing here decides that anything moves.

mod client;
mod error;
mod http;
mod identity;
mod network;
mod rotation;
#[cfg(test)]
mod tests;
mod trust;
mod upstream;

pub use client::HubClient;
pub use error::HubError;
pub use http::http_client;
pub use identity::{KeyPlace, forget_key, open_key, open_or_create_key, put_in_force};
pub use network::{Network, NetworkError, ProxyChoice};
pub use rotation::{begin_rotation, finish_rotation};
pub use trust::{HubReleases, TrustError, TrustedReleases, VerifiedGraph, VerifiedRelease};
pub use upstream::{Address, BadAddress, Directory, HubSource, UpstreamError};

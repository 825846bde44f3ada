//! Talking to the hub: enrolment and reports ([`HubClient`]), and the releases and graphs that may
//! be believed ([`TrustedReleases`]).
//!
//! The two are apart on purpose. What a report's reply says is the hub's word, good for holding
//! back; what may be *installed* comes only through [`TrustedReleases`], from metadata that the
//! vendors signed. Nothing here decides that anything moves.

mod client;
mod error;
mod http;
mod identity;
mod trust;

pub use client::HubClient;
pub use error::HubError;
pub use http::http_client;
pub use identity::open_or_create_key;
pub use trust::{HubReleases, TrustError, TrustedReleases, VerifiedGraph, VerifiedRelease};

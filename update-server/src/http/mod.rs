//! The HTTP surface: access, negotiation, public reads, errors, the pages for people.
//!
//! Handlers parse, look up and render; they take no decision about a fleet.

pub mod access;
pub mod api;
pub mod assets;
pub mod cincinnati;
pub mod dashboard;
pub mod fcos;
pub mod lookout;
pub mod negotiate;
pub mod problem;
pub mod public;
pub mod sign_in;
#[cfg(test)]
mod tests;
pub mod tuf;
pub mod unread;

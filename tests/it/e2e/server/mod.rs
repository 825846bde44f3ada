//! A real hub process, what is published on it, and what survives `kill -9`.

pub(super) mod hub;
mod identity;
pub(super) mod load;
mod publish;
mod reports;
mod restored;
mod seed;
pub(super) mod vendor;

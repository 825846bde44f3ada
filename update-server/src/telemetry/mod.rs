//! Figures for people that combine the fleet with what is served. Pure: counts in, answers out.

mod exposure;
mod timeline;

pub use exposure::exposure;
pub use timeline::{Position, merge};

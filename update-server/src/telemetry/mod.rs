//! Figures for people that combine the fleet with what is served. Pure: counts in, answers out.

mod exposure;
mod soak;
mod timeline;
mod trend;

pub use exposure::{exposure, has_risk, is_always, risks_before};
pub use soak::Soaking;
pub use timeline::{Position, merge};
pub use trend::{Folding, MAX_POINTS, MAX_STEPS, NOTE_EVERY_S, TrendClock, USUAL_STEPS, step_of};

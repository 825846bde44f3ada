//! From a metrics endpoint to samples that can be trusted.
//!
//! Never decides about health: it says what was read, what is absent and what cannot be read.

pub mod signal;

pub use signal::Signal;

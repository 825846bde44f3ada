//! A value whose signature chain was checked. Only this crate can make one.

use std::ops::Deref;

/// Proof, in the type, that `T` came out of a verification in this crate.
///
/// The constructor is private to the crate, so a function that takes `Verified<T>` cannot be
/// handed unchecked input by mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// Gives up the proof and returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

//! Several sources of one repository, in order of preference. This half knows which one is asked;
//! when to ask another is for [`crate::client`], which alone can tell a lie from an answer.

use super::{Fetched, Source, SourceError};
use crate::names::FileName;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most mirrors of one repository: one after the other may use up its whole deadline.
pub const MAX_MIRRORS: usize = 8;
/// Longest name of a mirror, in bytes. It stands in front of every validator that is kept.
pub const MAX_MIRROR_NAME_BYTES: usize = 256;

/// A list of mirrors that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorsError {
    /// None, or more than [`MAX_MIRRORS`].
    #[error("{found} mirrors, 1 to {MAX_MIRRORS} can be used")]
    Count {
        /// How many were given.
        found: usize,
    },
    /// A name that is empty, too long, holds white space, or belongs to two mirrors.
    #[error("not a name of one mirror: {name:?}")]
    Name {
        /// What was given.
        name: String,
    },
}

/// One to [`MAX_MIRRORS`] sources of the same repository.
///
/// Every request goes to one mirror, the *current* one; no answer is ever put together from two.
/// Use [`crate::Client::refresh_any`] and its companions, which move on when a mirror fails *or*
/// when what it served does not verify.
#[derive(Debug)]
pub struct Mirrors<S> {
    mirrors: Vec<(String, S)>,
    /// An index into `mirrors`.
    current: AtomicUsize,
}

impl<S> Mirrors<S> {
    /// Takes mirrors by name, the preferred one first. A name is what failures are reported
    /// under, its URL for instance.
    pub fn new(mirrors: Vec<(String, S)>) -> Result<Self, MirrorsError> {
        let found = mirrors.len();
        if !(1..=MAX_MIRRORS).contains(&found) {
            return Err(MirrorsError::Count { found });
        }
        for (index, (name, _)) in mirrors.iter().enumerate() {
            let twice = mirrors.iter().take(index).any(|(earlier, _)| earlier == name);
            let fits = (1..=MAX_MIRROR_NAME_BYTES).contains(&name.len());
            if twice || !fits || name.contains(char::is_whitespace) {
                return Err(MirrorsError::Name { name: name.clone() });
            }
        }
        Ok(Self { mirrors, current: AtomicUsize::new(0) })
    }

    /// The names, the preferred mirror first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.mirrors.iter().map(|(name, _)| name.as_str())
    }

    /// The name of the mirror that is asked now.
    pub fn current(&self) -> &str {
        self.mirrors.get(self.index()).map_or("", |(name, _)| name)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.mirrors.len()
    }

    pub(crate) fn index(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// From now on asks the mirror at `index`, counted around the end of the list.
    pub(crate) fn select(&self, index: usize) {
        self.current.store(index.checked_rem(self.count()).unwrap_or(0), Ordering::Relaxed);
    }
}

impl<S: Source> Source for Mirrors<S> {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        let Some((name, mirror)) = self.mirrors.get(self.index()) else {
            return Ok(Fetched::NotFound);
        };
        // A validator says something to the mirror that gave it, and nothing to another one.
        let own =
            if_none_match.and_then(|etag| etag.strip_prefix(name.as_str())?.strip_prefix(' '));
        match mirror.fetch(file, max_bytes, own).await? {
            Fetched::Body { bytes, etag } => {
                Ok(Fetched::Body { bytes, etag: etag.map(|etag| format!("{name} {etag}")) })
            }
            Fetched::NotModified if own.is_none() => Err(SourceError::Unconditional),
            other @ (Fetched::NotModified | Fetched::NotFound) => Ok(other),
        }
    }
}

//! The persisted document and its refusal rules.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StateError;
use crate::history::History;

/// The form this version writes; it reads this one and refuses newer ones.
pub const FORMAT: u32 = 1;

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Form of the document.
    pub format: u32,
    /// The configured name of the cluster it belongs to.
    pub cluster: String,
    /// The highest report number that may have been sent; begins at the clock's milliseconds.
    pub seq: u64,
    /// What the agent remembers.
    pub history: History,
}

/// The only field every form has had and will have.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl Document {
    /// The memory of a cluster that has none.
    pub fn new(cluster: &str) -> Self {
        Self { format: FORMAT, cluster: cluster.to_owned(), seq: 0, history: History::default() }
    }
}

/// Parses and checks the bytes of `path`.
pub(super) fn parse(path: &Path, bytes: &[u8], cluster: &str) -> Result<Document, StateError> {
    let unreadable =
        |source: serde_json::Error| StateError::Unreadable { path: path.to_owned(), source };
    let Form { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if format > FORMAT {
        return Err(StateError::Newer { path: path.to_owned(), found: format, known: FORMAT });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(unreadable)?;
    if document.cluster != cluster {
        return Err(StateError::OtherCluster {
            path: path.to_owned(),
            found: document.cluster,
            expected: cluster.to_owned(),
        });
    }
    Ok(document)
}

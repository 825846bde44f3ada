//! Changes to the files of a channel repository, as text.
//!
//! People write these files, so an edit keeps their comments, order and style: it adds or takes away
//! lines and nothing else. Every edit is parsed again and must mean exactly the change that was
//! intended; where that fails, or the file is written in a way these edits do not know, it is
//! refused. Pure: reading, asking and writing is the caller's.

mod block;
mod channel;
mod error;
mod list;
mod log;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod unified;
mod verify;

use std::path::PathBuf;

pub use block::{NewBlock, block_file, end_range};
pub use channel::{promote, withdraw};
pub use error::EditError;
pub use log::record;
pub use unified::unified;

/// One file of a change; `None` stands for a file that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// Its text before.
    pub before: Option<String>,
    /// Its text after.
    pub after: Option<String>,
}

impl FileEdit {
    /// The change as a unified diff with three lines of context; empty when nothing changes.
    pub fn unified(&self) -> String {
        unified(&self.file, self.before.as_deref(), self.after.as_deref())
    }
}

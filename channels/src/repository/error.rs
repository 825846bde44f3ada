//! What is wrong with a channel repository, where, and what to do.

use std::path::{Path, PathBuf};

/// A fault in a channel repository. File names are relative to its root.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A file or directory cannot be read.
    #[error("{}: cannot be read; check that it exists and its permissions", file.display())]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than is read (1 MiB).
    #[error(
        "{}: has {bytes} bytes; at most {limit} are read, move bulk data elsewhere",
        file.display()
    )]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// A file is not well formed, or a value in it is not what its key asks for.
    #[error("{}:{line}:{column}: {problem}; {advice}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1; 0 when the parser cannot tell.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong, in the parser's words.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// Values that are well formed each, and do not fit together.
    #[error("{}: {problem}; {advice}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// A file the reader would have to skip.
    #[error(
        "{}: is not read here, and a file that is skipped by accident can open a blocked edge; \
         {advice}",
        file.display()
    )]
    StrayFile {
        /// The file.
        file: PathBuf,
        /// What to do.
        advice: String,
    },
    /// No directory with a settings file.
    #[error(
        "{}: no fairway.toml here or up to three directories below; `fairway init DIR` makes one",
        directory.display()
    )]
    NoProduct {
        /// Where it was looked for.
        directory: PathBuf,
    },
}

impl RepositoryError {
    pub(super) fn content(file: &Path, problem: String, advice: &str) -> Self {
        Self::Content { file: file.to_owned(), problem, advice: advice.to_owned() }
    }

    /// The file the fault is in.
    pub fn file(&self) -> &Path {
        match self {
            Self::Read { file, .. }
            | Self::TooLarge { file, .. }
            | Self::Syntax { file, .. }
            | Self::Content { file, .. }
            | Self::StrayFile { file, .. } => file,
            Self::NoProduct { directory } => directory,
        }
    }

    /// The line of the fault, from 1, where one is known.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Syntax { line, .. } => Some(*line).filter(|line| *line > 0),
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Content { .. }
            | Self::StrayFile { .. }
            | Self::NoProduct { .. } => None,
        }
    }
}

//! Why a graph was refused.

use crate::names::NameError;

/// Why a graph could not be built or read.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The document is larger than a reader accepts.
    #[error("graph document has {bytes} bytes; at most {limit} are read")]
    TooLarge {
        /// Size of the document.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// More nodes than [`super::MAX_NODES`].
    #[error("graph has {nodes} nodes; at most {limit} are allowed")]
    TooManyNodes {
        /// Nodes found.
        nodes: usize,
        /// The bound.
        limit: usize,
    },
    /// More edges than [`super::MAX_EDGES`], plain and conditional together.
    #[error("graph has {edges} edges; at most {limit} are allowed")]
    TooManyEdges {
        /// Edges found.
        edges: usize,
        /// The bound.
        limit: usize,
    },
    /// Not JSON, or not shaped like a Cincinnati graph.
    #[error("graph document is not Cincinnati graph JSON (line {line}, column {column})")]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What is wrong there.
        #[source]
        source: serde_json::Error,
    },
    /// The document says it is of another form than version 1.
    #[error("graph document has version {version}; only version 1 is known")]
    Format {
        /// The version it names.
        version: u64,
    },
    /// A node without a version.
    #[error("node {index} has an empty version")]
    EmptyVersion {
        /// Position in the document, from 0.
        index: usize,
    },
    /// A version that is not a semantic version.
    #[error("{place} has an unusable version")]
    Version {
        /// Where, in words.
        place: String,
        /// Why.
        #[source]
        source: NameError,
    },
    /// Two nodes of one version.
    #[error("version {version} has two nodes")]
    DuplicateVersion {
        /// The version.
        version: String,
    },
    /// An edge names a node that does not exist.
    #[error("edge [{from}, {to}] is out of range: the graph has {nodes} nodes")]
    EdgeIndex {
        /// Source index as written.
        from: u64,
        /// Target index as written.
        to: u64,
        /// Nodes in the graph.
        nodes: usize,
    },
    /// A conditional edge names a version that has no node.
    #[error("conditional edge names {version}, which has no node")]
    UnknownVersion {
        /// The version as written.
        version: String,
    },
    /// Conditional edges without a risk: neither recommended nor refused.
    #[error("conditional edges to {to} carry no risk")]
    NoRisks {
        /// Target of the first of these edges.
        to: String,
    },
}

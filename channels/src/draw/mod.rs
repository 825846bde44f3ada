//! A graph as a picture: text for Graphviz, and SVG with one lane per minor.
//!
//! Pure text out of a [`crate::graph::Graph`]; the same graph gives the same bytes. A picture is
//! for people: it leaves out edges that longer ways imply, and nothing may be decided by it.

mod dot;
mod edges;
mod layout;
mod svg;
#[cfg(test)]
mod tests;

pub use dot::dot;
pub use svg::svg;

/// Most releases drawn. The largest real channel has 270; with many more, lines hide each other.
pub const MAX_DRAWN_NODES: usize = 1_500;

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// More releases than anybody could tell apart.
    #[error("the graph has {nodes} releases; at most {limit} are drawn")]
    TooLarge {
        /// Releases in the graph.
        nodes: usize,
        /// The bound, [`MAX_DRAWN_NODES`].
        limit: usize,
    },
}

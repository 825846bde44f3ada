//! Finds and removes what no cluster of the site needs any more, in two phases.

//! The operator's command line: keys, lint, publish, drift, holds; and the demo.

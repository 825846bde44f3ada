//! The hub: signed release graphs out, fleet reports in, drift and directives between.

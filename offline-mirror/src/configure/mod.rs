//! Configuration that points a site's container runtimes at its registry.

//! The graph over HTTP, byte by byte, as `curl` and odd clients would ask for it
//! (reference: OpenShift's policy-engine; better where it names a fault).

mod caching;
mod coding;
mod curl;
mod faults;
mod raw;
mod stage;
mod stale;

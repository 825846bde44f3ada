//! Talking to the hub.

mod http;

pub use http::http_client;

//! One way of building HTTP clients: with timeouts, and with the workspace's one TLS provider.

use std::time::Duration;

/// A client that follows no redirect (a hub has one address; elsewhere is someone else).
pub fn http_client(
    connect: Duration,
    overall: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    // Fails only if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(connect)
        .timeout(overall)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

//! One way of building HTTP clients: with timeouts, and with the workspace's one TLS provider.

use std::time::Duration;

/// A client that follows no redirect: a signed request is for the address it was made for.
pub fn http_client(
    connect: Duration,
    overall: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    signing::source::install_tls_provider();
    reqwest::Client::builder()
        .connect_timeout(connect)
        .timeout(overall)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

//! One way of building HTTP clients: with timeouts, and with the workspace's one TLS provider.

use std::time::Duration;

use super::network::Transport;

/// A client that follows no redirect, because a signed request is for the address it was made
/// for, and goes through no proxy.
pub fn http_client(
    connect: Duration,
    overall: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    builder(connect, overall).no_proxy().build()
}

/// The same, over a network.
pub(super) fn http_client_over(
    transport: &Transport,
    connect: Duration,
    overall: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    transport.apply(builder(connect, overall)).build()
}

fn builder(connect: Duration, overall: Duration) -> reqwest::ClientBuilder {
    signing::source::install_tls_provider();
    reqwest::Client::builder()
        .connect_timeout(connect)
        .timeout(overall)
        .redirect(reqwest::redirect::Policy::none())
}

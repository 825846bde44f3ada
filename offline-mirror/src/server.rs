//! Which update server is meant, and whether it may see an API token. Never sends anything itself.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use crate::error::Error;

/// A server that does not even take the connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An update server with the API token for it, checked: a token that is in here may be sent there.
#[derive(Clone)]
pub struct ServerAccess {
    base: String,
    token: String,
}

impl std::fmt::Debug for ServerAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAccess").field("base", &self.base).finish_non_exhaustive()
    }
}

impl ServerAccess {
    /// `server` is the base URL. Over plain HTTP the token goes to this machine only, unless
    /// `token_over_http` says that nobody listens on the way.
    ///
    /// # Errors
    /// When `server` is no HTTP address, or everybody on the way could read the token.
    pub fn new(server: &str, token: String, token_over_http: bool) -> Result<Self, Error> {
        let wrong = |why: String| Error::ServerAddress { server: server.to_owned(), why };
        let url = Url::parse(server).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("the scheme must be http or https".to_owned()));
        }
        if is_open(&url) && !token_over_http {
            return Err(Error::TokenInClear { server: server.to_owned() });
        }
        Ok(Self { base: server.trim_end_matches('/').to_owned(), token })
    }

    /// A client for requests to [`Self::base`] with [`Self::token`], each answered whole within
    /// `answer_timeout`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn client(answer_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
        signing::source::install_tls_provider();
        reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(answer_timeout)
            // A redirect could carry the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
    }

    /// The base URL, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The token, for the header of requests to [`Self::base`] only.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// Whether requests to `server` go over plain HTTP to another machine.
pub fn is_open(server: &Url) -> bool {
    let local = server.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    });
    server.scheme() == "http" && !local
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(server: &str, token_over_http: bool) -> Result<ServerAccess, Error> {
        ServerAccess::new(server, "fw_secret".to_owned(), token_over_http)
    }

    #[test]
    fn a_token_goes_over_plain_http_to_this_machine_alone() {
        for good in
            ["https://hub.example", "http://127.0.0.1:1/", "http://[::1]", "http://localhost"]
        {
            access(good, false).unwrap();
        }
        for open in ["http://hub.example", "HTTP://10.0.0.1", "http://127.0.0.1.example"] {
            let error = access(open, false).unwrap_err();
            assert!(matches!(error, Error::TokenInClear { .. }), "{open}: {error}");
            assert!(error.hint().contains("--token-over-http"));
            access(open, true).unwrap();
        }
    }

    #[test]
    fn what_is_no_http_address_is_refused_and_the_token_never_printed() {
        for bad in ["hub.example", "ftp://hub", "hub:8080", ""] {
            let error = access(bad, true).unwrap_err();
            assert!(matches!(error, Error::ServerAddress { .. }), "{bad}: {error}");
        }
        let shown = format!("{:?}", access("https://hub/", false).unwrap());
        assert!(shown.contains("https://hub") && !shown.contains("fw_secret"), "{shown}");
    }
}

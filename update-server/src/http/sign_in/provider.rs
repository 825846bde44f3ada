//! The `OpenID` provider: where it is, which keys it has, and what it gives for a code.
//!
//! Asked only when somebody signs in: a provider that is down stops no hub.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Certificate, Client, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use signing::causes::chain;
use tokio::sync::Mutex;

use super::id_token::{self, Claims, Expected, IdTokenError};
use super::keys::KeySet;
use crate::config::OidcSettings;

/// A person waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer read: keys and tokens are a few kilobytes.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;
/// How long what the provider publishes is taken as it was.
const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(1);
/// A key that is not known is looked for again no sooner.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Largest file of a secret or of authorities.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// The provider cannot be used as it was set.
#[derive(Debug, thiserror::Error)]
pub enum SignInSetupError {
    /// A file cannot be read.
    #[error("failed to read {path}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The authorities' file, or the client that is made with it.
    #[error("failed to prepare requests to the OpenID provider")]
    Client(#[source] reqwest::Error),
}

/// Why the provider gave no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("the OpenID provider cannot be used: {0}")]
    Unusable(String),
    #[error("the OpenID provider refused the code: {0}")]
    Refused(String),
    #[error("the ID token is not to be believed: {0}")]
    Token(#[from] IdTokenError),
}

/// What `/.well-known/openid-configuration` says (`OpenID` Connect Discovery §3).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether every answer names its issuer (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Debug, Clone)]
struct Known {
    discovery: Discovery,
    keys: KeySet,
    at: Timestamp,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

#[derive(Deserialize)]
struct TokenError {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// One provider, and what is known of it.
#[derive(Debug)]
pub(super) struct Provider {
    settings: OidcSettings,
    client: Client,
    known: Mutex<Option<Known>>,
}

/// Where a sign-in goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) endpoint: Url,
    /// Whether the answer must name its issuer.
    pub(super) names_issuer: bool,
}

impl Provider {
    /// Reads its files; asks nothing yet.
    pub(super) fn open(settings: &OidcSettings) -> Result<Self, SignInSetupError> {
        signing::source::install_tls_provider();
        let mut builder = Client::builder()
            .timeout(TIMEOUT)
            // What is sent there includes the client's secret.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("fairway-hub/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca {
            let pem = read(path)?;
            let found = Certificate::from_pem_bundle(&pem).map_err(SignInSetupError::Client)?;
            builder = builder.tls_certs_only(found);
        }
        if let Some(path) = &settings.client_secret_file {
            read(path)?;
        }
        let client = builder.build().map_err(SignInSetupError::Client)?;
        Ok(Self { settings: settings.clone(), client, known: Mutex::new(None) })
    }

    /// The provider's address for browsers.
    pub(super) async fn door(&self, now: Timestamp) -> Result<Door, ProviderError> {
        let known = self.known(KNOWN_FOR, now).await?;
        Ok(Door {
            endpoint: self.endpoint(&known.discovery.authorization_endpoint)?,
            names_issuer: known.discovery.authorization_response_iss_parameter_supported,
        })
    }

    /// Redeems a code; the identity it stands for.
    pub(super) async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
        redirect_uri: &Url,
        now: Timestamp,
    ) -> Result<Claims, ProviderError> {
        let known = self.known(KNOWN_FOR, now).await?;
        let token = self.exchange(&known.discovery, code, verifier, redirect_uri).await?;
        let settings = &self.settings;
        let expected = Expected { issuer: &settings.issuer, client_id: &settings.client_id, nonce };
        match id_token::verify(&token, &known.keys, expected, now) {
            Err(IdTokenError::UnknownKey) => {
                let known = self.known(LOOK_AGAIN, now).await?;
                Ok(id_token::verify(&token, &known.keys, expected, now)?)
            }
            other => Ok(other?),
        }
    }

    async fn exchange(
        &self,
        discovery: &Discovery,
        code: &str,
        verifier: &str,
        redirect_uri: &Url,
    ) -> Result<String, ProviderError> {
        let url = self.endpoint(&discovery.token_endpoint)?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        let client_id = &self.settings.client_id;
        let secret = self.secret().await?;
        let mut request = self.client.post(url);
        let takes = |method: &str| {
            let methods = discovery.token_endpoint_auth_methods_supported.as_deref();
            methods.is_none_or(|methods| methods.iter().any(|known| known == method))
        };
        match &secret {
            Some(secret) if takes("client_secret_basic") => {
                // Both parts are form-encoded first (RFC 6749 §2.3.1).
                request = request.basic_auth(encoded(client_id), Some(encoded(secret)));
            }
            Some(secret) => {
                form.extend([("client_id", client_id.as_str()), ("client_secret", secret)]);
            }
            None => form.push(("client_id", client_id)),
        }
        let body = pairs(&form);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body);
        let answer = request.send().await.map_err(|error| unusable(&error))?;
        let status = answer.status();
        let body = bounded(answer).await?;
        if status.is_success() {
            let answer: TokenAnswer = document("the answer to a code", &body)?;
            return Ok(answer.id_token);
        }
        match serde_json::from_slice::<TokenError>(&body) {
            Ok(TokenError { error, error_description }) => {
                let said = error_description.map_or(error.clone(), |why| format!("{error}: {why}"));
                Err(ProviderError::Refused(printable(&said)))
            }
            Err(_) => Err(ProviderError::Unusable(format!("it answered {status} to a code"))),
        }
    }

    /// The client's secret as it is now: it may be exchanged while the hub runs.
    async fn secret(&self) -> Result<Option<String>, ProviderError> {
        let Some(path) = self.settings.client_secret_file.clone() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let failed = |why: String| ProviderError::Unusable(why);
        let bytes = read.map_err(|error| failed(error.to_string()))?;
        let bytes = bytes.map_err(|error| failed(chain(&error)))?;
        let text = String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?;
        Ok(Some(text.trim().to_owned()))
    }

    /// What the provider publishes, no older than `at_most`.
    async fn known(&self, at_most: SignedDuration, now: Timestamp) -> Result<Known, ProviderError> {
        // Held while asking: people who sign in together make one request.
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|k| now.duration_since(k.at).abs() < at_most) {
            return Ok(known.clone());
        }
        let address = format!(
            "{}/.well-known/openid-configuration",
            self.settings.issuer.trim_end_matches('/')
        );
        let discovery: Discovery = self.get(&address).await?;
        if discovery.issuer != self.settings.issuer {
            let why = format!("it says that its issuer is {:?}", printable(&discovery.issuer));
            return Err(ProviderError::Unusable(why));
        }
        let methods = discovery.code_challenge_methods_supported.as_deref();
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(ProviderError::Unusable("it does not know PKCE with S256".to_owned()));
        }
        let keys = self.get(&discovery.jwks_uri).await?;
        let fresh = Known { discovery, keys, at: now };
        *known = Some(fresh.clone());
        Ok(fresh)
    }

    /// An address of the provider; none is less protected than the issuer itself.
    fn endpoint(&self, text: &str) -> Result<Url, ProviderError> {
        let is_open = self.settings.issuer.starts_with("http://");
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" || (is_open && url.scheme() == "http") => Ok(url),
            Ok(_) | Err(_) => {
                let why = format!("{:?} is no https address", printable(text));
                Err(ProviderError::Unusable(why))
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, ProviderError> {
        let url = self.endpoint(address)?;
        let answer = self.client.get(url).send().await.map_err(|error| unusable(&error))?;
        let status = answer.status();
        let body = bounded(answer).await?;
        if !status.is_success() {
            let why = format!("it answered {status} at {}", printable(address));
            return Err(ProviderError::Unusable(why));
        }
        document(address, &body)
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, SignInSetupError> {
    let failed = |source| SignInSetupError::Read { path: path.clone(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_MAX_BYTES {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    std::fs::read(path).map_err(failed)
}

fn unusable(error: &reqwest::Error) -> ProviderError {
    ProviderError::Unusable(chain(error))
}

fn document<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(body)
        .map_err(|error| ProviderError::Unusable(format!("{}: {error}", printable(what))))
}

async fn bounded(mut answer: Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unusable(&error))? {
        if body.len() + piece.len() > ANSWER_MAX_BYTES {
            let why = format!("its answer is larger than {ANSWER_MAX_BYTES} bytes");
            return Err(ProviderError::Unusable(why));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What somebody else wrote, for a message.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// `application/x-www-form-urlencoded`.
fn pairs(form: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form/").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(form);
    }
    url.as_ref().and_then(Url::query).unwrap_or_default().to_owned()
}

fn encoded(text: &str) -> String {
    pairs(&[("", text)]).trim_start_matches('=').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_and_nothing_of_a_secret_is_lost() {
        assert_eq!(pairs(&[("a", "b c"), ("d", "=&+")]), "a=b+c&d=%3D%26%2B");
        assert_eq!(encoded("=a:b="), "%3Da%3Ab%3D");
    }
}

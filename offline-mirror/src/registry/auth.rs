//! Signing in: which `Authorization` a request carries, and tokens with their expiry.
//!
//! A token is kept per repository and action. When a registry refuses one in the middle of a run, a
//! new one is fetched, once per request, by whoever comes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::RegistryError;
use super::access::RegistryAccess;
use super::body;
use super::challenge::{Challenge, may_have_credentials};
use super::credentials::{self, Credential, Found};
use super::headers;
use super::retry::{Jitter, Retry};

/// Largest answer of a token service; tokens of big clouds have a few kilobytes.
const TOKEN_BYTES_MAX: usize = 256 * 1024;
/// Life of a token whose service names none (the token specification's default).
const LIFE_DEFAULT_S: u64 = 60;
/// A token that ends within this time is not begun with.
const LIFE_MARGIN: Duration = Duration::from_secs(10);
/// Whole request to a token service.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);
const CLIENT_ID: &str = "fairway-mirror";

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Pull,
    Push,
    Delete,
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// Full path at the registry, prefix included.
    pub(super) repository: String,
    pub(super) action: Action,
    /// A second repository to read from, for a mount.
    pub(super) from: Option<String>,
}

impl Scope {
    pub(super) fn new(repository: impl Into<String>, action: Action) -> Self {
        Self { repository: repository.into(), action, from: None }
    }

    /// As the token specification writes it.
    fn texts(&self) -> Vec<String> {
        let actions = match self.action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
            Action::Delete => "pull,push,delete",
        };
        let mut texts = vec![format!("repository:{}:{actions}", self.repository)];
        texts.extend(self.from.iter().map(|from| format!("repository:{from}:pull")));
        texts
    }
}

struct Token {
    header: HeaderValue,
    ends: Instant,
}

/// The state of being signed in at one registry.
pub(super) struct Auth {
    access: RegistryAccess,
    base: Url,
    http: Client,
    jitter: Jitter,
    /// What was looked up; again only once it was refused.
    found: tokio::sync::Mutex<Option<Looked>>,
    /// How the registry wants it; none while it has not asked.
    challenge: Mutex<Option<Challenge>>,
    /// One lock per scope, held while a token for it is bought: who waits for it needs that token.
    /// Grows with the repositories of one run.
    tokens: Mutex<BTreeMap<Scope, Slot>>,
}

type Looked = Arc<Option<Found>>;
type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

impl Auth {
    pub(super) fn new(access: RegistryAccess, base: Url, http: Client, jitter: Jitter) -> Self {
        let (found, challenge, tokens) =
            (tokio::sync::Mutex::default(), Mutex::default(), Mutex::default());
        Self { access, base, http, jitter, found, challenge, tokens }
    }

    fn slot(&self, scope: &Scope) -> Slot {
        // Nothing panics while either lock is held.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tokens.entry(scope.clone()).or_default())
    }

    /// What was presented, for a person; never a value.
    pub(super) async fn tried(&self) -> String {
        match self.found().await {
            Ok(found) => found.as_ref().as_ref().map(|found| found.origin.clone()),
            Err(_) => None,
        }
        .unwrap_or_else(|| "no credentials".to_owned())
    }

    /// The header for a request, as far as the registry has asked for one until now.
    pub(super) async fn header(&self, scope: &Scope) -> Result<Option<HeaderValue>, RegistryError> {
        let challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match challenge {
            None => Ok(None),
            Some(challenge) => self.answer(scope, &challenge, None).await.map(Some),
        }
    }

    /// The header for the next try of a request that was refused with `challenge`, having carried
    /// `refused`. Answers none when there is nothing better to present.
    pub(super) async fn renew(
        &self,
        scope: &Scope,
        challenge: Challenge,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge.clone());
        if challenge != Challenge::Basic {
            let header = self.answer(scope, &challenge, refused).await?;
            return Ok((Some(&header) != refused).then_some(header));
        }
        loop {
            let found = self.found().await?;
            if found.is_none() {
                return Ok(None);
            }
            let header = self.answer(scope, &challenge, refused).await?;
            if Some(&header) != refused {
                return Ok(Some(header));
            }
            if !self.look_again(&found).await? {
                return Ok(None);
            }
        }
    }

    async fn found(&self) -> Result<Looked, RegistryError> {
        let mut held = self.found.lock().await;
        if let Some(found) = held.as_ref() {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(credentials::find(&self.access).await?);
        *held = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Looks for something else than what was refused: passwords of helpers and files may live
    /// shorter than a run. Answers whether there is.
    async fn look_again(&self, refused: &Looked) -> Result<bool, RegistryError> {
        let value = |found: &Looked| found.as_ref().as_ref().map(|found| found.credential.clone());
        let mut held = self.found.lock().await;
        // Another request may have looked while this one was under way.
        if held.as_ref().is_some_and(|found| value(found) != value(refused)) {
            return Ok(true);
        }
        let found = Arc::new(credentials::find(&self.access).await?);
        let is_other = value(&found) != value(refused);
        *held = Some(found);
        Ok(is_other)
    }

    /// What answers the challenge; a token other than the one that was refused.
    async fn answer(
        &self,
        scope: &Scope,
        challenge: &Challenge,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, RegistryError> {
        match challenge {
            Challenge::Basic => {
                let found = self.found().await?;
                match found.as_ref().as_ref().map(|found| &found.credential) {
                    Some(Credential::Password { user, password }) => self.basic(user, password),
                    Some(Credential::Identity(_)) | None => Err(RegistryError::Unauthorised {
                        what: self.access.host.to_string(),
                        tried: self.tried().await,
                        said: " (it wants user and password)".to_owned(),
                    }),
                }
            }
            Challenge::Bearer { realm, service } => {
                let slot = self.slot(scope);
                let mut held = slot.lock().await;
                let now = Instant::now();
                // Another request may have renewed it while this one was under way.
                if let Some(token) = held.as_ref()
                    && token.ends > now
                    && Some(&token.header) != refused
                {
                    return Ok(token.header.clone());
                }
                let found = self.found().await?;
                let service = service.as_deref();
                let mut fetched = self.fetch(realm, service, scope, &found, now).await;
                if matches!(fetched, Err(RegistryError::Unauthorised { .. }))
                    && self.look_again(&found).await?
                {
                    let found = self.found().await?;
                    fetched = self.fetch(realm, service, scope, &found, now).await;
                }
                let token = fetched?;
                let header = token.header.clone();
                *held = Some(token);
                Ok(header)
            }
        }
    }

    /// Buys a token.
    async fn fetch(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &Scope,
        found: &Looked,
        now: Instant,
    ) -> Result<Token, RegistryError> {
        let mut url = Url::parse(realm).map_err(|_| self.realm_refused(realm))?;
        let found = found.as_ref().as_ref();
        let is_safe = match found {
            Some(_) => may_have_credentials(&self.base, &url, &self.allowed()),
            // A token alone is worth stealing too: plain HTTP only for a registry that is.
            None => url.scheme() == "https" || self.base.scheme() == "http",
        };
        if !is_safe {
            return Err(self.realm_refused(realm));
        }
        let what = format!("sign-in for {}", scope.repository);
        let scopes = scope.texts();
        let identity = match found.map(|found| &found.credential) {
            Some(Credential::Identity(token)) => Some(token),
            Some(Credential::Password { .. }) | None => None,
        };
        if identity.is_none() {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(service.map(|service| ("service", service)));
            query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
            drop(query);
        }
        let request = || -> Result<RequestBuilder, RegistryError> {
            if let Some(token) = identity {
                let form = oauth_form(service, &scopes, token);
                let request = self.http.post(url.clone()).body(form);
                return Ok(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"));
            }
            let request = self.http.get(url.clone());
            Ok(match found.map(|found| &found.credential) {
                Some(Credential::Password { user, password }) => {
                    request.header(AUTHORIZATION, self.basic(user, password)?)
                }
                Some(Credential::Identity(_)) | None => request,
            })
        };
        let response = self.patiently(&what, request).await?;
        self.read(response, &what, now).await
    }

    /// Sends until something else than a passing failure comes back.
    async fn patiently(
        &self,
        what: &str,
        request: impl Fn() -> Result<RequestBuilder, RegistryError>,
    ) -> Result<Response, RegistryError> {
        let mut retry = Retry::new(self.jitter.clone());
        loop {
            let sent = request()?.timeout(TOKEN_TIMEOUT).send().await;
            let (error, asked) = match sent {
                Err(source) => (RegistryError::connection(what, source), None),
                Ok(response) => {
                    let status = response.status().as_u16();
                    if !matches!(status, 408 | 429 | 500 | 502..=504) {
                        return Ok(response);
                    }
                    let text = |name| response.headers().get(name)?.to_str().ok();
                    let date = text(reqwest::header::DATE);
                    let asked = text(RETRY_AFTER).and_then(|t| headers::retry_after(t, date));
                    (body::refusal(what, response, &self.tried().await).await, asked)
                }
            };
            let wait = error.is_passing().then(|| retry.wait(asked)).flatten();
            let Some(wait) = wait else { return Err(error) };
            tokio::time::sleep(wait).await;
        }
    }

    async fn read(
        &self,
        response: Response,
        what: &str,
        now: Instant,
    ) -> Result<Token, RegistryError> {
        if !response.status().is_success() {
            return Err(body::refusal(what, response, &self.tried().await).await);
        }
        let bytes = body::bounded(response, TOKEN_BYTES_MAX, what).await?;
        let wrong = |why: &str| RegistryError::Protocol {
            what: what.to_owned(),
            why: format!("the token service's answer {why}"),
        };
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| wrong("is not a token"))?;
        let text = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let text = text.ok_or_else(|| wrong("holds no token"))?;
        let mut header = HeaderValue::try_from(format!("Bearer {text}"))
            .map_err(|_| wrong("cannot be a header"))?;
        header.set_sensitive(true);
        let life = Duration::from_secs(answer.expires_in.unwrap_or(LIFE_DEFAULT_S));
        let ends = now.checked_add(life.saturating_sub(LIFE_MARGIN)).unwrap_or(now);
        Ok(Token { header, ends })
    }

    fn basic(&self, user: &str, password: &str) -> Result<HeaderValue, RegistryError> {
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        // Base64 is always a header.
        let mut header = HeaderValue::try_from(text).map_err(|_| RegistryError::Credentials {
            registry: self.access.host.to_string(),
            origin: format!("user {user}"),
            why: "they cannot be a header".to_owned(),
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn allowed(&self) -> Vec<String> {
        self.access.realm_hosts.iter().map(ToString::to_string).collect()
    }

    fn realm_refused(&self, realm: &str) -> RegistryError {
        let realm = Url::parse(realm).map_or_else(|_| "nowhere".to_owned(), |url| origin(&url));
        RegistryError::Realm { registry: self.access.host.to_string(), realm }
    }
}

/// Scheme, host and port, without a user, path or query.
pub(super) fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// The form that turns an identity token into a token (the token specification's part on `OAuth2`).
fn oauth_form(service: Option<&str>, scopes: &[String], identity: &str) -> String {
    // A URL's query and a form are written alike.
    let mut form = Url::parse("http://form/").map(|mut url| {
        url.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("refresh_token", identity)
            .extend_pairs(service.map(|service| ("service", service)));
        url
    });
    form.as_mut().ok().and_then(|url| url.query()).unwrap_or_default().to_owned()
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

//! The one way a request leaves for a registry: signed in, in its turn, retried, redirected by hand.
//!
//! `Authorization` goes to the registry's own origin and nowhere else: not along a redirect, not to
//! an upload location on another host.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::auth::{Scope, origin};
use super::gate::Permit;
use super::retry::Retry;
use super::upload::Upload;
use super::{Registry, RegistryError, body, challenge, headers};

/// Redirects followed for one request: a registry sends on to its storage, which may send on once.
const REDIRECTS_MAX: usize = 5;

/// Times that one request gets something else to present: one is the rule, more are for what ended
/// while it waited its turn.
const RENEWALS_MAX: u32 = 4;

/// A request that may be sent more than once.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) scope: Scope,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// How long the answer may take to begin.
    pub(super) patience: Duration,
    /// Blob or manifest with registry and repository, for errors.
    pub(super) what: String,
}

/// An answer, whose body still holds its place among the requests at once.
pub(super) struct Answer {
    pub(super) response: Response,
    /// Held for as long as the body comes.
    _permit: Permit,
    /// What was tried to sign in, for a refusal.
    carried: Option<HeaderValue>,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header, if it is text.
    pub(super) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// How long the registry asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        headers::retry_after(self.header(RETRY_AFTER)?, self.header(DATE))
    }

    /// The whole body, bounded.
    pub(super) async fn bytes(self, most: usize, what: &str) -> Result<Vec<u8>, RegistryError> {
        body::bounded(self.response, most, what).await
    }
}

impl Registry {
    /// Sends until the answer is neither a passing failure nor a refusal that a new token mends.
    /// Any other status is the caller's to judge.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, RegistryError> {
        let mut retry = Retry::new(self.inner.jitter.clone());
        // What was bought for this request, and how often.
        let (mut bought, mut renewals) = (None, 0_u32);
        loop {
            let (error, asked) = match self.follow(call).await {
                Err(error) => {
                    if !self.inner.answered.load(Ordering::Relaxed) {
                        retry.is_unanswered();
                    }
                    (error, None)
                }
                Ok((answer, is_own)) => match answer.status().as_u16() {
                    // What ended while the request waited is refused for that alone.
                    401 if is_own
                        && renewals < RENEWALS_MAX
                        && (renewals == 0 || answer.carried != bought) =>
                    {
                        renewals = renewals.saturating_add(1);
                        bought = Some(self.renew(call, answer).await?);
                        continue;
                    }
                    408 | 429 | 500 | 502..=504 => {
                        let asked = answer.retry_after();
                        (self.refused(call, answer).await, asked)
                    }
                    _ => return Ok(answer),
                },
            };
            let wait = error.is_passing().then(|| retry.wait(asked)).flatten();
            let Some(wait) = wait else { return Err(with_asked(error, asked)) };
            tracing::debug!(what = %call.what, ?wait, %error, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Fetches what the registry wants to see after it refused `answer`'s request.
    pub(super) async fn renew(
        &self,
        call: &Call,
        answer: Answer,
    ) -> Result<HeaderValue, RegistryError> {
        let wanted = answer.response.headers().get_all(WWW_AUTHENTICATE);
        let wanted = challenge::best(wanted.iter().filter_map(|value| value.to_str().ok()));
        let carried = answer.carried.clone();
        let better = match wanted {
            Some(wanted) => {
                // The refused request's connection and place are free again.
                let refused = answer;
                let header = self.inner.auth.renew(&call.scope, wanted, carried.as_ref()).await?;
                if let Some(header) = header {
                    return Ok(header);
                }
                refused
            }
            None => answer,
        };
        Err(self.refused(call, better).await)
    }

    /// The error for a request that was refused with everything there is to present.
    pub(super) async fn unauthorised(&self, call: &Call) -> RegistryError {
        let (what, tried) = (call.what.clone(), self.inner.auth.tried().await);
        RegistryError::Unauthorised { what, tried, said: String::new() }
    }

    /// The error that an answer without success is.
    pub(super) async fn refused(&self, call: &Call, answer: Answer) -> RegistryError {
        let tried = self.inner.auth.tried().await;
        body::refusal(&call.what, answer.response, &tried).await
    }

    /// One try, along redirects for requests that only read. Answers also whether it was the
    /// registry itself that answered.
    async fn follow(&self, call: &Call) -> Result<(Answer, bool), RegistryError> {
        let (mut url, mut is_own) = (call.url.clone(), self.is_own(&call.url));
        for _ in 0..=REDIRECTS_MAX {
            let body = (!call.body.is_empty()).then(|| Body::from(call.body.clone()));
            let answer = self.once(call, &url, is_own, body, None).await?;
            if !matches!(answer.status().as_u16(), 301..=303 | 307 | 308) {
                return Ok((answer, is_own));
            }
            let next = Self::target(call, &url, answer.header(LOCATION))?;
            if !matches!(call.method, Method::GET | Method::HEAD) {
                return Err(refuse(call, &next, "only requests that read are redirected"));
            }
            // Once away, credentials stay away, even if the way leads back.
            is_own = is_own && self.is_own(&next);
            url = next;
        }
        Err(refuse(call, &url, "too many redirects"))
    }

    /// One request to one address, in its turn. With an `upload`, whose pieces the body is made of,
    /// it takes as long as pieces are taken.
    pub(super) async fn once(
        &self,
        call: &Call,
        url: &Url,
        is_own: bool,
        body: Option<Body>,
        upload: Option<&Upload>,
    ) -> Result<Answer, RegistryError> {
        let permit = self.inner.gate.enter().await;
        // In its turn: a token may end while others are waited for.
        let carried = if is_own { self.inner.auth.header(&call.scope).await? } else { None };
        self.count();
        let mut request = self.inner.http.request(call.method.clone(), url.clone());
        request = request.headers(call.headers.clone());
        if let Some(carried) = &carried {
            request = request.header(AUTHORIZATION, carried.clone());
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = match upload {
            Some(upload) => tokio::select! {
                sent = request.send() => sent,
                waited = upload.stalled() => return Err(RegistryError::silent(&call.what, waited)),
            },
            None => match tokio::time::timeout(call.patience, request.send()).await {
                Err(_) => return Err(RegistryError::silent(&call.what, call.patience)),
                Ok(sent) => sent,
            },
        };
        let response = response.map_err(|source| RegistryError::connection(&call.what, source))?;
        self.inner.answered.store(true, Ordering::Relaxed);
        match response.status().as_u16() {
            429 | 503 => permit.refused(),
            500..=599 => {}
            _ => permit.succeeded(),
        }
        Ok(Answer { response, _permit: permit, carried })
    }

    /// Where a `Location` leads, if one may go there.
    pub(super) fn target(
        call: &Call,
        from: &Url,
        location: Option<&str>,
    ) -> Result<Url, RegistryError> {
        let target = location.and_then(|location| from.join(location).ok());
        let Some(target) = target else {
            let why = "the answer sends on to nowhere".to_owned();
            return Err(RegistryError::Protocol { what: call.what.clone(), why });
        };
        match (from.scheme(), target.scheme()) {
            ("https", "http") => Err(refuse(call, &target, "it leaves TLS")),
            (_, "http" | "https")
                if target.username().is_empty() && target.password().is_none() =>
            {
                Ok(target)
            }
            _ => Err(refuse(call, &target, "it is not a plain web address")),
        }
    }

    /// Whether an address is at the registry's own scheme, host and port.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.inner.base.origin()
    }
}

fn refuse(call: &Call, to: &Url, why: &'static str) -> RegistryError {
    RegistryError::Redirect { what: call.what.clone(), to: origin(to), why }
}

/// Says in the last error how long the registry wanted us to wait.
fn with_asked(mut error: RegistryError, asked: Option<Duration>) -> RegistryError {
    if let RegistryError::RateLimited { retry_after_s, .. } = &mut error {
        *retry_after_s = asked.map(|asked| asked.as_secs());
    }
    error
}

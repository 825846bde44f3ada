//! Which person or pipeline sent a request: an API token, or the cookie of somebody signed in.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};

use super::super::access::{Who, address, cookies::Cookie, origin};
use super::super::problem::{ApiError, Code};
use super::HubState;
use crate::auth::{Access, Scope, Secret, SecretKind, SessionRecord, secret_of_header};

/// Who it is and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Name for the audit log.
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) scope: Scope,
}

/// Where a page's token is, in a request that changes something.
#[derive(Debug, Clone, Copy)]
pub(super) enum PageToken<'a> {
    /// In a header: a script sent it.
    InHeader,
    /// In the body: a form was sent, and this is what it said.
    InForm(&'a str),
}

fn unauthenticated(detail: &str) -> ApiError {
    ApiError::new(Code::Unauthenticated, detail)
}

/// The caller of a request; counted, and refused when too fast. `needed` says only whether nobody
/// in particular would do.
pub(super) fn identify(
    request: &HttpRequest,
    state: &HubState,
    needed: Access,
    token: PageToken<'_>,
) -> Result<Caller, ApiError> {
    let now = state.now();
    let from = address::client(request, &state.settings.trusted_proxies);
    if let Some(from) = from {
        let limited = |_: &ApiError| state.metrics.count_limited("sign_ins");
        state.access.may_try(from, now).inspect_err(limited)?;
    }
    who(request, state, needed, token, from, now).inspect_err(|error| {
        if error.code() == Code::RateLimited {
            state.metrics.count_limited("requests");
        }
    })
}

fn who(
    request: &HttpRequest,
    state: &HubState,
    needed: Access,
    token: PageToken<'_>,
    from: Option<IpAddr>,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let known = if request.headers().contains_key(AUTHORIZATION) {
        by_token(request, state, now)
    } else if let Some((session, secret)) = session(request, state, now) {
        by_session(request, state, (&session, &secret), token, now)
    } else {
        if let Some(from) = from {
            state.access.request(Who::Address(from), now)?;
        }
        if needed == Access::Viewer && state.settings.anonymous_viewer {
            let name = "anonymous".to_owned();
            return Ok(Caller { name, access: Access::Viewer, scope: Scope::whole() });
        }
        let how = "send `Authorization: Bearer <token>`, or the token as a password";
        return Err(unauthenticated(how));
    };
    let wrong = known.as_ref().err().is_some_and(|error| error.code() == Code::Unauthenticated);
    if let (true, Some(from)) = (wrong, from) {
        // What counts is that it is counted; this answer says what was wrong.
        let _ = state.access.try_login(from, now);
    }
    known
}

fn by_token(request: &HttpRequest, state: &HubState, now: Timestamp) -> Result<Caller, ApiError> {
    let headers = request.headers();
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = header
        .and_then(secret_of_header)
        .ok_or_else(|| unauthenticated("the Authorization header holds no API token"))?;
    let tokens = state.store.committed().tokens();
    let token = tokens
        .find(&secret.digest())
        .ok_or_else(|| unauthenticated("the token is unknown or was revoked"))?;
    if let Some(at) = token.expires_at.filter(|_| token.is_expired(now)) {
        return Err(unauthenticated(&format!("the token {:?} expired at {at}", token.name)));
    }
    state.access.request(Who::Token(token.id), now)?;
    // A browser that was once given the token as a password adds it to other pages' requests, too.
    let hub = state.settings.public_url.as_ref();
    if !origin::is_safe(request.method())
        && origin::is_named(headers)
        && !origin::is_own(headers, hub)
    {
        return Err(forged());
    }
    state.access.activity.token(token, now);
    Ok(Caller { name: token.name.clone(), access: token.access, scope: token.scope.clone() })
}

/// The session whose cookie the request carries, if it is not over.
pub(in crate::http) fn session(
    request: &HttpRequest,
    state: &HubState,
    now: Timestamp,
) -> Option<(SessionRecord, Secret)> {
    // Without a provider nobody signs in, and nobody stays.
    let oidc = state.settings.oidc.as_ref()?;
    let hub = state.settings.public_url.as_ref()?;
    let value = Cookie::Session.read(request.headers(), hub)?;
    let secret = Secret::parse(SecretKind::Session, &value)?;
    let sessions = state.store.committed().sessions();
    let session = sessions.find(&secret.digest())?;
    let last = state.access.activity.last_of(session.id).unwrap_or(session.active_at);
    let idle = SignedDuration::from_secs(oidc.idle_s);
    (!session.is_over(last, idle, now)).then(|| (session.clone(), secret))
}

fn by_session(
    request: &HttpRequest,
    state: &HubState,
    (session, secret): (&SessionRecord, &Secret),
    token: PageToken<'_>,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    state.access.request(Who::Session(session.id), now)?;
    if !origin::is_safe(request.method()) {
        let headers = request.headers();
        let (given, refusal) = match token {
            PageToken::InForm(given) => (Some(given), forged_form()),
            PageToken::InHeader => {
                let given = headers.get(origin::TOKEN_HEADER);
                (given.and_then(|value| value.to_str().ok()), forged())
            }
        };
        let is_ours = origin::is_own(headers, state.settings.public_url.as_ref())
            && given.is_some_and(|given| origin::is_token(secret, given));
        if !is_ours {
            return Err(refusal);
        }
    }
    state.access.activity.session(session, now);
    let SessionRecord { name, access, scope, .. } = session;
    Ok(Caller { name: name.clone(), access: *access, scope: scope.clone() })
}

/// The request may be another page's.
pub(super) fn forged() -> ApiError {
    let header = origin::TOKEN_HEADER;
    let detail = format!(
        "a change with a browser's credentials must come from the hub's own page: `Origin`, and \
         for sessions the header {header} with the page's token"
    );
    ApiError::new(Code::CrossSite, detail)
}

/// The same of a form.
pub(super) fn forged_form() -> ApiError {
    let detail = "the form did not come from a page of this hub that was opened since you signed \
                  in: open the page again and send its form anew";
    ApiError::new(Code::CrossSite, detail)
}

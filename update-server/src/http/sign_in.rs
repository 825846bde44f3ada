//! People sign in with a browser: authorization code with PKCE at an `OpenID` provider, then a
//! session of the hub's own.
//!
//! ```text
//! /auth/login ──303──► provider ──303──► /auth/callback ──303──► /
//!      │ cookie: secret of this sign-in       │ cookie: session
//! ```
//!
//! The hub takes from the provider who somebody is, once; it keeps none of its tokens. Nothing here
//! takes an address to go on to, so nobody is sent elsewhere.

mod flow;
mod id_token;
mod keys;
mod provider;
mod roles;
#[cfg(test)]
mod tests;

use actix_web::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::access::{address, cookies::Cookie, origin};
use super::api::{self, HubState, PERSON_PREFIX, body, session_of};
use super::assets::security_headers;
use super::problem::{ApiError, Code};
use crate::auth::{Access, Scope, Secret, SecretKind};
use crate::config::{OidcSettings, Settings};
use crate::store::NewSession;
use flow::{Flow, is_same};
use id_token::IdTokenError;
use provider::{Provider, ProviderError};
use roles::Person;

pub use provider::SignInSetupError;

/// Time to type a password and find the second factor.
const SIGN_IN_S: i64 = 600;
/// Largest form: one token.
const FORM_MAX_BYTES: usize = 4 * 1024;
/// Paths below the hub's address.
const CALLBACK: &str = "auth/callback";

/// Sign-in of one hub.
#[derive(Debug)]
pub struct SignIn {
    provider: Provider,
    settings: OidcSettings,
    hub: Url,
}

impl SignIn {
    /// Sign-in as it is set, `None` where it is not.
    pub fn open(settings: &Settings) -> Result<Option<Self>, SignInSetupError> {
        let (Some(oidc), Some(hub)) = (&settings.oidc, &settings.public_url) else {
            return Ok(None);
        };
        let provider = Provider::open(oidc)?;
        Ok(Some(Self { provider, settings: oidc.clone(), hub: hub.clone() }))
    }

    fn redirect_uri(&self) -> Result<Url, ApiError> {
        self.below(CALLBACK)
    }

    /// An address of the hub as browsers see it.
    fn below(&self, path: &str) -> Result<Url, ApiError> {
        let base = format!("{}/", self.hub.as_str().trim_end_matches('/'));
        let url = Url::parse(&base).and_then(|base| base.join(path));
        url.map_err(|error| ApiError::internal("build an address", &error))
    }
}

/// Registers the paths.
pub fn routes(config: &mut ServiceConfig) {
    // A sign-in begins or ends something with each request: not for HEAD.
    config
        .service(api::only("/auth/login", "GET").route(web::get().to(login)))
        .service(api::only("/auth/callback", "GET").route(web::get().to(callback)))
        .service(api::only("/auth/logout", "POST").route(web::post().to(logout)))
        .service(api::read("/auth/signed-out").route(api::get().to(signed_out)))
        .service(api::read("/auth/session").route(api::get().to(whoami)));
}

fn sign_in(state: &HubState) -> Result<&SignIn, ApiError> {
    let none = || ApiError::new(Code::NotFound, "this hub has no [oidc]: people use API tokens");
    state.access.sign_in.as_ref().ok_or_else(none)
}

/// Counts a step of a sign-in against the address that takes it.
fn count(request: &HttpRequest, state: &HubState, now: Timestamp) -> Result<(), ApiError> {
    match address::client(request, &state.settings.trusted_proxies) {
        Some(from) => {
            let limited = |_: &ApiError| state.metrics.count_limited("sign_ins");
            state.access.try_login(from, now).inspect_err(limited)
        }
        None => Ok(()),
    }
}

fn cookie(
    which: Cookie,
    value: &str,
    max_age_s: i64,
    hub: &Url,
) -> Result<(actix_web::http::header::HeaderName, actix_web::http::header::HeaderValue), ApiError> {
    let value = which.set(value, max_age_s, hub);
    Ok((SET_COOKIE, value.map_err(|error| ApiError::internal("set a cookie", &error))?))
}

/// `GET /auth/login`: to the provider.
async fn login(state: web::Data<HubState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (this, now) = (sign_in(&state)?, state.now());
    count(&request, &state, now)?;
    let door = this.provider.door(now).await.map_err(|error| refused(&error))?;
    let secret = Secret::generate(SecretKind::SignIn)
        .map_err(|error| ApiError::internal("begin a sign-in", &error))?;
    let OidcSettings { client_id, scopes, .. } = &this.settings;
    let to = Flow::of(&secret).authorization_url(
        &door.endpoint,
        client_id,
        scopes,
        &this.redirect_uri()?,
    );
    Ok(HttpResponse::SeeOther()
        .insert_header(cookie(Cookie::SignIn, secret.reveal(), SIGN_IN_S, &this.hub)?)
        .insert_header((LOCATION, to.as_str()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish())
}

/// What the provider says with the browser it sends back.
#[derive(Debug, Deserialize)]
struct Returned {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

/// `GET /auth/callback`: back from the provider.
async fn callback(
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<Returned>,
) -> Result<HttpResponse, ApiError> {
    let (this, now) = (sign_in(&state)?, state.now());
    count(&request, &state, now)?;
    let person = identify(this, &request, query.into_inner(), now).await.inspect_err(|error| {
        tracing::warn!(reason = error.code().slug(), detail = error.detail(), "sign-in refused");
    })?;
    let secret = Secret::generate(SecretKind::Session)
        .map_err(|error| ApiError::internal("begin a session", &error))?;
    let life_s = this.settings.session_s;
    let expires_at = now
        .checked_add(SignedDuration::from_secs(life_s))
        .map_err(|error| ApiError::internal("end a session", &error))?;
    let name = format!("{PERSON_PREFIX}{}", person.name);
    let Person { access, scope, .. } = person;
    let new = NewSession { name, access, scope, digest: secret.digest(), expires_at, now };
    let session = state.store.begin_session(new).await?;
    tracing::info!(session.id = session.id, by = session.name, %access, "signed in");
    Ok(HttpResponse::SeeOther()
        .append_header(cookie(Cookie::Session, secret.reveal(), life_s, &this.hub)?)
        .append_header(cookie(Cookie::SignIn, "", 0, &this.hub)?)
        .insert_header((LOCATION, this.below("")?.as_str()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish())
}

async fn identify(
    this: &SignIn,
    request: &HttpRequest,
    returned: Returned,
    now: Timestamp,
) -> Result<Person, ApiError> {
    let other = || {
        let detail = "this is no answer to a sign-in that this browser began; begin again";
        ApiError::new(Code::SignInState, detail)
    };
    let secret = Cookie::SignIn.read(request.headers(), &this.hub);
    let secret = secret.and_then(|value| Secret::parse(SecretKind::SignIn, &value));
    let secret = secret.ok_or_else(other)?;
    let flow = Flow::of(&secret);
    if !returned.state.is_some_and(|state| is_same(&state, &flow.state())) {
        return Err(other());
    }
    let names_issuer = this.provider.door(now).await.map_err(|error| refused(&error))?.names_issuer;
    match returned.iss {
        Some(iss) if iss != this.settings.issuer => return Err(other()),
        None if names_issuer => return Err(other()),
        Some(_) | None => {}
    }
    if let Some(error) = returned.error {
        let why = returned.error_description.map_or(error.clone(), |why| format!("{error}: {why}"));
        let detail = format!("the OpenID provider said {}", provider::printable(&why));
        return Err(ApiError::new(Code::SignInRefused, detail));
    }
    let code = returned.code.ok_or_else(other)?;
    let redirect_uri = this.redirect_uri()?;
    let (verifier, nonce) = (flow.verifier(), flow.nonce());
    let claims = this.provider.redeem(&code, &verifier, &nonce, &redirect_uri, now).await;
    let claims = claims.map_err(|error| refused(&error))?;
    roles::person(&claims, &this.settings)
        .map_err(|error| ApiError::new(Code::NoRole, error.to_string()))
}

fn refused(error: &ProviderError) -> ApiError {
    let code = match error {
        ProviderError::Unusable(_) => Code::ProviderUnavailable,
        ProviderError::Refused(_) => Code::SignInRefused,
        ProviderError::Token(IdTokenError::Nonce) => Code::SignInNonce,
        ProviderError::Token(_) => Code::SignInToken,
    };
    ApiError::new(code, error.to_string())
}

/// Body of `POST /auth/logout`.
#[derive(Debug, Deserialize)]
struct LogoutForm {
    csrf: String,
}

/// The form of a page of ours: the same syntax as a query's.
async fn form(request: &HttpRequest, payload: Payload) -> Result<LogoutForm, ApiError> {
    let wrong = |detail: String| ApiError::new(Code::InvalidRequest, format!("form: {detail}"));
    body::check_type(request, "application/x-www-form-urlencoded")?;
    let body = body::read(request, payload, FORM_MAX_BYTES).await?;
    let text = std::str::from_utf8(&body).map_err(|error| wrong(error.to_string()))?;
    let form =
        web::Query::<LogoutForm>::from_query(text).map_err(|error| wrong(error.to_string()))?;
    Ok(form.into_inner())
}

/// `POST /auth/logout`
async fn logout(
    state: web::Data<HubState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let form = form(&request, payload).await?;
    let (this, now) = (sign_in(&state)?, state.now());
    if let Some((session, secret)) = session_of(&request, &state, now) {
        let is_ours = origin::is_own(request.headers(), Some(&this.hub))
            && origin::is_token(&secret, &form.csrf);
        if !is_ours {
            let detail = "signing out must come from the hub's own page";
            return Err(ApiError::new(Code::CrossSite, detail));
        }
        state.store.end_session(session.id, session.name.clone(), now).await?;
        tracing::info!(session.id = session.id, by = session.name, "signed out");
    }
    Ok(HttpResponse::SeeOther()
        .append_header(cookie(Cookie::Session, "", 0, &this.hub)?)
        .insert_header((LOCATION, this.below("auth/signed-out")?.as_str()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish())
}

/// `GET /auth/signed-out`: a page that signs nobody in again by itself.
async fn signed_out() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for header in security_headers() {
        response.insert_header(header);
    }
    response
        .content_type("text/html; charset=utf-8")
        .body(include_str!("../../templates/signed_out.html"))
}

/// Who is signed in, and what their pages need for changes.
#[derive(Debug, Serialize)]
struct Whoami {
    name: String,
    access: Access,
    #[serde(rename = "selector", skip_serializing_if = "Scope::is_whole")]
    scope: Scope,
    expires_at: Timestamp,
    csrf: String,
}

/// `GET /auth/session`
async fn whoami(
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    sign_in(&state)?;
    let (session, secret) = session_of(&request, &state, state.now())
        .ok_or_else(|| ApiError::new(Code::NotFound, "nobody is signed in; see /auth/login"))?;
    let csrf = origin::token(&secret);
    let crate::auth::SessionRecord { name, access, scope, expires_at, .. } = session;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Whoami {
        name,
        access,
        scope,
        expires_at,
        csrf,
    }))
}

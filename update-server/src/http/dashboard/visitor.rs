//! Who opened a page, and when.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, LOCATION};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;

use super::super::access::origin;
use super::super::api::{Guarded, HubState, Scoped, Viewer, session_of};
use super::super::assets::security_headers;
use super::super::negotiate;
use super::super::problem::{ApiError, Code};
use super::shell::{Person, SignedIn};
use crate::auth::Scope;

/// Somebody who may read; everything a page needs of its request.
#[derive(Debug)]
pub(super) struct Visitor {
    /// The clusters that they may see.
    pub(super) scope: Scope,
    /// How they are shown in the shell.
    pub(super) person: Person,
    /// The hub's time at the request.
    pub(super) at: Timestamp,
    /// The path asked for.
    pub(super) path: String,
    /// Its query, as sent.
    pub(super) query: String,
}

#[cfg(test)]
impl Visitor {
    /// Nobody in particular, who sees everything.
    pub(super) fn sample(at: Timestamp, path: &str, query: &str) -> Self {
        Self {
            scope: Scope::whole(),
            person: Person::Nobody,
            at,
            path: path.to_owned(),
            query: query.to_owned(),
        }
    }
}

/// Why there is no page for somebody.
#[derive(Debug)]
pub(super) enum Turned {
    /// They may sign in: a browser, at a hub with a provider, without a token.
    ToSignIn,
    /// They were signed in when they opened a form, and are no more. A redirect away from the hub would
    /// be an answer to a form that browsers do not follow.
    SignedOut,
    /// As the API refuses.
    Refused(ApiError),
}

impl std::fmt::Display for Turned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ToSignIn | Self::SignedOut => f.write_str("not signed in"),
            Self::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl ResponseError for Turned {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::ToSignIn => StatusCode::SEE_OTHER,
            Self::SignedOut => StatusCode::FORBIDDEN,
            Self::Refused(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::ToSignIn => HttpResponse::SeeOther()
                .insert_header((LOCATION, "/auth/login"))
                .insert_header((CACHE_CONTROL, "no-store"))
                .finish(),
            Self::SignedOut => {
                let mut response = HttpResponse::Forbidden();
                for header in security_headers() {
                    response.insert_header(header);
                }
                response
                    .insert_header((CACHE_CONTROL, "no-store"))
                    .content_type("text/html; charset=utf-8")
                    .body(include_str!("../../../templates/signed_out.html"))
            }
            Self::Refused(error) => error.error_response(),
        }
    }
}

/// Whether a person sits there who can sign in.
pub(super) fn may_sign_in(state: &HubState, request: &HttpRequest) -> bool {
    state.access.sign_in.is_some()
        && !request.headers().contains_key(AUTHORIZATION)
        && negotiate::is_for_people(request.headers())
}

impl FromRequest for Visitor {
    type Error = Turned;
    type Future = LocalBoxFuture<'static, Result<Self, Turned>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let admitted = Guarded::<Scoped<Viewer>>::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let admitted = admitted.await;
            let state = request.app_data::<web::Data<HubState>>().ok_or_else(|| {
                let detail = "the page is registered without its state";
                Turned::Refused(ApiError::new(Code::Internal, detail))
            })?;
            match admitted {
                Ok(by) => Ok(visitor(by.scope().clone(), state, &request)),
                Err(error)
                    if error.code() == Code::Unauthenticated && may_sign_in(state, &request) =>
                {
                    Err(Turned::ToSignIn)
                }
                Err(error) => Err(Turned::Refused(error)),
            }
        })
    }
}

/// Somebody of this scope who may read.
pub(super) fn visitor(scope: Scope, state: &HubState, request: &HttpRequest) -> Visitor {
    let at = state.now();
    let (path, query) = (request.path().to_owned(), request.query_string().to_owned());
    Visitor { scope, person: person(state, request, at), at, path, query }
}

/// Who is shown in the shell, whatever they may do.
pub(super) fn person(state: &HubState, request: &HttpRequest, at: Timestamp) -> Person {
    let session = session_of(request, state, at)
        .map(|(session, secret)| SignedIn { name: session.name, csrf: origin::token(&secret) });
    match session {
        Some(signed_in) => Person::SignedIn(signed_in),
        None if may_sign_in(state, request) => Person::MaySignIn,
        None => Person::Nobody,
    }
}

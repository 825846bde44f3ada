//! Who asks, as part of a handler's signature.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};

use super::super::problem::{ApiError, Code};
use super::HubState;
use crate::auth::{Access, secret_of_header};

/// What a handler needs.
pub trait Needs: 'static {
    /// The least access that may call it.
    const ACCESS: Access;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl Needs for $name {
            const ACCESS: Access = Access::$name;
        }
    )*};
}

needs! {
    /// May read.
    Viewer;
    /// May hold, resume, invite, retire.
    Operator;
    /// May publish.
    Publisher;
    /// May do everything.
    Admin;
}

/// A caller whose token has at least the access `A`.
#[derive(Debug, Clone)]
pub struct Guarded<A> {
    /// Name of the token: the actor of audit rows.
    pub actor: String,
    needed: PhantomData<A>,
}

impl<A: Needs> FromRequest for Guarded<A> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(actor(request, A::ACCESS).map(|actor| Self { actor, needed: PhantomData }))
    }
}

fn actor(request: &HttpRequest, needed: Access) -> Result<String, ApiError> {
    let state = request.app_data::<web::Data<HubState>>().ok_or_else(|| {
        ApiError::new(Code::Internal, "the handler is registered without its state")
    })?;
    let refuse = |detail: &str| ApiError::new(Code::Unauthenticated, detail);
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        if needed == Access::Viewer && state.settings.anonymous_viewer {
            return Ok("anonymous".to_owned());
        }
        return Err(refuse("send `Authorization: Bearer <token>`, or the token as a password"));
    };
    let secret = header
        .to_str()
        .ok()
        .and_then(secret_of_header)
        .ok_or_else(|| refuse("the Authorization header holds no API token"))?;
    let tokens = state.store.committed().tokens();
    let token = tokens
        .find(&secret.digest())
        .ok_or_else(|| refuse("the token is unknown or was revoked"))?;
    if !token.access.allows(needed) {
        let detail = format!("token {:?} is {}, this needs {needed}", token.name, token.access);
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    Ok(token.name.clone())
}

//! Who asks, as part of a handler's signature.
//!
//! A handler that says nothing about scopes is closed to callers who have one: what a new handler
//! forgets is refused, not shown.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use channels::rollout::Labels;
use futures_util::future::LocalBoxFuture;

use super::super::access::origin;
use super::super::problem::{ApiError, Code};
use super::HubState;
use super::caller::{self, Caller, PageToken};
use crate::auth::{Access, Scope};

/// What a handler needs.
pub trait Needs: 'static {
    /// The least access that may call it.
    const ACCESS: Access;
    /// Whether it keeps to the caller's scope by itself.
    const KEEPS_SCOPE: bool = false;
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

/// The handler answers about, and changes, nothing outside of [`Guarded::scope`]; so callers who
/// are confined to some clusters may come in as well.
#[derive(Debug, Clone, Copy)]
pub struct Scoped<A>(PhantomData<A>);

impl<A: Needs> Needs for Scoped<A> {
    const ACCESS: Access = A::ACCESS;
    const KEEPS_SCOPE: bool = true;
}

/// A caller who has at least the access `A`.
#[derive(Debug, Clone)]
pub struct Guarded<A> {
    /// Name of the token or person: the actor of audit rows.
    pub actor: String,
    scope: Scope,
    needed: PhantomData<A>,
}

impl<A: Needs> Guarded<A> {
    /// The clusters that the caller may see and steer; the whole fleet unless `A` is [`Scoped`].
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Refuses a change of a cluster that is not in scope. The answer is the same whether there is
    /// such a cluster or not.
    pub fn may_change(&self, named: &str, labels: Option<&Labels>) -> Result<(), ApiError> {
        if self.scope.is_whole() || labels.is_some_and(|labels| self.scope.contains(labels)) {
            return Ok(());
        }
        let detail = format!("no cluster {named:?} among those you may change ({})", self.scope);
        Err(ApiError::new(Code::OutOfScope, detail))
    }
}

impl<A: Needs> Guarded<A> {
    /// Who sent a form of one of the hub's own pages, with the page's token in it. Programs have the
    /// API: here a page of ours must have been it.
    pub(in crate::http) async fn of_form(
        request: &HttpRequest,
        state: &HubState,
        token: &str,
    ) -> Result<Self, ApiError> {
        if !origin::is_own(request.headers(), state.settings.public_url.as_ref()) {
            return Err(caller::forged_form());
        }
        let admit = || admit::<A>(request, PageToken::InForm(token));
        state.unless_behind(admit(), admit).await
    }
}

impl<A: Needs> Guarded<Scoped<A>> {
    /// The same caller for something that is about all clusters; refused if some are not theirs.
    pub(in crate::http) fn for_all(&self) -> Result<Guarded<A>, ApiError> {
        let (actor, scope) = (self.actor.clone(), self.scope.clone());
        check_whole(&actor, &scope)?;
        Ok(Guarded { actor, scope, needed: PhantomData })
    }
}

fn check_whole(name: &str, scope: &Scope) -> Result<(), ApiError> {
    if scope.is_whole() {
        return Ok(());
    }
    let detail = format!("{name:?} may see and change {scope} only; this is about all");
    Err(ApiError::new(Code::OutOfScope, detail))
}

impl<A: Needs> FromRequest for Guarded<A> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let admit = || admit::<A>(&request, PageToken::InHeader);
            let first = admit();
            match request.app_data::<web::Data<HubState>>() {
                Some(state) => state.unless_behind(first, admit).await,
                None => first,
            }
        })
    }
}

fn admit<A: Needs>(request: &HttpRequest, token: PageToken<'_>) -> Result<Guarded<A>, ApiError> {
    let state = request.app_data::<web::Data<HubState>>().ok_or_else(|| {
        ApiError::new(Code::Internal, "the handler is registered without its state")
    })?;
    let Caller { name, access, scope } = caller::identify(request, state, A::ACCESS, token)?;
    if !access.allows(A::ACCESS) {
        let detail = format!("{name:?} is {access}, this needs {}", A::ACCESS);
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    if !A::KEEPS_SCOPE {
        check_whole(&name, &scope)?;
    }
    Ok(Guarded { actor: name, scope, needed: PhantomData })
}

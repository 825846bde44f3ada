//! Forms of the pages: who sent one, what it says, and what is answered.
//!
//! A form is a page of its own, so that nothing is reloaded under somebody's fingers and there is room
//! to say what it does before it does it. It is believed only from a page of this hub (`Origin`) that
//! carries its session's token; with a token as password, from a page of this hub. What it asks for
//! goes the way that the API's own requests go, checks and audit rows included.

use actix_web::dev;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::{self, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError as _};
use askama::Template;
use futures_util::future::LocalBoxFuture;

use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::{Turned, Visitor, may_sign_in, visitor};
use super::words::Tone;
use crate::http::api::{Guarded, HubState, Needs, body};
use crate::http::problem::{ApiError, Code};

/// Largest form: a reason of some sentences, a few names, a token.
const FORM_MAX_BYTES: usize = 16 * 1024;
/// The field that carries the page's token.
pub(super) const CSRF: &str = "csrf";
/// The parameter of an address that says what a form has just done.
const DONE: &str = "done";

/// What a form says, field by field.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a body, or a query, which has the same syntax.
    pub(super) fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a field; empty if the form does not have it.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The value of a field that may be left empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|value| !value.is_empty())
    }

    /// Reads a field that may be left empty.
    pub(super) fn parse<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError>
    where
        T::Err: std::fmt::Display,
    {
        let wrong = |error| ApiError::new(Code::Unprocessable, format!("{name}: {error}"));
        self.given(name).map(|value| value.parse().map_err(wrong)).transpose()
    }
}

/// A form that somebody sent who may do what it asks for.
#[derive(Debug)]
pub(super) struct Sent<A> {
    /// Who, for what is to be done.
    pub(super) by: Guarded<A>,
    /// Who, for the page that is shown.
    pub(super) visitor: Visitor,
    /// What it says.
    pub(super) fields: Fields,
}

impl<A: Needs> FromRequest for Sent<A> {
    type Error = Turned;
    type Future = LocalBoxFuture<'static, Result<Self, Turned>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (request, payload) = (request.clone(), Payload::from_request(request, payload));
        Box::pin(async move {
            let state = request.app_data::<web::Data<HubState>>().ok_or_else(|| {
                Turned::Refused(ApiError::new(Code::Internal, "the form is without its state"))
            })?;
            let sent = async {
                body::check_type(&request, "application/x-www-form-urlencoded")?;
                let broken = |error| ApiError::new(Code::InvalidRequest, format!("form: {error}"));
                let payload = payload.await.map_err(broken)?;
                let fields = Fields::read(&body::read(&request, payload, FORM_MAX_BYTES).await?);
                let by = Guarded::<A>::of_form(&request, state, fields.get(CSRF)).await?;
                let visitor = visitor(by.scope().clone(), state, &request);
                Ok(Self { by, visitor, fields })
            };
            sent.await.map_err(|error: ApiError| {
                let is_unknown = error.code() == Code::Unauthenticated;
                if is_unknown && may_sign_in(state, &request) {
                    Turned::SignedOut
                } else {
                    Turned::Refused(error)
                }
            })
        })
    }
}

/// What a form may have done, as the page that follows says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Held,
    Resumed,
    Approved,
    Hurried,
    Pinned,
}

impl Done {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Held, "held", "It is held. Whoever may go on must lift the hold."),
        (Self::Resumed, "resumed", "It goes on."),
        (Self::Approved, "approved", "The ring is approved. It opens once its gates pass."),
        (Self::Hurried, "hurried", "It hurries: the emergency curve, and no windows."),
        (Self::Pinned, "pinned", "It is set. The agent hears of it with its next report."),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(done, _, _)| *done == self).map_or("", |(_, name, _)| name)
    }

    /// What the address of a page says was done.
    pub(super) fn told(query: &str) -> Option<&'static str> {
        let (_, said) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == DONE)?;
        Self::ALL.iter().find(|(_, name, _)| *name == said).map(|(_, _, text)| *text)
    }
}

/// Leads on to a page, which says what was done: loading it again does nothing again.
pub(super) fn lead_to(path: &str, done: Done) -> HttpResponse {
    see_other(&format!("{path}?{DONE}={}", done.name()))
}

/// Leads on to another page.
pub(super) fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

/// What an action does to whom, and when it is felt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    /// When: `Now`, `After the unit that is out`, `Later`, `Not at all`.
    pub(super) when: &'static str,
    /// What.
    pub(super) what: String,
}

/// The same, in a line.
pub(super) fn effect(when: &'static str, what: impl Into<String>) -> Effect {
    Effect { when, what: what.into() }
}

/// How a field is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// Some sentences.
    Sentences,
    /// A word or two; may be left empty.
    Word,
    /// Goes along unseen.
    Unseen,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// What it is for, below it; empty = nothing.
    pub(super) help: &'static str,
    pub(super) value: String,
    pub(super) input: Input,
}

impl Field {
    /// Goes along unseen.
    pub(super) fn unseen(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, label: "", help: "", value: value.into(), input: Input::Unseen }
    }
}

/// A page with one form: what it does, and what it asks for.
#[derive(Debug, Template)]
#[template(path = "action.html")]
pub(super) struct Form {
    pub(super) shell: Shell,
    /// Why it was refused just now.
    pub(super) problem: Option<String>,
    /// What it is about, in a sentence.
    pub(super) about: String,
    pub(super) effects: Vec<Effect>,
    /// What is agreed to by sending it; empty = nothing beside the above.
    pub(super) agreed: Vec<String>,
    pub(super) fields: Vec<Field>,
    /// Where it is sent.
    pub(super) to: String,
    /// On its button.
    pub(super) verb: &'static str,
    /// How grave it is.
    pub(super) tone: Tone,
    /// The page to go back to without doing anything.
    pub(super) back: String,
}

/// The frame of a form: where it stands, where it is sent, and where it leads back to.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) place: Place,
    pub(super) heading: String,
    /// Where it is sent.
    pub(super) to: String,
    /// The page that it came from.
    pub(super) back: String,
    /// On its button.
    pub(super) verb: &'static str,
    pub(super) tone: Tone,
}

impl Frame {
    /// The form with nothing in it but this.
    pub(super) fn form(self, state: &HubState, visitor: &Visitor) -> Form {
        let Self { place, heading, to, back, verb, tone } = self;
        let status = state.catalog.status(visitor.at);
        Form {
            shell: Shell::new(visitor, &status, place, &heading, Live::No),
            problem: None,
            about: String::new(),
            effects: Vec::new(),
            agreed: Vec::new(),
            fields: Vec::new(),
            to,
            verb,
            tone,
            back,
        }
    }
}

impl Form {
    /// The page before anything was sent.
    pub(super) fn show(&self, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
        send::page(request, self)
    }

    /// The page again, with what was typed and why that was refused.
    pub(super) fn refuse(
        mut self,
        request: &HttpRequest,
        fields: &Fields,
        error: &ApiError,
    ) -> Result<HttpResponse, ApiError> {
        for field in self.fields.iter_mut().filter(|field| field.input != Input::Unseen) {
            fields.get(field.name).clone_into(&mut field.value);
        }
        self.problem = Some(said(error));
        send::page_as(error.status_code(), request, &self)
    }
}

/// An error for people: its sentence, which for a failure of the server is not theirs.
fn said(error: &ApiError) -> String {
    let problem = error.problem();
    format!("{}. {}", problem.title, problem.detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_field_by_field_and_what_is_missing_is_empty() {
        let fields = Fields::read(b"reason=a+%3Cb%3E&ring=&n=7");
        assert_eq!((fields.get("reason"), fields.get("nothing")), ("a <b>", ""));
        assert_eq!((fields.given("ring"), fields.parse::<u32>("n").unwrap()), (None, Some(7)));
        assert_eq!(fields.parse::<u32>("ring").unwrap(), None);
        assert_eq!(fields.parse::<u32>("reason").unwrap_err().code(), Code::Unprocessable);
    }

    #[test]
    fn every_deed_has_a_word_in_the_address_and_its_own_sentence() {
        let texts: std::collections::BTreeSet<_> = Done::ALL
            .iter()
            .map(|(done, name, text)| {
                assert_eq!(Done::told(&format!("a=b&done={}", done.name())), Some(*text), "{name}");
                text
            })
            .collect();
        assert_eq!(texts.len(), Done::ALL.len());
        for query in ["", "done=", "done=everything", "held=done"] {
            assert_eq!(Done::told(query), None, "{query}");
        }
    }
}

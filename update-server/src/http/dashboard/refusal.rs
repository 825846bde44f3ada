//! Refusals as pages: whoever asked for a page is told on one what happened and what to do.
//!
//! Handlers and extractors refuse as the API does, and the answer carries its problem along. Here it
//! becomes a page with the same status if a browser asked for one; for programs it stays as it is.

use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpRequest, HttpResponse, web};
use askama::Template;
use channels::wire::Problem;
use futures_util::future::Either;

use super::send;
use super::shell::{Person, Place, Shell};
use super::visitor::person;
use crate::http::api::HubState;
use crate::http::negotiate;
use crate::http::problem::ApiError;

/// Programs ask below this.
const API: &str = "/api/";
/// Where people sign in.
const SIGN_IN: &str = "/auth/login";

/// `App::new().wrap_fn(refuse_with_pages)`. Costs requests of the API the look at their path.
pub fn refuse_with_pages<S>(
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<BoxBody>, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let is_page = !request.path().starts_with(API) && negotiate::is_for_people(request.headers());
    let answer = service.call(request);
    if !is_page {
        return Either::Left(answer);
    }
    Either::Right(async move {
        let (request, answer) = answer.await?.into_parts();
        let problem = answer.extensions().get::<Problem>().cloned();
        let state = request.app_data::<web::Data<HubState>>();
        let answer = match (problem, state) {
            (Some(problem), Some(state)) => {
                // What cannot be rendered is logged by then, and the problem says enough.
                refused(state, &request, &problem, &answer).unwrap_or(answer)
            }
            _ => answer,
        };
        Ok(ServiceResponse::new(request, answer))
    })
}

fn refused(
    state: &HubState,
    request: &HttpRequest,
    problem: &Problem,
    answer: &HttpResponse,
) -> Result<HttpResponse, ApiError> {
    let at = state.now();
    let person = person(state, request, at);
    let asked = Asked {
        path: request.path(),
        has_query: !request.query_string().is_empty(),
        is_form: request.method() == Method::POST,
    };
    let page = Page {
        links: links(answer.status(), &person, &asked),
        advice: advice(answer.status(), &person),
        shell: Shell::bare(person, at, &problem.title),
        detail: problem.detail.clone(),
        status: problem.status,
        slug: problem.kind.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let mut shown = send::page_as(answer.status(), request, &page)?;
    for name in [WWW_AUTHENTICATE, RETRY_AFTER, ALLOW] {
        if let Some(value) = answer.headers().get(&name) {
            shown.headers_mut().insert(name, value.clone());
        }
    }
    shown.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    Ok(shown)
}

/// What the template prints.
#[derive(Debug, Template)]
#[template(path = "refusal.html")]
struct Page {
    shell: Shell,
    /// What happened.
    detail: String,
    /// What to do.
    advice: &'static str,
    links: Vec<Link>,
    status: u16,
    /// The stable name, by which the docs know it.
    slug: String,
}

/// Where to go from here.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    label: String,
    href: String,
}

/// What of the request matters for the way back.
struct Asked<'r> {
    path: &'r str,
    has_query: bool,
    is_form: bool,
}

fn advice(status: StatusCode, person: &Person) -> &'static str {
    match (status, person) {
        (StatusCode::BAD_REQUEST, _) => "Mend the address, or go on without what it asks for.",
        (StatusCode::UNAUTHORIZED, Person::Nobody) => {
            "Load the page again and give an API token as the password; any user name will do. An \
             admin makes one with fairway token new."
        }
        (StatusCode::UNAUTHORIZED, _) => "Sign in, and open the page again.",
        (StatusCode::FORBIDDEN, Person::MaySignIn) => {
            "Sign in as somebody who may, or ask an admin of this hub."
        }
        (StatusCode::FORBIDDEN, _) => "Ask an admin of this hub for a role that may do it.",
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
            "It may have been removed, have another name, or be none of those that you may see."
        }
        (StatusCode::METHOD_NOT_ALLOWED, _) => "Open it by a link of these pages.",
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {
            "Wait a moment, then load the page again."
        }
        (status, _) if status.is_server_error() => {
            "Load the page again; if it stays so, the log of the server says why."
        }
        _ => "Go back, and do it in another way.",
    }
}

fn links(status: StatusCode, person: &Person, asked: &Asked<'_>) -> Vec<Link> {
    let link = |label: &str, href: &str| Link { label: label.to_owned(), href: href.to_owned() };
    let mut links = Vec::new();
    let is_closed = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let is_sign_in = asked.path.starts_with("/auth/");
    if (is_closed || is_sign_in) && *person == Person::MaySignIn {
        links.push(link("Sign in", SIGN_IN));
    }
    // Two slashes at the begin of a link name another host; a step of a sign-in is not taken again.
    let is_ours = !asked.path.starts_with("//") && !is_sign_in;
    if asked.is_form && is_ours && status != StatusCode::NOT_FOUND {
        links.push(link("Open the form again", asked.path));
    } else if status == StatusCode::BAD_REQUEST && asked.has_query && is_ours {
        links.push(link("The same page without a filter", asked.path));
    }
    let (label, href) = Place::above(asked.path);
    if href != asked.path {
        links.push(link(&format!("Back to {label}"), href));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hrefs(status: StatusCode, person: &Person, asked: &Asked<'_>) -> Vec<String> {
        links(status, person, asked).into_iter().map(|link| link.href).collect()
    }

    #[test]
    fn every_refusal_leads_to_where_one_can_go_on() {
        let page = |path| Asked { path, has_query: false, is_form: false };
        let nobody = &Person::Nobody;
        let found = hrefs(StatusCode::NOT_FOUND, nobody, &page("/rollouts/9"));
        assert_eq!(found, ["/rollouts"]);
        assert_eq!(hrefs(StatusCode::NOT_FOUND, nobody, &page("/clusters/x")), ["/"]);
        assert_eq!(hrefs(StatusCode::FORBIDDEN, nobody, &page("/audit")), ["/"]);
        assert!(hrefs(StatusCode::UNAUTHORIZED, nobody, &page("/")).is_empty());
        let found = hrefs(StatusCode::UNAUTHORIZED, &Person::MaySignIn, &page("/"));
        assert_eq!(found, [SIGN_IN]);
        let filtered = Asked { has_query: true, ..page("/channels") };
        assert_eq!(hrefs(StatusCode::BAD_REQUEST, nobody, &filtered), ["/channels", "/"]);
        let form = Asked { is_form: true, ..page("/rollouts/1/hold") };
        let found = hrefs(StatusCode::FORBIDDEN, nobody, &form);
        assert_eq!(found, ["/rollouts/1/hold", "/rollouts"]);
    }

    #[test]
    fn no_link_leads_to_another_host() {
        for path in ["//example.org/rollouts", "//example.org"] {
            for is_form in [true, false] {
                let asked = Asked { path, has_query: true, is_form };
                for status in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN] {
                    assert_eq!(hrefs(status, &Person::Nobody, &asked), ["/"], "{path}");
                }
            }
        }
    }
}

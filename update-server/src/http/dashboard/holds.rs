//! `/holds/{id}/resume`: the form that lifts a hold of the hub's list.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::wire::{Hold, HoldScope};

use super::forms::{Done, Field, Form, Frame, Input, Sent, effect, lead_to};
use super::shell::Place;
use super::visitor::Visitor;
use super::words::{self, Tone};
use crate::http::api::{Guarded, HubState, Operator, Scoped, get, holds, methods};
use crate::http::problem::{ApiError, Code};

/// The field with a person's words.
const ACKNOWLEDGE: &str = "reason";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(
        methods("/holds/{id}/resume", "GET, HEAD, POST")
            .route(get().to(ask))
            .route(web::post().to(act)),
    );
}

/// What a hold stops, for people.
pub(super) fn covers(scope: &HoldScope) -> String {
    match scope {
        HoldScope::Fleet => "the whole fleet".to_owned(),
        HoldScope::Product { product } => product.to_string(),
        HoldScope::Channel { product, channel } => format!("{product}, channel {channel}"),
        HoldScope::Release { product, version } => format!("moves of {product} to {version}"),
        HoldScope::Cluster { cluster } => format!("cluster {cluster}"),
    }
}

/// The page that says more of what it stops.
fn page_of(hold: &Hold) -> String {
    match &hold.scope {
        HoldScope::Cluster { cluster } => format!("/clusters/{cluster}"),
        HoldScope::Fleet
        | HoldScope::Product { .. }
        | HoldScope::Channel { .. }
        | HoldScope::Release { .. } => "/".to_owned(),
    }
}

fn find(state: &HubState, visitor: &Visitor, id: u64) -> Result<Hold, ApiError> {
    let all = state.store.committed().holds().as_ref().clone();
    let seen = holds::seen(state, &visitor.scope, all);
    let found = seen.into_iter().find(|hold| hold.id == id && hold.resumed_at.is_none());
    let missing = || ApiError::new(Code::NotFound, format!("no hold {id} is in force"));
    found.ok_or_else(missing)
}

/// `GET /holds/{id}/resume`
async fn ask(
    visitor: Visitor,
    _: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    form(&state, &visitor, &find(&state, &visitor, *path)?).show(&request)
}

/// `POST /holds/{id}/resume`
async fn act(
    sent: Sent<Scoped<Operator>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    let Sent { by, visitor, fields } = sent;
    let hold = find(&state, &visitor, *path)?;
    match holds::lifted(&state, &by, hold.id, fields.get(ACKNOWLEDGE)).await {
        Ok(_) => Ok(lead_to(&page_of(&hold), Done::Resumed)),
        Err(error) => form(&state, &visitor, &hold).refuse(&request, &fields, &error),
    }
}

fn form(state: &HubState, visitor: &Visitor, hold: &Hold) -> Form {
    let what = covers(&hold.scope);
    let effects = vec![
        effect(
            "With their next report",
            format!(
                "Clusters under {what} are granted again, unless a rollout, a window or another hold \
                 says otherwise."
            ),
        ),
        effect(
            "Later",
            match &hold.scope {
                HoldScope::Cluster { .. } => {
                    "Nobody else: plain Cincinnati clients name no cluster, so they were never told."
                }
                HoldScope::Fleet
                | HoldScope::Product { .. }
                | HoldScope::Channel { .. }
                | HoldScope::Release { .. } => {
                    "Plain Cincinnati clients no longer see FairwayHold for it when they ask next."
                }
            },
        ),
    ];
    let since = words::relative(visitor.at, hold.at);
    let frame = Frame {
        place: Place::Fleet,
        heading: format!("Lift hold {}", hold.id),
        to: format!("/holds/{}/resume", hold.id),
        back: page_of(hold),
        verb: "Lift it",
        tone: Tone::Plain,
    };
    Form {
        about: format!("It covers {what}, by {}, {since}: {}", hold.by, hold.reason),
        effects,
        fields: vec![Field {
            name: ACKNOWLEDGE,
            label: "What you have seen and accept",
            help: "Kept in the audit log.",
            value: String::new(),
            input: Input::Sentences,
        }],
        ..frame.form(state, visitor)
    }
}

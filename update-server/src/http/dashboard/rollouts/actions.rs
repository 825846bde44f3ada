//! Forms that steer a rollout: hold, resume, approve, emergency. Shown with what they do, then done as
//! the API does it.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use channels::rollout::{Failure, Name};
use channels::wire::{
    RolloutApproveRequest, RolloutEmergencyRequest, RolloutHoldRequest, RolloutResumeRequest,
    SeenFailure,
};
use signing::Sha256Digest;

use super::super::forms::{Done, Field, Fields, Form, Frame, Input, Sent, lead_to};
use super::super::shell::Place;
use super::super::visitor::Visitor;
use super::super::words::{self, Tone};
use super::effects::{Situation, Verb, effects};
use super::totals::Totals;
use super::view::failure_kind;
use super::{covering, failures};
use crate::http::api::rollouts::{self, Order, kind, visible};
use crate::http::api::{Guarded, HubState, Operator};
use crate::http::problem::{ApiError, Code};
use crate::rollout::{RolloutId, RolloutView};

/// The field with a person's words.
const REASON: &str = "reason";
/// The field, and the parameter, that names a ring.
const RING: &str = "ring";
/// The field that says which failures were shown.
const SEEN: &str = "seen";

/// `GET /rollouts/{id}/{verb}`
pub(super) async fn ask(
    visitor: Visitor,
    _: Guarded<Operator>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<(u64, String)>,
) -> Result<HttpResponse, ApiError> {
    let (id, verb) = path.into_inner();
    let ring = Fields::read(visitor.query.as_bytes()).parse::<Name>(RING)?;
    let on = On::find(&state, &visitor, id, &verb, ring).await?;
    on.form(&state, &visitor).show(&request)
}

/// `POST /rollouts/{id}/{verb}`
pub(super) async fn act(
    sent: Sent<Operator>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<(u64, String)>,
) -> Result<HttpResponse, ApiError> {
    let (id, verb) = path.into_inner();
    let Sent { by, visitor, fields } = sent;
    let on = On::find(&state, &visitor, id, &verb, fields.parse(RING)?).await?;
    let done = match on.order(&fields) {
        Ok(order) => rollouts::order(&state, on.view.id, by.actor, order).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(lead_to(&format!("/rollouts/{id}"), on.done())),
        Err(error) => {
            // It may have changed meanwhile: what is shown now is what is agreed to next.
            let on = On::find(&state, &visitor, id, &verb, on.ring).await?;
            on.form(&state, &visitor).refuse(&request, &fields, &error)
        }
    }
}

/// What is done to what.
struct On {
    verb: Verb,
    ring: Option<Name>,
    view: RolloutView,
}

/// Names the failures that wait: whoever acknowledges them says that these were shown.
pub(super) fn seen(view: &RolloutView) -> String {
    let waiting = view.failures.iter().filter(|(_, seen)| !seen);
    let lines = waiting.map(|(failure, _)| {
        format!("{} {} {}\n", failure.cluster, kind(failure.why), failure.at.as_nanosecond())
    });
    Sha256Digest::of(lines.collect::<String>().as_bytes()).hex()
}

impl On {
    async fn find(
        state: &web::Data<HubState>,
        visitor: &Visitor,
        id: u64,
        verb: &str,
        ring: Option<Name>,
    ) -> Result<Self, ApiError> {
        let verb = Verb::parse(verb).ok_or_else(|| {
            ApiError::new(Code::NotFound, format!("nobody can {verb:?} a rollout"))
        })?;
        let view = visible(state, &visitor.scope, RolloutId(id)).await?;
        if let Some(ring) = &ring
            && !view.rings.iter().any(|known| known.name == *ring)
        {
            let detail = format!("the policy of rollout {id} has no ring {ring}");
            return Err(ApiError::new(Code::NotFound, detail));
        }
        Ok(Self { verb, ring, view })
    }

    /// What the API would be asked for.
    fn order(&self, fields: &Fields) -> Result<Order, ApiError> {
        let (reason, ring) = (fields.get(REASON).to_owned(), self.ring.clone());
        Ok(match self.verb {
            Verb::Hold => Order::Hold(RolloutHoldRequest { reason, ring }),
            Verb::Resume => {
                let failures = if ring.is_some() { Vec::new() } else { self.shown(fields)? };
                Order::Resume(RolloutResumeRequest { acknowledge: reason, ring, failures })
            }
            Verb::Approve => {
                let missing =
                    || ApiError::new(Code::Unprocessable, "a ring must be named to approve it");
                Order::Approve(RolloutApproveRequest { ring: ring.ok_or_else(missing)?, reason })
            }
            Verb::Emergency => Order::Emergency(RolloutEmergencyRequest { reason }),
        })
    }

    /// The failures that wait, if they are those that the form showed.
    fn shown(&self, fields: &Fields) -> Result<Vec<SeenFailure>, ApiError> {
        if fields.get(SEEN) != seen(&self.view) {
            let detail = "other failures wait than those that were shown; look at them first";
            return Err(ApiError::new(Code::SelectionChanged, detail));
        }
        let waiting = self.view.failures.iter().filter(|(_, seen)| !seen);
        let named = |(Failure { cluster, why, at }, _): &(Failure, bool)| SeenFailure {
            cluster: *cluster,
            why: kind(*why).to_owned(),
            at: *at,
        };
        Ok(waiting.map(named).collect())
    }

    fn done(&self) -> Done {
        match self.verb {
            Verb::Hold => Done::Held,
            Verb::Resume => Done::Resumed,
            Verb::Approve => Done::Approved,
            Verb::Emergency => Done::Hurried,
        }
    }

    fn form(&self, state: &HubState, visitor: &Visitor) -> Form {
        let view = &self.view;
        let name = self.ring.as_ref().map(Name::as_str);
        let what = match name {
            Some(ring) => format!("ring {ring} of rollout {}", view.id),
            None => format!("rollout {}", view.id),
        };
        let (heading, verb, tone) = match self.verb {
            Verb::Hold => (format!("Hold {what}"), "Hold", Tone::Bad),
            Verb::Resume => (format!("Resume {what}"), "Resume", Tone::Plain),
            Verb::Approve => (format!("Approve {what}"), "Approve", Tone::Plain),
            Verb::Emergency => (format!("Hurry {what}"), "Make it an emergency", Tone::Bad),
        };
        let agreed = self.agreed(state, visitor);
        let failures = view.failures.iter().filter(|(_, seen)| !seen).count();
        let rings =
            view.rings.iter().filter(|ring| name.is_none_or(|name| name == ring.name.as_str()));
        let situation = Situation {
            totals: Totals::of(rings),
            ring: name,
            release: &view.version,
            failures: if name.is_some() { 0 } else { u64::try_from(failures).unwrap_or(u64::MAX) },
            grant_ttl_s: state.settings.grant_ttl_s,
            also_held: !covering(state, visitor, view).is_empty(),
        };
        let back = format!("/rollouts/{}", view.id);
        let to = format!("{back}/{}", self.verb.as_str());
        let frame = Frame { place: Place::Rollouts, heading, to, back, verb, tone };
        Form {
            about: format!(
                "{} {} under policy {}, version {}.",
                view.product, view.version, view.policy, view.policy_version
            ),
            effects: effects(self.verb, situation),
            agreed,
            fields: self.fields(),
            ..frame.form(state, visitor)
        }
    }

    fn fields(&self) -> Vec<Field> {
        let (label, help) = match self.verb {
            Verb::Resume => (
                "What you have seen and accept",
                "Kept in the audit log, and told to those who listen.",
            ),
            Verb::Hold | Verb::Approve | Verb::Emergency => {
                ("Why", "Shown to everybody who waits, and kept in the audit log.")
            }
        };
        let mut fields = vec![Field {
            name: REASON,
            label,
            help,
            value: String::new(),
            input: Input::Sentences,
        }];
        fields.extend(self.ring.as_ref().map(|ring| Field::unseen(RING, ring.as_str())));
        if self.verb == Verb::Resume {
            fields.push(Field::unseen(SEEN, seen(&self.view)));
        }
        fields
    }

    /// The failures that a resume acknowledges.
    fn agreed(&self, state: &HubState, visitor: &Visitor) -> Vec<String> {
        if self.verb != Verb::Resume || self.ring.is_some() {
            return Vec::new();
        }
        let now = visitor.at;
        let listed = failures(state, &self.view, now);
        let waiting = listed.iter().filter(|facts| !facts.acknowledged);
        let mut lines: Vec<String> = waiting
            .map(|facts| {
                let when = words::relative(now, facts.failure.at);
                let said = facts.message.as_ref().map(|said| format!(" ({said})"));
                let why = failure_kind(facts.failure.why);
                format!("{}: {why}, {when}{}", facts.name, said.unwrap_or_default())
            })
            .collect();
        let all = self.view.failures.iter().filter(|(_, seen)| !seen).count();
        let rest = all.saturating_sub(lines.len());
        if rest > 0 {
            lines.push(format!("and {rest} more: the rollout's failures at /api/v1 name them all"));
        }
        lines
    }
}

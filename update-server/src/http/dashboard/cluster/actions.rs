//! Forms that change one cluster: hold it, pin a product, retire it. Done as the API does it.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use channels::wire::{
    ClusterRow, HoldRequest, HoldScope, Patch, ProductSettings, SettingsPatch, SettingsRequest,
};

use super::super::forms::{
    Done, Effect, Field, Fields, Form, Frame, Input, Sent, effect, lead_to, see_other,
};
use super::super::shell::Place;
use super::super::visitor::Visitor;
use super::super::words::Tone;
use crate::http::api::{Guarded, HubState, Operator, Scoped, clusters, holds};
use crate::http::problem::{ApiError, Code};

/// The field with a person's words.
const REASON: &str = "reason";
/// The field that names a product, `vendor/product`.
const PRODUCT: &str = "product";
/// The fields of what is set for a product.
const CHANNEL: &str = "channel";
const PIN: &str = "pin";
const MAX: &str = "max_version";
/// The field in which the cluster's name is typed again.
const NAME: &str = "name";

/// What may be done to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Hold,
    Set,
    Retire,
}

impl Verb {
    fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "hold" => Ok(Self::Hold),
            "set" => Ok(Self::Set),
            "retire" => Ok(Self::Retire),
            _ => Err(ApiError::new(Code::NotFound, format!("nobody can {text:?} a cluster here"))),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Set => "set",
            Self::Retire => "retire",
        }
    }
}

/// `GET /clusters/{id}/{verb}`
pub(super) async fn ask(
    visitor: Visitor,
    _: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (named, verb) = path.into_inner();
    let verb = Verb::parse(&verb)?;
    let (row, _) = clusters::find_seen(&state, &visitor.scope, &named)?;
    let fields = Fields::read(visitor.query.as_bytes());
    form(&state, &visitor, &row, verb, &fields).show(&request)
}

/// `POST /clusters/{id}/{verb}`
pub(super) async fn act(
    sent: Sent<Scoped<Operator>>,
    whole: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (named, verb) = path.into_inner();
    let (state, verb) = (whole, Verb::parse(&verb)?);
    let Sent { by, visitor, fields } = sent;
    let (row, _) = clusters::find_seen(&state, &visitor.scope, &named)?;
    let here = format!("/clusters/{}", row.id);
    let done = match verb {
        Verb::Hold => {
            let scope = HoldScope::Cluster { cluster: row.id };
            let request = HoldRequest { scope, reason: fields.get(REASON).to_owned() };
            holds::placed(&state, by, request).await.map(|_| lead_to(&here, Done::Held))
        }
        Verb::Set => match setting(&fields) {
            Ok(change) => {
                set(&state, &by, &row, change).await.map(|()| lead_to(&here, Done::Pinned))
            }
            Err(error) => Err(error),
        },
        Verb::Retire => match is_meant(&row, &fields) {
            Ok(()) => {
                clusters::retired(&state, &by, &row.id.to_string()).await.map(|()| see_other("/"))
            }
            Err(error) => Err(error),
        },
    };
    done.or_else(|error| {
        form(&state, &visitor, &row, verb, &fields).refuse(&request, &fields, &error)
    })
}

async fn set(
    state: &HubState,
    by: &Guarded<Scoped<Operator>>,
    row: &ClusterRow,
    change: SettingsRequest,
) -> Result<(), ApiError> {
    clusters::settled(state, &by.for_all()?, &row.id.to_string(), change).await.map(drop)
}

/// What the form sets: what is left empty is taken away.
fn setting(fields: &Fields) -> Result<SettingsRequest, ApiError> {
    let missing = || ApiError::new(Code::Unprocessable, "a product must be named");
    Ok(SettingsRequest {
        product: fields.parse(PRODUCT)?.ok_or_else(missing)?,
        change: SettingsPatch {
            channel: Patch::from(fields.parse(CHANNEL)?),
            pin: Patch::from(fields.parse(PIN)?),
            max_version: Patch::from(fields.parse(MAX)?),
        },
    })
}

/// Whether the cluster's name was typed: a click is too little for what nobody can take back.
fn is_meant(row: &ClusterRow, fields: &Fields) -> Result<(), ApiError> {
    if fields.get(NAME).trim() == row.name {
        return Ok(());
    }
    let detail = format!("type the cluster's name, {:?}, to retire it", row.name);
    Err(ApiError::new(Code::Unprocessable, detail))
}

fn form(state: &HubState, visitor: &Visitor, row: &ClusterRow, verb: Verb, given: &Fields) -> Form {
    let (heading, button, tone) = match verb {
        Verb::Hold => (format!("Hold {}", row.name), "Hold", Tone::Bad),
        Verb::Set => (format!("Channel and versions of {}", row.name), "Set", Tone::Plain),
        Verb::Retire => (format!("Retire {}", row.name), "Retire", Tone::Bad),
    };
    let back = format!("/clusters/{}", row.id);
    let to = format!("{back}/{}", verb.as_str());
    Form {
        about: format!("Cluster {} ({}).", row.name, row.id),
        effects: effects(verb, row),
        fields: fields(verb, row, given),
        ..Frame { place: Place::Fleet, heading, to, back, verb: button, tone }.form(state, visitor)
    }
}

fn effects(verb: Verb, row: &ClusterRow) -> Vec<Effect> {
    let out = row.products.iter().find(|product| product.phase.is_rolling());
    match verb {
        Verb::Hold => vec![
            effect("Now", "No grant is given or renewed to this cluster, for any of its products."),
            effect(
                "After the unit that is out",
                match out.and_then(|product| Some((product, product.unit.as_ref()?))) {
                    Some((product, unit)) => format!(
                        "{unit} of {} is out: if it is being changed, it is finished, with its \
                         soak; a step that has changed nothing yet is taken back. Then the cluster \
                         waits.",
                        product.product
                    ),
                    None => "No unit is out, so nothing is left to finish.".to_owned(),
                },
            ),
            effect(
                "Later",
                "Where Strimzi rolls Kafka, the unit is the whole Kafka resource: once the agent has \
                 changed it, Strimzi rolls all of its pods.",
            ),
            effect(
                "Not at all",
                "Plain Cincinnati clients name no cluster and are not told. What this cluster runs \
                 stays.",
            ),
        ],
        Verb::Set => vec![
            effect("With its next report", "The agent hears what the hub wants."),
            effect(
                "Later",
                "It follows as far as its own policy allows, and only to releases that graph and \
                 release documents allow. A unit that is out is finished first.",
            ),
        ],
        Verb::Retire => vec![
            effect(
                "Now",
                "Its key opens nothing any more, and it leaves every figure and rollout.",
            ),
            effect(
                "After the unit that is out",
                "Its agent ends what it has begun and starts nothing more without a grant.",
            ),
            effect(
                "Not at all",
                "Its history and the audit log stay. It comes back only by enrolling anew.",
            ),
        ],
    }
}

fn word(name: &'static str, label: &'static str, help: &'static str, value: String) -> Field {
    Field { name, label, help, value, input: Input::Word }
}

fn fields(verb: Verb, row: &ClusterRow, given: &Fields) -> Vec<Field> {
    match verb {
        Verb::Hold => vec![Field {
            name: REASON,
            label: "Why",
            help: "Told to the cluster's agent, and kept in the audit log.",
            value: String::new(),
            input: Input::Sentences,
        }],
        Verb::Set => {
            let wanted = given.get(PRODUCT);
            let shown = row.products.iter().find(|product| product.product.to_string() == wanted);
            let Some(shown) = shown.or_else(|| row.products.first()) else { return Vec::new() };
            let own = row.settings.iter().find(|settings| settings.product == shown.product);
            let own = own.cloned().unwrap_or_else(|| ProductSettings::none(shown.product.clone()));
            let text = |value: Option<String>| value.unwrap_or_default();
            vec![
                Field::unseen(PRODUCT, shown.product.to_string()),
                word(
                    CHANNEL,
                    "Channel",
                    "The channel it should follow; empty: the agent's own.",
                    text(own.channel.map(|channel| channel.to_string())),
                ),
                word(
                    PIN,
                    "Pin",
                    "The release it should go to and stay on; empty: none.",
                    text(own.pin.map(|version| version.to_string())),
                ),
                word(
                    MAX,
                    "Highest version",
                    "The newest release it may go to; empty: none.",
                    text(own.max_version.map(|version| version.to_string())),
                ),
            ]
        }
        Verb::Retire => {
            vec![word(NAME, "Its name", "Type it, to show that you mean this one.", String::new())]
        }
    }
}

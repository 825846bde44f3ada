//! A spec as an order to the agent: parsed, checked against what is configured, or refused whole.
//!
//! Pure. A spec can steer a product that local configuration knows; it cannot name commands,
//! drivers, pools or limits, because it has no words for them.

use channels::names::{ChannelName, ProductRef};
use channels::rollout::Calendar;
use channels::version::ReleaseVersion;
use channels::wire::AcceptedRisk;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::spec::{ClusterUpdateSpec, Finalize, Hold, PolicyMode};
use crate::config::Reports;
use crate::plan::{Mode, Policy};

/// A spec that can be followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The product it is about.
    pub product: ProductRef,
    /// The channel to follow.
    pub channel: Option<ChannelName>,
    /// The release that is approved.
    pub desired: Option<ReleaseVersion>,
    /// Who decides.
    pub mode: Option<Mode>,
    /// The release not to go beyond.
    pub pin: Option<ReleaseVersion>,
    /// Who stopped it, and why.
    pub holds: Vec<Hold>,
    /// Windows and freezes, joined with the configured ones.
    pub calendar: Option<Calendar>,
    /// Risks taken beside the configured ones.
    pub accepted_risks: Vec<AcceptedRisk>,
    /// The release whose finalize step is approved, when, and by whom.
    pub finalize: Option<(ReleaseVersion, Timestamp, String)>,
    /// Pauses that began before this are to end.
    pub resume: Option<Timestamp>,
}

/// Why a spec is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It does not have the shape of a spec.
    #[error("it cannot be read: {why}")]
    Shape {
        /// What the reader said.
        why: String,
    },
    /// A value of it does not fit.
    #[error("{field}: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The agent has no such product.
    #[error("product {product} is not configured at this agent; it has {known}")]
    Product {
        /// What was asked for.
        product: ProductRef,
        /// What there is.
        known: String,
    },
    /// Only a hub can grant what policy hub waits for.
    #[error("policy hub needs an agent that reports to a hub (hub.reports)")]
    NoHub,
}

impl SpecError {
    fn field(field: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Field { field, why: why.to_string() }
    }
}

/// Reads the spec as the API server has it.
pub fn shape(spec: &Value) -> Result<ClusterUpdateSpec, SpecError> {
    serde_json::from_value(spec.clone())
        .map_err(|error| SpecError::Shape { why: error.to_string() })
}

/// Reads a spec; `configured` is the policy of the agent's file alone.
pub fn order(
    spec: &ClusterUpdateSpec,
    configured: &Policy,
    reports: Reports,
) -> Result<Order, SpecError> {
    let product: ProductRef = parsed("product", &spec.product)?;
    let Some(own) = configured.products.get(&product) else {
        let known: Vec<String> = configured.products.keys().map(ToString::to_string).collect();
        return Err(SpecError::Product { product, known: known.join(", ") });
    };
    if spec.policy == Some(PolicyMode::Hub) && reports == Reports::Off {
        return Err(SpecError::NoHub);
    }
    for hold in &spec.holds {
        given("holds", &hold.name, &hold.reason)?;
    }
    let accepted_risks = spec.accepted_risks.iter().map(|risk| {
        given("acceptedRisks", &risk.name, &risk.reason)?;
        let (name, reason) = (risk.name.clone(), risk.reason.clone());
        Ok(AcceptedRisk { name, reason, until: risk.until })
    });
    Ok(Order {
        channel: optional("channel", spec.channel.as_ref())?,
        desired: optional("desired", spec.desired.as_ref())?,
        mode: spec.policy.map(mode),
        pin: optional("pin", spec.pin.as_ref())?,
        holds: spec.holds.clone(),
        calendar: calendar(spec, &own.rules.windows)?,
        accepted_risks: accepted_risks.collect::<Result<_, _>>()?,
        finalize: spec.finalize.as_ref().map(finalize).transpose()?,
        resume: spec.resume,
        product,
    })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, SpecError> {
    text.parse().map_err(|error| SpecError::field(field, error))
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: Option<&String>,
) -> Result<Option<T>, SpecError> {
    text.map(|text| parsed(field, text)).transpose()
}

fn given(field: &'static str, name: &str, reason: &str) -> Result<(), SpecError> {
    if reason.trim().is_empty() {
        return Err(SpecError::field(field, format!("{name:?} needs a reason")));
    }
    Ok(())
}

fn finalize(approval: &Finalize) -> Result<(ReleaseVersion, Timestamp, String), SpecError> {
    let by = approval.by.trim();
    if by.is_empty() {
        return Err(SpecError::field("finalize", "say who approves it in by"));
    }
    let release = parsed("finalize", &approval.release)?;
    Ok((release, approval.approved_at, by.to_owned()))
}

fn mode(policy: PolicyMode) -> Mode {
    match policy {
        PolicyMode::Manual => Mode::Manual,
        PolicyMode::Patch => Mode::Patch,
        PolicyMode::Auto => Mode::Auto,
        PolicyMode::Hub => Mode::Hub,
    }
}

/// The calendar that counts: windows of the spec, or else the configured ones; freezes of both.
/// Freezes are carried over as points in time, because each calendar has a time zone of its own.
fn calendar(
    spec: &ClusterUpdateSpec,
    configured: &Calendar,
) -> Result<Option<Calendar>, SpecError> {
    if spec.windows.is_empty() && spec.freezes.is_empty() {
        return Ok(None);
    }
    let Some(zone) = &spec.time_zone else {
        return Err(SpecError::field("timeZone", "windows and freezes need one"));
    };
    let refuse = |error: serde_json::Error| SpecError::field("windows or freezes", error);
    let written = json!({
        "time_zone": zone,
        "windows": spec.windows,
        "freezes": spec.freezes,
    });
    let own: Calendar = serde_json::from_value(written).map_err(refuse)?;
    let freezes: Vec<Value> = own
        .freezes()
        .iter()
        .chain(configured.freezes())
        .map(|freeze| {
            let (from, until) = (freeze.from.to_string(), freeze.until.to_string());
            json!({ "from": from, "until": until, "reason": freeze.reason })
        })
        .collect();
    let windows = if spec.windows.is_empty() { configured } else { &own };
    let mut joined = serde_json::to_value(windows).map_err(refuse)?;
    if let Value::Object(fields) = &mut joined {
        fields.insert("freezes".to_owned(), Value::Array(freezes));
    }
    serde_json::from_value(joined).map(Some).map_err(refuse)
}

//! `ClusterUpdate.spec`: the part of a product's policy that may be set in the cluster itself.
//!
//! Its doc comments are what `kubectl explain` prints. What a product *is* here (its pools, its
//! drivers, their limits) is local configuration of the agent and cannot be set by a resource.

#![expect(unreachable_pub, reason = "the schema's derive copies the struct into a function")]

use ::kube::{CustomResource, KubeSchema};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::status::ClusterUpdateStatus;

/// Where one product of this cluster is to go, and when. What is left out is as the agent's
/// configuration says.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "fairway.dev",
    version = "v1",
    kind = "ClusterUpdate",
    plural = "clusterupdates",
    singular = "clusterupdate",
    shortname = "cu",
    doc = "The update of one product on this cluster: what it is to run, and how far it is.",
    status = "ClusterUpdateStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name == self.spec.product.replace('/', '.')")
        .message("metadata.name must be the product with '.' for '/', such as acme.kafka"),
    printcolumn(
        name = "Version", type_ = "string", json_path = ".status.version",
        description = "The release that runs, or the one the roll moves away from"
    ),
    printcolumn(
        name = "Desired", type_ = "string", json_path = ".status.desired",
        description = "The release it is to run"
    ),
    printcolumn(name = "Channel", type_ = "string", json_path = ".status.channel"),
    printcolumn(
        name = "Available", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].status"
    ),
    printcolumn(
        name = "Progressing", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Progressing\")].status"
    ),
    printcolumn(
        name = "Failing", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Failing\")].status"
    ),
    printcolumn(
        name = "Since", type_ = "date",
        json_path = ".status.conditions[?(@.type==\"Progressing\")].lastTransitionTime"
    ),
    printcolumn(
        name = "Waiting", type_ = "string", json_path = ".status.waiting",
        description = "The gates that keep it from moving"
    ),
    printcolumn(
        name = "Status", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Progressing\")].message"
    ),
    printcolumn(
        name = "Phase", type_ = "string", json_path = ".status.phase", priority = 1
    ),
    printcolumn(name = "Unit", type_ = "string", json_path = ".status.unit", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.freezes) || self.freezes.size() == 0 || has(self.timeZone)")
        .message("freezes need timeZone"),
    validation = Rule::new("!has(self.windows) || self.windows.size() == 0 || has(self.timeZone)")
        .message("windows need timeZone")
)]
pub struct ClusterUpdateSpec {
    /// The product, `vendor/product`. It must be one that the agent is configured for.
    #[schemars(
        length(max = 127),
        regex(pattern = "^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the product cannot be changed"))]
    pub product: String,
    /// The channel it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), regex(pattern = "^[0-9a-z-][0-9a-z.-]*$"))]
    pub channel: Option<String>,
    /// The release it is to run. With policy manual or patch this is the approval of that move;
    /// the channel must offer it and every gate must hold all the same. A release older than the
    /// one that runs is not gone back to: `cluster-agent back` does that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub desired: Option<String>,
    /// Who decides that it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyMode>,
    /// The release it must not go beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub pin: Option<String>,
    /// While one of these stands, no unit of the product starts. A unit that is out comes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub holds: Vec<Hold>,
    /// IANA name of the time zone of windows and freezes, such as Europe/Berlin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Weekly times in which units may start. They take the place of the product's configured
    /// ones; those of its pools stay. A unit that cannot be expected to finish before its window
    /// closes does not start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 168))]
    pub windows: Vec<Window>,
    /// Times in which no unit starts, whatever the windows say; beside the configured ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub freezes: Vec<Freeze>,
    /// Named risks that its owner takes, beside the configured ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub accepted_risks: Vec<RiskAcceptance>,
    /// Approves the irreversible step of the release that every unit runs. There is no way back to
    /// an older release after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalize: Option<Finalize>,
    /// Goes on after a pause that began before this time. A time to come does nothing until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_time")]
    pub resume: Option<Timestamp>,
}

/// Who decides that a product moves.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum PolicyMode {
    /// A person approves each release.
    Manual,
    /// Patch releases go by themselves.
    Patch,
    /// Every release goes by itself.
    Auto,
    /// The hub decides.
    Hub,
}

/// Someone approved the irreversible step of a release.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Finalize {
    /// The release.
    #[schemars(length(min = 1, max = 128))]
    pub release: String,
    /// When. It names the approval: after a step that failed, another time approves again.
    #[schemars(schema_with = "schema::time")]
    pub approved_at: Timestamp,
    /// By whom.
    #[schemars(length(min = 1, max = 100))]
    pub by: String,
}

/// Someone stopped the product.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Hold {
    /// Names the hold, so that each is placed and lifted by itself.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Why, for the people it stops.
    #[schemars(length(min = 1, max = 300))]
    pub reason: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_time")]
    pub until: Option<Timestamp>,
}

/// A weekly window.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Window {
    /// The days on which it opens.
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Day>,
    /// When it opens, on the wall of the time zone: `22:00`.
    #[schemars(length(max = 8), regex(pattern = "^[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$"))]
    pub start: String,
    /// How long it stays open in real time: `8h`, `1h 30m`.
    #[schemars(length(min = 2, max = 32))]
    pub duration: String,
}

/// A day of the week.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "seven days")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time in which nothing starts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Freeze {
    /// Its beginning: `2026-12-20`, `2026-12-20T18:00` or `2026-12-20T18:00:00Z`.
    #[schemars(schema_with = "schema::calendar_time")]
    pub from: String,
    /// The first moment after it, in the same forms.
    #[schemars(schema_with = "schema::calendar_time")]
    pub until: String,
    /// Why, for the people it stops.
    #[schemars(length(min = 1, max = 300))]
    pub reason: String,
}

/// A risk that the product's owner takes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct RiskAcceptance {
    /// The risk's name in the graph.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Why it is acceptable here.
    #[schemars(length(min = 1, max = 300))]
    pub reason: String,
    /// Until when; without it, until the entry is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_time")]
    pub until: Option<Timestamp>,
}

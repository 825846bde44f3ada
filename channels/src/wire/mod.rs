//! Every document that crosses a process boundary.
//!
//! Readers tolerate unknown fields and unknown enum values, because an agent two minor releases
//! older or newer than its hub must still work. What a reader may *not* skip is listed in a
//! document's `critical` field. Each type has a golden file under `channels/golden/`, and a test
//! reads every golden file of every released form.

mod bulk;
mod directive;
mod enrolment;
mod events;
mod hub;
mod measures;
mod people;
mod problem;
mod publication;
mod release;
mod report;
mod rollouts;
mod settings;
mod site;
mod sites;
mod soak;
mod telemetry;
mod trends;
mod webhooks;

pub use bulk::{BulkAction, BulkChange, BulkExpect, BulkFilter, BulkItem, BulkReply, BulkRequest};
pub use directive::{
    Action, Directive, Grant, Hold, HoldRequest, HoldScope, Reason, ReportReply, ResumeRequest,
};
pub use enrolment::{
    EnrolmentReply, EnrolmentRequest, JoinToken, JoinTokenRequest, KeyRotationReply,
    KeyRotationRequest, OpenJoinToken, ReinviteRequest, RevokeRequest, TrustRequest,
};
pub use events::{FleetCounters, HubEvent};
pub use hub::{HubKeys, HubStatus, NextKeyRequest};
pub use measures::{Measure, MeasureId, Measured};
pub use people::{
    AuditRow, ClusterRow, Drift, DriftAnswer, DriftState, DriftTotals, Freshness, HealthAnswer,
    HealthRow, KeyRevocation, Page, ProductRow, VersionCount,
};
pub use problem::Problem;
pub use publication::{
    MAX_PUBLICATION_BYTES, MAX_PUBLICATION_FILES, Publication, PublicationFile, PublicationReply,
};
pub use release::{
    ArchContent, Component, Critical, Dependency, Finalize, Image, ReleaseDocument, Role, Severity,
    UnknownCritical,
};
pub use report::{
    AcceptedRisk, AgentInstance, ClusterHeader, Failure, GrantRequest, HealthSummary,
    HealthVerdict, NotAnInstance, Phase, ProductState, Progress, Report, UnitState, WaitingOn,
};
pub use rollouts::{
    AttemptState, CapPerDomain, CapPerPeriod, MAX_LISTED_FAILURES, MAX_POLICY_BODY_BYTES,
    PlannedShare, PolicyFinding, PolicyReply, PolicyRequest, PolicyRow, RingSize, RingState,
    RolloutApproveRequest, RolloutCaps, RolloutCluster, RolloutEmergencyRequest, RolloutFailure,
    RolloutHold, RolloutHoldRequest, RolloutResumeRequest, RolloutRing, RolloutRow, RolloutState,
    SeenFailure,
};
pub use settings::{LabelsRequest, Patch, ProductSettings, SettingsPatch, SettingsRequest};
pub use site::{
    BundleReceipt, NotARedaction, Redaction, SiteAcceptedRisk, SiteChannel, SiteCluster,
    SiteCounts, SiteProduct, SiteReason, SiteStatus, SiteStatusError,
};
pub use sites::{
    SiteDrift, SiteImport, SiteKey, SiteRegistration, SiteRow, SiteStatusHead, StatusImportReply,
};
pub use soak::{SoakAnswer, SoakDay, SoakRelease};
pub use telemetry::{
    ClusterRisk, DriftSpread, LagRow, LagTotals, RiskExposure, StuckRow, TimelineEntry,
};
pub use trends::{
    TrendFigures, TrendLag, TrendPhase, TrendPoint, TrendSeries, TrendVersion, TrendsAnswer,
};
pub use webhooks::{DeadDelivery, NewWebhook, Webhook, WebhookAttempt, WebhookRequest};

/// Media types of our documents (design: `application/vnd.fairway.<document>.v1+json`).
pub mod media_type {
    /// A Cincinnati graph, version 1, as OpenShift's update service names it.
    pub const CINCINNATI: &str = "application/vnd.redhat.cincinnati.v1+json";
    /// A release document.
    pub const RELEASE: &str = "application/vnd.fairway.release.v1+json";
    /// A report of a cluster agent.
    pub const REPORT: &str = "application/vnd.fairway.report.v1+json";
    /// The hub's reply to a report.
    pub const REPORT_REPLY: &str = "application/vnd.fairway.report-reply.v1+json";
    /// An enrolment request.
    pub const ENROLMENT: &str = "application/vnd.fairway.enrolment.v1+json";
    /// A request for another key.
    pub const KEY_ROTATION: &str = "application/vnd.fairway.key-rotation.v1+json";
    /// A staged set of metadata and targets.
    pub const PUBLICATION: &str = "application/vnd.fairway.publication.v1+json";
    /// The signed status of a dark site.
    pub const SITE_STATUS: &str = "application/vnd.fairway.site-status.v1+json";
    /// An error of `/api/v1` (RFC 9457).
    pub const PROBLEM: &str = "application/problem+json";
}

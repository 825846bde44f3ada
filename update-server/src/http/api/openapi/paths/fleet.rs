//! The fleet: clusters, figures, rollouts.

use serde_json::json;

use super::super::super::super::problem::Code;
use super::super::operation::{Kind, Operation};
use super::{CHANNEL, LIMIT, PRODUCT, operator, viewer};

const PHASES: &[&str] = &[
    "idle",
    "waiting",
    "preflight",
    "quiesce",
    "mutate",
    "await_return",
    "await_health",
    "soak",
    "paused",
    "unknown",
];
const ATTEMPT_STATES: &[&str] =
    &["not_started", "granted", "rolling", "succeeded", "failed", "acknowledged"];
const FRESHNESS: &[&str] = &["fresh", "late", "silent", "gone", "never", "carried"];

pub(super) fn all() -> Vec<Operation> {
    [clusters(), steered(), figures(), rollouts(), policies()].concat()
}

fn clusters() -> Vec<Operation> {
    vec![
        viewer("/api/v1/clusters", "Clusters, those of dark sites after the others.")
            .query(&[
                PRODUCT,
                CHANNEL,
                ("version", Kind::Text, "Runs this version."),
                ("phase", Kind::OneOf(PHASES), "Is in this phase."),
                ("health", Kind::OneOf(&["healthy", "unhealthy", "unknown"]), "Has this verdict."),
                ("freshness", Kind::OneOf(FRESHNESS), "Reported this long ago."),
                ("activity", Kind::OneOf(&["active", "silent"]), "Is heard of, or is not."),
                (
                    "drift",
                    Kind::OneOf(&["current", "behind", "stranded", "off_graph", "no_graph"]),
                    "Is so far from the head.",
                ),
                ("hops_min", Kind::Int(0, 4_294_967_295), "Needs at least so many updates."),
                ("hops_max", Kind::Int(0, 4_294_967_295), "Needs at most so many updates."),
                ("age_min_days", Kind::Int(0, 36_500), "Is at least so many days behind."),
                ("age_max_days", Kind::Int(0, 36_500), "Is at most so many days behind."),
                ("name", Kind::Text, "Is called something that begins like this."),
                ("risk", Kind::Text, "Stands before an edge with this risk."),
                ("site", Kind::Text, "Belongs to this dark site."),
                ("selector", Kind::Text, "Has labels like `env=prod,!canary`."),
            ])
            .answers(200, "cluster-row-page", "A page.")
            .paged()
            .exported()
            .tagged(),
        viewer("/api/v1/clusters/{id}", "One cluster by id or name, with its units.").answers(
            200,
            "cluster-row",
            "The cluster.",
        ),
        operator("DELETE", "/api/v1/clusters/{id}", "Retire it.").answers_nothing(204, "Done."),
        viewer("/api/v1/clusters/{id}/history", "What changed, newest first.")
            .query(&[LIMIT])
            .answers(200, "history-page", "Changes."),
        viewer("/api/v1/clusters/{id}/risks", "Risks on the edges before it.").answers(
            200,
            "cluster-risk-page",
            "All of them.",
        ),
        viewer("/api/v1/clusters/{id}/timeline", "What it told and what was done to it.")
            .answers(200, "timeline-page", "A page, newest first.")
            .paged(),
    ]
}

fn steered() -> Vec<Operation> {
    vec![
        operator("POST", "/api/v1/clusters/{id}/join-tokens", "Let it enrol again.")
            .json(&[
                ("expires_in_s!", json!({ "type": "integer", "minimum": 1, "maximum": 86400 })),
                ("note", json!({ "type": "string" })),
            ])
            .answers(201, "join-token", "The token, once.")
            .problems(&[Code::ClusterRetired]),
        operator("PUT", "/api/v1/clusters/{id}/labels", "Change its labels.")
            .json(&[(
                "labels!",
                json!({ "type": "object",
                "additionalProperties": { "type": ["string", "null"] } }),
            )])
            .answers(200, "cluster-row", "The cluster.")
            .problems(&[Code::ClusterRetired]),
        operator("PUT", "/api/v1/clusters/{id}/settings", "Set channel, pin or highest version.")
            .json(&[
                ("product!", json!({ "type": "string" })),
                (
                    "change",
                    json!({ "type": "object", "properties": {
                    "channel": { "type": ["string", "null"] },
                    "pin": { "type": ["string", "null"] },
                    "max_version": { "type": ["string", "null"] } } }),
                ),
            ])
            .answers(200, "cluster-row", "The cluster.")
            .problems(&[Code::ClusterRetired, Code::Conflict]),
        operator("POST", "/api/v1/clusters/{id}/revoke", "Take its key out of force.")
            .json(&[("reason!", json!({ "type": "string" }))])
            .answers(200, "cluster-row", "The cluster.")
            .problems(&[Code::ClusterRetired]),
        operator("POST", "/api/v1/clusters/{id}/trust", "End an identity conflict.")
            .json(&[("acknowledge!", json!({ "type": "string" }))])
            .answers(200, "cluster-row", "The cluster.")
            .problems(&[Code::Conflict, Code::ClusterRetired]),
        operator("POST", "/api/v1/bulk", "Change many clusters, as a preview showed it.")
            .json(&[
                ("filter!", json!({ "type": "object" })),
                (
                    "action!",
                    json!({ "type": "object", "properties": {
                    "kind": { "enum": ["label", "set", "retire", "revoke", "reinvite"] } },
                    "required": ["kind"] }),
                ),
                (
                    "expect",
                    json!({ "type": "object", "properties": {
                    "clusters": { "type": "integer", "minimum": 0 },
                    "digest": { "type": "string" } } }),
                ),
            ])
            .answers(200, "bulk-reply", "The preview; with `expect`, what was done.")
            .problems(&[Code::SelectionChanged]),
    ]
}

fn figures() -> Vec<Operation> {
    vec![
        viewer("/api/v1/drift", "How far the fleet is from the heads of its channels.")
            .query(&[PRODUCT, CHANNEL])
            .answers(200, "drift-answer", "Totals per graph.")
            .exported()
            .tagged(),
        viewer("/api/v1/health", "Verdicts, worst lags, who is stuck, risks ahead.")
            .query(&[
                PRODUCT,
                CHANNEL,
                ("worst", Kind::Int(1, 50), "Worst lags per channel and kind; 5 if not given."),
                ("stuck_after_s", Kind::Int(60, 2_592_000), "An hour if not given."),
            ])
            .answers(200, "health-answer", "How the fleet is.")
            .exported()
            .tagged(),
        viewer("/api/v1/soak", "How clusters fared on a product's releases, for promotion.")
            .query(&[
                ("product!", Kind::Text, "`vendor/product`."),
                CHANNEL,
                ("version", Kind::Text, "Only this release."),
            ])
            .answers(200, "soak-answer", "Cluster-hours and days."),
        viewer("/api/v1/trends", "How the fleet was, noted every five minutes.")
            .query(&[
                PRODUCT,
                CHANNEL,
                ("from", Kind::Time, "A day before `to` if not given."),
                ("to", Kind::Time, "Now if not given."),
                (
                    "step",
                    Kind::Text,
                    "A multiple of five minutes, `1h`; at most 288 steps if not given.",
                ),
            ])
            .answers(200, "trends-answer", "One series per product and channel.")
            .exported()
            .tagged(),
        viewer("/api/v1/events", "Events as they are committed (server-sent events).")
            .query(&[("kinds", Kind::Text, "Only these, separated by commas; `fleet` = counters.")])
            .answers_as(200, &["text/event-stream"], "any", "A stream; see the manual."),
        viewer("/api/v1/products", "Products and releases that are served.").answers(
            200,
            "product-page",
            "All of them.",
        ),
        viewer("/api/v1/channels", "Graphs that are served.").answers(
            200,
            "channel-page",
            "All of them.",
        ),
    ]
}

fn rollouts() -> Vec<Operation> {
    let reason = || ("reason!", json!({ "type": "string" }));
    let ring = |name| (name, json!({ "type": "string" }));
    let steer = |path, summary| {
        operator("POST", path, summary)
            .answers(200, "rollout-row", "The rollout as it is then.")
            .problems(&[Code::Conflict])
    };
    vec![
        viewer("/api/v1/rollouts", "Rollouts, newest first.")
            .query(&[
                PRODUCT,
                ("policy", Kind::Text, "Only of this policy."),
                ("all", Kind::Bool, "Those that are over too."),
            ])
            .answers(200, "rollout-row-page", "A page.")
            .paged(),
        viewer("/api/v1/rollouts/{id}", "One rollout.").answers(200, "rollout-row", "It."),
        viewer("/api/v1/rollouts/{id}/clusters", "Its clusters, each with its reason to wait.")
            .query(&[
                ("state", Kind::OneOf(ATTEMPT_STATES), "Only in this state."),
                ("ring", Kind::Text, "Only of this ring of the rollout."),
            ])
            .answers(200, "rollout-cluster-page", "A page.")
            .paged(),
        viewer("/api/v1/rollouts/{id}/course", "How it was to go, went, and goes on.").answers(
            200,
            "rollout-course",
            "Three lines of clusters over time.",
        ),
        steer("/api/v1/rollouts/{id}/hold", "Stop it, or one ring.")
            .json(&[reason(), ring("ring")]),
        steer("/api/v1/rollouts/{id}/resume", "Acknowledge failures and lift holds.").json(&[
            ("acknowledge!", json!({ "type": "string" })),
            ring("ring"),
            (
                "failures",
                json!({ "type": "array", "items": { "type": "object", "properties": {
                "cluster": { "type": "string", "format": "uuid" },
                "why": { "type": "string" },
                "at": { "type": "string", "format": "date-time" } },
                "required": ["cluster", "why", "at"] } }),
            ),
        ]),
        steer("/api/v1/rollouts/{id}/approve", "Let a ring open.").json(&[ring("ring!"), reason()]),
        steer("/api/v1/rollouts/{id}/emergency", "Hurry: windows and slow curves do not count.")
            .json(&[reason()]),
    ]
}

fn policies() -> Vec<Operation> {
    const ONE: &str = "/api/v1/rollout-policies/{name}";
    vec![
        viewer("/api/v1/rollout-policies", "Policies in force.").answers(
            200,
            "policy-row-page",
            "All of them.",
        ),
        viewer(ONE, "One policy with its text.")
            .query(&[("version", Kind::Int(0, i64::MAX.unsigned_abs()), "An older one.")])
            .answers(200, "policy-row", "It."),
        operator("PUT", ONE, "Apply a policy file.")
            .query(&[("dry_run", Kind::Bool, "Only say what would be.")])
            .json(&[("text!", json!({ "type": "string" }))])
            .answers(200, "policy-reply", "What was applied.")
            .problems(&[Code::Conflict]),
        operator("DELETE", ONE, "Remove it from force.")
            .query(&[("reason!", Kind::Text, "Why.")])
            .answers_nothing(204, "Done.")
            .problems(&[Code::Unprocessable, Code::Conflict]),
    ]
}

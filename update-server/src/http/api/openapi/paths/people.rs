//! What people do: holds, tokens, publications, webhooks, dark sites, the audit log.

use channels::wire::media_type;
use serde_json::{Value, json};

use super::super::super::super::problem::Code;
use super::super::operation::{Kind, Operation, Who};
use super::super::schema::reference;
use super::{LIMIT, admin, operator, viewer};
use crate::auth::Access;

pub(super) fn all() -> Vec<Operation> {
    [holds(), tokens(), webhooks(), sites(), hub()].concat()
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn holds() -> Vec<Operation> {
    vec![
        viewer("/api/v1/holds", "Holds in force.")
            .query(&[("all", Kind::Bool, "Lifted ones too, newest first.")])
            .answers(200, "hold-page", "Holds."),
        operator("POST", "/api/v1/holds", "Stop something.")
            .json(&[
                (
                    "scope!",
                    json!({ "type": "object", "properties": { "kind": text() },
                    "required": ["kind"] }),
                ),
                ("reason!", text()),
            ])
            .answers(201, "hold", "The hold.")
            .problems(&[Code::NotFound]),
        operator("POST", "/api/v1/holds/{id}/resume", "Lift a hold.")
            .json(&[("acknowledge!", text())])
            .answers(200, "hold", "The hold, lifted.")
            .problems(&[Code::Conflict]),
        operator("GET", "/api/v1/audit", "The audit log, newest first.")
            .answers(200, "audit-row-page", "A page.")
            .paged()
            .exported(),
        operator("GET", "/api/v1/audit/verify", "Checks the whole chain of the audit log.")
            .answers(200, "chain-check", "What was found."),
    ]
}

fn tokens() -> Vec<Operation> {
    vec![
        operator("GET", "/api/v1/join-tokens", "Join tokens that still work, newest first.")
            .answers(200, "open-join-token-page", "A page, without secrets.")
            .paged(),
        operator("POST", "/api/v1/join-tokens", "Invite clusters.")
            .json(&[
                ("uses!", json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 })),
                ("expires_in_s!", json!({ "type": "integer", "minimum": 1 })),
                ("note", text()),
                ("labels", json!({ "type": "object", "additionalProperties": text() })),
            ])
            .answers(201, "join-token", "The token, once."),
        operator("DELETE", "/api/v1/join-tokens/{id}", "End a join token.")
            .answers_nothing(204, "Done."),
        admin("GET", "/api/v1/tokens", "API tokens in force.").answers(
            200,
            "token-page",
            "All of them, without secrets.",
        ),
        admin("POST", "/api/v1/tokens", "Make an API token.")
            .json(&[
                ("name!", text()),
                (
                    "access!",
                    json!({ "type": "string",
                    "enum": ["viewer", "operator", "publisher", "admin"] }),
                ),
                ("selector", json!({ "type": ["string", "null"] })),
                ("expires_in_s", json!({ "type": ["integer", "null"], "minimum": 1 })),
            ])
            .answers(201, "new-token", "The token, once.")
            .problems(&[Code::Conflict]),
        admin("DELETE", "/api/v1/tokens/{id}", "Revoke an API token.")
            .answers_nothing(204, "Done.")
            .problems(&[Code::Conflict]),
        admin("GET", "/api/v1/sessions", "Who is signed in with a browser.").answers(
            200,
            "session-page",
            "All of them.",
        ),
        admin("DELETE", "/api/v1/sessions/{id}", "End a session.").answers_nothing(204, "Done."),
    ]
}

fn webhooks() -> Vec<Operation> {
    vec![
        admin("GET", "/api/v1/webhooks", "Webhooks, and how each one fares.").answers(
            200,
            "webhook-page",
            "All of them, without secrets.",
        ),
        admin("POST", "/api/v1/webhooks", "Have events sent.")
            .json(&[
                ("url!", json!({ "type": "string", "format": "uri" })),
                (
                    "kinds!",
                    json!({ "type": "array", "items": text(), "minItems": 1,
                    "maxItems": 50 }),
                ),
            ])
            .answers(201, "new-webhook", "The webhook with its secret, once."),
        admin("DELETE", "/api/v1/webhooks/{id}", "Remove a webhook.").answers_nothing(204, "Done."),
        admin("GET", "/api/v1/webhooks/{id}/dead", "Events that were given up on, newest first.")
            .answers(200, "dead-delivery-page", "A page.")
            .paged(),
        admin("POST", "/api/v1/webhooks/{id}/test", "Send it an event that is none, once.")
            .answers(200, "webhook-attempt", "How that went."),
        admin("POST", "/api/v1/webhooks/{id}/dead/{dead}/retry", "Send such an event once more.")
            .answers(200, "webhook-attempt", "How that went."),
    ]
}

fn sites() -> Vec<Operation> {
    let json = "application/json";
    vec![
        viewer("/api/v1/sites", "Registered dark sites.").answers(
            200,
            "site-row-page",
            "All of them.",
        ),
        admin("PUT", "/api/v1/sites/{name}", "Register a site, or change it.")
            .json(&[
                ("public_key!", text()),
                ("description", text()),
                ("expected_interval_s", json!({ "type": ["integer", "null"], "minimum": 60 })),
            ])
            .answers(200, "site-row", "It was registered before.")
            .answers(201, "site-row", "It is registered."),
        admin("DELETE", "/api/v1/sites/{name}", "Forget a site.").answers_nothing(204, "Done."),
        viewer("/api/v1/sites/{name}/imports", "Statuses that were taken, newest first.")
            .query(&[LIMIT])
            .answers(200, "site-import-page", "Imports."),
        operator("GET", "/api/v1/status-export", "The signed status of this hub's own site.")
            .query(&[
                ("redact", Kind::Text, "What to leave out: `names,labels,messages`."),
                ("newest_bundle", Kind::Int(0, i64::MAX.unsigned_abs()), "Newest one imported."),
                (
                    "receipt",
                    Kind::Text,
                    "What the newest bundle's receipt says, as JSON: `receipt` of the answer.",
                ),
                ("good_for_s", Kind::Int(1, i64::MAX.unsigned_abs()), "Until the next one."),
            ])
            .answers_as(200, &[media_type::SITE_STATUS], "site-status", "The file.")
            .problems(&[Code::Conflict, Code::Unprocessable, Code::QueueFull]),
        operator("GET", "/api/v1/status-export/key", "The key that signs it.")
            .answers(200, "site-key", "The public half.")
            .problems(&[Code::Conflict]),
        operator("POST", "/api/v1/status-imports", "Take a status file as it was carried.")
            .query(&[("site", Kind::Text, "The site that it must be of.")])
            .body(&[media_type::SITE_STATUS, json], reference("site-status"))
            .answers(200, "status-import-reply", "What became of it.")
            .problems(&[
                Code::UnknownSite,
                Code::StatusUnverified,
                Code::StatusRollback,
                Code::StatusFromFuture,
                Code::Conflict,
            ]),
    ]
}

fn hub() -> Vec<Operation> {
    let publish = Who::Person(Access::Publisher);
    vec![
        Operation::new("POST", "/api/v1/publications", publish, "Publish metadata and targets.")
            .json(&[
                ("message", text()),
                (
                    "files!",
                    json!({ "type": "array", "items": { "type": "object",
                    "properties": { "path": text(), "base64": text() },
                    "required": ["path", "base64"] } }),
                ),
            ])
            .answers(200, "publication-reply", "What is served then.")
            .problems(&[
                Code::InvalidPublication,
                Code::PublicationUnverified,
                Code::ReleaseImmutable,
                Code::ReleaseRemoved,
                Code::PublicationConflict,
                Code::OnlineKeysMismatch,
                Code::RootMissing,
            ]),
        admin("POST", "/api/v1/hub/keys/{role}/next", "Make the next online key.")
            .answers(200, "hub-keys", "All public halves.")
            .problems(&[Code::InvalidJson, Code::Conflict, Code::BodyTooLarge]),
        viewer("/", "The fleet's page; its filters are those of the list of clusters.")
            .query(&[])
            .answers_nothing(303, "A browser is led to the sign-in.")
            .answers_as(200, &["text/html"], "any", "A page for people."),
    ]
}

//! What anyone may read, and what agents say.

use super::super::super::super::problem::Code;
use super::super::operation::{Kind, Operation, Who};
use super::super::schema::reference;
use super::{agent, anyone};
use channels::wire::media_type;
use serde_json::json;

const JSON: &str = "application/json";

pub(super) fn all() -> Vec<Operation> {
    let mut all = vec![
        graph(anyone("/api/upgrades_info/v1/graph", "Graph of the default product.")),
        graph(anyone("/api/upgrades_info/graph", "Graph of the default product.")),
        graph(anyone("/api/upgrades_info/{vendor}/{product}/v1/graph", "Graph of a product.")),
        coreos(anyone(
            "/api/fcos/{vendor}/{product}/v1/graph",
            "Graph for Fedora CoreOS machines.",
        )),
        file(anyone("/tuf/metadata/{file}", "Signed metadata.")),
        file(anyone("/tuf/targets/{path}", "A signed target.")),
        anyone("/api/v1/hub", "What the hub says about itself.").answers(
            200,
            "hub-status",
            "Version, root version, earliest expiry, products.",
        ),
        anyone("/api/v1/hub/keys", "Public halves of the online keys.").answers(
            200,
            "hub-keys",
            "Keys as SPKI PEM.",
        ),
        anyone("/metrics", "The hub's own metrics.").answers_as(
            200,
            &["text/plain", "application/openmetrics-text"],
            "any",
            "Prometheus text, or OpenMetrics for whoever asks for it.",
        ),
        anyone("/livez", "The process answers.").answers_as(
            200,
            &["text/plain"],
            "any",
            "It does.",
        ),
        anyone("/readyz", "What is served is there and fresh, and a report could be committed.")
            .answers(200, "readiness", "It is.")
            .answers(503, "readiness", "It is not; the reasons."),
        anyone("/openapi.json", "This document.").answers(200, "any", "OpenAPI 3.1.").tagged(),
    ];
    all.extend(agents());
    all.extend(browsers());
    all
}

/// People's browsers, where `[oidc]` is set.
fn browsers() -> Vec<Operation> {
    let begins = [Code::NotFound, Code::RateLimited, Code::ProviderUnavailable];
    vec![
        anyone("/auth/login", "A browser goes to the OpenID provider.")
            .answers_nothing(303, "To the provider.")
            .problems(&begins),
        anyone("/auth/callback", "A browser comes back from the OpenID provider.")
            .query(&[
                ("code", Kind::Text, "The provider's code."),
                ("state", Kind::Text, "Of the sign-in that this browser began."),
                ("iss", Kind::Text, "Who answers (RFC 9207)."),
                ("error", Kind::Text, "Why there is no code."),
                ("error_description", Kind::Text, "The same for people."),
            ])
            .answers_nothing(303, "Signed in: to the dashboard.")
            .problems(&begins)
            .problems(&[
                Code::SignInState,
                Code::SignInNonce,
                Code::SignInToken,
                Code::SignInRefused,
                Code::NoRole,
                Code::QueueFull,
                Code::StoreUnavailable,
                Code::ShuttingDown,
            ]),
        Operation::new("POST", "/auth/logout", Who::Anyone, "A session ends.")
            .body(
                &["application/x-www-form-urlencoded"],
                json!({ "type": "object", "properties": { "csrf": { "type": "string" } },
                        "required": ["csrf"] }),
            )
            .answers_nothing(303, "Signed out.")
            .problems(&[Code::NotFound, Code::CrossSite]),
        anyone("/auth/signed-out", "A page that says so.").answers_as(
            200,
            &["text/html"],
            "any",
            "The page.",
        ),
        anyone("/auth/session", "Who is signed in.")
            .answers(200, "any", "Name, access, scope, end, and what a page needs for changes.")
            .problems(&[Code::NotFound]),
    ]
}

fn graph(operation: Operation) -> Operation {
    let operation = operation
        .query(&[
            ("channel!", Kind::Text, "The channel."),
            ("arch", Kind::Text, "The architecture; `amd64` if not given."),
            ("version", Kind::Text, "Taken and not used."),
            ("id", Kind::Text, "Taken and not used."),
        ])
        .answers_as(200, &[JSON, media_type::CINCINNATI], "graph", "The graph, holds shown.")
        .tagged();
    graph_errors(operation)
}

fn coreos(operation: Operation) -> Operation {
    let operation = operation
        .query(&[
            ("stream!", Kind::Text, "The channel."),
            ("basearch!", Kind::Text, "The architecture as Fedora calls it."),
            ("node_uuid", Kind::Text, "What the machine's place in a rollout is drawn from."),
            ("rollout_wariness", Kind::Text, "0 to 1: the place, chosen by the machine."),
            ("oci", Kind::Text, "Taken and not used."),
        ])
        .answers_as(200, &[JSON], "graph", "The graph, without what is not open to the machine.")
        .tagged();
    graph_errors(operation)
}

fn graph_errors(operation: Operation) -> Operation {
    let error =
        |operation: Operation, status, what| operation.answers(status, "cincinnati-error", what);
    let operation = error(operation, 400, "`missing_params`, `invalid_params`.");
    let operation = error(operation, 404, "`does_not_exist`: no such product.");
    let operation = error(operation, 406, "Nothing the client accepts.");
    error(operation, 503, "`not_ready`: nothing has been published.")
}

fn file(operation: Operation) -> Operation {
    operation
        .answers_as(200, &[JSON, "application/octet-stream"], "any", "The bytes as signed.")
        .answers_as(404, &["text/plain"], "any", "No such file is served.")
        .answers_as(503, &["text/plain"], "any", "Nothing has been published.")
        .tagged()
}

fn agents() -> Vec<Operation> {
    vec![
        agent("/api/v1/enrolments", "A cluster enrols with a join token.")
            .body(&[media_type::ENROLMENT, JSON], reference("enrolment-request"))
            .answers(201, "enrolment-reply", "Its id.")
            .answers(200, "enrolment-reply", "Its id, which it had already.")
            .problems(&[Code::InvalidJoinToken, Code::NameTaken, Code::KeyInUse]),
        agent("/api/v1/clusters/self/key", "A cluster replaces its key.")
            .body(&[media_type::KEY_ROTATION, JSON], reference("key-rotation-request"))
            .answers(200, "key-rotation-reply", "The new key's id, after the commit.")
            .problems(&[Code::KeyInUse, Code::IdentityConflict, Code::ReplayedReport]),
        agent("/api/v1/reports", "A cluster tells how it is, and hears what it may do.")
            .body(&[media_type::REPORT, JSON], reference("report"))
            .answers_as(200, &[media_type::REPORT_REPLY], "report-reply", "After the commit.")
            .problems(&[Code::ReplayedReport, Code::IdentityConflict, Code::SeqOutOfReach]),
    ]
}

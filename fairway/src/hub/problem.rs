//! Turns a hub's refusal into one line and one hint.

use channels::wire::Problem;
use channels::wire::media_type;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;

use super::connection::Origin;
use super::hint;
use crate::error::CliError;

/// Whether a body is `application/problem+json`.
pub(super) fn is_problem(content_type: &HeaderValue) -> bool {
    content_type
        .to_str()
        .ok()
        .and_then(|text| text.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type::PROBLEM))
}

/// The error for an answer that is not a success.
pub(super) fn to_error(
    path: &str,
    status: StatusCode,
    problem: Option<&Problem>,
    origin: &Origin,
) -> CliError {
    let message = match problem {
        Some(problem) => describe(problem),
        None => format!("the hub answered {status} to {path}"),
    };
    let mut error = match (status, problem) {
        // The hub answered the question, or looked at what was sent and names what it would have
        // been; without a problem the address is wrong.
        (StatusCode::NOT_FOUND, Some(_)) | (_, Some(Problem { attack: Some(_), .. })) => {
            CliError::no(message)
        }
        _ => CliError::failed(message),
    };
    if status.is_client_error() {
        error = error.refusal();
    }
    let told = hint_by_status(status, origin)
        .or_else(|| hint::of(path, status.as_u16(), problem?))
        .or_else(|| not_found(path, status, problem))
        .or_else(|| unexplained(status, problem));
    match told {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn describe(problem: &Problem) -> String {
    let mut text = format!("the hub refused: {}", problem.title);
    if !problem.detail.is_empty() && problem.detail != problem.title {
        text.push_str(": ");
        text.push_str(&problem.detail);
    }
    match &problem.attack {
        Some(attack) => format!("{text} (attack: {attack})"),
        None => text,
    }
}

/// A refusal without a problem document did not come from a hub's `/api/v1`.
fn unexplained(status: StatusCode, problem: Option<&Problem>) -> Option<String> {
    (status.is_client_error() && problem.is_none()).then(|| {
        "a hub says why it refuses: is that address a hub's, or does a proxy in front of it answer?"
            .to_owned()
    })
}

/// Where the names are of what was not found.
fn not_found(path: &str, status: StatusCode, problem: Option<&Problem>) -> Option<String> {
    if status != StatusCode::NOT_FOUND {
        return None;
    }
    if problem.is_none() {
        return Some("is that address a hub's, and nothing missing or too much in it?".to_owned());
    }
    let list = hint::list_of(path)?;
    Some(format!("{list} lists what there is"))
}

/// What a person can do about an answer, whichever command it was for.
fn hint_by_status(status: StatusCode, origin: &Origin) -> Option<String> {
    let Origin { server, token } = origin;
    let told = match status {
        StatusCode::UNAUTHORIZED if token.is_empty() => "pass --token-file FILE, set \
            FAIRWAY_TOKEN_FILE or FAIRWAY_TOKEN, or give the profile a token_file"
            .to_owned(),
        StatusCode::UNAUTHORIZED => {
            format!("the token {token} is not valid here; was it revoked, or made by another hub?")
        }
        StatusCode::FORBIDDEN if token.is_empty() => {
            "that needs a token: pass --token-file FILE or set FAIRWAY_TOKEN_FILE".to_owned()
        }
        StatusCode::FORBIDDEN => format!(
            "the role or the selector of the token {token} does not allow this; an admin makes \
             others: fairway token new"
        ),
        StatusCode::TOO_MANY_REQUESTS => "wait a moment and try again".to_owned(),
        StatusCode::SERVICE_UNAVAILABLE => {
            "the hub is busy or not ready; try again shortly, or ask it why: fairway doctor"
                .to_owned()
        }
        status if status.is_server_error() => {
            "the hub's log says more; is a proxy in front of it well?".to_owned()
        }
        status if status.is_redirection() => match server.as_str() {
            "" => "name the address that it redirects to".to_owned(),
            named => format!("name the address that it redirects to; this one comes from {named}"),
        },
        _ => return None,
    };
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn had() -> Origin {
        Origin { server: "profile prod".into(), token: "of the file /t".into() }
    }

    fn problem(attack: Option<&str>) -> Problem {
        Problem {
            kind: "/problems/verification".into(),
            title: "The publication does not verify".into(),
            status: 422,
            detail: "role acme: version 3 is older than 4".into(),
            attack: attack.map(str::to_owned),
            last_seq: None,
        }
    }

    #[test]
    fn a_refusal_says_what_and_names_the_attack() {
        let error = to_error(
            "p",
            StatusCode::UNPROCESSABLE_ENTITY,
            Some(&problem(Some("rollback"))),
            &had(),
        );
        assert_eq!(
            error.to_string(),
            "the hub refused: The publication does not verify: \
             role acme: version 3 is older than 4 (attack: rollback)"
        );
        assert_eq!(
            error.hint_text(),
            Some("nothing was changed; correct what is named, and run it again")
        );
        assert_eq!(error.exit(), crate::error::Exit::No, "it was looked at");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let error = to_error("p", status, Some(&problem(None)), &had());
        assert_eq!(error.exit(), crate::error::Exit::Failure);
    }

    #[test]
    fn a_missing_token_is_told_apart_from_a_wrong_one() {
        let missing = to_error("p", StatusCode::UNAUTHORIZED, None, &Origin::default());
        assert!(missing.hint_text().unwrap().contains("--token-file"));
        let wrong = to_error("p", StatusCode::UNAUTHORIZED, None, &had());
        assert!(wrong.hint_text().unwrap().contains("the token of the file /t is not valid here"));
    }

    #[test]
    fn what_is_not_there_has_a_hint_where_the_names_are() {
        let of = |path, problem: Option<&Problem>| {
            let error = to_error(path, StatusCode::NOT_FOUND, problem, &had());
            error.hint_text().unwrap_or_default().to_owned()
        };
        let named = problem(None);
        assert_eq!(of("api/v1/clusters/x", Some(&named)), "fairway clusters lists what there is");
        assert!(of("api/v1/rollouts/9/hold", Some(&named)).starts_with("fairway rollout list"));
        assert!(of("api/v1/clusters/x", None).contains("address a hub's"));
    }

    #[test]
    fn a_refusal_without_a_problem_is_not_a_hubs() {
        for status in [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::IM_A_TEAPOT] {
            let error = to_error("api/v1/holds", status, None, &had());
            assert!(error.hint_text().unwrap().contains("is that address a hub's"), "{status}");
        }
    }

    #[test]
    fn parameters_of_the_media_type_do_not_hide_a_problem() {
        assert!(is_problem(&HeaderValue::from_static("application/Problem+JSON; charset=utf-8")));
        assert!(!is_problem(&HeaderValue::from_static("application/json")));
    }
}

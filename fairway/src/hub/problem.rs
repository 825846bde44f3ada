//! Turns a hub's refusal into one line and one hint.

use channels::wire::Problem;
use channels::wire::media_type;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;

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
    had_token: bool,
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
    match hint(status, had_token) {
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

fn hint(status: StatusCode, had_token: bool) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED if had_token => {
            Some("the token is not valid here; was it revoked, or made by another hub?")
        }
        StatusCode::UNAUTHORIZED => {
            Some("pass --token-file FILE, or set FAIRWAY_TOKEN_FILE or FAIRWAY_TOKEN")
        }
        StatusCode::FORBIDDEN => Some("the token's role does not allow this"),
        StatusCode::SERVICE_UNAVAILABLE => Some("the hub is busy or not ready; try again shortly"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let error =
            to_error("p", StatusCode::UNPROCESSABLE_ENTITY, Some(&problem(Some("rollback"))), true);
        assert_eq!(
            error.to_string(),
            "the hub refused: The publication does not verify: \
             role acme: version 3 is older than 4 (attack: rollback)"
        );
        assert_eq!(error.hint_text(), None);
        assert_eq!(error.exit(), crate::error::Exit::No, "it was looked at");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let error = to_error("p", status, Some(&problem(None)), true);
        assert_eq!(error.exit(), crate::error::Exit::Failure);
    }

    #[test]
    fn a_missing_token_is_told_apart_from_a_wrong_one() {
        let missing = to_error("p", StatusCode::UNAUTHORIZED, None, false);
        assert!(missing.hint_text().unwrap().contains("--token-file"));
        let wrong = to_error("p", StatusCode::UNAUTHORIZED, None, true);
        assert!(wrong.hint_text().unwrap().contains("revoked"));
    }

    #[test]
    fn parameters_of_the_media_type_do_not_hide_a_problem() {
        assert!(is_problem(&HeaderValue::from_static("application/Problem+JSON; charset=utf-8")));
        assert!(!is_problem(&HeaderValue::from_static("application/json")));
    }
}

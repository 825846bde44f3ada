//! What a person can do about a problem that the hub names by its type.

use channels::wire::Problem;

/// Lists that name what a path is about.
const LISTS: [(&str, &str); 9] = [
    ("api/v1/clusters/", "fairway clusters"),
    ("api/v1/rollouts/", "fairway rollout list --all"),
    ("api/v1/rollout-policies/", "fairway rollout policies"),
    ("api/v1/holds/", "fairway holds --all"),
    ("api/v1/sites/", "fairway sites"),
    ("api/v1/tokens/", "fairway token list"),
    ("api/v1/join-tokens/", "fairway clusters invites"),
    ("api/v1/webhooks/", "fairway webhooks list"),
    ("api/upgrades_info/", "fairway drift"),
];

/// The command that lists what a path names one of.
pub(super) fn list_of(path: &str) -> Option<&'static str> {
    LISTS.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, list)| *list)
}

/// Refusals of what was asked for, which say nothing of who asks or of the hub itself.
const HINTED: [u16; 3] = [400, 409, 422];

/// What to do about a refusal with status 400, 409 or 422; nothing about others.
///
/// Kinds this tool does not know, as those of a newer hub, have a hint by their status.
pub(super) fn of(path: &str, status: u16, problem: &Problem) -> Option<String> {
    if !HINTED.contains(&status) {
        return None;
    }
    let slug = problem.kind.rsplit('/').next().unwrap_or_default();
    let told = match slug {
        "invalid_json" if path.starts_with("api/v1/status-imports") => {
            "is the file what `offline-mirror status-export` wrote, whole and unchanged?"
        }
        "invalid_json" => "tool and hub mean different documents: fairway doctor compares versions",
        "invalid_cursor" => "run the command again: the list begins anew",
        "invalid_publication" => {
            "nothing was published; correct what is named, fairway lint DIR, publish again"
        }
        "publication_unverified" => {
            "nothing was published: agents would refuse it too; fairway status DIR says which role \
             is expired, not signed, or older than what the hub serves"
        }
        "release_immutable" => "restore its file from git, and release the change as a new version",
        "release_removed" => {
            "restore its file from git; fairway withdraw DIR PRODUCT VERSION takes a release out \
             of the graphs"
        }
        "publication_conflict" => {
            "somebody published since this directory did: pull their metadata/, then publish again"
        }
        "online_keys_mismatch" => {
            "nothing was published; is it the hub that the directory was made for? Another online key \
             enters by: fairway root new DIR --replace-online ROLE=FILE"
        }
        "root_missing" => {
            "publish from the directory that `fairway init` made: its metadata/ holds 1.root.json"
        }
        "selection_changed" => "run it again: it shows the clusters as they are now",
        "identity_conflict" => {
            "switch one of the machines off for good, then: fairway clusters trust NAME \
             --acknowledge TEXT"
        }
        "status_unverified" => {
            "nothing was imported; carry the file again, and if the site has another key by now: \
             fairway sites add NAME --key FILE"
        }
        "status_rollback" => "carry a newer file: fairway sites imports NAME lists those that came",
        "status_from_future" => "set the clock of the site's hub, or of this one, and export again",
        "name_taken" => "choose another name: fairway clusters lists those that are taken",
        "conflict" => return Some(as_it_stands(path)),
        _ => return by_status(path, status),
    };
    Some(told.to_owned())
}

fn by_status(path: &str, status: u16) -> Option<String> {
    match status {
        400 => Some(
            "correct what is named; if it is right as you typed it, tool and hub may differ: \
             fairway doctor compares versions"
                .to_owned(),
        ),
        409 => Some(as_it_stands(path)),
        422 => Some("nothing was changed; correct what is named, and run it again".to_owned()),
        _ => None,
    }
}

/// Where to look at what does not allow it.
fn as_it_stands(path: &str) -> String {
    let rollout = path.strip_prefix("api/v1/rollouts/").and_then(|rest| rest.split('/').next());
    match (rollout, list_of(path)) {
        (Some(id), _) => format!("fairway rollout show {id} says how it stands"),
        (None, Some(list)) => format!("{list} says how it stands by now"),
        (None, None) => "fairway audit says who changed what meanwhile".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use update_server::http::problem::{ApiError, Code};

    use super::*;

    fn refused(path: &str, code: Code) -> Option<String> {
        let problem = ApiError::new(code, "what is wrong").problem();
        of(path, problem.status, &problem)
    }

    #[test]
    fn every_refusal_of_a_hub_says_what_to_do_next() {
        let mut seen = 0;
        for code in Code::ALL {
            if !HINTED.contains(&code.status().as_u16()) {
                continue;
            }
            seen += 1;
            let hint = refused("api/v1/x", *code).unwrap_or_default();
            assert!(hint.len() > 20, "{}: {hint:?}", code.slug());
        }
        assert!(seen > 15, "only {seen} refusals");
    }

    #[test]
    fn a_slug_with_a_hint_of_its_own_is_one_that_a_hub_has() {
        // A hint nobody gets is a slug that was renamed at the hub.
        let source = include_str!("hint.rs");
        let body = source.split_once("let told = match slug {").unwrap().1;
        let body = body.split_once("_ => return by_status").unwrap().0;
        let slugs: Vec<&str> = body
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix('"')?.split_once('"'))
            .filter(|(_, rest)| rest.contains("=>"))
            .map(|(slug, _)| slug)
            .collect();
        assert!(slugs.len() > 12, "{slugs:?}");
        for slug in slugs {
            assert!(Code::ALL.iter().any(|code| code.slug() == slug), "no hub answers {slug}");
        }
    }

    #[test]
    fn a_conflict_names_the_command_that_shows_the_state() {
        let at = |path| refused(path, Code::Conflict).unwrap();
        assert_eq!(at("api/v1/rollouts/7/hold"), "fairway rollout show 7 says how it stands");
        assert_eq!(at("api/v1/holds/3/resume"), "fairway holds --all says how it stands by now");
        assert_eq!(at("api/v1/bulk"), "fairway audit says who changed what meanwhile");
    }

    #[test]
    fn a_kind_that_this_tool_does_not_know_has_a_hint_by_its_status() {
        let of = |status| {
            let mut problem = ApiError::new(Code::Conflict, "x").problem();
            problem.kind = "/problems/of_next_year".into();
            super::of("api/v1/x", status, &problem)
        };
        assert!(HINTED.into_iter().all(|status| of(status).is_some()));
        assert_eq!(of(418), None);
    }
}

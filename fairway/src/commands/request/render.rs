//! A request in words: what changes, who has signed, what is wrong.

use jiff::Timestamp;
use signing::metadata::{Root, Targets};
use signing::repository::request::{Authority, Change, Review, SignerSet};
use signing::{KeyId, PublicKey, RoleName, SigningRequest, TopRole};

use crate::out::printable;
use crate::span::until;
use crate::words::fingerprint;

/// The whole request as lines.
pub(crate) fn describe(request: &SigningRequest, review: &Review, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("{} {}", review.role, review.version)];
    match review.follows {
        Some(follows) => {
            lines.push(format!("  follows {} {}", review.role, follows.version));
            lines.push(format!("    {}", follows.digest));
        }
        None => lines.push("  the first, which follows nothing".to_owned()),
    }
    for change in &review.changes {
        if let Change::Expires { old, new } = change {
            let before = old.map_or_else(String::new, |old| format!(", was {old}"));
            lines.push(format!("  expires {new} (in {}){before}", until(*new, now)));
        }
    }
    match request.as_root() {
        Some(root) => lines.extend(root_keys(root, &review.changes)),
        None => lines.extend(changes(&review.changes)),
    }
    for set in &review.signers {
        lines.extend(signatures(set, review));
    }
    for finding in &review.findings {
        let label = if finding.blocks() { "REFUSED" } else { "look" };
        lines.push(format!("  {label}: {finding}"));
    }
    lines.iter().map(|line| printable(line)).collect()
}

/// Every key of a root, those that stay as well: a draft is signed as a whole, and what it follows
/// came with it.
fn root_keys(root: &Root, changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for top in TopRole::ALL {
        let name = RoleName::from(top);
        let set = root.keys(top);
        let was = changes.iter().find_map(|change| {
            let Change::Threshold { role, old, .. } = change else { return None };
            old.filter(|_| *role == name)
        });
        let was = was.map_or_else(String::new, |old| format!(", was {old}"));
        lines.push(format!("  {top}: {} of {} must sign{was}", set.threshold, set.keys.len()));
        for key in set.keys.values() {
            let is_new = changes.iter().any(|change| {
                matches!(change, Change::KeyAdded { role, key: new } if *role == name && new == key)
            });
            lines.push(format!("    {} {}", if is_new { '+' } else { '=' }, fingerprint(key)));
        }
        for change in changes {
            if let Change::KeyRemoved { role, key } = change
                && *role == name
            {
                lines.push(format!("    - {}", fingerprint(key)));
            }
        }
    }
    lines
}

fn changes(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        let ends = |terminating: bool| if terminating { "" } else { ", and the search goes on" };
        let of = |digest: &Option<signing::Sha256Digest>| {
            digest.map_or_else(String::new, |digest| format!(" {digest}"))
        };
        lines.push(match change {
            Change::Expires { .. } => continue,
            Change::KeyAdded { role, key } => format!("  + key of {role}: {}", fingerprint(key)),
            Change::KeyRemoved { role, key } => format!("  - key of {role}: {}", fingerprint(key)),
            Change::Threshold { role, old: None, new } => {
                format!("  + signatures that {role} needs: {new}")
            }
            Change::Threshold { role, old: Some(old), new } => {
                format!("  ~ signatures that {role} needs: {old} -> {new}")
            }
            Change::DelegationAdded { role, paths, terminating } => {
                format!("  + delegates {} to {role}{}", paths.join(" "), ends(*terminating))
            }
            Change::DelegationRemoved { role } => format!("  - delegates to {role} no longer"),
            Change::DelegationScope { role, paths, terminating } => {
                format!("  ~ delegates to {role}: {}{}", paths.join(" "), ends(*terminating))
            }
            Change::DelegationOrder => "  ~ delegations are searched in another order".to_owned(),
            Change::TargetAdded { path, digest } => format!("  + {path}{}", of(digest)),
            Change::TargetChanged { path, digest } => format!("  ~ {path}{}", of(digest)),
            Change::TargetRemoved { path } => format!("  - {path}"),
        });
    }
    if lines.is_empty() {
        lines.push("  nothing else changes".to_owned());
    }
    lines
}

/// Everything that a targets role will say. The file it follows and the keys of that file came with
/// the request, so a difference to it proves nothing to a holder who has no copy of their own.
pub(crate) fn everything(role: &Targets) -> Vec<String> {
    let mut lines = vec!["  all that is signed:".to_owned()];
    for edge in &role.delegations {
        let paths = edge.patterns().join(" ");
        let ends = if edge.terminating { "" } else { ", and the search goes on" };
        let (name, needed, of) = (&edge.name, edge.keys.threshold, edge.keys.keys.len());
        lines.push(format!("    = delegates {paths} to {name}, {needed} of {of} must sign{ends}"));
        let keys = edge.keys.keys.values();
        lines.extend(keys.map(|key| format!("        {}", fingerprint(key))));
    }
    for (path, info) in &role.targets {
        let digest = info.hashes.as_sha256();
        let digest = digest.map_or_else(|| "without a SHA-256".to_owned(), |d| d.to_string());
        lines.push(format!("    = {path} {digest}"));
    }
    lines.iter().map(|line| printable(line)).collect()
}

fn signatures(set: &SignerSet, review: &Review) -> Vec<String> {
    let of = match (set.of, review.follows) {
        (Authority::Previous, Some(follows)) => format!("{} {}", review.role, follows.version),
        (Authority::Previous, None) | (Authority::Draft, _) => {
            format!("{} {}", review.role, review.version)
        }
        (Authority::Delegator, _) => format!("{}, as the request says", review.role),
    };
    let progress = &set.progress;
    let (signed, threshold) = (progress.signed.len(), progress.threshold);
    let verdict = match set.missing() {
        0 => "enough".to_owned(),
        missing => format!("{missing} missing"),
    };
    let mut lines =
        vec![format!("  signatures by the keys of {of}: {signed} of {threshold}, {verdict}")];
    let key = |id: &KeyId| set.keys.get(id).map_or_else(|| id.to_string(), fingerprint_of);
    lines.extend(progress.signed.iter().map(|id| format!("    signed    {}", key(id))));
    lines.extend(progress.open.iter().map(|id| format!("    may sign  {}", key(id))));
    lines
}

fn fingerprint_of(key: &PublicKey) -> String {
    fingerprint(key)
}

//! `registries.conf` drop-in, `policy.json` and `registries.d` for Podman, CRI-O and Skopeo
//! (containers-registries.conf(5), containers-policy.json(5), containers-registries.d(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use channels::names::SiteName;
use serde_json::{Value, json};

use super::{Mirror, SignedBy, Sources, marker, quoted};

/// A drop-in that turns every repository into its copy at the mirror. `location` instead of a list of
/// mirrors: with mirrors the makers' registry would be asked last.
pub(super) fn registries(
    site: &SiteName,
    mirror: &Mirror,
    sources: &Sources,
) -> BTreeMap<String, String> {
    let mut text = marker(site);
    for (host, repositories) in sources {
        for repository in repositories.keys() {
            let prefix = quoted(&format!("{host}/{repository}"));
            let location = quoted(&mirror.repository(repository));
            let _ = write!(text, "\n[[registry]]\nprefix = {prefix}\nlocation = {location}\n");
            if mirror.plain_http {
                text.push_str("insecure = true\n");
            }
        }
    }
    BTreeMap::from([(format!("containers/registries.conf.d/50-fairway-{site}.conf"), text)])
}

/// Which images may run at all: those that were taken in, by the name their makers gave them and by
/// the mirror's; with a signature where a key is known.
pub(super) fn policy(
    site: &SiteName,
    mirror: &Mirror,
    sources: &Sources,
    signed_by: &BTreeSet<SignedBy>,
) -> BTreeMap<String, String> {
    let mut scopes = BTreeMap::from([(String::new(), json!([{"type": "reject"}]))]);
    let mut attachments = BTreeSet::new();
    for (host, repositories) in sources {
        for repository in repositories.keys() {
            let source = format!("{host}/{repository}");
            let copy = mirror.repository(repository);
            let requirement = match key_of(signed_by, &source) {
                Some(key) => {
                    attachments.extend([source.clone(), copy.clone()]);
                    json!([{
                        "type": "sigstoreSigned",
                        "keyPath": key.key_file.to_string_lossy(),
                        "signedIdentity": {"type": "exactRepository", "dockerRepository": source},
                    }])
                }
                None => json!([{"type": "insecureAcceptAnything"}]),
            };
            scopes.insert(source, requirement.clone());
            scopes.insert(copy, requirement);
        }
    }
    let policy = json!({
        "default": [{"type": "insecureAcceptAnything"}],
        "transports": {"docker": scopes},
    });
    // The format takes no comments and no members of our own.
    let mut files = BTreeMap::from([("containers/policy.json".to_owned(), pretty(&policy))]);
    if !attachments.is_empty() {
        let mut text = marker(site);
        text.push_str("docker:\n");
        for scope in attachments {
            let _ = write!(text, "  {}:\n    use-sigstore-attachments: true\n", quoted(&scope));
        }
        files.insert(format!("containers/registries.d/fairway-{site}.yaml"), text);
    }
    files
}

/// The key of the longest scope that covers the repository.
fn key_of<'a>(signed_by: &'a BTreeSet<SignedBy>, source: &str) -> Option<&'a SignedBy> {
    let covers = |key: &&SignedBy| {
        source
            .strip_prefix(key.scope.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    signed_by.iter().filter(covers).max_by_key(|key| key.scope.len())
}

fn pretty(value: &Value) -> String {
    // `Display` with `#` indents; a value cannot fail to be written.
    format!("{value:#}\n")
}

//! `ImageDigestMirrorSet` and `ImageTagMirrorSet` (config.openshift.io/v1), for OpenShift and for
//! whatever reads the same resources.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use channels::names::SiteName;

use super::{Mirror, Sources, marker, quoted};

/// Both resources; the second only where something is pulled by tag.
pub(super) fn mirror_sets(
    site: &SiteName,
    mirror: &Mirror,
    sources: &Sources,
) -> BTreeMap<String, String> {
    let by_digest = entries(mirror, sources, |_| true);
    let by_tag = entries(mirror, sources, |has_tag| has_tag);
    let mut files = BTreeMap::new();
    for (kind, member, entries, file) in [
        ("ImageDigestMirrorSet", "imageDigestMirrors", by_digest, "image-digest-mirror-set"),
        ("ImageTagMirrorSet", "imageTagMirrors", by_tag, "image-tag-mirror-set"),
    ] {
        if entries.is_empty() {
            continue;
        }
        let text = format!(
            "{}apiVersion: config.openshift.io/v1\nkind: {kind}\nmetadata:\n  name: fairway-{site}\n\
             spec:\n  {member}:\n{entries}",
            marker(site)
        );
        files.insert(format!("openshift/{file}.yaml"), text);
    }
    files
}

fn entries(mirror: &Mirror, sources: &Sources, wanted: impl Fn(bool) -> bool) -> String {
    let mut text = String::new();
    for (host, repositories) in sources {
        for (repository, has_tag) in repositories {
            if !wanted(*has_tag) {
                continue;
            }
            let source = quoted(&format!("{host}/{repository}"));
            let copy = quoted(&mirror.repository(repository));
            let _ = write!(
                text,
                "  - source: {source}\n    mirrors:\n    - {copy}\n    \
                 mirrorSourcePolicy: NeverContactSource\n"
            );
        }
    }
    text
}

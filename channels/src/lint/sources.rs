//! Rules over the files of one product.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Code, Finding, finding};
use crate::graph::Risk;
use crate::repository::{BlockSource, ProductSource, ReleaseSource, Workspace};

/// Applies the rules; `now` is for release dates.
pub(super) fn check(
    product: &ProductSource,
    workspace: &Workspace,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) {
    unlisted(product, findings);
    channels(product, findings);
    duplicate_digests(product, findings);
    for release in product.releases.values() {
        dependencies(release, workspace, findings);
        downgrades(release, product, findings);
        let at = release.document.released_at;
        if at > now {
            let message = format!("released_at {at} is in the future; correct the date");
            findings.push(finding(Code::ReleasedInFuture, &release.file, message));
        }
    }
    risks(product, findings);
    for block in product.blocks.iter().filter(|block| !changes_an_edge(block, product)) {
        let message = "no edge between known releases matches to and from; correct them, or \
                       delete the file when its releases are gone";
        findings.push(finding(Code::BlockMatchesNothing, &block.file, message.to_owned()));
    }
}

fn unlisted(product: &ProductSource, findings: &mut Vec<Finding>) {
    let listed: BTreeSet<_> = product
        .channels
        .values()
        .flat_map(|channel| channel.versions.iter().chain(&channel.tombstones))
        .flat_map(|version| [version.clone(), version.without_build()])
        .collect();
    let unlisted = product.releases.iter().filter(|(version, _)| !listed.contains(*version));
    for (version, release) in unlisted {
        let message = format!("{version} is in no channel, so no cluster can reach it");
        findings.push(finding(Code::ReleaseUnlisted, &release.file, message));
    }
}

fn channels(product: &ProductSource, findings: &mut Vec<Finding>) {
    for channel in product.channels.values().chain(product.internal_channels.values()) {
        let mut seen = BTreeSet::new();
        for version in &channel.versions {
            if !seen.insert(version) {
                let message = format!("{version} is listed twice; keep one");
                findings.push(finding(Code::VersionRepeated, &channel.file, message));
            }
        }
        let feeds = |name| {
            product.channels.contains_key(name) || product.internal_channels.contains_key(name)
        };
        let missing = channel.feeder.as_ref().filter(|feeder| !feeds(&feeder.name));
        if let Some(feeder) = missing {
            let message = format!("feeder.name {} is no channel of this product", feeder.name);
            findings.push(finding(Code::FeederMissing, &channel.file, message));
        }
    }
}

fn duplicate_digests(product: &ProductSource, findings: &mut Vec<Finding>) {
    let mut first = BTreeMap::new();
    for (version, release) in &product.releases {
        let digests: BTreeSet<_> =
            release.document.arches.values().map(|content| content.payload.digest).collect();
        for digest in digests {
            if let Some(other) = first.insert(digest, version) {
                let message = format!("its payload {digest} is also that of {other}");
                findings.push(finding(Code::DuplicateDigest, &release.file, message));
            }
        }
    }
}

fn dependencies(release: &ReleaseSource, workspace: &Workspace, findings: &mut Vec<Finding>) {
    for dependency in &release.document.dependencies {
        let wanted = &dependency.product;
        match workspace.products.iter().find(|product| product.product == *wanted) {
            None => findings.push(finding(
                Code::DependencyUnknown,
                &release.file,
                format!(
                    "{wanted} is not in this repository; {} is not checked",
                    dependency.requirement
                ),
            )),
            Some(product) => {
                let met = |version| dependency.requirement.matches(version);
                if !product.releases.keys().any(met) {
                    findings.push(finding(
                        Code::DependencyUnsatisfied,
                        &release.file,
                        format!(
                            "no release of {wanted} satisfies {}, so no cluster could start this \
                             one",
                            dependency.requirement
                        ),
                    ));
                }
            }
        }
    }
}

fn downgrades(release: &ReleaseSource, product: &ProductSource, findings: &mut Vec<Finding>) {
    let own = &release.document;
    if own.downgrade_from.is_empty() {
        return;
    }
    let level = own.finalize.as_ref().map(|finalize| &finalize.level);
    for newer in product.releases.values().map(|newer| &newer.document) {
        let theirs = newer.finalize.as_ref().map(|finalize| &finalize.level);
        if newer.version > own.version
            && own.allows_from(&newer.version)
            && theirs.is_some()
            && theirs != level
        {
            let message = format!(
                "downgrade_from lets {} come back here, but {} finalizes {}, after which it \
                 cannot; narrow downgrade_from",
                newer.version,
                newer.version,
                theirs.map_or("", String::as_str),
            );
            findings.push(finding(Code::DowngradeOverFinalize, &release.file, message));
        }
    }
}

fn risks(product: &ProductSource, findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<&str, (&Risk, &BlockSource)> = BTreeMap::new();
    for block in &product.blocks {
        let Some(risk) = &block.risk else { continue };
        if !is_reason(&risk.name) {
            let message = format!(
                "{:?} cannot be the reason of a condition: letters, digits, '_', ',' and ':', \
                 beginning with a letter",
                risk.name
            );
            findings.push(finding(Code::RiskName, &block.file, message));
        }
        if !is_url(&risk.url) {
            let message = format!("{:?} is no https:// or http:// address", risk.url);
            findings.push(finding(Code::RiskUrl, &block.file, message));
        }
        match known.get(risk.name.as_str()) {
            Some((other, place)) if other.url != risk.url => {
                let message = format!(
                    "{} also names the risk of {}, which has another url; who accepts one accepts \
                     both, so give them two names",
                    risk.name,
                    place.file.display()
                );
                findings.push(finding(Code::RiskNameReused, &block.file, message));
            }
            Some(_) => {}
            None => {
                known.insert(&risk.name, (risk, block));
            }
        }
    }
}

/// The pattern Kubernetes sets for a condition's reason, which is where risk names end up.
fn is_reason(name: &str) -> bool {
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || b"_,:".contains(b);
    let ends = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(ends)
        && bytes.iter().all(inner)
}

fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    !host.is_empty() && !url.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn changes_an_edge(block: &BlockSource, product: &ProductSource) -> bool {
    product.releases.values().any(|target| {
        target.document.arches.keys().any(|arch| {
            block.covers_target(&target.document.version, arch)
                && product
                    .releases
                    .keys()
                    .any(|from| target.document.allows_from(from) && block.from.cover(from, arch))
        })
    })
}

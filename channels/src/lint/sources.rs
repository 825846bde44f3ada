//! Rules over the files of one product.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::risks::is_url;
use super::{Code, Finding, Near, finding};
use crate::promotion::PROMOTIONS_FILE;
use crate::repository::{
    BlockSource, ProductSource, ReleaseSource, SETTINGS_FILE, Targets, Workspace,
};
use crate::version::Minor;
use crate::wire::{ReleaseDocument, Severity};

/// Applies the rules; `now` is for release dates.
pub(super) fn check(
    product: &ProductSource,
    workspace: &Workspace,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) {
    unlisted(product, findings);
    channels(product, findings);
    soaks(product, findings);
    duplicate_digests(product, findings);
    ends_of_life(product, findings);
    for release in product.releases.values() {
        dependencies(release, workspace, findings);
        downgrades(release, product, findings);
        texts(release, findings);
        let at = release.document.released_at;
        if at > now {
            let message = format!("released_at {at} is in the future; correct the date");
            let found = finding(Code::ReleasedInFuture, &release.file, message);
            findings.push(found.near(Near::Key("released_at")));
        }
    }
    for block in product.blocks.iter().filter(|block| !changes_an_edge(block, product)) {
        let message = "no edge between known releases matches to and from; correct them, or \
                       delete the file when its releases are gone";
        let found = finding(Code::BlockMatchesNothing, &block.file, message.to_owned());
        findings.push(found.near(Near::Key("to")));
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
                let found = finding(Code::VersionRepeated, &channel.file, message);
                findings.push(found.near(Near::WordAgain(version.to_string())));
            }
        }
        let is_missing = |name| product.channel(name).is_none();
        let missing = channel.feeder.as_ref().filter(|feeder| is_missing(&feeder.name));
        if let Some(feeder) = missing {
            let message = format!("feeder.name {} is no channel of this product", feeder.name);
            let found = finding(Code::FeederMissing, &channel.file, message);
            findings.push(found.near(Near::Key("feeder")));
        }
    }
}

fn soaks(product: &ProductSource, findings: &mut Vec<Finding>) {
    let file = product.directory.join(PROMOTIONS_FILE);
    for name in product.promotions.soak.keys() {
        let why = match product.channel(name) {
            Some(channel) if channel.feeder.is_some() => continue,
            Some(_) => "has no feeder",
            None => "is no channel of this product",
        };
        let message = format!("soak is asked for before {name}, which {why}");
        let found = finding(Code::SoakUnused, &file, message);
        findings.push(found.near(Near::Named(name.to_string())));
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
                let found = finding(Code::DuplicateDigest, &release.file, message);
                findings.push(found.near(Near::Key("payload")));
            }
        }
    }
}

fn ends_of_life(product: &ProductSource, findings: &mut Vec<Finding>) {
    let file = product.directory.join(SETTINGS_FILE);
    for (line, day) in &product.eol {
        let releases = product.releases.values().map(|release| &release.document);
        let of_line = releases.filter(|release| Minor::of(&release.version) == *line);
        let first = of_line.map(|release| release.released_at).min();
        let (code, message) = match first {
            None => {
                let message = format!(
                    "{line} ends on {day} and has no release; correct the line or remove it"
                );
                (Code::EolWithoutRelease, message)
            }
            Some(first) if day.is_past(first) => {
                let message = format!(
                    "{line} ends on {day}, before its first release of {first}; correct it"
                );
                (Code::EolBeforeRelease, message)
            }
            Some(_) => continue,
        };
        findings.push(finding(code, &file, message).near(Near::Named(line.to_string())));
    }
}

fn dependencies(release: &ReleaseSource, workspace: &Workspace, findings: &mut Vec<Finding>) {
    for dependency in &release.document.dependencies {
        let wanted = &dependency.product;
        match workspace.products.iter().find(|product| product.product == *wanted) {
            None => {
                let message = format!(
                    "{wanted} is not in this repository; {} is not checked",
                    dependency.requirement
                );
                let found = finding(Code::DependencyUnknown, &release.file, message);
                findings.push(found.near(Near::Word(wanted.to_string())));
            }
            Some(product) => {
                let met = |version| dependency.requirement.matches(version);
                if !product.releases.keys().any(met) {
                    let message = format!(
                        "no release of {wanted} satisfies {}, so no cluster could start this one",
                        dependency.requirement
                    );
                    let found = finding(Code::DependencyUnsatisfied, &release.file, message);
                    findings.push(found.near(Near::Word(wanted.to_string())));
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
            let found = finding(Code::DowngradeOverFinalize, &release.file, message);
            findings.push(found.near(Near::Key("downgrade_from")));
        }
    }
}

/// What a person needs who is told to hurry, and addresses that lead somewhere.
fn texts(release: &ReleaseSource, findings: &mut Vec<Finding>) {
    let ReleaseDocument { url, advisories, severity, .. } = &release.document;
    let urgent = matches!(severity, Severity::Important | Severity::Critical);
    if urgent && url.is_none() && advisories.is_empty() {
        let message = "has neither url nor advisories, and its severity tells people to hurry";
        let found = finding(Code::ReleaseUnexplained, &release.file, message.to_owned());
        findings.push(found.near(Near::Key("severity")));
    }
    if let Some(url) = url.as_ref().filter(|url| !is_url(url)) {
        let message = format!("{url:?} is no https:// or http:// address");
        let found = finding(Code::ReleaseUrl, &release.file, message);
        findings.push(found.near(Near::Key("url")));
    }
}

/// Whether there is an edge that the block is about.
fn changes_an_edge(block: &BlockSource, product: &ProductSource) -> bool {
    // A thousand files name one version each; only ranges need a look at every release.
    let targets: Vec<&ReleaseSource> = match &block.to {
        Targets::Version(to) => {
            [to, &to.without_build()].iter().filter_map(|one| product.releases.get(*one)).collect()
        }
        Targets::Range(_) => product.releases.values().collect(),
    };
    targets.into_iter().any(|target| {
        target.document.arches.keys().any(|arch| {
            block.covers_target(&target.document.version, arch)
                && product
                    .releases
                    .keys()
                    .any(|from| target.allows_from(from, arch) && block.from.cover(from, arch))
        })
    })
}

//! The rule itself.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::history::date;
use super::members::{Channels, channels, withdrawn_in};
use super::{Entry, Facts, Record, Verdict, Wait};
use crate::names::ChannelName;
use crate::repository::{Feeder, ReleaseSource};
use crate::version::ReleaseVersion;

/// Why of an entry that the rule allowed.
const BY_RULE: &str = "rule";

/// Whether one release may enter one channel now.
pub fn verdict(
    facts: &Facts<'_>,
    channel: &ChannelName,
    version: &ReleaseVersion,
    now: Timestamp,
) -> Verdict {
    judge(facts, &channels(facts), facts.record, channel, version, now)
}

/// A verdict on every release that a feeding channel has and the fed one has not, by channel, then
/// version.
pub fn verdicts(facts: &Facts<'_>, now: Timestamp) -> Vec<Verdict> {
    pending(facts, &channels(facts), facts.record, now)
}

/// Everything the rule allows now, in the order in which it is to be done: a release that enters a
/// channel may go on to the next one at once where that asks for no delay.
pub fn due(facts: &Facts<'_>, now: Timestamp) -> Vec<Entry> {
    let (mut channels, mut record) = (channels(facts), facts.record.clone());
    let mut entries: Vec<Entry> = Vec::new();
    // Each round moves releases one channel further; no way is longer than all channels.
    for _round in 0..channels.len() {
        let allowed: Vec<Entry> = pending(facts, &channels, &record, now)
            .into_iter()
            .filter(Verdict::may_enter)
            .map(|verdict| Entry {
                channel: verdict.channel,
                version: verdict.version,
                at: now,
                why: BY_RULE.to_owned(),
            })
            .collect();
        if allowed.is_empty() {
            break;
        }
        for entry in &allowed {
            admit(&mut channels, facts, entry);
        }
        record.entered.extend(allowed.iter().cloned());
        entries.extend(allowed);
    }
    entries
}

/// Adds a release to a channel, under the name one of the sources holds it by.
fn admit<'a>(channels: &mut Channels<'a>, facts: &Facts<'a>, entry: &Entry) {
    let product = facts.product;
    let sources = product.channels.values().chain(product.internal_channels.values());
    let mut named = sources.flat_map(|source| &source.versions);
    if let Some(version) = named.find(|version| **version == entry.version)
        && let Some(channel) = channels.get_mut(&entry.channel)
    {
        channel.versions.insert(version);
    }
}

fn pending(
    facts: &Facts<'_>,
    channels: &Channels<'_>,
    record: &Record,
    now: Timestamp,
) -> Vec<Verdict> {
    let mut found = Vec::new();
    for (name, channel) in channels {
        let feeding = channel.feeder.and_then(|feeder| channels.get(&feeder.name));
        let Some(feeding) = feeding else { continue };
        let missing = feeding
            .versions
            .iter()
            .filter(|version| !channel.versions.contains(*version) && !channel.withdrew(version));
        found.extend(missing.map(|version| judge(facts, channels, record, name, version, now)));
    }
    found
}

fn judge(
    facts: &Facts<'_>,
    channels: &Channels<'_>,
    record: &Record,
    name: &ChannelName,
    version: &ReleaseVersion,
    now: Timestamp,
) -> Verdict {
    let mut verdict = Verdict {
        channel: name.clone(),
        version: version.clone(),
        feeder: None,
        entered: None,
        waits: Vec::new(),
        earliest: None,
    };
    let Some((name, channel)) = channels.get_key_value(name) else {
        verdict.waits.push(Wait::NoChannel);
        return verdict;
    };
    if channel.versions.contains(version) {
        verdict.waits.push(Wait::AlreadyIn);
    }
    if let Some(channel) = withdrawn_in(channels, name, version) {
        verdict.waits.push(Wait::Tombstone { channel: channel.clone() });
    }
    let release = release(facts, version);
    if release.is_none() {
        verdict.waits.push(Wait::NoRelease);
    }
    let Some(feeder) = channel.feeder else {
        verdict.waits.push(Wait::NotFed);
        return verdict;
    };
    verdict.feeder = Some(feeder.name.clone());
    let Some(feeding) = channels.get(&feeder.name) else {
        verdict.waits.push(Wait::NoFeeder { feeder: feeder.name.clone() });
        return verdict;
    };
    if !feeding.versions.contains(version) {
        verdict.waits.push(Wait::NotInFeeder { feeder: feeder.name.clone() });
    }
    verdict.waits.extend(filtered(feeder, version));
    let is_public = feeder.errata.as_deref() == Some("public");
    if is_public && release.is_some_and(|release| release.document.url.is_none()) {
        verdict.waits.push(Wait::NoErratum);
    }
    // Nothing feeds the first channel, so a release has been there since it came out.
    let released =
        || release.filter(|_| feeding.feeder.is_none()).map(|release| release.document.released_at);
    verdict.entered = record.entered(&feeder.name, version).or_else(released);
    verdict.earliest = times(facts, feeder, &mut verdict, now);
    verdict
}

/// Adds what only time can settle, and tells when it will have; `None` where time alone does not.
fn times(
    facts: &Facts<'_>,
    feeder: &Feeder,
    verdict: &mut Verdict,
    now: Timestamp,
) -> Option<Timestamp> {
    let hopeless = !verdict.waits.is_empty();
    let rule = facts.record.soak.get(&verdict.channel);
    let Some(entered) = verdict.entered else {
        let delayed = feeder.delay.as_ref().is_some_and(|delay| !delay.is_zero());
        if delayed || rule.is_some() {
            verdict.waits.push(Wait::EntryUnknown { feeder: feeder.name.clone() });
            return None;
        }
        return (!hopeless).then_some(now);
    };
    let mut earliest = now;
    if let Some(delay) = &feeder.delay {
        let end = entered.to_zoned(TimeZone::UTC).checked_add(delay).map(|end| end.timestamp());
        // A negative delay would let a release in before it was there.
        let Some(until) = end.ok().filter(|until| *until >= entered) else {
            verdict.waits.push(Wait::DelayUnusable);
            return None;
        };
        if until > now {
            verdict.waits.push(Wait::Delay { until });
            earliest = until;
        }
    }
    if let Some(rule) = rule {
        let (channel, version) = (&feeder.name, &verdict.version);
        let healthy_days = facts.history.healthy_days(channel, version, rule, entered, now);
        if healthy_days < rule.days {
            let (days, clusters) = (rule.days, rule.clusters);
            verdict.waits.push(Wait::Soak { healthy_days, days, clusters });
            earliest = earliest.max(soaked(days - healthy_days, entered, now)?);
        }
    }
    (!hopeless).then_some(earliest)
}

/// The midnight after so many more healthy days, of which the first is today, or the day after the
/// release entered if that is later.
fn soaked(missing: u32, entered: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let first = date(now).max(date(entered).tomorrow().ok()?);
    let end = first.checked_add(jiff::Span::new().try_days(missing).ok()?).ok()?;
    end.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}

/// The release of a version, also of `x.y.z+arch` where that names one architecture of `x.y.z`.
fn release<'a>(facts: &Facts<'a>, version: &ReleaseVersion) -> Option<&'a ReleaseSource> {
    let releases = &facts.product.releases;
    releases.get(version).or_else(|| releases.get(&version.without_build()))
}

fn filtered(feeder: &Feeder, version: &ReleaseVersion) -> Option<Wait> {
    let filter = feeder.filter.as_ref()?;
    // OpenShift's own promotion matches the whole version; a filter of 4[.]1[.].* must not let
    // 14.1.0 in.
    let whole = regex::Regex::new(&format!("^(?:{})$", filter.as_str()));
    let matches = whole.is_ok_and(|whole| whole.is_match(&version.to_string()));
    (!matches).then(|| Wait::Filtered { filter: filter.as_str().to_owned() })
}

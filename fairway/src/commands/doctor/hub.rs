//! A hub, looked at from outside: as an agent, as a load balancer and as a person with a token.

use channels::names::{Arch, ChannelName, ProductRef};
use channels::wire::{HubStatus, Page};
use jiff::Timestamp;
use serde::Deserialize;
use signing::HttpSource;
use signing::source::HttpLimits;

use super::check::{self, Check};
use super::probe::{Probe, Seen};
use crate::clock;
use crate::commands::verify::verify;
use crate::error::Exit;
use crate::hub::segment;

/// Graphs asked for: enough to notice, and no load on a hub with thousands.
const MAX_GRAPHS: usize = 20;

/// Faults told in one line.
const FAULTS_SHOWN: usize = 3;

/// A graph that the hub serves.
#[derive(Debug, Deserialize)]
struct Served {
    product: ProductRef,
    channel: ChannelName,
    arch: Arch,
}

/// What to do about a hub that gave no answer.
fn unreachable(why: &str) -> &'static str {
    // The word that every fault of a chain, a name or a date of TLS has in its text.
    if why.contains("certificate") {
        "something answers, and its certificate is not trusted here: put the authority that issued \
         it into the system's store or name its file in SSL_CERT_FILE; is the host of the address \
         among the certificate's names?"
    } else {
        "is it running, is that its address, and is no firewall between?"
    }
}

/// All checks, in the order in which a person would make them. Nothing is asked of a hub that does
/// not answer.
pub(super) async fn look(probe: &Probe, root: Option<&[u8]>, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    let live = probe.public("livez", None).await;
    let first = match live {
        Ok(seen) => seen,
        Err(why) => {
            let check = Check::fail("reachable", format!("{}: {why}", probe.server));
            checks.push(check.hint(unreachable(&why)));
            return checks;
        }
    };
    let took = first.took.as_millis();
    if first.status == 200 {
        checks.push(Check::ok("reachable", format!("{} answers in {took} ms", probe.server)));
    } else {
        let text = format!("/livez answers {}", first.status);
        checks.push(Check::fail("reachable", text).hint("is that address a hub's, or a proxy's?"));
    }
    checks.push(check::tls(&probe.server, first.certificate_ends, now));
    match probe.public("readyz", None).await {
        Ok(seen) => checks.push(check::ready(seen.status, &seen.body)),
        Err(why) => checks.push(Check::fail("ready", why)),
    }
    checks.extend(status(probe, now).await);
    checks.extend(chain(probe, root, now).await);
    checks.push(graphs(probe).await);
    checks.push(metrics(probe).await);
    checks.push(token(probe).await);
    checks.push(audit(probe).await);
    checks
}

fn document<T: serde::de::DeserializeOwned>(seen: Result<Seen, String>) -> Result<T, String> {
    let seen = seen?;
    if seen.status != 200 {
        return Err(format!("it answers {}", seen.status));
    }
    serde_json::from_slice(&seen.body).map_err(|error| error.to_string())
}

async fn status(probe: &Probe, now: Timestamp) -> Vec<Check> {
    let seen = probe.public("api/v1/hub", None).await;
    let here = clock::now();
    match document::<HubStatus>(seen) {
        Ok(status) => vec![
            check::version(&status.version, env!("CARGO_PKG_VERSION")),
            check::clock(status.at, here),
            check::metadata(status.root_version, status.expires, now),
        ],
        Err(why) => vec![
            Check::fail("version", format!("/api/v1/hub: {why}"))
                .hint("is the server a fairway hub, and not much older or newer than this tool?"),
        ],
    }
}

/// What is served, verified as an agent would that pins this root.
async fn chain(probe: &Probe, root: Option<&[u8]>, now: Timestamp) -> Vec<Check> {
    let Some(root) = root else {
        return vec![
            Check::skipped("chain", "no root to begin with")
                .hint("pass --root FILE, the root.json that agents pin, to verify as they do"),
        ];
    };
    let source = probe.server.join("tuf/").map_err(|error| error.to_string()).and_then(|base| {
        HttpSource::new(base.as_str(), HttpLimits::default()).map_err(|error| error.to_string())
    });
    let source = match source {
        Ok(source) => source,
        Err(why) => return vec![Check::fail("chain", why)],
    };
    let found = match verify(root, source, now).await {
        Ok(found) => found,
        Err(error) => {
            let check = Check::fail("chain", error.to_string());
            let hint = match error.exit() {
                Exit::No => "nobody upgrades from here until that is mended: fairway status",
                Exit::Failure | Exit::Silent => "has anything been published to it?",
            };
            return vec![check.hint(error.hint_text().unwrap_or(hint))];
        }
    };
    let faults: Vec<String> =
        found.faults.iter().map(|fault| format!("{}: {}", fault.what, fault.message)).collect();
    let mut checks = vec![if faults.is_empty() {
        Check::ok(
            "chain",
            format!(
                "root {}, snapshot {}, timestamp {}: {} releases, {} graphs",
                found.root_version,
                found.snapshot_version,
                found.timestamp_version,
                found.releases,
                found.graphs
            ),
        )
    } else {
        let shown = faults.iter().take(FAULTS_SHOWN).cloned().collect::<Vec<_>>().join("; ");
        Check::fail("chain", format!("agents refuse {}: {shown}", faults.len()))
            .hint("fairway verify names all of them")
    }];
    if !found.refused_edges.is_empty() {
        let text = format!("{} edges that no release allows", found.refused_edges.len());
        checks
            .push(Check::warn("edges", text).hint("fairway verify names them; agents refuse them"));
    }
    let roles = found.roles.iter();
    let roles: Vec<(String, Timestamp)> =
        roles.filter_map(|role| Some((role.name.clone(), role.expires?))).collect();
    checks.push(check::roles(&roles, now));
    checks
}

/// Each graph is there, and costs nothing to ask for again.
async fn graphs(probe: &Probe) -> Check {
    let name = "graphs";
    if !probe.has_token() {
        return Check::skipped(name, "which there are is told to people with a token")
            .hint("pass --token-file FILE or --profile NAME");
    }
    let served = match document::<Page<Served>>(probe.with_token("api/v1/channels").await) {
        Ok(page) => page.items,
        Err(why) => return Check::skipped(name, format!("/api/v1/channels: {why}")),
    };
    let mut asked = 0_usize;
    for Served { product, channel, arch } in served.iter().take(MAX_GRAPHS) {
        let (vendor, name_of) =
            (segment(product.vendor.as_str()), segment(product.product.as_str()));
        let (on, for_arch) = (segment(channel.as_str()), segment(arch.as_str()));
        let path =
            format!("api/upgrades_info/{vendor}/{name_of}/v1/graph?channel={on}&arch={for_arch}");
        let which = format!("{product} {channel} {arch}");
        match conditional(probe, &path).await {
            Ok(()) => asked += 1,
            Err(why) => {
                return Check::fail(name, format!("{which}: {why}"))
                    .hint("is a proxy in front that changes or drops ETag?");
            }
        }
    }
    let rest = served.len().saturating_sub(asked);
    let rest = if rest > 0 { format!(", {rest} not asked for") } else { String::new() };
    Check::ok(name, format!("{asked} answer 200, and 304 when nothing changed{rest}"))
}

async fn conditional(probe: &Probe, path: &str) -> Result<(), String> {
    let first = probe.public(path, None).await?;
    if first.status != 200 {
        return Err(format!("it answers {}", first.status));
    }
    let etag = first.etag.ok_or("there is no ETag")?;
    let again = probe.public(path, Some(&etag)).await?;
    match again.status {
        304 => Ok(()),
        // It changed between the two requests.
        200 if again.etag.as_ref() != Some(&etag) => Ok(()),
        status => Err(format!("asked again with its ETag it answers {status}")),
    }
}

async fn metrics(probe: &Probe) -> Check {
    let name = "metrics";
    let hint = "Prometheus reads /metrics: docs/operations.md#is-it-well";
    match probe.public("metrics", None).await {
        Ok(seen) if seen.status == 200 => {
            let text = String::from_utf8_lossy(&seen.body);
            let families = text.lines().filter(|line| line.starts_with("# TYPE fairway_")).count();
            match families {
                0 => Check::warn(name, "there are none of a hub").hint(hint),
                _ => Check::ok(name, format!("{families} families")),
            }
        }
        Ok(seen) if matches!(seen.status, 401 | 403 | 404) => {
            Check::skipped(name, format!("/metrics answers {} here", seen.status))
        }
        Ok(seen) => Check::warn(name, format!("/metrics answers {}", seen.status)).hint(hint),
        Err(why) => Check::warn(name, why).hint(hint),
    }
}

/// What the token may do, found out by asking for what each role may see.
async fn token(probe: &Probe) -> Check {
    let name = "token";
    if !probe.has_token() {
        return Check::skipped(name, "there is none");
    }
    let asked = [
        ("admin", "api/v1/tokens"),
        ("operator", "api/v1/audit?limit=1"),
        ("viewer or publisher", "api/v1/holds"),
    ];
    let mut last = String::new();
    for (role, path) in asked {
        match probe.with_token(path).await {
            Ok(seen) if seen.status == 200 => {
                return Check::ok(name, format!("valid; its role is {role}"));
            }
            Ok(seen) if seen.status == 401 => {
                return Check::fail(name, "the hub does not know it")
                    .hint("was it revoked, or made by another hub? fairway token new makes one");
            }
            Ok(seen) => last = format!("/{path} answers {}", seen.status),
            Err(why) => last = why,
        }
    }
    Check::warn(name, last).hint("it is valid and may see nothing")
}

#[derive(Debug, Deserialize)]
struct Chain {
    rows: u64,
    #[serde(default)]
    broken_at: Option<u64>,
}

async fn audit(probe: &Probe) -> Check {
    let name = "audit";
    if !probe.has_token() {
        return Check::skipped(name, "only people with a token may see it");
    }
    let seen = probe.with_token("api/v1/audit/verify").await;
    if let Ok(Seen { status: 401 | 403, .. }) = &seen {
        return Check::skipped(name, "the token may not see it: an operator's may");
    }
    match document::<Chain>(seen) {
        Ok(Chain { rows, broken_at: None }) => {
            Check::ok(name, format!("{rows} rows, each follows the one before it"))
        }
        Ok(Chain { broken_at: Some(row), .. }) => {
            Check::fail(name, format!("row {row} was changed, or does not follow the one before"))
                .hint("rows from there on were changed outside the hub; compare with an export")
        }
        Err(why) => Check::warn(name, format!("/api/v1/audit/verify: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::unreachable;

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_matter_of_firewalls() {
        let tls = unreachable("invalid peer certificate: UnknownIssuer");
        assert!(tls.contains("SSL_CERT_FILE"), "{tls}");
        let refused = unreachable("Connection refused (os error 111)");
        assert!(refused.contains("firewall"), "{refused}");
    }
}

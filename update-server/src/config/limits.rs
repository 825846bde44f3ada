//! Settings of rate limits, and of the proxies whose word about a client's address is taken.

use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

use super::{ConfigError, in_range};

/// A dashboard asks a handful of paths at once, a script pages through a fleet.
const DEFAULT_PEOPLE_PER_S: u32 = 50;
/// A page of a large export after another for ten seconds at full speed.
const DEFAULT_PEOPLE_BURST: u32 = 500;
/// Every sign-in has two steps, and a person mistypes a few times; a program that guesses is stopped at once.
const DEFAULT_LOGINS_PER_MIN: u32 = 20;
/// Agents tell what is no phase at least five seconds apart; whoever is faster runs in a loop.
const DEFAULT_REPORT_FLOOR_S: u64 = 2;
/// Proxies in front of one hub.
const PROXIES_MAX: usize = 64;

/// `[limits]` as a person may write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitFragments {
    /// Least seconds between two reports of one cluster that say nothing new; 0 = no limit.
    pub report_floor_s: Option<u64>,
    /// Requests a second that one token, person or address may make, 1 to 100,000.
    pub people_per_s: Option<u32>,
    /// Requests that may come at once beyond that, 1 to 1,000,000.
    pub people_burst: Option<u32>,
    /// Sign-ins, and requests with wrong credentials, of one address in a minute, 1 to 10,000.
    pub logins_per_min: Option<u32>,
}

/// Rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Least seconds between two reports of one cluster that say nothing new.
    pub report_floor_s: u64,
    /// Requests a second of one token, person or address.
    pub people_per_s: u32,
    /// Requests at once beyond that.
    pub people_burst: u32,
    /// Sign-ins and failed ones of one address in a minute.
    pub logins_per_min: u32,
}

impl LimitFragments {
    /// With defaults, for reports every `interval_s` seconds, 1 or more.
    pub(super) fn settings(self, interval_s: u64) -> Result<LimitSettings, ConfigError> {
        let floor = self.report_floor_s.unwrap_or(DEFAULT_REPORT_FLOOR_S.min(interval_s - 1));
        let per_s = self.people_per_s.unwrap_or(DEFAULT_PEOPLE_PER_S);
        let burst = self.people_burst.unwrap_or(DEFAULT_PEOPLE_BURST);
        let logins = self.logins_per_min.unwrap_or(DEFAULT_LOGINS_PER_MIN);
        Ok(LimitSettings {
            report_floor_s: in_range("limits.report_floor_s", floor, 0, interval_s)?,
            people_per_s: in_range("limits.people_per_s", per_s, 1, 100_000)?,
            people_burst: in_range("limits.people_burst", burst, 1, 1_000_000)?,
            logins_per_min: in_range("limits.logins_per_min", logins, 1, 10_000)?,
        })
    }
}

/// Addresses that begin alike: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether the address is one of them. An IPv4 address inside IPv6 counts as itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(found)) => {
                let shift = 32 - u32::from(self.bits);
                net.to_bits().checked_shr(shift) == found.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(net), IpAddr::V6(found)) => {
                let shift = 128 - u32::from(self.bits);
                net.to_bits().checked_shr(shift) == found.to_bits().checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address and no network such as 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most { Err(wrong()) } else { Ok(Self { first, bits }) }
    }
}

/// Reads the list of proxies.
pub(super) fn networks(texts: &[String]) -> Result<Vec<Network>, ConfigError> {
    let name = "trusted_proxies";
    if texts.len() > PROXIES_MAX {
        return Err(ConfigError::Invalid { name, why: format!("more than {PROXIES_MAX} of them") });
    }
    let read = |text: &String| text.parse().map_err(|why| ConfigError::Invalid { name, why });
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_begins_like_it() {
        for (network, address, held) in [
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), held, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/x", "proxy.example", "::/129", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}

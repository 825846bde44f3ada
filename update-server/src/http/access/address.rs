//! From which address a request comes, behind proxies too.

use std::net::IpAddr;

use actix_web::HttpRequest;

use crate::config::Network;

/// Entries of `X-Forwarded-For` that are looked at; chains of proxies are short.
const HOPS_MAX: usize = 32;

/// The address of the client. What `X-Forwarded-For` says counts only as far as proxies that are
/// trusted wrote it: the last entry that is not one of theirs is the client.
pub fn client(request: &HttpRequest, trusted: &[Network]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let headers: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .collect();
    Some(behind(peer, &headers, trusted))
}

fn behind(peer: IpAddr, forwarded: &[&str], trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer;
    let entries = forwarded.iter().rev().flat_map(|header| header.rsplit(','));
    for entry in entries.take(HOPS_MAX) {
        if !is_trusted(address) {
            break;
        }
        // What is no address was not written by a proxy that works: the last one that is stands.
        let Ok(before) = entry.trim().parse::<IpAddr>() else { break };
        address = before.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        let trusted: Vec<Network> =
            ["10.0.0.0/8", "192.0.2.7"].iter().map(|n| n.parse().unwrap()).collect();
        for (peer, forwarded, client) in [
            ("203.0.113.1", vec!["198.51.100.1"], "203.0.113.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            // What the client itself claims stands left of what the proxies wrote.
            ("10.0.0.1", vec!["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["1.2.3.4, 198.51.100.1, 192.0.2.7"], "198.51.100.1"),
            ("10.0.0.1", vec!["1.2.3.4", "198.51.100.1,10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", vec!["198.51.100.1, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec!["10.0.0.2"], "10.0.0.2"),
        ] {
            let found = behind(peer.parse().unwrap(), &forwarded, &trusted);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}

//! A quorum of three small processes that serve `/metrics` and are really restarted.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use cluster_agent::sim::member::{LedgerEntry, LedgerEvent, read_ledger};

use super::process::{Process, eventually_true, signal};

/// Ports are taken below the range from which the system gives out its own: a member's port must
/// stay free while the member restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many members a quorum has.
pub(super) const VOTERS: u32 = 3;

/// Members `c-1` to `c-3`, in a directory they share.
#[derive(Debug)]
pub(super) struct Members {
    dir: PathBuf,
    addresses: Vec<SocketAddr>,
    /// The first generation; those that a step started are nobody's children.
    first: Vec<Process>,
}

impl Members {
    /// Starts them, all on `version`, and waits until they serve.
    pub(super) fn start(dir: &Path, version: &str) -> Self {
        std::fs::create_dir_all(dir).expect("a folder is made");
        let mut members = Self { dir: dir.to_owned(), addresses: Vec::new(), first: Vec::new() };
        for id in 1..=VOTERS {
            std::fs::write(dir.join(format!("c-{id}.version")), version).expect("a version");
            let address = free_address();
            let (unit, id) = (format!("c-{id}"), id.to_string());
            let (voters, listen) = (VOTERS.to_string(), address.to_string());
            let path = dir.to_str().expect("a utf-8 path");
            let words = ["agent", "member", "run", "--dir", path, "--unit", &unit, "--id", &id];
            let flags = ["--voters", &voters, "--listen", &listen];
            let log = dir.join(format!("{unit}.log"));
            members.first.push(Process::start(&[&words[..], &flags].concat(), &[], &log));
            members.addresses.push(address);
        }
        let up = || members.ledger().len() == members.addresses.len();
        eventually_true("three members serve", up, || format!("{:?}", members.ledger()));
        members
    }

    /// Unit names with node ids and addresses.
    pub(super) fn units(&self) -> impl Iterator<Item = (String, u32, SocketAddr)> {
        self.addresses.iter().zip(1..).map(|(address, id)| (format!("c-{id}"), id, *address))
    }

    /// What the members wrote about their starts and ends.
    pub(super) fn ledger(&self) -> Vec<LedgerEntry> {
        read_ledger(&self.dir).expect("a readable ledger")
    }

    /// Restarts in order: the entry of the old process's end, and that of the new one's start.
    /// Fails if a process ended while another unit was down.
    pub(super) fn restarts(&self) -> Vec<(LedgerEntry, Option<LedgerEntry>)> {
        let mut found: Vec<(LedgerEntry, Option<LedgerEntry>)> = Vec::new();
        for entry in self.ledger().into_iter().skip(self.addresses.len()) {
            match entry.event {
                LedgerEvent::Down => {
                    let open = found.iter().find(|(_, up)| up.is_none());
                    assert!(open.is_none(), "{entry:?} while another is out: {open:?}");
                    found.push((entry, None));
                }
                LedgerEvent::Up => {
                    let last = found.last_mut().filter(|(down, up)| {
                        up.is_none() && down.unit == entry.unit && down.at_ms <= entry.at_ms
                    });
                    let Some(last) = last else { panic!("{entry:?} came up by itself") };
                    last.1 = Some(entry);
                }
            }
        }
        found
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        // Some may be between the end of one process and the start of the next: those end by
        // themselves when they find their directory gone.
        for entry in read_ledger(&self.dir).unwrap_or_default() {
            let exe = std::fs::read_link(format!("/proc/{}/exe", entry.process));
            if exe.is_ok_and(|exe| exe == super::process::binary()) {
                signal(entry.process, "KILL");
            }
        }
    }
}

/// A loopback address that is free, and that nothing else of these tests will be given.
pub(super) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = PORTS.end - PORTS.start;
    // Test processes that run side by side begin at different places.
    let spread = u16::try_from(std::process::id() % u32::from(width)).unwrap_or(0);
    for _ in 0..width {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (u32::from(spread) * 61 + u32::from(step)) % u32::from(width);
        let port = PORTS.start + u16::try_from(offset).unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port in {PORTS:?}");
}

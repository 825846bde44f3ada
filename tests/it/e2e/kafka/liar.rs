//! A server in front of a member's exporter that can tell another epoch than the member is in.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::peer::Member;
use crate::e2e::client::request;

/// Epochs that are told later than they are.
const AHEAD: f64 = 5.0;

/// Metrics that tell an epoch.
const EPOCHS: [&str; 2] =
    ["kafka_server_raftmetrics_current_epoch ", "kafka_server_raftmetrics_log_end_epoch "];

/// Whoever asks must finish; a test that fails must not wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same lie in front of several members, so that their pages agree with each other.
#[derive(Debug)]
pub(super) struct Liars {
    lies: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    addresses: Vec<SocketAddr>,
}

impl Liars {
    /// Puts one in front of each member; they tell the truth at first. The members come back with
    /// the new addresses.
    pub(super) fn in_front_of(members: &[Member]) -> (Self, Vec<Member>) {
        let (lies, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut addresses = Vec::new();
        let mut proxied = Vec::new();
        for member in members {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let address = listener.local_addr().expect("its address");
            let (lies, ended, behind) = (Arc::clone(&lies), Arc::clone(&ended), member.exporter());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let lies = lies.load(Ordering::Relaxed);
                    // Each in its own thread: a page that takes long keeps no other waiting.
                    std::thread::spawn(move || drop(answer(stream, behind, lies)));
                }
            });
            addresses.push(address);
            let metrics_url = format!("http://{address}/metrics");
            proxied.push(Member { metrics_url, ..member.clone() });
        }
        (Self { lies, ended, addresses }, proxied)
    }

    /// Lies, or no longer.
    pub(super) fn lie(&self, lies: bool) {
        self.lies.store(lies, Ordering::Relaxed);
    }
}

impl Drop for Liars {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for address in &self.addresses {
            drop(TcpStream::connect(address));
        }
    }
}

fn answer(mut stream: TcpStream, behind: SocketAddr, lies: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let page = request(behind, "GET", "/metrics", &[], &[])?.text();
    let lines = page.lines().map(|line| {
        let epoch = EPOCHS.iter().find_map(|name| Some((name, line.strip_prefix(name)?)));
        match epoch.and_then(|(name, value)| Some((name, value.parse::<f64>().ok()?))) {
            Some((name, value)) if lies => format!("{name}{}\n", value + AHEAD),
            Some(_) | None => format!("{line}\n"),
        }
    });
    let body = lines.collect::<String>();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())
}

//! An onlooker of its own, beside the agent's: reads the controllers' pages once a second and
//! remembers who led, in which epoch, and whether a partition was offline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::peer::Member;
use crate::e2e::client::request;
use crate::e2e::process::{eventually, now};

/// Between two rounds of reading.
const ROUND: Duration = Duration::from_secs(1);

/// What one page said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    /// When it was read, milliseconds of the wall clock.
    pub(super) at_ms: i64,
    /// Whose it is.
    pub(super) unit: String,
    /// The epoch it is in.
    pub(super) epoch: f64,
    /// Whether it leads.
    pub(super) leads: bool,
    /// Partitions without a leader, by the active controller.
    pub(super) offline: f64,
}

/// Reads one page; an error while the member is away.
fn read(member: &Member) -> Result<Page, String> {
    let answer = request(member.exporter(), "GET", "/metrics", &[], &[]);
    let answer = answer.map_err(|error| error.to_string())?;
    let text = answer.text();
    let value = |family: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{family} ")));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        value.ok_or_else(|| format!("{} shows no {family}", member.name))
    };
    let active = value("kafka_controller_kafkacontroller_activecontrollercount")?;
    Ok(Page {
        at_ms: now().as_millisecond(),
        unit: member.name.clone(),
        epoch: value("kafka_server_raftmetrics_current_epoch")?,
        leads: active > 0.5,
        offline: value("kafka_controller_kafkacontroller_offlinepartitionscount")?,
    })
}

/// The member that leads, waiting for one.
pub(super) fn leader(members: &[Member]) -> String {
    eventually("a controller leads", || {
        let pages: Vec<_> = members.iter().map(read).collect();
        let leads = pages.iter().flatten().find(|page| page.leads);
        leads.map(|page| page.unit.clone()).ok_or_else(|| format!("{pages:?}"))
    })
}

/// Reads until it is finished.
#[derive(Debug)]
pub(super) struct Pages {
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<Vec<Page>>>,
}

impl Pages {
    /// Starts reading the pages of `members`.
    pub(super) fn watch(members: Vec<Member>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = std::thread::spawn(move || {
            let mut pages = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                pages.extend(members.iter().filter_map(|member| read(member).ok()));
                std::thread::sleep(ROUND);
            }
            pages
        });
        Self { stop, reader: Some(reader) }
    }

    /// Everything read.
    pub(super) fn finish(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let reader = self.reader.take().expect("finished once");
        Seen { pages: reader.join().expect("it reads to the end") }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What was read, in order.
#[derive(Debug)]
pub(super) struct Seen {
    pages: Vec<Page>,
}

impl Seen {
    /// Who led when last looked before `at_ms`.
    pub(super) fn leader_at(&self, at_ms: i64) -> Option<&str> {
        let before = self.pages.iter().rev().filter(|page| page.at_ms < at_ms);
        before.filter(|page| page.leads).map(|page| page.unit.as_str()).next()
    }

    /// Pages that are in a later epoch than all before them.
    pub(super) fn elections(&self) -> Vec<&Page> {
        let mut newest = self.pages.first().map_or(0.0, |page| page.epoch);
        let mut found = Vec::new();
        for page in &self.pages {
            if page.epoch > newest {
                newest = page.epoch;
                found.push(page);
            }
        }
        found
    }

    /// Pages that showed a partition without a leader.
    pub(super) fn offline(&self) -> Vec<&Page> {
        self.pages.iter().filter(|page| page.offline > 0.0).collect()
    }

    /// Pages read of each member.
    pub(super) fn by_unit(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for page in &self.pages {
            *counts.entry(page.unit.as_str()).or_default() += 1;
        }
        counts
    }
}

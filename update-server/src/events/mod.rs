//! What has happened, for those who listen: a bounded ring of the newest events.
//!
//! The store publishes what the audit log got, after the commit. Publishing never blocks and never
//! waits for a listener: listeners keep a position of their own and read from the ring; who has
//! fallen out of it is told so and looks at the resources again. Nothing here is durable; what must
//! arrive goes by [`crate::webhooks`], which read the audit log itself.

mod counters;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use channels::wire::{AuditRow, FleetCounters, HubEvent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Duration, Instant};

use crate::store::Event;

pub use counters::fleet_counters;

/// Events kept for listeners that are behind or come back: minutes of a busy hub, a few megabytes.
const RING: usize = 4096;
/// Listeners at once: each costs a connection. Dashboards and tools, not clusters.
const MAX_LISTENERS: usize = 256;
/// The fleet's counters are worked out at most this often, however many listen.
const COUNTERS_VALID_FOR: Duration = Duration::from_secs(1);

/// Actions that anyone who may read the fleet hears of. All others, those of later versions too, are
/// for those who may read the audit log.
const FOR_VIEWERS: [&str; 12] = [
    "hold",
    "resume",
    "publish",
    "enrol",
    "re_enrol",
    "retire",
    "identity_conflict",
    "trust",
    "register_site",
    "remove_site",
    "import_status",
    "label",
];

/// Whether anyone who may read the fleet hears of this action.
pub fn is_for_viewers(action: &str) -> bool {
    FOR_VIEWERS.contains(&action) || action.starts_with("rollout.")
}

/// An event and its place in the ring.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Counts up by one, from 1.
    pub number: u64,
    /// What is told; with the actor.
    pub event: HubEvent,
}

/// What a listener finds when it asks for more.
#[derive(Debug, Clone, PartialEq)]
pub enum Since {
    /// The events after its position, oldest first; may be none.
    Events(Vec<Arc<Told>>),
    /// Some of them are gone: only looking at the resources again helps.
    Overrun,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Told>>,
    newest: u64,
    counters: Option<(Instant, Arc<FleetCounters>)>,
}

#[derive(Debug)]
struct Inner {
    epoch: u64,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
    closed: watch::Sender<bool>,
    places: Arc<Semaphore>,
}

/// The newest events of this process. Clones share them.
#[derive(Debug, Clone)]
pub struct Bus(Arc<Inner>);

impl Bus {
    /// An empty ring. `epoch` tells this run of the hub from others: positions of one mean nothing in
    /// another.
    pub fn new(epoch: u64) -> Self {
        Self(Arc::new(Inner {
            epoch,
            ring: Mutex::default(),
            newest: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            places: Arc::new(Semaphore::new(MAX_LISTENERS)),
        }))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // A ring is whole after every statement below.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody, in this order.
    pub fn publish(&self, events: impl IntoIterator<Item = Event>) {
        self.tell(events.into_iter().map(|event| HubEvent {
            id: String::new(),
            at: event.at,
            kind: event.action.to_owned(),
            object: event.object,
            actor: Some(event.actor),
            detail: event.detail,
        }));
    }

    /// Tells everybody what another replica wrote into the audit log, in this order.
    pub fn publish_rows(&self, rows: impl IntoIterator<Item = AuditRow>) {
        self.tell(rows.into_iter().map(|row| HubEvent {
            id: String::new(),
            at: row.at,
            kind: row.action,
            object: row.object,
            actor: Some(row.actor),
            // It was JSON when it was written.
            detail: serde_json::from_str(&row.detail).unwrap_or_default(),
        }));
    }

    /// Gives events their places; their ids are those.
    fn tell(&self, events: impl Iterator<Item = HubEvent>) {
        let mut ring = self.ring();
        for mut event in events {
            ring.newest += 1;
            event.id = self.id(ring.newest);
            let told = Told { number: ring.newest, event };
            if ring.events.len() == RING {
                ring.events.pop_front();
            }
            ring.events.push_back(Arc::new(told));
        }
        let newest = ring.newest;
        drop(ring);
        self.0.newest.send_if_modified(|seen| std::mem::replace(seen, newest) != newest);
    }

    /// The position after everything that was told so far.
    pub fn newest(&self) -> u64 {
        self.ring().newest
    }

    /// The id of a position.
    pub fn id(&self, number: u64) -> String {
        format!("{:x}.{number}", self.0.epoch)
    }

    /// The position of an id; `None` for one of another run, or one that was never given.
    pub fn position(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('.')?;
        let number = number.parse().ok().filter(|number| *number <= self.newest())?;
        (u64::from_str_radix(epoch, 16).ok()? == self.0.epoch).then_some(number)
    }

    /// At most `max` events after a position.
    pub fn since(&self, position: u64, max: usize) -> Since {
        let ring = self.ring();
        let oldest = ring.events.front().map_or(ring.newest + 1, |told| told.number);
        if position + 1 < oldest {
            return Since::Overrun;
        }
        let skip = usize::try_from(position + 1 - oldest).unwrap_or(usize::MAX);
        Since::Events(ring.events.iter().skip(skip).take(max).cloned().collect())
    }

    /// Wakes whenever something was told.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// A place for one listener, held for as long as it listens; `None` while all are taken.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.places).try_acquire_owned().ok()
    }

    /// The fleet's counters, worked out anew if the last ones are more than a second old.
    pub fn counters(&self, count: impl FnOnce() -> FleetCounters) -> Arc<FleetCounters> {
        let known = self.ring().counters.clone();
        if let Some((made, counters)) = known
            && made.elapsed() < COUNTERS_VALID_FOR
        {
            return counters;
        }
        let counters = Arc::new(count());
        self.ring().counters = Some((Instant::now(), Arc::clone(&counters)));
        counters
    }

    /// Ends every stream: the hub goes down.
    pub fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// Becomes true when the hub goes down.
    pub fn closed(&self) -> watch::Receiver<bool> {
        self.0.closed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: usize) -> Event {
        Event {
            at: jiff::Timestamp::UNIX_EPOCH,
            actor: "mira".to_owned(),
            action: "hold",
            object: format!("hold/{n}"),
            detail: serde_json::json!({}),
        }
    }

    fn objects(since: Since) -> Vec<String> {
        match since {
            Since::Events(events) => events.iter().map(|told| told.event.object.clone()).collect(),
            Since::Overrun => vec!["overrun".to_owned()],
        }
    }

    #[test]
    fn a_listener_goes_on_after_the_last_event_it_has_seen() {
        let bus = Bus::new(7);
        bus.publish([event(1), event(2)]);
        let seen = bus.position(&bus.id(1)).unwrap();
        assert_eq!(objects(bus.since(seen, 10)), ["hold/2"]);
        assert_eq!(objects(bus.since(0, 1)), ["hold/1"]);
        assert_eq!(objects(bus.since(2, 10)), [""; 0]);
    }

    #[test]
    fn a_position_that_fell_out_of_the_ring_is_an_overrun_and_not_a_gap() {
        let bus = Bus::new(7);
        bus.publish((1..=RING + 2).map(event));
        assert_eq!(objects(bus.since(1, 1)), ["overrun"]);
        assert_eq!(objects(bus.since(2, 1)), ["hold/3"]);
    }

    #[test]
    fn ids_of_another_run_and_of_the_future_name_no_position() {
        let bus = Bus::new(7);
        bus.publish([event(1)]);
        for id in ["8.1", "7.2", "7.", "7", "x.1", ""] {
            assert_eq!(bus.position(id), None, "{id}");
        }
        assert_eq!(bus.position("7.0"), Some(0));
    }

    #[test]
    fn what_names_people_or_is_unheard_of_is_not_for_viewers() {
        assert!(is_for_viewers("hold") && is_for_viewers("rollout.halted"));
        for action in ["create_token", "publish_refused", "next_key", "added_later"] {
            assert!(!is_for_viewers(action), "{action}");
        }
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let bus = Bus::new(7);
        let mut taken: Vec<_> = (0..MAX_LISTENERS).map(|_| bus.place().unwrap()).collect();
        assert!(bus.place().is_none());
        taken.pop();
        assert!(bus.place().is_some());
    }
}

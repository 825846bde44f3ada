//! The bounded queue before the writer. Its owner sleeps while a batch gathers, instead of being
//! woken for every job: at thousands of reports a second that is most of what handing one over
//! costs.
//!
//! A sender never waits for room: a full queue is an answer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long the first of a batch waits for company when hardly anybody comes: a person who waits for
/// a commit does not see it.
const LINGER_MIN: Duration = Duration::from_millis(5);
/// How long when so many come that a commit serves a crowd: each of them pays less for it, and none
/// waits for what an acknowledgement may take.
const LINGER_MAX: Duration = Duration::from_millis(30);
/// So many in [`LINGER_MIN`] are a crowd: two thousand in a second.
const CROWD: usize = 10;

/// Why nothing was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotQueued {
    /// As many wait as may.
    Full,
    /// The receiver is gone.
    Closed,
}

/// What the owner of the queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiving {
    /// Something else.
    Busy,
    /// It sleeps until there is anything.
    Idle,
    /// It sleeps until there are this many, or its time is over.
    Gathering(usize),
    /// It is gone.
    Gone,
}

struct State<T> {
    waiting: VecDeque<T>,
    receiving: Receiving,
    /// Nobody sends any more.
    ended: bool,
    senders: usize,
    /// When the last batch was taken: whatever waits has waited since then at most.
    taken_at: Option<Instant>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
    capacity: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts in; cheap to clone.
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// What a wait ended with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered<T> {
    /// At least one.
    Items(Vec<T>),
    /// Nobody came in the time that was given.
    Nothing,
    /// Nothing is left, and nothing will come.
    End,
}

/// Takes out.
pub(super) struct Receiver<T>(Arc<Shared<T>>);

/// A queue that holds so many.
pub(super) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        waiting: VecDeque::new(),
        receiving: Receiving::Busy,
        ended: false,
        senders: 1,
        taken_at: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new(), capacity });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Puts one in, unless there is no room.
    pub(super) fn try_send(&self, item: T) -> Result<(), NotQueued> {
        let mut state = self.0.lock();
        if state.ended || state.receiving == Receiving::Gone {
            return Err(NotQueued::Closed);
        }
        if state.waiting.len() >= self.0.capacity {
            return Err(NotQueued::Full);
        }
        state.waiting.push_back(item);
        let wakes = match state.receiving {
            Receiving::Idle => true,
            Receiving::Gathering(enough) => state.waiting.len() >= enough,
            Receiving::Busy | Receiving::Gone => false,
        };
        if wakes {
            // Once: whoever comes before it is awake needs not wake it again.
            state.receiving = Receiving::Busy;
            drop(state);
            self.0.wake.notify_one();
        }
        Ok(())
    }

    /// Takes nothing any more. What is queued already is still taken out.
    pub(super) fn end(&self) {
        self.0.lock().ended = true;
        self.0.wake.notify_one();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders = state.senders.saturating_sub(1);
        if state.senders == 0 {
            state.ended = true;
            drop(state);
            self.0.wake.notify_one();
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for a first one, as long as `idle` says or for ever; gathers for a while, and takes at
    /// most so many.
    pub(super) fn gather(&self, most: usize, idle: Option<Duration>) -> Gathered<T> {
        // More than there is room for will not come.
        let enough = most.min(self.0.capacity);
        let mut state = self.0.lock();
        let mut since = state.taken_at;
        while state.waiting.is_empty() && !state.ended {
            since = None;
            state.receiving = Receiving::Idle;
            let Some(idle) = idle else {
                state = self.0.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let woken = self.0.wake.wait_timeout(state, idle);
            let (again, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            state = again;
            if timeout.timed_out() && state.waiting.is_empty() && !state.ended {
                state.receiving = Receiving::Busy;
                return Gathered::Nothing;
            }
        }
        if state.waiting.is_empty() {
            return Gathered::End;
        }
        let since = since.unwrap_or_else(Instant::now);
        for (linger, goes_on_with) in [(LINGER_MIN, 0), (LINGER_MAX, CROWD)] {
            if state.waiting.len() < goes_on_with {
                break;
            }
            while !state.ended && state.waiting.len() < enough {
                let left = linger.saturating_sub(since.elapsed());
                if left.is_zero() {
                    break;
                }
                state.receiving = Receiving::Gathering(enough);
                let woken = self.0.wake.wait_timeout(state, left);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.receiving = Receiving::Busy;
        state.taken_at = Some(Instant::now());
        let count = state.waiting.len().min(most);
        Gathered::Items(state.waiting.drain(..count).collect())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.lock();
            state.receiving = Receiving::Gone;
            std::mem::take(&mut state.waiting)
        };
        // Not under the lock: dropping a job tells its caller.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_comes_out_in_order_and_in_batches_of_the_size_asked_for() {
        let (sender, receiver) = bounded(10);
        (0..7).for_each(|n| sender.try_send(n).unwrap());
        assert_eq!(receiver.gather(5, None), Gathered::Items(vec![0, 1, 2, 3, 4]));
        drop(sender);
        assert_eq!(receiver.gather(5, None), Gathered::Items(vec![5, 6]));
        assert_eq!(receiver.gather(5, None), Gathered::<i32>::End);
    }

    #[test]
    fn a_full_queue_takes_nothing_until_there_is_room_again() {
        let (sender, receiver) = bounded(2);
        assert_eq!([1, 2, 3].map(|n| sender.try_send(n)), [Ok(()), Ok(()), Err(NotQueued::Full)]);
        assert_eq!(receiver.gather(2, None), Gathered::Items(vec![1, 2]));
        assert_eq!(sender.try_send(4), Ok(()));
    }

    #[test]
    fn after_the_end_nothing_is_taken_and_what_was_queued_comes_out() {
        let (sender, receiver) = bounded(9);
        let other = sender.clone();
        sender.try_send(1).unwrap();
        sender.end();
        assert_eq!(other.try_send(2), Err(NotQueued::Closed));
        assert_eq!(receiver.gather(9, None), Gathered::Items(vec![1]));
        assert_eq!(receiver.gather(9, None), Gathered::End);
    }

    #[test]
    fn whoever_has_something_else_to_do_waits_only_so_long() {
        let (sender, receiver) = bounded(9);
        let idle = Some(Duration::from_millis(1));
        assert_eq!(receiver.gather(9, idle), Gathered::<i32>::Nothing);
        sender.try_send(1).unwrap();
        assert_eq!(receiver.gather(9, idle), Gathered::Items(vec![1]));
    }

    #[test]
    fn a_receiver_that_goes_drops_what_is_queued_and_closes_the_queue() {
        let (sender, receiver) = bounded(9);
        let item = Arc::new(());
        sender.try_send(Arc::clone(&item)).unwrap();
        drop(receiver);
        assert_eq!(Arc::strong_count(&item), 1);
        assert_eq!(sender.try_send(item), Err(NotQueued::Closed));
    }

    /// Senders of other threads wake a receiver that sleeps, and nothing is lost or taken twice.
    #[test]
    fn everything_that_many_threads_queue_comes_out_once() {
        let (sender, receiver) = bounded(64);
        let threads: Vec<_> = (0..4_u32)
            .map(|thread| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for n in 0..500 {
                        while sender.try_send(thread * 500 + n) == Err(NotQueued::Full) {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let mut all = Vec::new();
        while let Gathered::Items(some) = receiver.gather(50, None) {
            all.extend(some);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        all.sort_unstable();
        assert_eq!(all, (0..2000).collect::<Vec<_>>());
    }
}

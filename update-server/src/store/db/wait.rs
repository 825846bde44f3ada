//! Waiting for the database from a thread that has no other work: sockets are driven by a thread of
//! their own, so the caller may be any thread but one that drives tasks itself.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

/// Never ended: whoever ends one waits for it, and the last user may be a task.
static DRIVER: Mutex<Option<Runtime>> = Mutex::new(None);

/// The thread that drives the sockets, started when it is first asked for.
pub(super) fn driver() -> io::Result<Handle> {
    let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(driver) = driver.as_ref() {
        return Ok(driver.handle().clone());
    }
    let made = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("postgres")
        .enable_all()
        .build()?;
    let handle = made.handle().clone();
    *driver = Some(made);
    Ok(handle)
}

struct Caller(Thread);

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future, so long at most.
pub(super) fn wait<F: Future>(future: F, patience: Duration) -> Option<F::Output> {
    let until = Instant::now() + patience;
    let waker = Waker::from(Arc::new(Caller(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_thread_does_is_waited_for_and_no_longer_than_one_may() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || tell.send(7));
        assert_eq!(wait(told, Duration::from_mins(1)), Some(Ok(7)));
        other.join().unwrap().unwrap();
        assert_eq!(wait(std::future::pending::<()>(), Duration::from_millis(1)), None);
    }
}

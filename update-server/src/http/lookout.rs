//! A look at what other replicas published, before an answer that would be older than what a client
//! may have from one of them.
//!
//! A replica hears of a publication at another one about a second later. Within it a client that
//! goes from one to the other would be given an older `timestamp.json` than it has, which is how a
//! rollback looks, or would not find files that the newer one promised.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

/// Longest time that an answer waits for a look: one short statement, and the files of a publication.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks for everybody who waits, one look at a time.
#[derive(Clone, Default)]
pub struct Lookout(Option<Arc<Looker>>);

struct Looker {
    look: Box<dyn Fn() + Send + Sync>,
    /// Held during a look.
    turn: Arc<Mutex<()>>,
    /// Looks that began.
    begun: AtomicU64,
    /// Somebody lost patience with the one that is under way.
    stuck: AtomicBool,
}

impl Lookout {
    /// Looks by `look`, which may block. Without replicas nobody does: [`Lookout::default`].
    pub fn new(look: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Looker {
            look: Box::new(look),
            turn: Arc::default(),
            begun: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
        })))
    }

    /// Waits for the end of a look that begins after this call. Says whether there was one: without
    /// replicas there is none, and nobody waits for one that takes too long.
    ///
    /// However many ask, no more than one looks and the next one is waited for.
    pub(super) async fn look(&self) -> bool {
        let Some(looker) = self.0.clone().filter(|looker| !looker.stuck.load(Ordering::Relaxed))
        else {
            return false;
        };
        let begun = looker.begun.load(Ordering::SeqCst);
        let waited = Arc::clone(&looker);
        let looked = timeout(PATIENCE, async move {
            let turn = Arc::clone(&waited.turn).lock_owned().await;
            if waited.begun.load(Ordering::SeqCst) > begun {
                return true;
            }
            waited.begun.fetch_add(1, Ordering::SeqCst);
            // Its turn ends with it, whoever stops waiting.
            let look = tokio::task::spawn_blocking(move || {
                (waited.look)();
                waited.stuck.store(false, Ordering::Relaxed);
                drop(turn);
            });
            look.await.is_ok()
        });
        looked.await.unwrap_or_else(|_| {
            looker.stuck.store(looker.turn.try_lock().is_err(), Ordering::Relaxed);
            false
        })
    }
}

impl fmt::Debug for Lookout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookout")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    #[actix_web::test]
    async fn everybody_who_asks_meanwhile_waits_for_one_look_that_begins_after_they_asked() {
        let (begins, began) = mpsc::channel();
        let (go_on, may_go) = mpsc::channel();
        let may_go = std::sync::Mutex::new(may_go);
        let lookout = Lookout::new(move || {
            begins.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
        });
        let ask = || {
            let lookout = lookout.clone();
            tokio::spawn(async move { lookout.look().await })
        };
        let first = ask();
        let began = tokio::task::spawn_blocking(move || {
            began.recv().unwrap();
            began
        });
        let began = began.await.unwrap();
        let later: Vec<_> = (0..20).map(|_| ask()).collect();
        tokio::task::yield_now().await;
        go_on.send(()).unwrap();
        assert!(first.await.unwrap());
        go_on.send(()).unwrap();
        for asked in later {
            assert!(asked.await.unwrap());
        }
        assert_eq!(began.try_iter().count(), 1, "one look for all that came during the first");
    }

    #[actix_web::test]
    async fn a_look_that_does_not_end_is_waited_for_once() {
        let (go_on, may_go) = mpsc::channel::<()>();
        let may_go = std::sync::Mutex::new(may_go);
        let lookout = Lookout::new(move || {
            // Until there is nobody who could say so.
            let _ended = may_go.lock().unwrap().recv();
        });
        assert!(!lookout.look().await);
        for _ in 0..3 {
            assert_eq!(lookout.look().now_or_never(), Some(false), "nobody else waits");
        }
        drop(go_on);
        // It ends, and from then on everybody looks again.
        while lookout.0.as_ref().unwrap().stuck.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        assert!(lookout.look().await);
    }

    #[actix_web::test]
    async fn without_replicas_nobody_waits() {
        assert!(!Lookout::default().look().await);
    }
}

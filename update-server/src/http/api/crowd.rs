//! Checks the signatures of reports together while so many come that it pays: that costs less than
//! half of checking each (`signing::message::verify_together`). One [`Crowd`] per worker thread:
//! nothing here is shared or locked.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::rt;
use signing::message::{MessageError, Pending, verify_together};
use signing::{Sha256Digest, Verified};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep};

/// How long one of a crowd waits for company. The commit that follows takes as long again, and an
/// acknowledgement may take ten times as long.
const HOLD: Duration = Duration::from_millis(20);
/// So many on one thread within [`HOLD`] are a crowd: 3,200 in a second. Fewer save too little to be
/// kept waiting.
const CROWD: usize = 64;
/// With fewer than this the crowd has gone. Half of it, so that a rate at the edge does not flutter.
const GONE: usize = CROWD / 2;
/// So many are not held any longer: more together save nothing, and checking them keeps the other
/// requests of the thread waiting for some milliseconds as it is.
const MAX_TOGETHER: usize = 256;
/// How long each is checked alone after one was bad: who goes on sending bad ones must not make the
/// hub do the work twice.
const DISTRUST: Duration = Duration::from_secs(1);

type Checked = Result<Verified<Option<Sha256Digest>>, MessageError>;

/// Those who wait on one thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Rc<RefCell<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    pending: Vec<Pending>,
    callers: Vec<oneshot::Sender<Checked>>,
    /// Grows with every batch: a timer that was set for an earlier one has nothing to do.
    batch: u64,
    pace: Pace,
}

/// Whether one waits for others; decided by who came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Each is checked at once. So many came since then.
    Alone { since: Option<Instant>, count: usize },
    /// Each waits for others.
    Together,
    /// Each is checked at once until then, whoever comes.
    Distrust { until: Instant },
}

impl Default for Pace {
    fn default() -> Self {
        Self::Alone { since: None, count: 0 }
    }
}

impl Pace {
    /// One comes.
    fn comes(self, now: Instant) -> Self {
        match self {
            Self::Distrust { until } if now >= until => Self::default().comes(now),
            Self::Alone { since: Some(since), count } if now < since + HOLD => {
                let count = count + 1;
                if count < CROWD {
                    Self::Alone { since: Some(since), count }
                } else {
                    Self::Together
                }
            }
            Self::Alone { .. } => Self::Alone { since: Some(now), count: 1 },
            Self::Together | Self::Distrust { .. } => self,
        }
    }

    /// So many were checked together.
    fn checked(self, count: usize, in_vain: bool, now: Instant) -> Self {
        match self {
            _ if in_vain => Self::Distrust { until: now + DISTRUST },
            Self::Together if count < GONE => Self::default(),
            Self::Together | Self::Alone { .. } | Self::Distrust { .. } => self,
        }
    }
}

impl Crowd {
    /// Checks a signature; with those of others while many come. `None` if the hub is ending.
    pub(super) async fn verify(&self, pending: Pending) -> Option<Checked> {
        if !self.waits(Instant::now()) {
            return Some(pending.verify());
        }
        let (caller, answer) = oneshot::channel();
        let (count, batch) = self.join(pending, caller);
        if count >= MAX_TOGETHER {
            self.check();
        } else if count == 1 {
            let crowd = self.clone();
            rt::spawn(async move {
                sleep(HOLD).await;
                if crowd.0.borrow().batch == batch {
                    crowd.check();
                }
            });
        }
        answer.await.ok()
    }

    fn waits(&self, now: Instant) -> bool {
        let mut waiting = self.0.borrow_mut();
        waiting.pace = waiting.pace.comes(now);
        waiting.pace == Pace::Together
    }

    fn join(&self, pending: Pending, caller: oneshot::Sender<Checked>) -> (usize, u64) {
        let mut waiting = self.0.borrow_mut();
        waiting.pending.push(pending);
        waiting.callers.push(caller);
        (waiting.pending.len(), waiting.batch)
    }

    /// Checks all who wait, and tells them.
    fn check(&self) {
        let (pending, callers) = {
            let mut waiting = self.0.borrow_mut();
            waiting.batch += 1;
            (std::mem::take(&mut waiting.pending), std::mem::take(&mut waiting.callers))
        };
        let together = verify_together(pending);
        {
            let mut waiting = self.0.borrow_mut();
            let count = callers.len();
            waiting.pace = waiting.pace.checked(count, together.in_vain, Instant::now());
        }
        for (caller, checked) in callers.into_iter().zip(together.each) {
            // One who left in the meantime needs no answer.
            let _ = caller.send(checked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use jiff::Timestamp;
    use signing::SecretKey;
    use signing::message::{Claim, RequestParts, sign};
    use tokio::task::LocalSet;
    use tokio::time::advance;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    /// A request of the cluster with this number, signed by it or by another.
    fn pending(seed: u8, signer: u8) -> Pending {
        let key = |seed| SecretKey::from_seed([seed; 32]);
        let body = [seed];
        let parts = RequestParts {
            method: "POST",
            path: "/api/v1/reports",
            query: "",
            content_type: None,
            body: &body,
        };
        let mut headers = sign(&parts, &key(seed), NOW, "n").unwrap();
        if signer != seed {
            headers.signature = sign(&parts, &key(signer), NOW, "n").unwrap().signature;
        }
        let claim = Claim::read(headers.fields()).unwrap();
        let public = key(seed).public().clone();
        let id = Sha256Digest::from_hex(public.key_id().as_str()).unwrap();
        claim.pending(&parts, &id, public, NOW, Duration::from_mins(1)).unwrap()
    }

    fn bodies(checked: Vec<Option<Checked>>) -> Vec<Option<Sha256Digest>> {
        let body = |one: Option<Checked>| one.unwrap().ok().and_then(Verified::into_inner);
        checked.into_iter().map(body).collect()
    }

    fn sent(seeds: impl Iterator<Item = u8>) -> Vec<Option<Sha256Digest>> {
        seeds.map(|seed| Some(Sha256Digest::of(&[seed]))).collect()
    }

    /// One that has seen many come.
    fn crowded() -> Crowd {
        let crowd = Crowd::default();
        crowd.0.borrow_mut().pace = Pace::Together;
        crowd
    }

    fn pace(crowd: &Crowd) -> Pace {
        crowd.0.borrow().pace
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_checked_at_once() {
        let (crowd, started) = (Crowd::default(), Instant::now());
        for seed in 0..200 {
            // Not a runtime for local tasks: whoever waited would need one.
            let checked = crowd.verify(pending(seed, seed)).await.unwrap();
            assert_eq!(checked.unwrap().into_inner(), Some(Sha256Digest::of(&[seed])));
            advance(Duration::from_millis(1)).await;
        }
        assert!(crowd.verify(pending(1, 2)).await.unwrap().is_err());
        assert_eq!((started.elapsed(), crowd.0.borrow().batch), (Duration::from_millis(200), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_the_later_ones_wait_for_each_other() {
        let (crowd, started) = (Crowd::default(), Instant::now());
        let all = (0..200).map(|seed| crowd.verify(pending(seed, seed)));
        let checked = LocalSet::new().run_until(join_all(all)).await;
        assert_eq!(bodies(checked), sent(0..200));
        assert_eq!((crowd.0.borrow().batch, pace(&crowd)), (1, Pace::Together));
        let waited = started.elapsed();
        assert!(HOLD <= waited && waited <= HOLD + Duration::from_millis(1), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_one_is_refused_alone_and_for_a_while_nobody_waits() {
        let crowd = crowded();
        let all = (0..40).map(|seed| crowd.verify(pending(seed, if seed == 7 { 8 } else { seed })));
        let checked = LocalSet::new().run_until(join_all(all)).await;
        let error = checked[7].as_ref().unwrap().as_ref().unwrap_err();
        assert!(matches!(error, MessageError::Signature(_)), "{error}");
        let mut expected = sent(0..40);
        expected[7] = None;
        assert_eq!(bodies(checked), expected);

        let started = Instant::now();
        for seed in 0..200 {
            assert!(crowd.verify(pending(seed, seed)).await.unwrap().is_ok());
        }
        assert_eq!((started.elapsed(), crowd.0.borrow().batch), (Duration::ZERO, 1));
        advance(DISTRUST).await;
        assert_eq!(pace(&crowd).comes(Instant::now()), Pace::default().comes(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_as_may_be_held_are_not_held_any_longer() {
        let (crowd, started) = (crowded(), Instant::now());
        let one = pending(1, 1);
        let all = join_all((0..MAX_TOGETHER).map(|_| crowd.verify(one.clone())));
        let checked = LocalSet::new().run_until(all).await;
        assert!(checked.iter().all(|one| one.as_ref().unwrap().is_ok()));
        assert_eq!((started.elapsed(), crowd.0.borrow().batch), (Duration::ZERO, 1));
    }

    /// The timer of a batch that was full before its time does not cut the next one short.
    #[tokio::test(start_paused = true)]
    async fn a_timer_is_for_its_own_batch_only() {
        let crowd = crowded();
        let one = pending(1, 1);
        LocalSet::new()
            .run_until(async {
                join_all((0..MAX_TOGETHER).map(|_| crowd.verify(one.clone()))).await;
                sleep(HOLD / 2).await;
                let started = Instant::now();
                join_all((0..GONE).map(|_| crowd.verify(one.clone()))).await;
                assert!(started.elapsed() >= HOLD, "{:?}", started.elapsed());
            })
            .await;
        assert_eq!(crowd.0.borrow().batch, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_leaves_changes_nothing_for_the_others() {
        let crowd = crowded();
        let checked = LocalSet::new()
            .run_until(async {
                let stays = (0..5).map(|seed| crowd.verify(pending(seed, seed)));
                let leaves = tokio::time::timeout(HOLD / 2, crowd.verify(pending(9, 9)));
                let (left, stayed) = tokio::join!(leaves, join_all(stays));
                assert!(left.is_err(), "it did not wait for the answer");
                stayed
            })
            .await;
        assert_eq!(bodies(checked), sent(0..5));
    }

    #[test]
    fn a_crowd_is_one_until_it_has_gone() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for n in 0..CROWD {
            assert_ne!(pace, Pace::Together, "{n} came");
            pace = pace.comes(start + HOLD / 2);
        }
        assert_eq!(pace, Pace::Together);
        assert_eq!(pace.checked(GONE, false, start), Pace::Together);
        assert_eq!(pace.checked(GONE - 1, false, start), Pace::default());
        // As many, but not within the time: counted anew.
        let slowly = (0..200).fold(Pace::default(), |pace, n| pace.comes(start + HOLD / 50 * n));
        assert!(matches!(slowly, Pace::Alone { .. }), "{slowly:?}");
    }
}

//! What an agent hears: answers of its hub, words of Kubernetes, orders of people.

use jiff::{SignedDuration, Timestamp};

use channels::wire::{Action, ProductSettings, Report};
use signing::causes::chain;

use super::Shell;
use crate::agent::AgentError;
use crate::agent::due::{jittered, later};
use crate::agent::links::{News, Unanswered};
use crate::clock;
use crate::driver::StepId;
use crate::plan::follow;
use crate::prometheus::within_bounds;
use crate::state::StateError;

/// Documents that became needed are fetched this soon, without asking for new metadata.
const DOCUMENTS_SOON: SignedDuration = SignedDuration::from_millis(200);

impl Shell {
    /// The next news of the hub's tasks; `None` if they ended.
    pub(in crate::agent) async fn news(&mut self) -> Option<News> {
        self.links.news.recv().await
    }

    /// Takes in news.
    pub(in crate::agent) fn take_news(&mut self, news: Option<News>) -> Result<(), AgentError> {
        let now = clock::now();
        match news {
            None => return Err(AgentError::TaskEnded),
            Some(News::Reported { sent_at, asked, whole, answer: Ok(reply) }) => {
                if self.outbox.answered(&reply, asked.as_ref(), now) {
                    self.refresh_at = now;
                }
                self.told.acknowledged(reply.full_state_wanted, now);
                self.answered_at = Some(now);
                self.core.measures = within_bounds(&reply.measures);
                if whole {
                    self.core.hear(&reply, asked.as_ref(), sent_at);
                } else {
                    self.core.answered();
                }
                self.wanted(&reply.settings)?;
                let grants = reply.directives.iter().filter(|d| d.action == Action::Proceed);
                for directive in grants {
                    tracing::debug!(product = %directive.product, "granted");
                }
            }
            Some(News::Reported { asked, answer: Err(unanswered), .. }) => {
                let Unanswered { why, retry_after_s, key_refused, for_good, last_seq } = unanswered;
                tracing::warn!(error = why, "report not answered");
                if let Some(reason) = key_refused
                    && self.core.standing.disowned.is_none()
                {
                    tracing::error!(reason, "the hub refuses this cluster's key: no unit starts");
                }
                self.told.lost();
                if for_good {
                    tracing::error!(why, "this agent asks no more; once an hour it looks again");
                }
                self.outbox.failed(asked.as_ref(), retry_after_s, jittered, now);
                if for_good {
                    self.outbox.give_up(jittered, now);
                }
                // Knowing the number proves that this process lives, whether or not it is believed.
                self.heard_seq = self.heard_seq.max(last_seq);
                if last_seq.is_some_and(|last| self.document.catch_up(last, now)) {
                    self.outbox.mended();
                }
                self.core.unheard(why, key_refused, now);
            }
            Some(News::Refreshed { .. }) if self.refresh_void => {
                (self.refreshing, self.refresh_void, self.refresh_at) = (false, false, now);
            }
            Some(News::Refreshed { known, verified_at }) => {
                self.refreshing = false;
                self.verified_at = verified_at.or(self.verified_at);
                self.core.learn(known, now);
            }
        }
        Ok(())
    }

    /// Remembers what the hub wants of our products. On disk before it counts: a restart must not
    /// bring the channel back that was left.
    fn wanted(&mut self, settings: &[ProductSettings]) -> Result<(), AgentError> {
        let ours = |wanted: &&ProductSettings| self.settings.products.contains_key(&wanted.product);
        let wanted: Vec<_> =
            settings.iter().filter(ours).take(Report::MAX_PRODUCTS).cloned().collect();
        if wanted == self.document.wanted {
            return Ok(());
        }
        tracing::info!(settings = wanted.len(), "the hub wants something else of this cluster");
        self.document.wanted = wanted;
        self.governed = false;
        self.save()
    }

    /// Takes in what Kubernetes says about the lease and the products, and what the hub wants.
    pub(super) fn steer(&mut self, now: Timestamp) {
        let owner = match &mut self.steering {
            Some(steering) => steering.steer(&mut self.core, now),
            None if self.governed => return,
            None => self.configured.clone(),
        };
        self.governed = true;
        if self.core.govern(follow(&owner, &self.document.wanted)) {
            // What is being fetched is of the old channel.
            self.refresh_void = self.refreshing;
            self.refresh_at = now;
        }
    }

    /// Reads what people ordered. An order file that cannot be read holds everything.
    pub(super) async fn read_orders(&mut self, now: Timestamp) -> Result<(), AgentError> {
        let mut stated = vec![];
        let mut read = || -> Result<_, StateError> {
            let mut finalize = self.control.finalize_approvals()?;
            if let Some(steering) = &self.steering {
                finalize = steering.finalize_approvals(finalize, &self.core.history);
            }
            self.core.finalize_approved(finalize);
            stated = self.control.levels_unchanged()?;
            Ok((self.control.hold()?, self.control.approvals()?, self.control.resume_order()?))
        };
        let (hold, approvals, resume) = match read() {
            Ok(orders) => orders,
            Err(error) => {
                let why = chain(&error);
                if self.orders_error.as_ref() != Some(&why) {
                    tracing::warn!(error = why, "orders cannot be read, holding");
                }
                let reason = format!("an order file cannot be read: {why}");
                let hold = crate::state::LocalHold { reason, since: now };
                let since = self.core.standing.hold.as_ref().map_or(now, |held| held.since);
                let hold = crate::state::LocalHold { since, ..hold };
                self.core.orders(Some(hold), self.core.approvals.clone());
                self.orders_error = Some(why);
                return Ok(());
            }
        };
        self.orders_error = None;
        let change = self.core.levels_unchanged(&stated, now);
        self.apply(change).await?;
        let history = &self.core.history;
        let steering = self.steering.as_ref();
        let approvals = match steering {
            Some(steering) => steering.approvals(approvals, history),
            None => approvals,
        };
        let by_file = resume.is_some();
        let resume = resume.or_else(|| steering?.resume(history, now));
        if approvals != self.core.approvals {
            // A newly approved release needs its document.
            self.refresh_at = self.refresh_at.min(later(now, DOCUMENTS_SOON));
        }
        self.core.orders(hold, approvals);
        if let Some(order) = resume {
            tracing::info!("resumed");
            let change = self
                .core
                .resume(&order, StepId::new(), now)
                .map_err(|source| AgentError::Illegal { source })?;
            self.outbox.hurry();
            self.apply(change).await?;
            if by_file {
                self.control.resume_taken().map_err(|source| AgentError::State { source })?;
            }
        }
        Ok(())
    }
}

//! Asks brokers for every partition and for `min.insync.replicas` of every topic, beside the voters'
//! looks and never in their way.
//!
//! A large cluster is not read in one look: what was read stays until it is read again, and a look
//! that is cut off leaves its answers to the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use channels::health::elapsed_ms;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::client::KafkaClient;
use super::error::KafkaError;
use super::partitions::{self, MinInsync, TOPICS_AT_ONCE, Topics};
use super::settings::KafkaSettings;
use crate::clock;

/// `min.insync.replicas` of a topic is read again this often, milliseconds: it seldom changes.
const MINIMUMS_AGAIN_MS: u64 = 60_000;

/// Beyond this, milliseconds, a minimum that was not read again is not known any more.
const MINIMUMS_OLD_MS: u64 = 300_000;

/// What one look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) topics: Topics,
    pub(super) minimums: MinInsync,
}

impl Spread {
    /// Partitions that were told of.
    pub(super) fn count(&self) -> u64 {
        let count = self.topics.values().map(Vec::len).sum::<usize>();
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

/// Looks at the partitions of one product.
#[derive(Debug)]
pub(super) struct TopicLooks {
    reader: Arc<Mutex<Reader>>,
    /// One that hangs and one that answers, milliseconds.
    limit: Duration,
    period_ms: u64,
    asked_at: Option<Timestamp>,
    running: Option<JoinHandle<Result<Spread, String>>>,
}

#[derive(Debug)]
struct Reader {
    client: KafkaClient,
    minimums: BTreeMap<String, (usize, Timestamp)>,
    /// How many topics the last answer named.
    topics: usize,
}

impl TopicLooks {
    /// `None` if no brokers are configured. Nothing is connected yet.
    pub(super) fn new(servers: &KafkaSettings) -> Result<Option<Self>, KafkaError> {
        if servers.brokers.is_empty() {
            return Ok(None);
        }
        let client = KafkaClient::new(servers)?;
        Ok(Some(Self {
            reader: Arc::new(Mutex::new(Reader { client, minimums: BTreeMap::new(), topics: 0 })),
            limit: Duration::from_millis(servers.timeout_ms.saturating_mul(2)),
            period_ms: servers.partitions_period_ms,
            asked_at: None,
            running: None,
        }))
    }

    /// What the look that ended since the last call found, if one did; begins one if it is time.
    pub(super) async fn take(&mut self, now: Timestamp) -> Option<Result<Spread, String>> {
        let ended = match self.running.take_if(|running| running.is_finished()) {
            Some(ended) => Some(ended.await.unwrap_or_else(|error| Err(error.to_string()))),
            None => None,
        };
        let due = |at: Timestamp| at > now || elapsed_ms(at, now) >= self.period_ms;
        if self.running.is_none() && self.asked_at.is_none_or(due) {
            self.asked_at = Some(now);
            let (reader, limit) = (Arc::clone(&self.reader), self.limit);
            self.running = Some(tokio::spawn(async move {
                let mut reader = reader.lock().await;
                reader.read(limit).await
            }));
        }
        ended
    }
}

impl Drop for TopicLooks {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl Reader {
    async fn read(&mut self, limit: Duration) -> Result<Spread, String> {
        let found = tokio::time::timeout(limit, self.spread()).await;
        let found = found.unwrap_or_else(|_| Err("no broker answers in time".to_owned()));
        let (read, all) = (self.minimums.len(), self.topics);
        // What was read stays, so the next look gets further.
        found.map_err(
            |why| {
                if read < all { format!("{why}; {read} of {all} topics read") } else { why }
            },
        )
    }

    async fn spread(&mut self) -> Result<Spread, String> {
        let metadata = self.client.metadata().await.map_err(|error| error.story())?;
        let topics = partitions::topics(&metadata)?;
        self.topics = topics.len();
        let now = clock::now();
        self.minimums.retain(|topic, (_, at)| {
            *at <= now && elapsed_ms(*at, now) < MINIMUMS_OLD_MS && topics.contains_key(topic)
        });
        for some in self.due(&topics, now).chunks(TOPICS_AT_ONCE) {
            let answer = self.client.min_insync(some).await.map_err(|error| error.story())?;
            let read_at = clock::now();
            let found = partitions::min_insync(&answer)?;
            self.minimums
                .extend(found.into_iter().map(|(topic, minimum)| (topic, (minimum, read_at))));
        }
        let minimums = self.minimums.iter().map(|(topic, (min, _))| (topic.clone(), *min));
        Ok(Spread { topics, minimums: minimums.collect() })
    }

    /// Topics whose minimum is to be read: those that are not known first, then the oldest.
    fn due(&self, topics: &Topics, now: Timestamp) -> Vec<String> {
        let mut due: Vec<(Option<Timestamp>, &String)> = topics
            .keys()
            .map(|topic| (self.minimums.get(topic).map(|(_, at)| *at), topic))
            .filter(|(at, _)| at.is_none_or(|at| elapsed_ms(at, now) >= MINIMUMS_AGAIN_MS))
            .collect();
        due.sort();
        due.into_iter().map(|(_, topic)| topic.clone()).collect()
    }
}

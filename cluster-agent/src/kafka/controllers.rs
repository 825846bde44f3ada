//! The controllers that are asked: the configured ones, and those the quorum itself has named.
//!
//! After a change of voters the leader may be one that no configuration names yet. So where voters
//! listen is remembered from the last leader's word, and while no leader answers, controllers that
//! do are asked who leads.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{DescribeClusterRequest, DescribeQuorumRequest};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::connection::{Connection, Dialer};
use super::error::{ErrorCode, KafkaError};
use super::quorum::{Endpoint, METADATA_TOPIC, NoView, QuorumView};
use super::settings::Address;
use super::wire::calls::Call;

/// How long others may still answer after the leader did: a deposed leader does not know it yet,
/// and whoever leads in a later epoch must win.
const OTHERS_AFTER: Duration = Duration::from_millis(100);

/// Most controllers that are asked without being configured: a quorum has three to seven voters,
/// some with two listeners.
const LEARNED_MAX: usize = 32;

/// Between two rounds of asking who leads: an election is over sooner by itself.
const DISCOVER_AGAIN: Duration = Duration::from_secs(5);

/// `DescribeCluster`: ask for controllers.
pub(super) const CONTROLLERS: i8 = 2;

/// One server and the connection that is kept to it.
#[derive(Debug)]
pub(super) struct Server {
    address: Address,
    connection: Option<Connection>,
}

impl Server {
    /// Not connected yet.
    pub(super) fn of(address: &Address) -> Self {
        Self { address: address.clone(), connection: None }
    }

    /// Asks something that changes nothing. The connection is taken out and comes back with the
    /// answer, so one that was given up in the middle is never used again.
    pub(super) async fn ask<C: Call>(
        &mut self,
        dialer: &Dialer,
        call: &C,
    ) -> Result<C::Answer, KafkaError> {
        if let Some(kept) = self.connection.take() {
            match self.ask_over(kept, call).await {
                // Servers end connections: idle ones, and those whose login has become old.
                Err(KafkaError::Broken { .. }) => {}
                answered => return answered,
            }
        }
        let fresh = dialer.connect(&self.address).await?;
        self.ask_over(fresh, call).await
    }

    async fn ask_over<C: Call>(
        &mut self,
        mut connection: Connection,
        call: &C,
    ) -> Result<C::Answer, KafkaError> {
        let answer = connection.ask(call).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn describe(&mut self, dialer: &Dialer) -> Result<(Address, QuorumView), KafkaError> {
        let partition = PartitionData::default();
        let topic = TopicData::default()
            .with_topic_name(StrBytes::from_static_str(METADATA_TOPIC).into())
            .with_partitions(vec![partition]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let answer = self.ask(dialer, &request).await?;
        let address = self.address.to_string();
        let what = DescribeQuorumRequest::NAME;
        match QuorumView::read(&answer) {
            Ok(view) => Ok((self.address.clone(), view)),
            Err(NoView::Refused(code, message)) => {
                // The usual answer of a follower; what servers add to it is long and says no more.
                let message = message.filter(|_| code != ErrorCode::NOT_LEADER_OR_FOLLOWER);
                Err(KafkaError::Refused { address, what, code, message })
            }
            Err(NoView::Leaderless) => {
                let why = "it knows no leader".to_owned();
                Err(KafkaError::Unreadable { address, what, why })
            }
            Err(NoView::Unreadable(why)) => {
                Err(KafkaError::Unreadable { address, what, why: why.to_owned() })
            }
        }
    }

    /// Where controllers listen, by one that answers at all.
    async fn others(&mut self, dialer: &Dialer) -> Vec<Address> {
        let request = DescribeClusterRequest::default().with_endpoint_type(CONTROLLERS);
        let Ok(answer) = self.ask(dialer, &request).await else { return vec![] };
        let nodes = answer.brokers.iter().take(LEARNED_MAX);
        nodes
            .filter_map(|node| {
                let port = u16::try_from(node.port).ok()?;
                Address::of(&node.host, port).ok()
            })
            .collect()
    }
}

/// One quorum's controllers.
#[derive(Debug)]
pub(super) struct Controllers {
    configured: Vec<Server>,
    /// Named by the quorum or by a change that is open.
    learned: Vec<Server>,
    /// Those of them that a change names.
    newcomers: Vec<Address>,
    discovered_at: Option<Instant>,
}

impl Controllers {
    /// The configured ones.
    pub(super) fn new(bootstrap: &[Address]) -> Self {
        Self {
            configured: bootstrap.iter().map(Server::of).collect(),
            learned: vec![],
            newcomers: vec![],
            discovered_at: None,
        }
    }

    /// Asks these as well, whoever the quorum says its voters are: they are about to join it.
    pub(super) fn expect(&mut self, newcomers: Vec<Address>) {
        self.newcomers.clone_from(&newcomers);
        self.learn(newcomers);
    }

    fn learn(&mut self, addresses: impl IntoIterator<Item = Address>) {
        for address in addresses {
            let mut known = self.configured.iter().chain(&self.learned);
            if self.learned.len() < LEARNED_MAX && !known.any(|server| server.address == address) {
                self.learned.push(Server::of(&address));
            }
        }
    }

    /// The quorum by its leader, and where that one listens.
    ///
    /// Who is not configured is asked only when no leader is found, or if it answered before: names
    /// that the quorum gives need not be reachable from here.
    pub(super) async fn ask_leader(
        &mut self,
        dialer: &Dialer,
    ) -> Result<(Address, QuorumView), KafkaError> {
        let answered = self.learned.iter_mut().filter(|server| server.connection.is_some());
        let asked = self.configured.iter_mut().chain(answered);
        let mut found = ask_all(asked.collect(), dialer).await;
        if let Err(mut why) = found {
            self.discover(dialer).await;
            found = ask_all(self.learned.iter_mut().collect(), dialer).await;
            if let Err(more) = found {
                why.extend(more);
                let lacking = self.learned.iter().map(|server| server.address.to_string());
                return Err(KafkaError::NoLeader { why, lacking: lacking.collect() });
            }
        }
        let found = found.map_err(|why| KafkaError::NoLeader { why, lacking: vec![] })?;
        self.follow(&found.1);
        Ok(found)
    }

    /// Remembers where the voters of the moment listen, and nobody else.
    fn follow(&mut self, view: &QuorumView) {
        let voters: Vec<Address> = view.endpoints.values().flatten().filter_map(address).collect();
        if voters.is_empty() {
            return;
        }
        let newcomers = &self.newcomers;
        self.learned.retain(|server| {
            voters.contains(&server.address) || newcomers.contains(&server.address)
        });
        self.learn(voters);
    }

    /// Asks those that answered where the others are.
    async fn discover(&mut self, dialer: &Dialer) {
        if self.discovered_at.is_some_and(|at| at.elapsed() < DISCOVER_AGAIN) {
            return;
        }
        self.discovered_at = Some(Instant::now());
        let up = self.configured.iter_mut().filter(|server| server.connection.is_some());
        let asked = futures_util::future::join_all(up.map(|server| server.others(dialer))).await;
        self.learn(asked.into_iter().flatten());
    }
}

/// Asks them side by side; of several that think they lead, the one of the highest epoch.
async fn ask_all(
    servers: Vec<&mut Server>,
    dialer: &Dialer,
) -> Result<(Address, QuorumView), Vec<String>> {
    let mut answers: FuturesUnordered<_> =
        servers.into_iter().map(|server| server.describe(dialer)).collect();
    let mut best: Option<(Address, QuorumView)> = None;
    let mut why = Vec::new();
    loop {
        let next = if best.is_some() {
            tokio::time::timeout(OTHERS_AFTER, answers.next()).await.unwrap_or(None)
        } else {
            answers.next().await
        };
        match next {
            None => break,
            Some(Ok(found)) => {
                if best.as_ref().is_none_or(|(_, view)| found.1.epoch > view.epoch) {
                    best = Some(found);
                }
            }
            Some(Err(error)) => why.push(error.story()),
        }
    }
    best.ok_or(why)
}

/// Where an endpoint is, if it is a place that can be dialled.
pub(super) fn address(endpoint: &Endpoint) -> Option<Address> {
    Address::of(&endpoint.host, endpoint.port).ok()
}

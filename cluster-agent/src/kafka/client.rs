//! One product's Kafka servers: asks all controllers side by side and believes the leader.
//!
//! Connections are kept between questions. A server that fails loses its connection and is asked
//! over a new one the next time.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::add_raft_voter_request::Listener;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AddRaftVoterRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeConfigsResponse,
    DescribeQuorumRequest, MetadataRequest, MetadataResponse, RemoveRaftVoterRequest,
    UpdateFeaturesRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::connection::{Connection, Dialer, Features};
use super::error::{ErrorCode, KafkaError};
use super::quorum::{DirectoryId, Endpoint, METADATA_TOPIC, NoView, QuorumView};
use super::settings::{Address, KafkaSettings};
use super::wire::calls::Call;

/// How long others may still answer after the leader did: a deposed leader does not know it yet,
/// and whoever leads in a later epoch must win.
const OTHERS_AFTER: Duration = Duration::from_millis(100);

/// Longest wait for a change of the voter set or of features: it is answered once committed.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the server may take of that, milliseconds; the rest is for the way there and back.
const CHANGE_SERVER_MS: i32 = 25_000;

/// `DescribeCluster`: ask for controllers.
const CONTROLLERS: i8 = 2;

/// `DescribeConfigs`: a topic.
const TOPIC: i8 = 2;

/// `UpdateFeatures`: only upwards, nothing is lost.
const UPGRADE: i8 = 1;

#[derive(Debug)]
struct Server {
    address: Address,
    connection: Option<Connection>,
}

impl Server {
    fn of(address: &Address) -> Self {
        Self { address: address.clone(), connection: None }
    }

    /// Asks something that changes nothing. The connection is taken out and comes back with the
    /// answer, so one that was given up in the middle is never used again.
    async fn ask<C: Call>(&mut self, dialer: &Dialer, call: &C) -> Result<C::Answer, KafkaError> {
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
}

/// A client of one product's servers.
#[derive(Debug)]
pub struct KafkaClient {
    dialer: Dialer,
    controllers: Vec<Server>,
    brokers: Vec<Server>,
}

impl KafkaClient {
    /// Reads the TLS files; nothing is connected yet.
    pub fn new(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        Ok(Self {
            dialer: Dialer::new(settings)?,
            controllers: settings.bootstrap.iter().map(Server::of).collect(),
            brokers: settings.brokers.iter().map(Server::of).collect(),
        })
    }

    /// The quorum as its leader sees it; the leader of the highest epoch if several think they are.
    pub async fn describe(&mut self) -> Result<QuorumView, KafkaError> {
        self.ask_leader().await.map(|(_, view)| view)
    }

    async fn ask_leader(&mut self) -> Result<(Address, QuorumView), KafkaError> {
        let dialer = &self.dialer;
        let mut answers: FuturesUnordered<_> =
            self.controllers.iter_mut().map(|server| server.describe(dialer)).collect();
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
        best.ok_or(KafkaError::NoLeader { why })
    }

    /// What the cluster has finalized, by the leader's view.
    pub async fn features(&mut self) -> Result<Features, KafkaError> {
        self.levels().await.map(|(finalized, _)| finalized)
    }

    /// The same, and the highest levels the leader itself supports.
    pub async fn levels(&mut self) -> Result<(Features, Features), KafkaError> {
        let (address, _) = self.ask_leader().await?;
        let mut connection = self.dialer.connect(&address).await?;
        connection.features().await
    }

    /// The cluster's id.
    pub async fn cluster_id(&mut self) -> Result<String, KafkaError> {
        let request = DescribeClusterRequest::default().with_endpoint_type(CONTROLLERS);
        let (address, _) = self.ask_leader().await?;
        let mut connection = self.dialer.connect(&address).await?;
        let answer = connection.ask(&request).await?;
        connection
            .accepted::<DescribeClusterRequest>(answer.error_code, answer.error_message.as_ref())?;
        Ok(answer.cluster_id.to_string())
    }

    /// A connection to the leader that waits for commits.
    async fn leader_patiently(&mut self) -> Result<Connection, KafkaError> {
        let (address, _) = self.ask_leader().await?;
        Ok(self.dialer.connect(&address).await?.patient(CHANGE_TIMEOUT))
    }

    /// Adds a voter; answered once the change is committed.
    pub async fn add_voter(
        &mut self,
        cluster_id: &str,
        id: i32,
        directory: DirectoryId,
        endpoints: &[Endpoint],
    ) -> Result<(), KafkaError> {
        let listener = |endpoint: &Endpoint| {
            Listener::default()
                .with_name(StrBytes::from_string(endpoint.name.clone()))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port)
        };
        let request = AddRaftVoterRequest::default()
            .with_cluster_id(Some(StrBytes::from_string(cluster_id.to_owned())))
            .with_timeout_ms(CHANGE_SERVER_MS)
            .with_voter_id(id)
            .with_voter_directory_id(uuid::Uuid::from_bytes(*directory.as_bytes()))
            .with_listeners(endpoints.iter().map(listener).collect());
        let mut leader = self.leader_patiently().await?;
        let answer = leader.ask(&request).await?;
        leader.accepted::<AddRaftVoterRequest>(answer.error_code, answer.error_message.as_ref())
    }

    /// Removes a voter; answered once the change is committed.
    pub async fn remove_voter(
        &mut self,
        cluster_id: &str,
        id: i32,
        directory: DirectoryId,
    ) -> Result<(), KafkaError> {
        let request = RemoveRaftVoterRequest::default()
            .with_cluster_id(Some(StrBytes::from_string(cluster_id.to_owned())))
            .with_voter_id(id)
            .with_voter_directory_id(uuid::Uuid::from_bytes(*directory.as_bytes()));
        let mut leader = self.leader_patiently().await?;
        let answer = leader.ask(&request).await?;
        leader.accepted::<RemoveRaftVoterRequest>(answer.error_code, answer.error_message.as_ref())
    }

    /// Raises a feature to `level`; never lowers one. With `validate_only` nothing is changed.
    pub async fn raise_feature(
        &mut self,
        feature: &str,
        level: i16,
        validate_only: bool,
    ) -> Result<(), KafkaError> {
        let update = FeatureUpdateKey::default()
            .with_feature(StrBytes::from_string(feature.to_owned()))
            .with_max_version_level(level)
            .with_upgrade_type(UPGRADE);
        let request = UpdateFeaturesRequest::default()
            .with_timeout_ms(CHANGE_SERVER_MS)
            .with_feature_updates(vec![update])
            .with_validate_only(validate_only);
        let mut leader = self.leader_patiently().await?;
        let answer = leader.ask(&request).await?;
        leader
            .accepted::<UpdateFeaturesRequest>(answer.error_code, answer.error_message.as_ref())?;
        for result in &answer.results {
            leader.accepted::<UpdateFeaturesRequest>(
                result.error_code,
                result.error_message.as_ref(),
            )?;
        }
        Ok(())
    }

    /// Every partition of every topic, by the first broker that answers.
    pub(super) async fn metadata(&mut self) -> Result<MetadataResponse, KafkaError> {
        let request =
            MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        self.ask_broker(&request).await
    }

    /// `min.insync.replicas` of topics, by the first broker that answers.
    pub(super) async fn min_insync(
        &mut self,
        topics: &[String],
    ) -> Result<DescribeConfigsResponse, KafkaError> {
        let resource = |topic: &String| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(StrBytes::from_string(topic.clone()))
                .with_configuration_keys(Some(vec![StrBytes::from_static_str(
                    super::partitions::MIN_INSYNC,
                )]))
        };
        let request =
            DescribeConfigsRequest::default().with_resources(topics.iter().map(resource).collect());
        self.ask_broker(&request).await
    }

    async fn ask_broker<C: Call>(&mut self, call: &C) -> Result<C::Answer, KafkaError> {
        let mut why = Vec::new();
        for _ in 0..self.brokers.len() {
            // Who is asked goes to the end at once and comes back to the front by answering, so one
            // that hangs until the caller gives up is not asked first the next time.
            self.brokers.rotate_left(1);
            let Some(server) = self.brokers.last_mut() else { break };
            match server.ask(&self.dialer, call).await {
                Ok(answer) => {
                    self.brokers.rotate_right(1);
                    return Ok(answer);
                }
                Err(error) => why.push(error.story()),
            }
        }
        Err(KafkaError::NoBroker { why })
    }
}

//! One product's Kafka servers: asks all controllers side by side and believes the leader.
//!
//! Connections are kept between questions. A server that fails loses its connection and is asked
//! over a new one the next time.

use std::time::Duration;

use kafka_protocol::messages::add_raft_voter_request::Listener;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AddRaftVoterRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeConfigsResponse,
    MetadataRequest, MetadataResponse, RemoveRaftVoterRequest, UpdateFeaturesRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::connection::{Connection, Dialer, Features};
use super::controllers::{CONTROLLERS, Controllers, Server, address};
use super::error::KafkaError;
use super::quorum::{DirectoryId, Endpoint, QuorumView};
use super::settings::{Address, KafkaSettings};
use super::wire::calls::Call;

/// Longest wait for a change of the voter set or of features: it is answered once committed.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the server may take of that, milliseconds; the rest is for the way there and back.
const CHANGE_SERVER_MS: i32 = 25_000;

/// `DescribeConfigs`: a topic.
const TOPIC: i8 = 2;

/// `UpdateFeatures`: only upwards, nothing is lost.
const UPGRADE: i8 = 1;

/// A client of one product's servers.
#[derive(Debug)]
pub struct KafkaClient {
    dialer: Dialer,
    controllers: Controllers,
    brokers: Vec<Server>,
}

impl KafkaClient {
    /// Reads the TLS files; nothing is connected yet.
    pub fn new(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        Ok(Self {
            dialer: Dialer::new(settings)?,
            controllers: Controllers::new(&settings.bootstrap),
            brokers: settings.brokers.iter().map(Server::of).collect(),
        })
    }

    /// The quorum as its leader sees it; the leader of the highest epoch if several think they are.
    pub async fn describe(&mut self) -> Result<QuorumView, KafkaError> {
        self.ask_leader().await.map(|(_, view)| view)
    }

    /// Asks controllers as well that no configuration names yet: those of a change that is open.
    pub fn also_ask(&mut self, endpoints: &[Endpoint]) {
        self.controllers.expect(endpoints.iter().filter_map(address).collect());
    }

    async fn ask_leader(&mut self) -> Result<(Address, QuorumView), KafkaError> {
        self.controllers.ask_leader(&self.dialer).await
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

    /// Asks the leader to raise a feature to `level`; never to lower one. With `validate_only`
    /// nothing is changed.
    pub(super) async fn update_feature(
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

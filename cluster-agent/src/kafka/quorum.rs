//! What the quorum's leader says about it: `DescribeQuorum` as plain values, and who has caught up.
//!
//! Pure. Times are the leader's own clock throughout, so no two clocks are ever compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kafka_protocol::messages::DescribeQuorumResponse;
use kafka_protocol::messages::describe_quorum_response::ReplicaState;
use serde::{Deserialize, Serialize};

use super::error::ErrorCode;

/// The topic whose partition 0 is the metadata log.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";

/// Most voters and observers read; a quorum has three to five voters, observers are the brokers.
const REPLICAS_MAX: usize = 4_096;

/// The id of one log directory, as Kafka writes it: 22 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DirectoryId([u8; 16]);

impl DirectoryId {
    /// Not known: a voter of a static quorum, or a server that does not say.
    pub const NONE: Self = Self([0; 16]);

    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Not a directory id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a directory id has 22 characters of A-Z a-z 0-9 - _")]
pub struct DirectoryIdError;

impl FromStr for DirectoryId {
    type Err = DirectoryIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| DirectoryIdError)?;
        bytes.try_into().map(Self).map_err(|_| DirectoryIdError)
    }
}

impl TryFrom<String> for DirectoryId {
    type Error = DirectoryIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DirectoryId> for String {
    fn from(id: DirectoryId) -> Self {
        id.to_string()
    }
}

/// One voter or observer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Node id.
    pub id: i64,
    /// Its log directory; [`DirectoryId::NONE`] if not known.
    pub directory: DirectoryId,
    /// End of its log as the leader knows it; `None` = not known.
    pub log_end_offset: Option<i64>,
    /// When it last had everything, leader's clock, milliseconds; `None` = not since this leader
    /// leads.
    pub caught_up_ms: Option<i64>,
}

/// Whether a replica has caught up with the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaughtUp {
    /// It had everything this long ago, milliseconds; less than the fetch timeout.
    Yes(u64),
    /// It had everything this long ago, milliseconds, and that is too long.
    Behind(u64),
    /// It never had everything since this leader leads.
    Never,
}

impl CaughtUp {
    /// Whether it counts.
    pub fn is_yes(self) -> bool {
        matches!(self, Self::Yes(_))
    }
}

/// Where a voter listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Listener name, `CONTROLLER` mostly.
    pub name: String,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}://{}:{}", self.name, self.host, self.port))
    }
}

/// Not an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be LISTENER://host:port, as in advertised.listeners")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, address) = text.split_once("://").ok_or(EndpointError)?;
        let address: super::settings::Address = address.parse().map_err(|_| EndpointError)?;
        let fits = !name.is_empty()
            && name.len() <= 64
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !fits {
            return Err(EndpointError);
        }
        let (host, port) = (address.host().to_owned(), address.port());
        Ok(Self { name: name.to_owned(), host, port })
    }
}

/// The quorum as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumView {
    /// The leader.
    pub leader: i64,
    /// Its epoch.
    pub epoch: u64,
    /// Committed up to here; `None` just after an election.
    pub high_watermark: Option<i64>,
    /// The voters.
    pub voters: Vec<Replica>,
    /// Everyone else who fetches: brokers, and controllers that are not voters.
    pub observers: Vec<Replica>,
    /// Where voters listen, if the server says.
    pub endpoints: BTreeMap<i64, Vec<Endpoint>>,
}

/// Why an answer is no view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoView {
    /// The server refuses, with its message.
    Refused(ErrorCode, Option<String>),
    /// It knows no leader.
    Leaderless,
    /// Something is missing.
    Unreadable(&'static str),
}

impl QuorumView {
    /// Reads an answer of one server.
    pub(super) fn read(answer: &DescribeQuorumResponse) -> Result<Self, NoView> {
        refuse(answer.error_code, answer.error_message.as_deref())?;
        let topic = answer.topics.iter().find(|topic| topic.topic_name.as_str() == METADATA_TOPIC);
        let topic = topic.ok_or(NoView::Unreadable("it says nothing of the metadata log"))?;
        let partition = topic.partitions.iter().find(|partition| partition.partition_index == 0);
        let partition = partition.ok_or(NoView::Unreadable("it says nothing of partition 0"))?;
        refuse(partition.error_code, partition.error_message.as_deref())?;
        let leader = i64::from(partition.leader_id.0);
        if leader < 0 {
            return Err(NoView::Leaderless);
        }
        let epoch = u64::try_from(partition.leader_epoch)
            .map_err(|_| NoView::Unreadable("its epoch is negative"))?;
        let voters = replicas(&partition.current_voters)?;
        if !voters.iter().any(|voter| voter.id == leader) {
            return Err(NoView::Unreadable("its leader is not one of its voters"));
        }
        let endpoints = answer.nodes.iter().take(REPLICAS_MAX).map(|node| {
            let listeners = node.listeners.iter().map(|listener| Endpoint {
                name: listener.name.to_string(),
                host: listener.host.to_string(),
                port: listener.port,
            });
            (i64::from(node.node_id.0), listeners.collect())
        });
        Ok(Self {
            leader,
            epoch,
            high_watermark: Some(partition.high_watermark).filter(|offset| *offset >= 0),
            observers: replicas(&partition.observers)?,
            endpoints: endpoints.collect(),
            voters,
        })
    }

    /// End of the leader's log.
    pub fn leader_log_end_offset(&self) -> Option<i64> {
        self.voters.iter().find(|voter| voter.id == self.leader)?.log_end_offset
    }

    /// The voters' ids.
    pub fn voter_ids(&self) -> BTreeSet<i64> {
        self.voters.iter().map(|voter| voter.id).collect()
    }

    /// Whether `replica` has caught up, by Strimzi's rule: less than the fetch timeout behind the
    /// leader's own stamp (rolling.md §2).
    pub fn caught_up(&self, replica: &Replica, fetch_timeout_ms: u64) -> CaughtUp {
        let leader = self.voters.iter().find(|voter| voter.id == self.leader);
        let same = leader
            .is_some_and(|leader| leader.id == replica.id && leader.directory == replica.directory);
        if same {
            return CaughtUp::Yes(0);
        }
        let (Some(now), Some(then)) =
            (leader.and_then(|leader| leader.caught_up_ms), replica.caught_up_ms)
        else {
            return CaughtUp::Never;
        };
        let behind_ms = u64::try_from(now.saturating_sub(then)).unwrap_or(0);
        if behind_ms < fetch_timeout_ms {
            CaughtUp::Yes(behind_ms)
        } else {
            CaughtUp::Behind(behind_ms)
        }
    }
}

fn refuse(code: i16, message: Option<&str>) -> Result<(), NoView> {
    match ErrorCode::of(code) {
        None => Ok(()),
        Some(code) => {
            // Servers write no message as an empty one, too.
            let message = message.filter(|message| !message.is_empty());
            Err(NoView::Refused(code, message.map(ToOwned::to_owned)))
        }
    }
}

fn replicas(states: &[ReplicaState]) -> Result<Vec<Replica>, NoView> {
    if states.len() > REPLICAS_MAX {
        return Err(NoView::Unreadable("it lists more than 4096 replicas"));
    }
    let known = |value: i64| Some(value).filter(|value| *value >= 0);
    let replica = |state: &ReplicaState| Replica {
        id: i64::from(state.replica_id.0),
        directory: DirectoryId::from_bytes(*state.replica_directory_id.as_bytes()),
        log_end_offset: known(state.log_end_offset),
        caught_up_ms: known(state.last_caught_up_timestamp),
    };
    Ok(states.iter().map(replica).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use kafka_protocol::messages::describe_quorum_response::{PartitionData, TopicData};
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    /// A directory id of one repeated byte.
    pub(in crate::kafka) fn dir(byte: u8) -> DirectoryId {
        DirectoryId([byte; 16])
    }

    /// A replica that was caught up `behind_ms` before the leader's now, which is 1 000 000.
    pub(in crate::kafka) fn replica(id: i64, behind_ms: i64) -> Replica {
        Replica {
            id,
            directory: dir(u8::try_from(id).unwrap()),
            log_end_offset: Some(100),
            caught_up_ms: Some(1_000_000 - behind_ms),
        }
    }

    /// Controllers 1 to `voters`, led by 1.
    pub(in crate::kafka) fn view(voters: i64) -> QuorumView {
        let endpoint =
            |id: i64| Endpoint { name: "CONTROLLER".into(), host: format!("c{id}"), port: 9093 };
        QuorumView {
            leader: 1,
            epoch: 7,
            high_watermark: Some(99),
            voters: (1..=voters).map(|id| replica(id, 0)).collect(),
            observers: vec![],
            endpoints: (1..=voters).map(|id| (id, vec![endpoint(id)])).collect(),
        }
    }

    fn answer(leader: i32, code: i16) -> DescribeQuorumResponse {
        let voter = |id: i32| {
            ReplicaState::default()
                .with_replica_id(id.into())
                .with_log_end_offset(90)
                .with_last_caught_up_timestamp(if id == 3 { -1 } else { 5_000 - i64::from(id) })
        };
        let partition = PartitionData::default()
            .with_error_code(code)
            .with_leader_id(leader.into())
            .with_leader_epoch(7)
            .with_high_watermark(-1)
            .with_current_voters(vec![voter(1), voter(2), voter(3)]);
        let topic = TopicData::default()
            .with_topic_name(StrBytes::from_static_str(METADATA_TOPIC).into())
            .with_partitions(vec![partition]);
        DescribeQuorumResponse::default().with_topics(vec![topic])
    }

    #[test]
    fn an_answer_of_the_leader_is_a_view() {
        let view = QuorumView::read(&answer(1, 0)).unwrap();
        assert_eq!(view.voter_ids(), BTreeSet::from([1, 2, 3]));
        assert_eq!(view.high_watermark, None, "-1 is none");
        assert_eq!(view.caught_up(&view.voters[0], 2_000), CaughtUp::Yes(0));
        assert_eq!(view.caught_up(&view.voters[1], 2_000), CaughtUp::Yes(1));
        assert_eq!(view.caught_up(&view.voters[2], 2_000), CaughtUp::Never);
    }

    #[test]
    fn a_server_that_does_not_lead_gives_no_view() {
        let refused = QuorumView::read(&answer(1, 6)).unwrap_err();
        assert_eq!(refused, NoView::Refused(ErrorCode::NOT_LEADER_OR_FOLLOWER, None));
        assert_eq!(QuorumView::read(&answer(-1, 0)).unwrap_err(), NoView::Leaderless);
        let stranger = QuorumView::read(&answer(9, 0)).unwrap_err();
        assert_eq!(stranger, NoView::Unreadable("its leader is not one of its voters"));
    }

    #[test]
    fn a_replica_is_behind_from_the_fetch_timeout_on() {
        let view = view(3);
        assert_eq!(view.caught_up(&replica(2, 1_999), 2_000), CaughtUp::Yes(1_999));
        assert_eq!(view.caught_up(&replica(2, 2_000), 2_000), CaughtUp::Behind(2_000));
        let newer = Replica { caught_up_ms: Some(1_000_050), ..replica(2, 0) };
        assert_eq!(view.caught_up(&newer, 2_000), CaughtUp::Yes(0));
    }

    #[test]
    fn a_leader_on_another_disk_is_not_the_leader() {
        let view = view(3);
        let other = Replica { directory: dir(9), caught_up_ms: None, ..replica(1, 0) };
        assert_eq!(view.caught_up(&other, 2_000), CaughtUp::Never);
    }

    #[test]
    fn directory_ids_are_written_as_kafka_writes_them() {
        let id: DirectoryId = "fairwayTestDirectoryI_".parse().unwrap_or(DirectoryId::NONE);
        assert_eq!(DirectoryId::NONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(id.to_string().parse::<DirectoryId>(), Ok(id));
        assert_eq!("short".parse::<DirectoryId>(), Err(DirectoryIdError));
    }

    #[test]
    fn endpoints_are_written_as_in_advertised_listeners() {
        let endpoint: Endpoint = "CONTROLLER://10.0.0.4:9093".parse().unwrap();
        assert_eq!(endpoint.to_string(), "CONTROLLER://10.0.0.4:9093");
        for text in ["10.0.0.4:9093", "://c:1", "CONTROLLER://c", "A B://c:1"] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }
}

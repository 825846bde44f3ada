//! Frames as servers write them, as they write them garbled, and as nobody would.

use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use proptest::prelude::*;

use super::calls::Call;
use super::*;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn frame_of<C: Call>(answer: &C::Answer, version: i16, id: i32) -> Vec<u8>
where
    C::Answer: Encodable,
{
    let mut frame = Vec::new();
    let header = ResponseHeader::default().with_correlation_id(id);
    header.encode(&mut frame, C::Answer::header_version(version)).unwrap();
    answer.encode(&mut frame, version).unwrap();
    frame
}

fn quorum() -> DescribeQuorumResponse {
    let replica =
        |id: i32| ReplicaState::default().with_replica_id(id.into()).with_log_end_offset(90);
    let partition = PartitionData::default()
        .with_leader_id(2.into())
        .with_current_voters(vec![replica(1), replica(2)])
        .with_observers(vec![replica(7)]);
    let listener =
        Listener::default().with_name(text("CONTROLLER")).with_host(text("c1")).with_port(9093);
    DescribeQuorumResponse::default()
        .with_topics(vec![
            TopicData::default()
                .with_topic_name(text("__cluster_metadata").into())
                .with_partitions(vec![partition]),
        ])
        .with_nodes(vec![Node::default().with_node_id(1.into()).with_listeners(vec![listener])])
}

fn round<C: Call>(answer: &C::Answer, version: i16)
where
    C::Answer: Encodable + PartialEq + std::fmt::Debug,
{
    let frame = frame_of::<C>(answer, version, 7);
    let read = super::answer::<C>(&frame, version, 7).unwrap();
    assert_eq!(read, *answer, "{}", C::NAME);
    // Every shorter frame is refused, none of them by a panic.
    for end in 0..frame.len() {
        assert!(super::answer::<C>(&frame[..end], version, 7).is_err(), "{} cut at {end}", C::NAME);
    }
}

#[test]
fn answers_of_every_kind_fit_their_layout() {
    let feature =
        FinalizedFeatureKey::default().with_name(text("kraft.version")).with_max_version_level(1);
    let supported =
        SupportedFeatureKey::default().with_name(text("metadata.version")).with_max_version(25);
    let versions = ApiVersionsResponse::default()
        .with_api_keys(vec![ApiVersion::default().with_api_key(55).with_max_version(2)])
        .with_finalized_features_epoch(12)
        .with_supported_features(vec![supported])
        .with_finalized_features(vec![feature])
        .with_zk_migration_ready(true);
    round::<ApiVersionsRequest>(&versions, 3);
    round::<DescribeQuorumRequest>(&quorum(), 2);
    round::<DescribeQuorumRequest>(&quorum().with_nodes(vec![]), 1);
    round::<SaslHandshakeRequest>(
        &SaslHandshakeResponse::default().with_mechanisms(vec![text("PLAIN")]),
        1,
    );
    round::<SaslAuthenticateRequest>(
        &SaslAuthenticateResponse::default().with_auth_bytes(vec![1, 2].into()),
        2,
    );
    round::<AddRaftVoterRequest>(
        &AddRaftVoterResponse::default().with_error_code(126).with_error_message(Some(text("dup"))),
        0,
    );
    round::<RemoveRaftVoterRequest>(&RemoveRaftVoterResponse::default(), 0);
    let updated = UpdatableFeatureResult::default().with_feature(text("metadata.version"));
    round::<UpdateFeaturesRequest>(
        &UpdateFeaturesResponse::default().with_results(vec![updated]),
        1,
    );
    let member = describe_cluster_response::DescribeClusterBroker::default()
        .with_host(text("b7"))
        .with_rack(None);
    round::<DescribeClusterRequest>(
        &DescribeClusterResponse::default().with_cluster_id(text("x")).with_brokers(vec![member]),
        1,
    );
}

#[test]
fn answers_about_partitions_fit_their_layout() {
    let partition = MetadataResponsePartition::default()
        .with_replica_nodes(vec![7.into(), 8.into()])
        .with_isr_nodes(vec![7.into()])
        .with_offline_replicas(vec![8.into()]);
    let topic = MetadataResponseTopic::default()
        .with_name(Some(text("orders").into()))
        .with_partitions(vec![partition]);
    let metadata = MetadataResponse::default()
        .with_brokers(vec![
            MetadataResponseBroker::default().with_host(text("b7")).with_rack(Some(text("r"))),
        ])
        .with_topics(vec![topic]);
    round::<MetadataRequest>(&metadata, 12);
    let synonym = DescribeConfigsSynonym::default()
        .with_name(text("min.insync.replicas"))
        .with_value(Some(text("1")));
    let config = DescribeConfigsResourceResult::default()
        .with_name(text("min.insync.replicas"))
        .with_value(Some(text("2")))
        .with_synonyms(vec![synonym])
        .with_documentation(None);
    let resource = DescribeConfigsResult::default()
        .with_resource_name(text("orders"))
        .with_configs(vec![config]);
    round::<DescribeConfigsRequest>(
        &DescribeConfigsResponse::default().with_results(vec![resource]),
        4,
    );
}

#[test]
fn an_answer_to_another_request_is_refused() {
    let frame = frame_of::<DescribeQuorumRequest>(&quorum(), 2, 8);
    let error = answer::<DescribeQuorumRequest>(&frame, 2, 7).unwrap_err();
    assert!(matches!(error, AnswerError::OtherRequest { found: 8, expected: 7 }), "{error}");
}

#[test]
fn bytes_after_an_answer_are_refused() {
    let mut frame = frame_of::<DescribeQuorumRequest>(&quorum(), 2, 7);
    frame.push(0);
    let error = answer::<DescribeQuorumRequest>(&frame, 2, 7).unwrap_err();
    assert!(matches!(error, AnswerError::Shape(ShapeError::Rest(1))), "{error}");
}

#[test]
fn a_request_is_a_frame_of_its_own_length() {
    let frame = request(&DescribeClusterRequest::default().with_endpoint_type(2), 1, 9).unwrap();
    let length = i32::from_be_bytes(frame[..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
    assert_eq!(frame[4..12], [0, 60, 0, 1, 0, 0, 0, 9]);
}

fn read_all(frame: &[u8]) {
    // Whether they are refused is not the question; that nothing panics and nothing is reserved is.
    drop(answer::<ApiVersionsRequest>(frame, 3, 7));
    drop(answer::<DescribeQuorumRequest>(frame, 1, 7));
    drop(answer::<DescribeQuorumRequest>(frame, 2, 7));
    drop(answer::<SaslHandshakeRequest>(frame, 1, 7));
    drop(answer::<SaslAuthenticateRequest>(frame, 2, 7));
    drop(answer::<AddRaftVoterRequest>(frame, 0, 7));
    drop(answer::<UpdateFeaturesRequest>(frame, 1, 7));
    drop(answer::<DescribeClusterRequest>(frame, 1, 7));
    drop(answer::<MetadataRequest>(frame, 12, 7));
    drop(answer::<DescribeConfigsRequest>(frame, 4, 7));
}

proptest! {
    #[test]
    fn no_frame_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut frame = vec![0, 0, 0, 7, 0];
        frame.extend(body);
        read_all(&frame);
    }

    #[test]
    fn no_garbled_answer_panics(at in 0_usize..150, byte in any::<u8>(), more in any::<[u8; 4]>()) {
        let mut frame = frame_of::<DescribeQuorumRequest>(&quorum(), 2, 7);
        let at = at % frame.len();
        frame[at] = byte;
        for (slot, byte) in frame.iter_mut().skip(at + 1).zip(more) {
            *slot = byte;
        }
        read_all(&frame);
    }
}

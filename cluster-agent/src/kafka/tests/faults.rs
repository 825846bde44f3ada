//! What is made of servers that do not lead, lie, or break the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_protocol::messages::describe_quorum_response::{PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::{AddRaftVoterResponse, ApiVersionsResponse, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;

use super::server::{Reply, Request, Server, serve};
use crate::kafka::{Address, DirectoryId, ErrorCode, KafkaClient, KafkaError, KafkaSettings};

const DESCRIBE: i16 = 55;
const VERSIONS: i16 = 18;

pub(super) fn settings(servers: &[&Server]) -> KafkaSettings {
    KafkaSettings {
        bootstrap: servers.iter().map(|server| server.address.clone()).collect(),
        brokers: servers.iter().map(|server| server.address.clone()).collect(),
        timeout_ms: 500,
        period_ms: 500,
        partitions_period_ms: 2_000,
        tls: None,
        sasl: None,
    }
}

/// The quorum of 1, 2, 3 by a server that believes `leader` leads in `epoch`.
pub(super) fn quorum(leader: i32, epoch: i32) -> DescribeQuorumResponse {
    let voter = |id: i32| ReplicaState::default().with_replica_id(id.into()).with_log_end_offset(9);
    let partition = PartitionData::default()
        .with_leader_id(leader.into())
        .with_leader_epoch(epoch)
        .with_high_watermark(8)
        .with_current_voters(vec![voter(1), voter(2), voter(3)]);
    let topic = TopicData::default()
        .with_topic_name(StrBytes::from_static_str("__cluster_metadata").into())
        .with_partitions(vec![partition]);
    DescribeQuorumResponse::default().with_topics(vec![topic])
}

fn refusal(code: i16) -> DescribeQuorumResponse {
    let mut answer = quorum(1, 7);
    answer.topics[0].partitions[0].error_code = code;
    answer
}

/// A server that answers about the quorum and nothing else.
async fn describing(answer: DescribeQuorumResponse) -> Server {
    serve(move |request| match request.key {
        VERSIONS => request.versions(),
        DESCRIBE => request.answer(1, &answer),
        _ => Reply::Close,
    })
    .await
}

/// A server that does `fault` when asked about the quorum.
async fn faulty(fault: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    serve(move |request| match request.key {
        VERSIONS => request.versions(),
        _ => fault(&request),
    })
    .await
}

async fn describe(servers: &[&Server]) -> Result<i64, KafkaError> {
    let mut client = KafkaClient::new(&settings(servers)).unwrap();
    client.describe().await.map(|view| view.leader)
}

/// The reasons of a quorum that has no leader to be found.
async fn why(servers: &[&Server]) -> String {
    match describe(servers).await {
        Err(KafkaError::NoLeader { why, .. }) => why.join("; "),
        Err(other) => panic!("{other}"),
        Ok(leader) => panic!("{leader} leads"),
    }
}

#[tokio::test]
async fn the_server_that_leads_is_found_among_those_that_do_not() {
    let followers = [describing(refusal(6)).await, describing(refusal(6)).await];
    let leader = describing(quorum(2, 7)).await;
    assert_eq!(describe(&[&followers[0], &leader, &followers[1]]).await.unwrap(), 2);
}

#[tokio::test]
async fn of_two_that_think_they_lead_the_later_epoch_is_believed() {
    let deposed = describing(quorum(1, 7)).await;
    let leader = describing(quorum(3, 8)).await;
    assert_eq!(describe(&[&deposed, &leader]).await.unwrap(), 3);
    assert_eq!(describe(&[&leader, &deposed]).await.unwrap(), 3);
}

#[tokio::test]
async fn a_server_that_hangs_does_not_hide_the_leader() {
    let hung = faulty(|_| Reply::Silence).await;
    let leader = describing(quorum(2, 7)).await;
    assert_eq!(describe(&[&hung, &leader]).await.unwrap(), 2);
}

#[tokio::test]
async fn without_a_leader_everyones_reason_is_told() {
    let follower = describing(refusal(6)).await;
    let denied = describing(refusal(31)).await;
    let hung = faulty(|_| Reply::Silence).await;
    let why = why(&[&follower, &denied, &hung]).await;
    assert!(why.contains("NOT_LEADER_OR_FOLLOWER (6)"), "{why}");
    assert!(why.contains("CLUSTER_AUTHORIZATION_FAILED (31)"), "{why}");
    assert!(why.contains("did not answer DescribeQuorum within 500 ms"), "{why}");
}

#[tokio::test]
async fn nobody_there_is_an_error_with_the_address() {
    let mut settings = settings(&[]);
    // Port 1 of the loopback has no server.
    let nobody: Address = "127.0.0.1:1".parse().unwrap();
    settings.bootstrap = vec![nobody];
    let error = KafkaClient::new(&settings).unwrap().describe().await.unwrap_err();
    assert!(error.to_string().contains("no connection to 127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_frame_beyond_the_limit_is_refused_before_it_is_read() {
    let huge = faulty(|_| Reply::Raw(0x7FFF_FFFF_u32.to_be_bytes().to_vec())).await;
    let why = why(&[&huge]).await;
    assert!(why.contains("has 2147483647 bytes, limit 1048576"), "{why}");
    let negative = faulty(|_| Reply::Raw(vec![0xFF; 4])).await;
    let why = self::why(&[&negative]).await;
    assert!(why.contains("has -1 bytes"), "{why}");
}

#[tokio::test]
async fn a_web_server_in_its_place_is_refused() {
    let web = serve(|_| Reply::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    let why = why(&[&web]).await;
    assert!(why.contains("the answer of"), "{why}");
}

#[tokio::test]
async fn an_answer_to_another_request_ends_the_connection() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let confused = faulty(move |request| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        let id = if first { request.id + 1 } else { request.id };
        Request { id, body: vec![], ..*request }.answer(1, &quorum(1, 7))
    })
    .await;
    let mut client = KafkaClient::new(&settings(&[&confused])).unwrap();
    let error = client.describe().await.unwrap_err();
    assert!(error.to_string().contains("it answers request"), "{error}");
    assert_eq!(client.describe().await.unwrap().leader, 1);
    assert_eq!(confused.connections(), 2, "the first one is never used again");
}

#[tokio::test]
async fn a_connection_is_kept_between_questions() {
    let leader = describing(quorum(1, 7)).await;
    let mut client = KafkaClient::new(&settings(&[&leader])).unwrap();
    for _ in 0..3 {
        client.describe().await.unwrap();
    }
    assert_eq!(leader.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_ended_is_replaced_at_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let fickle = faulty(move |request| match counted.fetch_add(1, Ordering::SeqCst) {
        1 => Reply::Close,
        _ => request.answer(1, &quorum(1, 7)),
    })
    .await;
    let mut client = KafkaClient::new(&settings(&[&fickle])).unwrap();
    for _ in 0..2 {
        assert_eq!(client.describe().await.unwrap().leader, 1);
    }
    assert_eq!(fickle.connections(), 2);
}

#[tokio::test]
async fn a_broker_that_hangs_is_asked_last_the_next_time() {
    let hung = faulty(|_| Reply::Silence).await;
    let up = serve(|request| match request.key {
        VERSIONS => request.versions(),
        _ => request.answer(1, &kafka_protocol::messages::MetadataResponse::default()),
    })
    .await;
    let mut client = KafkaClient::new(&settings(&[&hung, &up])).unwrap();
    // Given up in the middle, as the witness does when its time is over.
    let given_up = tokio::select! {
        biased;
        _ = client.metadata() => false,
        () = async { while hung.connections() == 0 { tokio::task::yield_now().await } } => true,
    };
    assert!(given_up);
    client.metadata().await.unwrap();
    assert_eq!((hung.connections(), up.connections()), (1, 1));
}

#[tokio::test]
async fn an_answer_cut_short_is_refused() {
    let short = faulty(|request| match request.answer(1, &quorum(1, 7)) {
        Reply::Frame(frame) => Reply::Frame(frame[..frame.len() - 3].to_vec()),
        other => other,
    })
    .await;
    let why = why(&[&short]).await;
    assert!(why.contains("it ends in the middle of a field"), "{why}");
}

#[tokio::test]
async fn a_server_that_closes_is_asked_over_a_new_connection() {
    let closing = faulty(|_| Reply::Close).await;
    let why = why(&[&closing]).await;
    assert!(why.contains("broke"), "{why}");
}

#[tokio::test]
async fn a_server_too_old_for_a_request_says_its_versions() {
    let old = describing(quorum(1, 7)).await;
    let mut client = KafkaClient::new(&settings(&[&old])).unwrap();
    // It offers no RemoveRaftVoter.
    let error = client.remove_voter("cluster", 1, DirectoryId::NONE).await.unwrap_err();
    assert!(matches!(error, KafkaError::Version { theirs: None, .. }), "{error}");
    let ancient = serve(|request| {
        let answer = ApiVersionsResponse::default().with_error_code(35);
        Request { version: 0, ..request }.answer(0, &answer)
    })
    .await;
    let why = why(&[&ancient]).await;
    assert!(why.contains("ApiVersions with UNSUPPORTED_VERSION (35)"), "{why}");
}

#[tokio::test]
async fn a_refused_change_has_its_code_and_the_servers_words() {
    let strict = serve(|request| match request.key {
        VERSIONS => request.versions(),
        DESCRIBE => request.answer(1, &quorum(1, 7)),
        _ => {
            let said = StrBytes::from_static_str("voter 3\x1b[2J is there");
            let answer =
                AddRaftVoterResponse::default().with_error_code(126).with_error_message(Some(said));
            request.answer(1, &answer)
        }
    })
    .await;
    let mut client = KafkaClient::new(&settings(&[&strict])).unwrap();
    let error = client.add_voter("cluster", 3, DirectoryId::NONE, &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::DUPLICATE_VOTER));
    let told = error.to_string();
    assert!(told.ends_with("DUPLICATE_VOTER (126): voter 3[2J is there"), "{told}");
}

#[tokio::test]
async fn finalized_features_are_read_from_the_leader() {
    let leader = describing(quorum(1, 7)).await;
    let mut client = KafkaClient::new(&settings(&[&leader])).unwrap();
    assert_eq!(client.features().await.unwrap().get("kraft.version"), Some(&1));
}

#[tokio::test]
async fn the_next_broker_is_asked_when_one_is_down() {
    let down = faulty(|_| Reply::Close).await;
    let up = serve(|request| match request.key {
        VERSIONS => request.versions(),
        _ => request.answer(1, &kafka_protocol::messages::MetadataResponse::default()),
    })
    .await;
    let mut client = KafkaClient::new(&settings(&[&down, &up])).unwrap();
    assert!(client.metadata().await.unwrap().topics.is_empty());
    let error = KafkaClient::new(&settings(&[&down])).unwrap().metadata().await.unwrap_err();
    assert!(matches!(error, KafkaError::NoBroker { .. }), "{error}");
}

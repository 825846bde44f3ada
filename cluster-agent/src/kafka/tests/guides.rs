//! Guides of a change: fenced by their file, and able to find a leader that is not configured yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_quorum_response::{Listener, Node};
use kafka_protocol::messages::{
    DescribeClusterResponse, DescribeQuorumResponse, RemoveRaftVoterResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Duration, Instant};

use super::faults::{quorum, settings};
use super::server::{Reply, Server, serve};
use crate::kafka::change::{Change, ChangeFile, Ended, Goal, Guide};
use crate::kafka::{Address, DirectoryId, KafkaClient, KafkaError};

const REMOVE: i16 = 81;
const VERSIONS: i16 = 18;
const DESCRIBE: i16 = 55;
const CLUSTER: i16 = 60;

const LONG: Duration = Duration::from_secs(20);

/// Controller 3 leaves; its directory is not told by these servers.
fn change() -> Change {
    Change {
        format: Change::FORMAT,
        product: "acme/kafka".parse().unwrap(),
        cluster_id: "fairway-test-cluster-1".into(),
        opened_at: jiff::Timestamp::UNIX_EPOCH,
        goal: Goal::Remove { id: 3, directory: DirectoryId::NONE },
        joined_by: None,
        left_by: None,
    }
}

/// The quorum of 1, 2, 3, led by 1; the others have, or have not, caught up.
fn standing(caught_up: bool) -> DescribeQuorumResponse {
    let mut answer = quorum(1, 7);
    for (index, voter) in answer.topics[0].partitions[0].current_voters.iter_mut().enumerate() {
        voter.last_caught_up_timestamp = if index == 0 || caught_up { 1_000_000 } else { 1 };
    }
    answer
}

async fn drive(server: &Server, file: &ChangeFile, mut change: Change) -> Ended {
    let mut client = KafkaClient::new(&settings(&[server])).unwrap();
    let mut guide = Guide { client: &mut client, file, fetch_timeout_ms: 2_000 };
    guide.drive(&mut change, Instant::now() + LONG, &mut |_| ()).await.unwrap()
}

#[tokio::test]
async fn a_guide_whose_change_was_closed_while_it_waited_does_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let file = ChangeFile::new(dir.path());
    file.write(&change()).unwrap();
    let (asked, removals) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (closer, counted) = (file.clone(), Arc::clone(&removals));
    let leader = serve(move |request| match request.key {
        VERSIONS => request.versions_and(&[(REMOVE, 0, 0)], &[]),
        DESCRIBE => {
            // At the second look the way is free, and the change is no longer open.
            let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            if !first {
                closer.remove().unwrap();
            }
            request.answer(1, &standing(!first))
        }
        _ => {
            counted.fetch_add(1, Ordering::SeqCst);
            request.answer(1, &RemoveRaftVoterResponse::default())
        }
    })
    .await;
    assert_eq!(drive(&leader, &file, change()).await, Ended::Closed);
    assert_eq!(removals.load(Ordering::SeqCst), 0, "a voter was removed behind a closed change");
    assert_eq!(file.read().unwrap(), None, "and the file must not come back");
}

#[tokio::test]
async fn a_guide_that_finds_another_change_in_its_place_leaves_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = ChangeFile::new(dir.path());
    let other =
        Change { opened_at: jiff::Timestamp::from_second(1_800_000_000).unwrap(), ..change() };
    file.write(&other).unwrap();
    let leader = serve(|request| match request.key {
        VERSIONS => request.versions_and(&[(REMOVE, 0, 0)], &[]),
        DESCRIBE => request.answer(1, &standing(true)),
        _ => Reply::Close,
    })
    .await;
    assert_eq!(drive(&leader, &file, change()).await, Ended::Closed);
    assert_eq!(file.read().unwrap(), Some(other));
}

#[test]
fn what_was_closed_is_neither_noted_nor_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = ChangeFile::new(dir.path());
    let further = Change { left_by: Some(9), ..change() };
    assert_eq!(file.note(&change(), &further).unwrap(), crate::kafka::change::Held::Closed);
    assert_eq!(file.read().unwrap(), None);
    file.write(&further).unwrap();
    assert_eq!(file.end(&change()).unwrap(), crate::kafka::change::Held::Closed);
    assert_eq!(file.read().unwrap(), Some(further));
}

#[test]
fn one_command_guides_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = ChangeFile::new(&dir.path().join("state"));
    let first = file.guide().unwrap().unwrap();
    assert!(file.guide().unwrap().is_none(), "two would both have found no change open");
    drop(first);
    assert!(file.guide().unwrap().is_some());
}

/// A follower; says where the controllers are if it is asked.
async fn follower(controllers: Vec<Address>) -> Server {
    serve(move |request| match request.key {
        VERSIONS => request.versions(),
        DESCRIBE => {
            let mut answer = quorum(1, 7);
            answer.topics[0].partitions[0].error_code = 6;
            request.answer(1, &answer)
        }
        CLUSTER => {
            let node = |(id, address): (i32, &Address)| {
                DescribeClusterBroker::default()
                    .with_broker_id(id.into())
                    .with_host(StrBytes::from_string(address.host().to_owned()))
                    .with_port(i32::from(address.port()))
            };
            let nodes = (1..).zip(&controllers).map(node).collect();
            request.answer(1, &DescribeClusterResponse::default().with_brokers(nodes))
        }
        _ => Reply::Close,
    })
    .await
}

async fn leader() -> Server {
    serve(|request| match request.key {
        VERSIONS => request.versions(),
        DESCRIBE => request.answer(1, &quorum(3, 8)),
        _ => Reply::Close,
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_not_configured_is_found_by_the_change_that_brought_it() {
    let (new, old) = (leader().await, follower(vec![]).await);
    let mut client = KafkaClient::new(&settings(&[&old])).unwrap();
    let error = client.describe().await.unwrap_err();
    assert!(matches!(error, KafkaError::NoLeader { .. }), "{error}");
    let endpoint = format!("CONTROLLER://{}", new.address).parse().unwrap();
    client.also_ask(&[endpoint]);
    assert_eq!(client.describe().await.unwrap().leader, 3);
}

#[tokio::test]
async fn a_leader_that_is_not_configured_is_found_by_what_the_others_say() {
    let new = leader().await;
    let old = follower(vec![new.address.clone()]).await;
    let mut client = KafkaClient::new(&settings(&[&old])).unwrap();
    assert_eq!(client.describe().await.unwrap().leader, 3);
    assert_eq!(client.describe().await.unwrap().leader, 3);
    assert_eq!(new.connections(), 1, "its connection is kept like any other");
}

#[tokio::test]
async fn a_leader_is_found_where_the_last_one_said_that_the_voters_listen() {
    let new = leader().await;
    let place = new.address.clone();
    let asked = AtomicUsize::new(0);
    let old = serve(move |request| match request.key {
        VERSIONS => request.versions(),
        DESCRIBE => {
            let mut answer = quorum(1, 7);
            let listener = Listener::default()
                .with_name(StrBytes::from_static_str("CONTROLLER"))
                .with_host(StrBytes::from_string(place.host().to_owned()))
                .with_port(place.port());
            answer.nodes =
                vec![Node::default().with_node_id(3.into()).with_listeners(vec![listener])];
            if asked.fetch_add(1, Ordering::SeqCst) > 0 {
                answer.topics[0].partitions[0].error_code = 6;
            }
            request.answer(1, &answer)
        }
        _ => Reply::Close,
    })
    .await;
    let mut client = KafkaClient::new(&settings(&[&old])).unwrap();
    assert_eq!(client.describe().await.unwrap().leader, 1);
    assert_eq!(new.connections(), 0, "who leads is configured: nobody else is bothered");
    assert_eq!(client.describe().await.unwrap().leader, 3);
}

#[tokio::test]
async fn without_a_leader_the_missing_entry_of_the_configuration_is_named() {
    let elsewhere: Address = "127.0.0.1:1".parse().unwrap();
    let old = follower(vec![elsewhere]).await;
    let mut client = KafkaClient::new(&settings(&[&old])).unwrap();
    let error = client.describe().await.unwrap_err().to_string();
    assert!(error.contains("kafka.bootstrap lacks 127.0.0.1:1"), "{error}");
}

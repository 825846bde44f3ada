//! Looks at partitions of a cluster that is too large for one look.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, MetadataResponse};
use kafka_protocol::protocol::{Decodable as _, StrBytes};

use super::faults::settings;
use super::server::{Reply, Request, serve};
use crate::kafka::partitions::TOPICS_AT_ONCE;
use crate::kafka::topics::{Spread, TopicLooks};

const METADATA: i16 = 3;
const VERSIONS: i16 = 18;

/// More than fit into one request, and fewer than into two.
const TOPICS: usize = TOPICS_AT_ONCE + 500;

fn metadata() -> MetadataResponse {
    let topic = |index: usize| {
        MetadataResponseTopic::default()
            .with_name(Some(StrBytes::from_string(format!("t{index:05}")).into()))
            .with_partitions(vec![
                MetadataResponsePartition::default()
                    .with_replica_nodes(vec![1.into()])
                    .with_isr_nodes(vec![1.into()]),
            ])
    };
    MetadataResponse::default().with_topics((0..TOPICS).map(topic).collect())
}

/// Every topic asked about has a minimum of 2; says how many were.
fn minimums(request: &Request) -> (usize, DescribeConfigsResponse) {
    let mut body = request.body.as_slice();
    let asked = DescribeConfigsRequest::decode(&mut body, request.version).unwrap();
    let result = |name: &StrBytes| {
        let config = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str("min.insync.replicas"))
            .with_value(Some(StrBytes::from_static_str("2")));
        DescribeConfigsResult::default().with_resource_name(name.clone()).with_configs(vec![config])
    };
    let results = asked.resources.iter().map(|resource| result(&resource.resource_name));
    let answer = DescribeConfigsResponse::default().with_results(results.collect());
    (asked.resources.len(), answer)
}

/// What the look that begins at `now` finds.
async fn look(looks: &mut TopicLooks, now: Timestamp) -> Result<Spread, String> {
    loop {
        if let Some(ended) = looks.take(now).await {
            return ended;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_look_that_is_cut_off_leaves_what_it_read_to_the_next_one() {
    let (calls, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, sizes) = (Arc::clone(&calls), Arc::clone(&told));
    let broker = serve(move |request| match request.key {
        VERSIONS => request.versions(),
        METADATA => request.answer(1, &metadata()),
        // The second request of the first look hangs.
        _ if counted.fetch_add(1, Ordering::SeqCst) == 1 => Reply::Silence,
        _ => {
            let (size, answer) = minimums(&request);
            sizes.store(size, Ordering::SeqCst);
            request.answer(1, &answer)
        }
    })
    .await;
    let mut settings = settings(&[&broker]);
    // Of all things only the silence may use it up.
    settings.timeout_ms = 3_000;
    let mut looks = TopicLooks::new(&settings).unwrap().unwrap();
    let first = Timestamp::from_second(1_800_000_000).unwrap();
    let why = look(&mut looks, first).await.unwrap_err();
    assert!(why.contains("1000 of 1500 topics read"), "{why}");
    let later = first + SignedDuration::from_secs(60);
    let found = look(&mut looks, later).await.unwrap();
    assert_eq!(told.load(Ordering::SeqCst), 500, "only what was missing is asked for");
    assert_eq!((found.minimums.len(), found.count()), (TOPICS, 1_500));
}

#[tokio::test]
async fn nobody_waits_for_a_broker_that_hangs() {
    let hung = serve(|request| match request.key {
        VERSIONS => request.versions(),
        _ => Reply::Silence,
    })
    .await;
    let mut looks = TopicLooks::new(&settings(&[&hung])).unwrap().unwrap();
    let taken = looks.take(Timestamp::UNIX_EPOCH);
    let taken = futures_util::FutureExt::now_or_never(taken);
    assert_eq!(taken, Some(None), "it is asked in the background");
}

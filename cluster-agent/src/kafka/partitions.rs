//! Which partitions would suffer if a broker went: exact, partition by partition (rolling.md §2).
//!
//! The gauges of brokers only say how many partitions are thin somewhere. This says whether those
//! of one broker can spare it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{DescribeConfigsResponse, MetadataResponse};

use super::error::ErrorCode;

/// The topic setting that says how many replicas must be in sync.
pub(super) const MIN_INSYNC: &str = "min.insync.replicas";

/// Most partitions looked at; Kafka supports some two hundred thousand in one cluster.
const PARTITIONS_MAX: usize = 1_000_000;

/// Topics whose settings are asked for in one request.
pub(super) const TOPICS_AT_ONCE: usize = 1_000;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) index: i32,
    pub(super) replicas: BTreeSet<i64>,
    pub(super) in_sync: BTreeSet<i64>,
}

/// Every partition by topic.
pub(super) type Topics = BTreeMap<String, Vec<Partition>>;

/// `min.insync.replicas` by topic.
pub(super) type MinInsync = BTreeMap<String, usize>;

/// What keeps a broker from going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thin {
    /// Partitions that could not be written to without it.
    pub(super) partitions: u64,
    /// The first of them, `topic-partition`.
    pub(super) first: String,
}

/// Reads all partitions, or says why they are not known.
pub(super) fn topics(answer: &MetadataResponse) -> Result<Topics, String> {
    let mut topics = Topics::new();
    let mut count = 0_usize;
    for topic in &answer.topics {
        let name = topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
        if let Some(code) = ErrorCode::of(topic.error_code) {
            return Err(format!("topic {name:?}: {code}"));
        }
        count = count.saturating_add(topic.partitions.len());
        if count > PARTITIONS_MAX {
            return Err(format!("more than {PARTITIONS_MAX} partitions"));
        }
        let ids = |ids: &[kafka_protocol::messages::BrokerId]| {
            ids.iter().map(|id| i64::from(id.0)).collect::<BTreeSet<i64>>()
        };
        // A partition without a leader has an error code and, in its ISR, whoever was last in it.
        let partitions = topic.partitions.iter().map(|partition| Partition {
            index: partition.partition_index,
            replicas: ids(&partition.replica_nodes),
            in_sync: if partition.leader_id.0 < 0 {
                BTreeSet::new()
            } else {
                ids(&partition.isr_nodes)
            },
        });
        topics.insert(name, partitions.collect());
    }
    Ok(topics)
}

/// Reads `min.insync.replicas` of topics, or says why one is not known.
pub(super) fn min_insync(answer: &DescribeConfigsResponse) -> Result<MinInsync, String> {
    let mut found = MinInsync::new();
    for resource in &answer.results {
        let topic = resource.resource_name.to_string();
        if let Some(code) = ErrorCode::of(resource.error_code) {
            return Err(format!("{MIN_INSYNC} of topic {topic:?}: {code}"));
        }
        let value = resource.configs.iter().find(|config| config.name.as_str() == MIN_INSYNC);
        let value = value.and_then(|config| config.value.as_ref()?.parse::<usize>().ok());
        let Some(value) = value else {
            return Err(format!("{MIN_INSYNC} of topic {topic:?} is not told"));
        };
        found.insert(topic, value);
    }
    Ok(found)
}

/// What would suffer if `broker` went, or a topic whose minimum is not known.
///
/// Partitions with no more replicas than the minimum can never spare one: they are left out, or
/// their broker could never be rolled at all.
pub(super) fn without(
    broker: i64,
    topics: &Topics,
    minimums: &MinInsync,
) -> Result<Option<Thin>, String> {
    let mut thin: Option<Thin> = None;
    for (topic, partitions) in topics {
        for partition in partitions.iter().filter(|p| p.replicas.contains(&broker)) {
            let Some(&minimum) = minimums.get(topic) else {
                return Err(format!("{MIN_INSYNC} of topic {topic:?} is not known"));
            };
            let in_sync = partition.in_sync.len();
            let blocked =
                in_sync < minimum || (in_sync == minimum && partition.in_sync.contains(&broker));
            if partition.replicas.len() <= minimum || !blocked {
                continue;
            }
            let first = || format!("{topic}-{}", partition.index);
            let found = thin.get_or_insert_with(|| Thin { partitions: 0, first: first() });
            found.partitions = found.partitions.saturating_add(1);
        }
    }
    Ok(thin)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_configs_response::{
        DescribeConfigsResourceResult, DescribeConfigsResult,
    };
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn partition(index: i32, replicas: &[i64], in_sync: &[i64]) -> Partition {
        let set = |ids: &[i64]| ids.iter().copied().collect();
        Partition { index, replicas: set(replicas), in_sync: set(in_sync) }
    }

    fn thin(broker: i64, partitions: Vec<Partition>, minimum: usize) -> Option<Thin> {
        let topics = Topics::from([("orders".to_owned(), partitions)]);
        without(broker, &topics, &MinInsync::from([("orders".to_owned(), minimum)])).unwrap()
    }

    #[test]
    fn a_broker_in_sync_at_the_minimum_must_stay() {
        let blocked = thin(7, vec![partition(3, &[7, 8, 9], &[7, 8])], 2).unwrap();
        assert_eq!(blocked, Thin { partitions: 1, first: "orders-3".into() });
        assert_eq!(thin(9, vec![partition(3, &[7, 8, 9], &[7, 8])], 2), None, "it is not in sync");
        assert_eq!(thin(7, vec![partition(3, &[7, 8, 9], &[7, 8, 9])], 2), None);
    }

    #[test]
    fn below_the_minimum_no_replica_may_go_in_sync_or_not() {
        let partitions = vec![partition(0, &[7, 8, 9], &[8]), partition(1, &[7, 8, 9], &[])];
        assert_eq!(thin(9, partitions.clone(), 2).unwrap().partitions, 2);
        assert_eq!(thin(6, partitions, 2), None, "it has no replica");
    }

    #[test]
    fn partitions_that_can_never_spare_a_replica_do_not_count() {
        // strimzi#2964: one replica, minimum two.
        assert_eq!(thin(7, vec![partition(0, &[7], &[7])], 2), None);
        assert_eq!(thin(7, vec![partition(0, &[7, 8], &[7, 8])], 2), None);
    }

    #[test]
    fn an_unknown_minimum_is_no_leave_to_go() {
        let topics = Topics::from([("orders".to_owned(), vec![partition(0, &[7], &[7])])]);
        assert!(without(7, &topics, &MinInsync::new()).unwrap_err().contains("orders"));
        assert_eq!(without(8, &topics, &MinInsync::new()), Ok(None));
    }

    fn topic(code: i16, leader: i32) -> MetadataResponse {
        let partition = MetadataResponsePartition::default()
            .with_leader_id(leader.into())
            .with_replica_nodes(vec![7.into(), 8.into()])
            .with_isr_nodes(vec![7.into()]);
        let topic = MetadataResponseTopic::default()
            .with_error_code(code)
            .with_name(Some(StrBytes::from_static_str("orders").into()))
            .with_partitions(vec![partition]);
        MetadataResponse::default().with_topics(vec![topic])
    }

    #[test]
    fn a_topic_that_is_refused_makes_all_unknown() {
        assert_eq!(topics(&topic(0, 7)).unwrap()["orders"][0].in_sync, BTreeSet::from([7]));
        let why = topics(&topic(29, 7)).unwrap_err();
        assert!(why.contains("TOPIC_AUTHORIZATION_FAILED (29)"), "{why}");
    }

    #[test]
    fn a_partition_without_a_leader_has_nobody_in_sync() {
        assert!(topics(&topic(0, -1)).unwrap()["orders"][0].in_sync.is_empty());
    }

    #[test]
    fn a_minimum_that_is_not_told_is_an_error() {
        let config = |value: Option<&'static str>| {
            let config = DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(MIN_INSYNC))
                .with_value(value.map(StrBytes::from_static_str));
            let resource = DescribeConfigsResult::default()
                .with_resource_name(StrBytes::from_static_str("orders"))
                .with_configs(vec![config]);
            min_insync(&DescribeConfigsResponse::default().with_results(vec![resource]))
        };
        assert_eq!(config(Some("2")).unwrap()["orders"], 2);
        assert!(config(None).is_err());
        assert!(config(Some("two")).is_err());
    }
}

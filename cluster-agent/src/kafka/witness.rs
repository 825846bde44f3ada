//! The second witness: what the quorum's leader says about every controller, asked beside the
//! metrics pages, and which brokers their partitions can spare.
//!
//! Asks; whether anything may move is the gates' business. A server that does not answer is a
//! reason to wait like any other silence.

use std::collections::{BTreeMap, BTreeSet};

use channels::health::elapsed_ms;
use channels::names::ProductRef;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::client::KafkaClient;
use super::error::KafkaError;
use super::partitions;
use super::quorum::{CaughtUp, QuorumView};
use super::settings::KafkaSettings;
use super::topics::{Spread, TopicLooks};
use crate::clock;
use crate::observation::{
    ClusterGate, Finding, GateScope, Heard, QuorumWord, UnitKey, Witness, WitnessSource,
};

/// One product whose servers are asked.
#[derive(Debug, Clone)]
pub struct WitnessTarget {
    /// The product.
    pub product: ProductRef,
    /// Its servers.
    pub servers: KafkaSettings,
    /// Its controllers and their node ids.
    pub controllers: BTreeMap<UnitKey, i64>,
    /// Its brokers and their node ids; combined nodes are in both.
    pub brokers: BTreeMap<UnitKey, i64>,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: u64,
}

/// What was heard about one product.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The product.
    pub product: ProductRef,
    /// A word about each of its controllers.
    pub words: BTreeMap<UnitKey, Heard>,
    /// What the leader says of the quorum; `None` if none was found.
    pub quorum: Option<QuorumWord>,
    /// What stands against units' going.
    pub gates: Vec<ClusterGate>,
    /// How many partitions brokers told of, if they were asked since the last look.
    pub partitions: Option<u64>,
}

/// Everyone who is asked.
#[derive(Debug, Default)]
pub struct Witnesses {
    products: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    target: WitnessTarget,
    client: KafkaClient,
    quorum_at: Option<Timestamp>,
    /// `None` without brokers to ask.
    topics: Option<TopicLooks>,
    /// Gates of brokers by the last look at partitions.
    thin: Vec<ClusterGate>,
}

impl Witnesses {
    /// Makes a client per product; nothing is connected yet.
    pub fn new(targets: Vec<WitnessTarget>) -> Result<Self, KafkaError> {
        let asked = |target: WitnessTarget| {
            Ok(Asked {
                client: KafkaClient::new(&target.servers)?,
                topics: TopicLooks::new(&target.servers)?,
                quorum_at: None,
                thin: unknown_partitions(&target, "they have not been read yet"),
                target,
            })
        };
        Ok(Self { products: targets.into_iter().map(asked).collect::<Result<_, _>>()? })
    }

    /// Asks whoever is due; nothing if nobody is. Bounded by the servers' timeouts.
    pub async fn look(&mut self, now: Timestamp) -> Vec<Look> {
        let due = self.products.iter_mut().filter(|asked| {
            let period_ms = asked.target.servers.period_ms;
            asked.quorum_at.is_none_or(|at| at > now || elapsed_ms(at, now) >= period_ms)
        });
        join_all(due.map(|asked| asked.look(now))).await
    }
}

impl Asked {
    async fn look(&mut self, now: Timestamp) -> Look {
        self.quorum_at = Some(now);
        let answer = self.client.describe().await;
        let heard_at = clock::now();
        let mut look = match answer {
            Ok(view) => say(&self.target, &view, heard_at),
            Err(error) => silent(&self.target, &error.story()),
        };
        if let Some(topics) = &mut self.topics {
            // In the background: brokers must not hold up the quorum's word.
            match topics.take(now).await {
                Some(Ok(spread)) => {
                    self.thin = thin_gates(&self.target, &spread);
                    look.partitions = Some(spread.count());
                }
                Some(Err(why)) => self.thin = unknown_partitions(&self.target, &why),
                None => {}
            }
            look.gates.extend(self.thin.iter().cloned());
        }
        look
    }
}

/// What the leader's view means for each controller and for the quorum.
fn say(target: &WitnessTarget, view: &QuorumView, at: Timestamp) -> Look {
    let limit_ms = target.fetch_timeout_ms;
    let mut in_sync = BTreeSet::new();
    let word = |id: i64, in_sync: &mut BTreeSet<i64>| {
        let finding = match view.voters.iter().find(|voter| voter.id == id) {
            None => Some(Finding::NotAVoter { node_id: id }),
            Some(voter) => match view.caught_up(voter, limit_ms) {
                CaughtUp::Yes(_) => {
                    in_sync.insert(id);
                    None
                }
                CaughtUp::Behind(observed_ms) => Some(Finding::QuorumLag { observed_ms, limit_ms }),
                CaughtUp::Never => Some(Finding::NotCaughtUp),
            },
        };
        Witness {
            at,
            version: None,
            incarnation: None,
            ready: None,
            findings: finding.into_iter().collect(),
        }
    };
    let words = target
        .controllers
        .iter()
        .map(|(key, &id)| (key.clone(), Ok(word(id, &mut in_sync))))
        .collect();
    let configured: BTreeSet<i64> = target.controllers.values().copied().collect();
    let voters = view.voter_ids();
    let mut gates = Vec::new();
    if voters != configured {
        gates.push(ClusterGate {
            scope: GateScope::Product(target.product.clone()),
            finding: Finding::VoterSetDiffers {
                observed: voters.iter().copied().collect(),
                configured: configured.iter().copied().collect(),
            },
            stops: false,
        });
    }
    let quorum = QuorumWord { at, leader: view.leader, epoch: view.epoch, voters, in_sync };
    Look { product: target.product.clone(), words, quorum: Some(quorum), gates, partitions: None }
}

/// Nobody answered as leader: every controller's word is missing.
fn silent(target: &WitnessTarget, why: &str) -> Look {
    let words = target.controllers.keys().map(|key| (key.clone(), Err(why.to_owned()))).collect();
    let finding =
        Finding::WitnessSilent { source_of_word: WitnessSource::Kafka, why: why.to_owned() };
    let scope = GateScope::Product(target.product.clone());
    let gates = vec![ClusterGate { scope, finding, stops: false }];
    Look { product: target.product.clone(), words, quorum: None, gates, partitions: None }
}

fn thin_gates(target: &WitnessTarget, spread: &Spread) -> Vec<ClusterGate> {
    let Spread { topics, minimums } = spread;
    let gate = |key: &UnitKey, finding| ClusterGate {
        scope: GateScope::Unit(key.clone()),
        finding,
        stops: false,
    };
    let brokers = target.brokers.iter();
    brokers
        .filter_map(|(key, &id)| match partitions::without(id, topics, minimums) {
            Ok(None) => None,
            Ok(Some(thin)) => Some(gate(
                key,
                Finding::PartitionsThin { observed: thin.partitions, limit: 0, first: thin.first },
            )),
            Err(why) => Some(gate(key, unknown(&why))),
        })
        .collect()
}

fn unknown_partitions(target: &WitnessTarget, why: &str) -> Vec<ClusterGate> {
    let gate = |key: &UnitKey| ClusterGate {
        scope: GateScope::Unit(key.clone()),
        finding: unknown(why),
        stops: false,
    };
    target.brokers.keys().map(gate).collect()
}

fn unknown(why: &str) -> Finding {
    let why = format!("its partitions are not known: {why}");
    Finding::WitnessSilent { source_of_word: WitnessSource::Kafka, why }
}

#[cfg(test)]
mod tests {
    use super::super::quorum::tests::{replica, view};
    use super::*;

    fn key(unit: &str) -> UnitKey {
        UnitKey { product: "acme/kafka".parse().unwrap(), unit: unit.parse().unwrap() }
    }

    fn target() -> WitnessTarget {
        let controllers = (1..=3).map(|id| (key(&format!("c{id}")), id)).collect();
        let brokers = (7..=9).map(|id| (key(&format!("b{id}")), id)).collect();
        let servers = KafkaSettings {
            bootstrap: vec![],
            brokers: vec![],
            timeout_ms: 1_000,
            period_ms: 1_000,
            partitions_period_ms: 5_000,
            tls: None,
            sasl: None,
        };
        let product = "acme/kafka".parse().unwrap();
        WitnessTarget { product, servers, controllers, brokers, fetch_timeout_ms: 2_000 }
    }

    fn findings(look: &Look, unit: &str) -> Vec<Finding> {
        look.words[&key(unit)].as_ref().unwrap().findings.clone()
    }

    #[test]
    fn a_quorum_in_sync_has_nothing_against_it() {
        let look = say(&target(), &view(3), Timestamp::UNIX_EPOCH);
        assert!(look.gates.is_empty());
        for unit in ["c1", "c2", "c3"] {
            assert_eq!(findings(&look, unit), vec![], "{unit}");
        }
        assert_eq!(look.quorum.unwrap().in_sync, BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn a_voter_behind_by_the_leaders_own_clock_is_named() {
        let mut view = view(3);
        view.voters[1] = replica(2, 2_500);
        view.voters[2].caught_up_ms = None;
        let look = say(&target(), &view, Timestamp::UNIX_EPOCH);
        let lag = Finding::QuorumLag { observed_ms: 2_500, limit_ms: 2_000 };
        assert_eq!(findings(&look, "c2"), [lag]);
        assert_eq!(findings(&look, "c3"), [Finding::NotCaughtUp]);
    }

    #[test]
    fn a_voter_set_that_is_not_the_configured_one_keeps_all_from_going() {
        let mut four = view(4);
        let look = say(&target(), &four, Timestamp::UNIX_EPOCH);
        assert_eq!(look.gates[0].finding.gate_name(), "voter_set_differs");
        four.voters.retain(|voter| voter.id < 3);
        let look = say(&target(), &four, Timestamp::UNIX_EPOCH);
        assert_eq!(look.gates[0].finding.gate_name(), "voter_set_differs");
        assert_eq!(findings(&look, "c3"), [Finding::NotAVoter { node_id: 3 }]);
    }

    #[test]
    fn silence_is_said_of_every_controller_and_of_the_product() {
        let look = silent(&target(), "nobody answers");
        assert!(look.words.values().all(Result::is_err));
        assert_eq!(look.gates[0].finding.gate_name(), "witness_silent");
        assert_eq!(look.quorum, None);
    }

    #[test]
    fn only_the_broker_that_cannot_be_spared_is_kept() {
        let partition = partitions::Partition {
            index: 0,
            replicas: BTreeSet::from([7, 8, 9]),
            in_sync: BTreeSet::from([7, 8]),
        };
        let spread = Spread {
            topics: [("orders".to_owned(), vec![partition])].into(),
            minimums: [("orders".to_owned(), 2)].into(),
        };
        let gates = thin_gates(&target(), &spread);
        let scopes: Vec<_> = gates.into_iter().map(|gate| gate.scope).collect();
        assert_eq!(scopes, [GateScope::Unit(key("b7")), GateScope::Unit(key("b8"))]);
    }
}

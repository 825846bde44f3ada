//! A real Kafka cluster, started by `tests/peers/kafka.sh` from the artifacts of its makers.

mod quorum;

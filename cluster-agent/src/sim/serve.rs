//! `sim`: simulated clusters as a process of their own.

use std::net::SocketAddr;

use channels::wire::Role;

use super::server::{SimServer, SimServerError};
use super::spec::ClusterSpec;

/// Which clusters to simulate.
#[derive(Debug, Clone, clap::Args)]
pub struct SimArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9400")]
    pub listen: SocketAddr,
    /// Name of a cluster; may be repeated.
    #[arg(long = "cluster", value_name = "NAME", default_values_t = [String::from("east")])]
    pub clusters: Vec<String>,
    /// Controllers per cluster.
    #[arg(long, default_value_t = 3)]
    pub controllers: usize,
    /// Brokers per cluster.
    #[arg(long, default_value_t = 0)]
    pub brokers: usize,
    /// Nodes per cluster.
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// Version controllers and brokers run at first.
    #[arg(long, default_value = "3.9.1")]
    pub kafka_version: String,
    /// Version nodes run at first.
    #[arg(long, default_value = "1.33.2")]
    pub node_version: String,
    /// Divides the duration of restarts and relist periods; quorum timers are never scaled.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
    /// Everything left to chance follows from this; clusters get consecutive seeds.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl SimArgs {
    /// The clusters described.
    pub fn specs(&self) -> Result<Vec<ClusterSpec>, channels::names::NameError> {
        let kafka = self.kafka_version.as_str();
        let units = [
            (Role::Controller, self.controllers, kafka),
            (Role::Broker, self.brokers, kafka),
            (Role::Node, self.nodes, self.node_version.as_str()),
        ];
        self.clusters
            .iter()
            .zip(self.seed..)
            .map(|(name, seed)| ClusterSpec::of(name, seed, self.speed, &units))
            .collect()
    }

    /// Starts serving them. Must be called inside a tokio runtime.
    pub fn start(&self) -> Result<SimServer, SimServerError> {
        let specs = self.specs().map_err(|source| SimServerError::UnitName { source })?;
        SimServer::start(&specs, self.listen)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        sim: SimArgs,
    }

    #[test]
    fn arguments_describe_clusters_that_differ_by_name_and_seed_alone() {
        let line = "sim --cluster a --cluster b --brokers 2 --speed 20 --seed 7";
        let specs = Cli::parse_from(line.split(' ')).sim.specs().unwrap();
        let [a, b] = specs.as_slice() else { panic!("{specs:?}") };
        assert_eq!((a.name.as_str(), a.seed, a.speed), ("a", 7, 20));
        assert_eq!((b.name.as_str(), b.seed, b.speed), ("b", 8, 20));
        assert_eq!((&a.units, a.units.len()), (&b.units, 8));
    }

    #[test]
    fn a_speed_of_zero_is_refused() {
        assert!(Cli::try_parse_from(["sim", "--speed", "0"]).is_err());
    }
}

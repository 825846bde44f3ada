//! What a cluster of the model fleet says of itself: drawn from the seed, its number and how often it
//! changed. Pure.

use channels::names::{Arch, ChannelName, NameError, PoolName, ProductRef, UnitName};
use channels::version::ReleaseVersion;
use channels::wire::{
    AgentInstance, ClusterHeader, HealthSummary, HealthVerdict, Phase, ProductState, Progress,
    Report, Role, UnitState, WaitingOn,
};
use jiff::{SignedDuration, Timestamp};

/// Channels that the clusters of one product follow (telemetry.md: a fleet worse than real ones).
const CHANNELS: u32 = 12;
/// Versions per product.
const VERSIONS: u32 = 200;
/// Of a thousand clusters so many wait for something.
const WAITING_PER_MILLE: u64 = 20;
/// And so many have a unit out.
const ROLLING_PER_MILLE: u64 = 10;
/// And so many have a signal outside its limit.
const UNHEALTHY_PER_MILLE: u64 = 5;

/// A number from others that looks drawn by chance (splitmix64).
pub(super) fn draw(parts: [u64; 3]) -> u64 {
    parts.into_iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// At least one thing to choose from.
#[derive(Debug)]
struct Choice<T> {
    first: T,
    all: Vec<T>,
}

impl<T: Clone + std::str::FromStr<Err = NameError>> Choice<T> {
    fn of(names: impl Iterator<Item = String>, first: &str) -> Result<Self, NameError> {
        let all = names.map(|name| name.parse()).collect::<Result<_, _>>()?;
        Ok(Self { first: first.parse()?, all })
    }

    fn pick(&self, drawn: u64) -> &T {
        let length = u64::try_from(self.all.len()).unwrap_or(1).max(1);
        let index = usize::try_from(drawn % length).unwrap_or(0);
        self.all.get(index).unwrap_or(&self.first)
    }
}

/// The names that the fleet uses, made once.
#[derive(Debug)]
pub(super) struct Model {
    seed: u64,
    products: Vec<ProductRef>,
    channels: Choice<ChannelName>,
    versions: Choice<ReleaseVersion>,
    units: Vec<(UnitName, Role)>,
    arch: Arch,
    pool: PoolName,
}

impl Model {
    /// A fleet of clusters with so many products, and so many units in each.
    pub(super) fn new(seed: u64, products: usize, units: usize) -> Result<Self, NameError> {
        let versions = (0..VERSIONS).map(|n| format!("4.{}.{}", n / 20, n % 20));
        let channels = (1..=CHANNELS).map(|n| format!("stable-4.{n}"));
        let unit = |n: usize| Ok((format!("controller-{n}").parse()?, Role::Controller));
        Ok(Self {
            seed,
            products: (1..=products)
                .map(|n| format!("bench/product-{n}").parse())
                .collect::<Result<_, _>>()?,
            channels: Choice::of(channels, "stable-4.1")?,
            versions: Choice::of(versions, "4.1.0")?,
            units: (1..=units).map(unit).collect::<Result<_, NameError>>()?,
            arch: "amd64".parse()?,
            pool: "controllers".parse()?,
        })
    }

    /// The name of a cluster.
    pub(super) fn name(number: u32) -> String {
        format!("bench-{number:07}")
    }

    /// A report of the whole state of a cluster that changed `changes` times.
    pub(super) fn report(
        &self,
        header: ClusterHeader,
        number: u32,
        changes: u64,
        now: Timestamp,
    ) -> Report {
        let products = (0..).zip(&self.products);
        let products = products.map(|(n, p)| self.state(p, number, n, changes, now)).collect();
        Report { cluster: header, full: true, products }
    }

    /// The process of a cluster's agent: one for the whole of its life, as far as the hub can see.
    pub(super) fn instance(&self, number: u32) -> AgentInstance {
        AgentInstance(draw([self.seed, u64::from(number), 1]) | 1)
    }

    fn state(
        &self,
        product: &ProductRef,
        number: u32,
        nth: u64,
        changes: u64,
        now: Timestamp,
    ) -> ProductState {
        let home = draw([self.seed, u64::from(number), 16 + nth]);
        let drawn = draw([home, changes, 2]);
        let since = now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(now);
        let (phase, gates) = phase(drawn % 1000);
        let verdict = if (drawn >> 16) % 1000 < UNHEALTHY_PER_MILLE {
            HealthVerdict::Unhealthy
        } else {
            HealthVerdict::Healthy
        };
        let version = self.versions.pick((home >> 8).wrapping_add(changes)).clone();
        let rolling = phase.is_rolling();
        // What is measured differs in every report.
        let jitter = draw([home, u64::try_from(now.as_millisecond()).unwrap_or(0), 3]);
        ProductState {
            product: product.clone(),
            channel: self.channels.pick(home).clone(),
            arch: self.arch.clone(),
            target: rolling.then(|| version.clone()),
            version,
            phase,
            since,
            unit: self.units.first().filter(|_| rolling).map(|(name, _)| name.clone()),
            progress: rolling.then_some(Progress { done: 1, total: 3 }),
            health: HealthSummary {
                verdict,
                since: Some(since),
                quorum_lag_ms: Some(jitter % 40),
                quorum_lag_unit: self.units.first().map(|(name, _)| name.clone()),
                pleg_lag_ms: Some((jitter >> 16) % 900),
                pleg_lag_unit: self.units.last().map(|(name, _)| name.clone()),
                measured: Vec::new(),
            },
            waiting_on: gates,
            failure: None,
            accepted_risks: Vec::new(),
            wants: None,
            units: self.units.iter().map(|unit| self.unit(unit)).collect(),
        }
    }

    fn unit(&self, (name, role): &(UnitName, Role)) -> UnitState {
        UnitState {
            name: name.clone(),
            role: *role,
            pool: self.pool.clone(),
            version: Some("4.1.0".to_owned()),
            health: HealthVerdict::Healthy,
            why: None,
        }
    }
}

/// What a cluster does, from a number below 1000.
fn phase(drawn: u64) -> (Phase, Vec<WaitingOn>) {
    if drawn < ROLLING_PER_MILLE {
        return (Phase::AwaitHealth, Vec::new());
    }
    if drawn >= ROLLING_PER_MILLE + WAITING_PER_MILLE {
        return (Phase::Idle, Vec::new());
    }
    let gate = WaitingOn {
        gate: "approval".to_owned(),
        unit: None,
        message: "an approval is wanted for this release".to_owned(),
        observed: None,
        limit: None,
        since: None,
    };
    (Phase::Waiting, vec![gate])
}

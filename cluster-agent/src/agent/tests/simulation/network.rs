//! Between a unit's page and the agent: what arrives late, torn, spoiled or not at all.

use std::collections::BTreeMap;

use channels::names::UnitName;
use channels::wire::Role;
use jiff::Timestamp;

use super::super::world::Dice;
use super::plant::Plant;
use crate::sim::{Answer, Fault};
use crate::telemetry::{Page, Probe, ProbeTarget, ScrapeError};

/// What happens to one unit's pages until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trick {
    /// Each page is the one of the probe before.
    Late,
    /// Each page ends somewhere in its middle.
    Torn,
    /// One required figure is not a number.
    NotANumber,
    /// One required family has another name.
    Renamed,
    /// Nothing arrives in time.
    Lost,
}

/// What the agent was given of one unit at one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// A whole page of this moment.
    Whole,
    /// A whole page that is older than it looks.
    Old,
    /// A page that lacks something required, or spells it so that it cannot be read.
    Spoiled,
    /// Nothing.
    Lost,
}

/// Tricks by unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Network {
    pub(super) tricks: BTreeMap<UnitName, Trick>,
    pages: BTreeMap<UnitName, (String, Timestamp)>,
}

/// Families in whose place an agent that never saw them reads another (rolling.md §1.3, Bitnami).
const STOOD_IN_FOR: [&str; 2] =
    ["kafka_server_raftmetrics_log_end_offset", "kafka_server_raftmetrics_high_watermark"];

/// A family that every page of the role must have.
pub(super) fn family(role: Role, dice: &mut Dice) -> &'static str {
    let all: &[&str] = match role {
        Role::Controller => &[
            "kafka_server_raftmetrics_log_end_offset",
            "kafka_server_raftmetrics_current_epoch",
            "kafka_server_raftmetrics_current_leader",
            "kafka_server_raftmetrics_high_watermark",
            "kafka_server_raftmetrics_log_end_epoch",
            "kafka_controller_kafkacontroller_metadataerrorcount",
            "process_start_time_seconds",
        ],
        Role::Broker => &[
            "kafka_server_replicamanager_underreplicatedpartitions",
            "kafka_server_replicamanager_underminisrpartitioncount",
            "kafka_server_replicamanager_reassigningpartitions",
        ],
        Role::Node => &["kubelet_pleg_relist_duration_seconds", "kubelet_pleg_last_seen_seconds"],
        Role::Workload => &["process_start_time_seconds", "workload_build_info"],
    };
    all[usize::try_from(dice.below(all.len() as u64)).unwrap()]
}

impl Network {
    /// One probe of one unit, at a time of the agent's clock and of the wall's.
    pub(super) fn probe(
        &mut self,
        sim: &Plant,
        target: &ProbeTarget,
        role: Role,
        (now, wall_ms): (Timestamp, i64),
        dice: &mut Dice,
    ) -> (Result<Probe, ScrapeError>, Delivered) {
        let name = &target.key.unit;
        let lost = (Err(ScrapeError::Timeout { limit_ms: 1000 }), Delivered::Lost);
        let Answer::Page(text) = sim.answer(name) else { return lost };
        let faults = sim.faults(name);
        let lies = faults.contains(&Fault::StalePage);
        // Where these are missing the last applied record stands in, which is behind them.
        let has_stand_in = |family: &str| STOOD_IN_FOR.contains(&family);
        let stands_in = faults
            .iter()
            .any(|f| matches!(f, Fault::MissingMetric { family } if has_stand_in(family)));
        let lacks = faults.iter().any(|f| match f {
            Fault::MissingMetric { family } => !has_stand_in(family),
            Fault::Unreadable { .. } => true,
            _ => false,
        });
        let honest = match (lacks, lies || stands_in) {
            (true, _) => Delivered::Spoiled,
            (false, true) => Delivered::Old,
            (false, false) => Delivered::Whole,
        };
        let before = self.pages.insert(name.clone(), (text.clone(), now));
        let (text, requested_at, delivered) = match self.tricks.get(name) {
            None => (text, now, honest),
            Some(Trick::Lost) => return lost,
            Some(Trick::Late) => match before {
                Some((text, at)) if at <= now => (text, at, honest.max_old()),
                Some(_) | None => return lost,
            },
            Some(Trick::Torn) => (torn(&text, dice), now, Delivered::Spoiled),
            Some(Trick::NotANumber) => {
                (not_a_number(&text, family(role, dice)), now, Delivered::Spoiled)
            }
            Some(Trick::Renamed) => {
                let family = family(role, dice);
                let spoiled =
                    if has_stand_in(family) { honest.max_old() } else { Delivered::Spoiled };
                (text.replace(family, &format!("renamed_{family}")), now, spoiled)
            }
        };
        let page = Page::read(text.as_bytes(), &target.wanted);
        // Servers say what time it is where they are, in whole seconds.
        let date = Timestamp::from_second(wall_ms.div_euclid(1000)).ok();
        (Ok(Probe { page, date, requested_at, received_at: now }), delivered)
    }
}

impl Delivered {
    fn max_old(self) -> Self {
        if self == Self::Whole { Self::Old } else { self }
    }
}

/// The page up to somewhere, never all of it.
fn torn(text: &str, dice: &mut Dice) -> String {
    let keep = usize::try_from(dice.below(text.len() as u64 / 2)).unwrap();
    text[..keep].to_owned()
}

fn not_a_number(text: &str, family: &str) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((series, _)) if series.starts_with(family) => format!("{series} NaN\n"),
        Some(_) | None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

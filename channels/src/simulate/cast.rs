//! Who plays in a run: every cluster of a ring in its order, with what will become of it.
//!
//! All throws of the dice are made here, once; runs of one simulation share them.

use jiff::{SignedDuration, Timestamp};

use super::SimulateError;
use super::draw::{Dice, Question};
use super::fault::{Fault, Kind};
use super::fleet::{Fleet, Habits, Member};
use crate::rollout::{Labels, Policy, Position, Share};

/// What will become of a cluster once it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    /// How long its upgrade takes.
    pub(super) work: SignedDuration,
    /// It fails whatever the release.
    pub(super) fails_by_itself: bool,
    /// The release fails on it.
    pub(super) bad: bool,
    /// It is never heard of again.
    pub(super) silent: bool,
    /// It is less healthy than before, so long after its success.
    pub(super) regresses: Option<SignedDuration>,
    /// Its health cannot be read, so long after its success.
    pub(super) unknown: Option<SignedDuration>,
    /// The faults by number that blind the hub to it, one bit each.
    pub(super) blind: u32,
}

impl Fate {
    /// Whether the release harms it.
    pub(super) fn is_harmed(&self) -> bool {
        self.bad || self.silent || self.regresses.is_some()
    }
}

/// One cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Player<'f> {
    pub(super) position: Position,
    pub(super) member: &'f Member,
    pub(super) fate: Fate,
}

impl<'f> Player<'f> {
    pub(super) fn labels(&self) -> &'f Labels {
        &self.member.labels
    }

    /// Whether it asks the hub for work at this time after the start.
    pub(super) fn is_online(&self, dice: Dice, after: SignedDuration) -> bool {
        let Habits { online, stretch, .. } = self.member.habits;
        let Ok(online) = Share::try_from(online) else { return true };
        if online == Share::ALL || online == Share::NONE {
            return online == Share::ALL;
        }
        let id = self.member.id;
        let phase = dice.share(Question::Phase, id, 0).of(stretch.secs());
        let number = (after.as_secs() + i64::from(phase)) / i64::from(stretch.secs().max(1));
        dice.share(Question::Online, id, u64::try_from(number).unwrap_or(0)) < online
    }
}

/// Everybody, by ring and in the order in which they go.
#[derive(Debug)]
pub(super) struct Cast<'f> {
    pub(super) dice: Dice,
    pub(super) rings: Vec<Vec<Player<'f>>>,
    /// Clusters no ring selects.
    pub(super) in_no_ring: u32,
    /// Clusters that run the release already.
    pub(super) already_there: u32,
}

impl<'f> Cast<'f> {
    /// Draws the fate of everybody.
    pub(super) fn new(
        policy: &Policy,
        fleet: &'f Fleet,
        faults: &[Fault],
        release: &crate::version::ReleaseVersion,
        dice: Dice,
    ) -> Result<Self, SimulateError> {
        let (digest, salt) = (dice.release(&release.to_string()), dice.salt());
        let mut rings: Vec<Vec<Player<'f>>> = policy.rings.iter().map(|_| Vec::new()).collect();
        let (mut in_no_ring, mut already_there) = (0, 0);
        for member in fleet.members() {
            if member.version.as_ref() == Some(release) {
                already_there += 1;
                continue;
            }
            let ring = policy.ring_of(&member.labels);
            let Some((index, ring)) = ring.and_then(|i| Some((i, rings.get_mut(i)?))) else {
                in_no_ring += 1;
                continue;
            };
            let position = Position::new(index, &digest, &salt, member.id);
            ring.push(Player { position, member, fate: draw(member, faults, dice) });
        }
        if rings.iter().all(Vec::is_empty) {
            return Err(SimulateError::NobodyToUpgrade { in_no_ring, already_there });
        }
        for ring in &mut rings {
            ring.sort_unstable_by_key(|player| player.position);
        }
        Ok(Self { dice, rings, in_no_ring, already_there })
    }

    pub(super) fn size(&self) -> u32 {
        self.rings.iter().map(|ring| count(ring.len())).sum()
    }
}

/// A number of clusters; fleets are bounded far below 2^32.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A time so long after another.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn draw(member: &Member, faults: &[Fault], dice: Dice) -> Fate {
    let habits = &member.habits;
    let thrown = |question, number: u64, share| {
        Share::try_from(share).is_ok_and(|share| dice.share(question, member.id, number) < share)
    };
    let mut fate = Fate {
        work: dice.duration(&habits.upgrade, member.id),
        fails_by_itself: thrown(Question::Failure, 0, habits.failing),
        bad: false,
        silent: false,
        regresses: None,
        unknown: thrown(Question::Unknown, 0, habits.unknown)
            .then(|| habits.unknown_for.duration()),
        blind: 0,
    };
    for (number, fault) in (0_u32..).zip(faults) {
        let hits = |share| {
            fault.may_hit(&member.labels, member.version.as_ref())
                && thrown(Question::Fault, u64::from(number), share)
        };
        match fault.kind() {
            Kind::Bad { share } => fate.bad |= hits(share),
            Kind::Silent { share } => fate.silent |= hits(share),
            Kind::Slow { hundredths, share } if hits(share) => {
                let hundredths = i32::try_from(hundredths).unwrap_or(i32::MAX);
                fate.work = fate.work.saturating_mul(hundredths) / 100;
            }
            Kind::Regress { share, after } if hits(share) => {
                let after = after.duration();
                fate.regresses = Some(fate.regresses.map_or(after, |known| known.min(after)));
            }
            Kind::Blind { share, .. } if hits(share) => {
                fate.blind |= 1_u32.checked_shl(number).unwrap_or(0);
            }
            Kind::Slow { .. }
            | Kind::Regress { .. }
            | Kind::Blind { .. }
            | Kind::Outage { .. }
            | Kind::Hold { .. }
            | Kind::Resume { .. } => {}
        }
    }
    fate
}

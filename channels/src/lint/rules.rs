//! The table of rules: code, severity, and what a person who meets one needs to know.
//!
//! The manual's table, `fairway lint --explain` and the names in output all come from here.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Severity;

/// What there is to know about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The stable code, as printed.
    pub code: &'static str,
    /// How bad a finding of it is.
    pub severity: Severity,
    /// What is found, as in the manual's table.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

macro_rules! rules {
    ($($variant:ident $code:literal $severity:ident {
        what: $what:literal, why: $why:literal, advice: $advice:literal $(,)?
    })*) => {
        /// The rules, by their stable codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $what] $variant,)*
        }

        impl Code {
            /// Every rule, in the order of the manual's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What there is to know about it.
            pub fn rule(self) -> Rule {
                match self {
                    $(Self::$variant => Rule {
                        code: $code,
                        severity: Severity::$severity,
                        what: $what,
                        why: $why,
                        advice: $advice,
                    },)*
                }
            }
        }
    };
}

rules! {
    Malformed "malformed" Error {
        what: "a file cannot be read as what it should be",
        why: "nothing is skipped: a block that is not read would open an edge, so one bad file stops \
              the publication",
        advice: "correct the place that the message names; docs/channel-repository.md says what each \
                 file may hold",
    }
    MissingRelease "missing_release" Error {
        what: "a channel names a version that has no release file",
        why: "there is nothing to sign for it, so no cluster could verify or install it",
        advice: "add releases/<version>.yaml, or take the version out of the channel",
    }
    MissingArch "missing_arch" Error {
        what: "a channel names a release on an architecture it has no content for",
        why: "a cluster of that architecture would have nothing to install",
        advice: "add the architecture under arches: in the release file, or correct the entry",
    }
    GraphInvalid "graph_invalid" Error {
        what: "a graph breaks a bound or cannot be read",
        why: "the hub and every agent refuse the whole graph, so the channel stands still",
        advice: "split the channel, or correct what the message names",
    }
    Cycle "cycle" Error {
        what: "edges of a foreign graph lead in a circle",
        why: "a cluster that always takes the offered edge would never arrive, and OpenShift's own \
              server refuses to load the graph",
        advice: "remove one edge of the circle",
    }
    BarrierCrossed "barrier_crossed" Error {
        what: "an edge jumps over a version that is a barrier",
        why: "a barrier does work that must not be left out, such as a migration; a cluster that \
              jumps over it arrives without that work done",
        advice: "make the version a barrier of this channel too, or narrow upgrade_from of the newer \
                 release",
    }
    DependencyUnsatisfied "dependency_unsatisfied" Error {
        what: "no known release satisfies a dependency",
        why: "no cluster could ever start this release",
        advice: "publish the release that is asked for, or correct the requirement",
    }
    PromqlInvalid "promql_invalid" Error {
        what: "a PromQL query does not parse",
        why: "Prometheus refuses the query on every cluster, so the risk stands for all of them for \
              ever",
        advice: "correct the query at the place the message names; promtool or the expression browser \
                 of any Prometheus shows the same fault",
    }
    RiskNotEvaluable "risk_not_evaluable" Error {
        what: "no cluster can evaluate a rule of a risk",
        why: "only one sample of value 1 or 0 is an answer; a rule that can never give one leaves the \
              risk standing for clusters that are not exposed",
        advice: "let the query end in one sample of value 1 (exposed) or 0, for example \
                 group(bad == 1) or 0 * group(bad); or use rules of the types Always and PromQL",
    }
    RoleExpired "role_expired" Error {
        what: "signed metadata has expired",
        why: "agents refuse expired metadata and stay where they are",
        advice: "run fairway status for who must sign, then fairway publish",
    }
    ShareAtOnce "share_at_once" Error {
        what: "a large share of a ring becomes eligible at one moment",
        why: "a fault would hit all of them before anybody can stop the rollout",
        advice: "spread the curve over points that rise less at a time, or take a template",
    }
    FirstHourSteep "first_hour_steep" Error {
        what: "a large share of a ring becomes eligible in the first hour",
        why: "within an hour hardly anybody can have seen a fault and stopped it",
        advice: "take a slower curve, or write emergency: true and mean it",
    }
    WindowsNeverOpen "windows_never_open" Error {
        what: "no window opens within a year",
        why: "the rollout never moves, and every cluster waits",
        advice: "shorten the freezes or add windows",
    }
    WindowTooShort "window_too_short" Error {
        what: "a window is shorter than a unit may take",
        why: "no unit starts that cannot finish inside its window, so nothing starts in it",
        advice: "lengthen the window, or shorten deadlines.unit",
    }
    RingShadowed "ring_shadowed" Error {
        what: "an earlier ring takes every cluster of a ring",
        why: "a cluster is in the first ring that selects it, so the later ring is always empty",
        advice: "put the narrower ring first",
    }
    GateNeverPasses "gate_never_passes" Error {
        what: "a gate asks for more clusters than the ring has",
        why: "the ring waits for ever, and so do all after it",
        advice: "lower min_sample, or write a share such as 50%",
    }
    CapZero "cap_zero" Error {
        what: "a cap of 0 lets no cluster start",
        why: "the rollout never moves",
        advice: "raise the cap; to stop a rollout, hold it",
    }
    NoWayOut "no_way_out" Warning {
        what: "a version older than the head, or a tombstone, has no edge to anything newer",
        why: "a cluster on it can never move again, whatever anybody accepts",
        advice: "let a newer release list it in upgrade_from; if it is meant to end there, give the \
                 reason under dead_ends: of the channel",
    }
    HeadUnreachable "head_unreachable" Warning {
        what: "no way leads to the head, whatever risks are accepted",
        why: "clusters on it move a little and then stay behind for ever",
        advice: "find the gap with fairway graph, and let a newer release list a version on the way \
                 in upgrade_from",
    }
    NodeUnreachable "node_unreachable" Warning {
        what: "nothing leads to a version, though older ones are in the channel",
        why: "nobody in the channel can get the release",
        advice: "widen upgrade_from of the release, or take it out of the channel",
    }
    DuplicateDigest "duplicate_digest" Warning {
        what: "two releases have one payload",
        why: "one of the two files was most likely copied and not finished: clusters would move and \
              run what they ran before",
        advice: "correct the payload of the one that is wrong",
    }
    RiskName "risk_name" Warning {
        what: "a risk's name cannot be the reason of a Kubernetes condition",
        why: "clusters show a risk as the reason of a condition and people accept it by name; a name \
              that does not fit is cut or refused there",
        advice: "use letters, digits, '_', ',' and ':', beginning with a letter, such as \
                 KerberosLoginFails",
    }
    RiskUrl "risk_url" Warning {
        what: "a risk's URL is not one",
        why: "whoever must decide to accept the risk has nowhere to read about it",
        advice: "write the https:// address of the issue or the advisory",
    }
    RiskMessage "risk_message" Warning {
        what: "a risk has no message",
        why: "the message is what an operator sees before accepting; without one nobody knows what \
              would happen",
        advice: "say in one sentence what happens to which clusters",
    }
    RiskNameReused "risk_name_reused" Warning {
        what: "one name stands for risks with different URLs",
        why: "risks are accepted by name, so who accepts one accepts the other unread",
        advice: "give them two names, or one URL if they are one risk",
    }
    RiskOneSided "risk_one_sided" Warning {
        what: "a PromQL query can only ever answer one of 1 and 0",
        why: "a query that never answers 0 clears no cluster, one that never answers 1 warns none, and \
              no answer at all leaves the risk standing",
        advice: "answer both sides: group(bad == 1) or 0 * group(bad)",
    }
    PromqlFunction "promql_function" Warning {
        what: "a PromQL query calls a function that lint does not know",
        why: "a Prometheus that does not know it either refuses the query, and the risk stands there",
        advice: "check the spelling, and that the oldest Prometheus among your users has it",
    }
    RuleUnreached "rule_unreached" Warning {
        what: "a matching rule stands after Always and is never looked at",
        why: "the first rule that can be evaluated decides, and Always always can",
        advice: "put Always last, or remove what follows it",
    }
    BlockMatchesNothing "block_matches_nothing" Warning {
        what: "a blocked-edge file changes no edge",
        why: "either its releases are gone, or to and from do not say what was meant and an edge that \
              should be blocked is open",
        advice: "correct to and from, or delete the file when its releases are gone",
    }
    DowngradeOverFinalize "downgrade_over_finalize" Warning {
        what: "a downgrade is allowed from a release that finalizes another level",
        why: "once the newer release is finalized the older one cannot read its data",
        advice: "narrow downgrade_from",
    }
    FeederMissing "feeder_missing" Warning {
        what: "a channel is fed by one that does not exist",
        why: "no release can ever be promoted into the channel",
        advice: "correct feeder.name, or add the channel under channels/ or internal-channels/",
    }
    SoakUnused "soak_unused" Warning {
        what: "promotions.yaml asks for healthy days before a channel that is missing or not fed",
        why: "a channel of another name was meant, and releases enter that one without them",
        advice: "correct the name under soak in promotions.yaml, or give the channel a feeder",
    }
    ReleasedInFuture "released_in_future" Warning {
        what: "a release date lies in the future",
        why: "ages and promotion delays are counted from that date",
        advice: "correct released_at",
    }
    EolWithoutRelease "eol_without_release" Warning {
        what: "an end of life is of a line without releases",
        why: "the line that was meant has none then, and clusters past their end are not counted",
        advice: "correct the line under [eol] of fairway.toml, or take it out",
    }
    EolBeforeRelease "eol_before_release" Warning {
        what: "a line's end of life lies before its first release",
        why: "every cluster on the line counts as past its end from the first day on",
        advice: "correct the day under [eol] of fairway.toml; a wrong year is the usual slip",
    }
    ReleaseUnexplained "release_unexplained" Warning {
        what: "an important or critical release has neither url nor advisories",
        why: "people are told to hurry and cannot see why",
        advice: "add url: with the release notes, or list the advisories",
    }
    ReleaseUrl "release_url" Warning {
        what: "a release's URL is not one",
        why: "people follow it from the dashboard, the graph and the command line",
        advice: "write an https:// address",
    }
    RoleExpiresSoon "role_expires_soon" Warning {
        what: "signed metadata expires soon and waits for a person",
        why: "once it has expired agents refuse it and stay where they are, and signing takes the key \
              holders' time",
        advice: "run fairway status for who must sign, then fairway publish",
    }
    FailuresStall "failures_stall" Warning {
        what: "more failures are allowed than leave room for success",
        why: "the ring can stand still for ever: it neither passes nor halts",
        advice: "lower max_failures, or lower success",
    }
    StartInPast "start_in_past" Warning {
        what: "a rollout's start lies in the past",
        why: "a release starts as soon as it is published, and nobody was warned; a wrong year has \
              opened whole fleets at once before",
        advice: "check the year, or write start: publication",
    }
    FreezeCoversCurve "freeze_covers_curve" Warning {
        what: "a freeze covers the whole time of a rollout",
        why: "nothing moves before the freeze ends, and then the whole curve follows",
        advice: "start later, or shorten the freeze",
    }
    NeverEnds "never_ends" Warning {
        what: "the windows are too few for the curves to end",
        why: "the last clusters would wait for years",
        advice: "widen the windows, or take faster curves",
    }
    RingEmpty "ring_empty" Warning {
        what: "no cluster of the fleet is in a ring",
        why: "a ring without clusters never passes its gates",
        advice: "correct its selector, or take it out",
    }
    ClustersInNoRing "clusters_in_no_ring" Warning {
        what: "clusters of the fleet are in no ring",
        why: "they are never granted anything",
        advice: "label them, or let the last ring take the rest",
    }
    ReleaseUnlisted "release_unlisted" Note {
        what: "a release is in no channel",
        why: "no cluster can reach it; that is right for one that is not promoted yet",
        advice: "add it to a channel when it is meant to be offered",
    }
    DependencyUnknown "dependency_unknown" Note {
        what: "a dependency names a product outside this repository",
        why: "nothing here can tell whether a release satisfies it",
        advice: "check by hand, or keep both products in one repository",
    }
    VersionRepeated "version_repeated" Note {
        what: "a channel lists a version twice",
        why: "harmless, and most likely a slip of the hand that meant another version",
        advice: "keep one",
    }
    DowngradeCycle "downgrade_cycle" Note {
        what: "declared downgrades make the graph cyclic; OpenShift's own server refuses such graphs, \
               agents do not mind",
        why: "agents only take a downgrade that was asked for, but other readers of Cincinnati graphs \
              may refuse the file",
        advice: "nothing, unless such readers are among your users",
    }
}

impl Code {
    /// The code as printed.
    pub fn as_str(self) -> &'static str {
        self.rule().code
    }

    /// How bad a finding of this rule is.
    pub fn severity(self) -> Severity {
        self.rule().severity
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A text that is no lint code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no lint code")]
pub struct UnknownCode {
    /// The text.
    pub text: String,
}

impl FromStr for Code {
    type Err = UnknownCode;
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| UnknownCode { text: text.to_owned() })
    }
}

//! The command line as `clap` sees it. It only parses.

use clap::{Parser, Subcommand};

use crate::colour::ColorChoice;
use crate::commands::audit::AuditArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::block::{BlockArgs, UnblockArgs};
use crate::commands::clusters::ClustersArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::doctor::DoctorArgs;
use crate::commands::drift::DriftArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::graph::GraphArgs;
use crate::commands::health::HealthArgs;
use crate::commands::holds::{HoldArgs, HoldsArgs, ResumeArgs};
use crate::commands::import::ImportArgs;
use crate::commands::init::InitArgs;
use crate::commands::key::KeyArgs;
use crate::commands::lint::LintArgs;
use crate::commands::profile::ProfileArgs;
use crate::commands::promote::PromoteArgs;
use crate::commands::publish::PublishArgs;
use crate::commands::recover::RecoverArgs;
use crate::commands::request::RequestArgs;
use crate::commands::rollout::RolloutArgs;
use crate::commands::root::RootArgs;
use crate::commands::rotate::RotateArgs;
use crate::commands::simulate::SimulateArgs;
use crate::commands::sites::SitesArgs;
use crate::commands::status::StatusArgs;
use crate::commands::tokens::TokenArgs;
use crate::commands::trends::TrendsArgs;
use crate::commands::vendor::VendorArgs;
use crate::commands::verify::VerifyArgs;
use crate::commands::webhooks::WebhooksArgs;
use crate::commands::withdraw::WithdrawArgs;
use crate::demo::{DemoArgs, FleetArgs};

/// Fairway: signed release channels for clusters that upgrade themselves.
///
/// Data goes to stdout, everything else to stderr.
#[derive(Debug, Parser)]
#[command(
    name = "fairway",
    version,
    max_term_width = 100,
    after_help = "\
Exit codes:
  0  done, or the answer is yes
  1  the answer is no: lint errors, an attack, nothing of that name, a cluster that is blocked, a
     check that failed
  2  wrong usage, or the question could not be answered

The other programs: fairway server, fairway agent, fairway mirror; each has --help."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When states and labels are coloured.
    #[arg(
        long,
        help = "When states and labels are coloured; NO_COLOR and CLICOLOR_FORCE count less",
        value_enum,
        default_value_t,
        value_name = "WHEN",
        global = true
    )]
    pub(crate) color: ColorChoice,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a channel repository and keys for a new hub, ready to publish
    Init(InitArgs),
    /// Make a key, show one, change its passphrase; show those of vendors behind an export
    Key(KeyArgs),
    /// Check a channel repository
    Lint(LintArgs),
    /// Make a channel repository of what another update system keeps
    Import(ImportArgs),
    /// Print or draw the graph of a channel; explain an edge, find a way, compare
    Graph(GraphArgs),
    /// Try a rollout policy on a model fleet: pace, halts, and what a bad release would hit
    Simulate(SimulateArgs),
    /// Apply rollout policies to the hub; watch rollouts, stop them, let them go on
    Rollout(RolloutArgs),
    /// Let releases enter channels: one, or all that the feeders' rule allows
    Promote(PromoteArgs),
    /// Make a release a tombstone: nothing moves to it any more
    Withdraw(WithdrawArgs),
    /// Remove edges, or put a risk on them
    Block(BlockArgs),
    /// Take a block away, or end its range
    Unblock(UnblockArgs),
    /// Lint, compile, sign what changed, and hand it to the hub
    Publish(PublishArgs),
    /// Draft, sign and publish a new root, its key holders on separate machines
    Root(RootArgs),
    /// Show, sign or merge a request to sign any role
    Request(RequestArgs),
    /// Replace the hub's timestamp or snapshot key by way of a new root
    Rotate(RotateArgs),
    /// Bring agents back after an attack
    Recover(RecoverArgs),
    /// Show what expires when, who must sign, and what to do next
    Status(StatusArgs),
    /// Publish as one of several vendors, or say who they are and which keys they have
    Vendor(VendorArgs),
    /// Look at a hub or a dark site from outside: is it well, and what to do if not
    Doctor(DoctorArgs),
    /// Check what a server serves as an agent would
    Verify(VerifyArgs),
    /// List the fleet's clusters; invite, show, label, set, revoke, retire
    Clusters(ClustersArgs),
    /// Say why a cluster is not moving, when it will, and what to do
    Explain(ExplainArgs),
    /// List dark sites, whose status is carried here; add, import, remove
    Sites(SitesArgs),
    /// Show how far the fleet is from the heads of its channels
    Drift(DriftArgs),
    /// Show how many clusters are well, and which are not
    Health(HealthArgs),
    /// Show how the fleet was: versions, health and lags over time
    Trends(TrendsArgs),
    /// Stop the fleet, a product, a channel, a release or a cluster
    Hold(HoldArgs),
    /// List what is held
    Holds(HoldsArgs),
    /// Lift a hold
    Resume(ResumeArgs),
    /// Show who changed what on the hub
    Audit(AuditArgs),
    /// Make, list or revoke API tokens of people and machines
    Token(TokenArgs),
    /// List webhooks; add, remove and try them, send again what was given up on
    Webhooks(WebhooksArgs),
    /// Name servers and their tokens: list, add, use, remove, show
    Profile(ProfileArgs),
    /// Print what a shell completes behind `fairway`
    Completions(CompletionsArgs),
    /// Measure a hub with a fleet that does not exist: enrol it, let it report, ask for paths
    Bench(BenchArgs),
    /// Show a fleet upgrade itself on this machine: real server, real agents, simulated clusters
    Demo(DemoArgs),
    /// One agent process of the demo
    #[command(hide = true)]
    DemoFleet(FleetArgs),
}

//! The command line as `clap` sees it. It only parses.

use clap::{Parser, Subcommand};

use crate::commands::audit::AuditArgs;
use crate::commands::clusters::ClustersArgs;
use crate::commands::drift::DriftArgs;
use crate::commands::health::HealthArgs;
use crate::commands::holds::{HoldArgs, HoldsArgs, ResumeArgs};

/// Fairway: signed release channels for clusters that upgrade themselves.
///
/// Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 the answer is no (lint
/// errors, an attack, nothing of that name), 2 wrong usage or failure.
#[derive(Debug, Parser)]
#[command(name = "fairway", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the fleet's clusters; invite, show, retire
    Clusters(ClustersArgs),
    /// Show how far the fleet is from the heads of its channels
    Drift(DriftArgs),
    /// Show how many clusters are well, and which are not
    Health(HealthArgs),
    /// Stop the fleet, a product, a channel, a release or a cluster
    Hold(HoldArgs),
    /// List what is held
    Holds(HoldsArgs),
    /// Lift a hold
    Resume(ResumeArgs),
    /// Show who changed what on the hub
    Audit(AuditArgs),
}

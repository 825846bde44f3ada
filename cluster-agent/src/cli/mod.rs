//! The command line: parses, calls the library, prints. Data goes to stdout, all else to stderr.
//!
//! Exit codes: 0 = done, 1 = the answer is "no" (`check` found blockers, `status` found no agent),
//! 2 = usage or failure.

mod check;
mod commands;
mod finalize;
mod logging;
mod manifests;
mod quorum;
mod running;
mod support;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use channels::names::ProductRef;
use channels::version::ReleaseVersion;

pub use logging::LogFormat;
pub use manifests::{ManifestsCommand, RbacArgs};
pub use quorum::QuorumCommand;
pub use support::SupportArgs;

use crate::sim::SimArgs;
use crate::sim::member::MemberCommand;

/// Rolls this cluster's units to signed releases, one at a time, while their health is proved.
#[derive(Debug, Parser)]
#[command(name = "cluster-agent", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent until it is told to stop (SIGTERM or SIGINT).
    Run(RunArgs),
    /// Register this cluster at its hub with a join token.
    Enroll(EnrollArgs),
    /// Replace this cluster's key at its hub; safe to repeat, also after a crash.
    ///
    /// A running agent asks for the new key before its next report and goes on with it.
    RotateKey(ConfigArgs),
    /// Show what the agent does and why.
    Status(ReadArgs),
    /// Say what would block the next unit. Touches nothing; exits 1 if something does.
    Check(CheckArgs),
    /// Stop every start on this cluster until `resume`.
    Hold(HoldArgs),
    /// Lift the hold on this cluster and go on after a pause.
    Resume(ResumeArgs),
    /// Allow a product whose policy is manual (or patch) to move to a release.
    Approve(ApproveArgs),
    /// Gather what somebody who helps from afar needs to know, without secrets.
    SupportBundle(SupportArgs),
    /// Look at a Kafka metadata quorum, or change its voters one act after another.
    #[command(subcommand)]
    Quorum(quorum::QuorumCommand),
    /// Approve the irreversible step of the release that every unit of a product runs.
    Finalize(FinalizeArgs),
    /// Order a product back to an older release that its document allows, and keep it there.
    Back(BackArgs),
    /// Print what is applied to a Kubernetes cluster before an agent runs in it.
    #[command(subcommand)]
    Manifests(ManifestsCommand),
    /// Simulate clusters over HTTP, to try the agent without any.
    Sim(SimArgs),
    /// Run or restart one controller of a quorum made of small processes, to try the exec driver.
    #[command(subcommand)]
    Member(MemberCommand),
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Configuration file.
    #[arg(long, env = "FAIRWAY_CONFIG", default_value = "/etc/fairway/agent.toml")]
    pub config: PathBuf,
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Configuration file; given several times, several agents share the process.
    #[arg(long, env = "FAIRWAY_CONFIG", required = true, value_delimiter = ',')]
    pub config: Vec<PathBuf>,
    /// Form of the log lines; the default is text on a terminal, JSON otherwise.
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
}

/// `enroll`.
#[derive(Debug, Clone, Args)]
pub struct EnrollArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The token that `fairway clusters invite` (or `reinvite`) printed.
    #[arg(
        long,
        env = "FAIRWAY_JOIN_TOKEN",
        hide_env_values = true,
        required_unless_present = "once"
    )]
    pub token: Option<String>,
    /// Do nothing if this cluster is enrolled at this hub already, or reports to none: for a start
    /// script.
    #[arg(long, conflicts_with = "new_key")]
    pub once: bool,
    /// Register a new key in place of the one there is, with a token of `fairway clusters reinvite`.
    #[arg(long)]
    pub new_key: bool,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Commands that read.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Which configuration and output.
    #[command(flatten)]
    pub read: ReadArgs,
    /// For how long units are probed before judging; lags need several probes, nodes many
    /// [default: 6, with nodes as long as their relists take].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: Option<u64>,
}

/// `hold`.
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Why; shown in status, report and dashboard.
    #[arg(long)]
    pub reason: String,
}

/// `resume`.
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Give up what was begun on a unit (`vendor/product/unit`) or product that is no longer
    /// configured; the agent forgets it when it starts next.
    #[arg(long, value_name = "NAME")]
    pub give_up: Option<String>,
}

/// `approve`.
#[derive(Debug, Clone, Args)]
pub struct ApproveArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The product, `vendor/product`.
    #[arg(long)]
    pub product: ProductRef,
    /// The release it may move to.
    #[arg(long)]
    pub version: ReleaseVersion,
}

/// `finalize`.
#[derive(Debug, Clone, Args)]
pub struct FinalizeArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The product, `vendor/product`.
    pub product: ProductRef,
    /// Say instead, after the step failed: you have looked, and its level is not in force. Opens the
    /// way back again.
    #[arg(long)]
    pub unchanged: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Who approves it, or has looked; kept with the record.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
}

/// `back`.
#[derive(Debug, Clone, Args)]
pub struct BackArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The product, `vendor/product`.
    #[arg(long)]
    pub product: ProductRef,
    /// The older release.
    #[arg(long)]
    pub version: ReleaseVersion,
}

/// Exit code for "no".
const NO: u8 = 1;

/// Exit code for usage errors and failures.
const FAILED: u8 = 2;

/// What a command has to say.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For stdout.
    text: String,
    /// Whether the answer is yes.
    verdict: Verdict,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Exit 0.
    Yes,
    /// Exit 1.
    No,
}

/// Every command and option there is, for programs that carry them and for checks of documents.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses `args` (the first is the program's name) and does what they say.
pub fn cli_main<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    match Cli::try_parse_from(args) {
        Ok(cli) => execute(&cli.command),
        Err(error) => {
            let code = if error.use_stderr() { FAILED } else { 0 };
            // A closed terminal is no reason to panic.
            let _ = error.print();
            ExitCode::from(code)
        }
    }
}

/// Does one command; for programs that carry these commands under a name of their own.
pub fn execute(command: &Command) -> ExitCode {
    match run_command(command) {
        Ok(answer) => {
            print(&answer.text);
            match answer.verdict {
                Verdict::Yes => ExitCode::SUCCESS,
                Verdict::No => ExitCode::from(NO),
            }
        }
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn run_command(command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::Run(args) => commands::run(args),
        Command::Enroll(args) => commands::enroll(args),
        Command::RotateKey(args) => commands::rotate_key(args),
        Command::Status(args) => commands::status(args),
        Command::Check(args) => check::check(args),
        Command::Hold(args) => commands::hold(args),
        Command::Resume(args) => commands::resume(args),
        Command::Approve(args) => commands::approve(args),
        Command::SupportBundle(args) => support::support(args),
        Command::Quorum(command) => quorum::quorum(command),
        Command::Finalize(args) => finalize::finalize(args),
        Command::Back(args) => finalize::back(args),
        Command::Manifests(command) => manifests::print(command),
        Command::Sim(args) => commands::sim(args),
        Command::Member(command) => commands::member(command),
    }
}

impl Answer {
    pub(crate) fn yes(text: impl Into<String>) -> Self {
        Self { text: text.into(), verdict: Verdict::Yes }
    }
}

/// Data goes to stdout; a reader that went away is no error.
fn print(text: &str) {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn complain(text: &str) {
    use std::io::Write as _;
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{text}");
}

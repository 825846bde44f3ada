//! Every command but `check`.

use anyhow::Context as _;

use super::{
    Answer, ApproveArgs, ConfigArgs, EnrollArgs, HoldArgs, Output, ReadArgs, ResumeArgs, RunArgs,
    Verdict, logging, running,
};
use crate::agent::{self, EnrolKey, Rotated};
use crate::clock;
use crate::config::{Overrides, Reports, Settings};
use crate::sim::SimArgs;
use crate::sim::member::MemberCommand;
use crate::state::{self, Approval, Control, GiveUpOrder, InUse, LocalHold, ResumeOrder, in_use};
use crate::status;

/// Threads for what cannot be waited for otherwise: names are resolved and files of steps read in
/// them, of as many units side by side as are probed.
const BLOCKING_THREADS: usize = 8;

/// Longest reason of a hold; it travels in every report.
const REASON_CHARS_MAX: usize = 300;

pub(super) fn settings(config: &ConfigArgs) -> anyhow::Result<Settings> {
    Ok(Settings::load(&config.config, Overrides::from_env())?)
}

/// One thread turns everything: probes and reports wait for the network, and a hundred nodes with
/// pages of 2 MB compute for less than a tenth of a core.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<Answer> {
    logging::start(args.log_format);
    let all = args
        .config
        .iter()
        .map(|path| {
            let config = ConfigArgs { config: path.clone() };
            settings(&config).with_context(|| format!("configuration {}", path.display()))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let runtime = runtime()?;
    let ended = runtime.block_on(running::run_all(all));
    // A name that is being resolved is not waited for.
    runtime.shutdown_background();
    ended?;
    Ok(Answer::yes(""))
}

pub(super) fn enroll(args: &EnrollArgs) -> anyhow::Result<Answer> {
    let settings = settings(&args.config)?;
    if args.once
        && let Some(why) = needs_no_enrolment(&settings)?
    {
        return Ok(Answer::yes(format!("{} {why}\n", settings.cluster_name)));
    }
    let token = args.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    let token = token.context("not enrolled yet: --token is needed")?;
    let key = if args.new_key { EnrolKey::New } else { EnrolKey::Kept };
    let enrolling = agent::enroll(&settings, token, key, clock::now());
    let enrolment = runtime()?.block_on(enrolling)?;
    Ok(Answer::yes(format!(
        "enrolled {} at {} as {}\n",
        settings.cluster_name, enrolment.hub_url, enrolment.cluster_id
    )))
}

/// Why there is nothing to enrol, if there is not.
fn needs_no_enrolment(settings: &Settings) -> anyhow::Result<Option<String>> {
    if settings.hub.reports == Reports::Off {
        return Ok(Some("reports to no hub".to_owned()));
    }
    let there = agent::load_enrolment(&settings.state_dir)?;
    let there = there.filter(|enrolment| enrolment.hub_url == settings.hub.url);
    Ok(there.map(|enrolment| format!("is enrolled as {}", enrolment.cluster_id)))
}

pub(super) fn rotate_key(args: &ConfigArgs) -> anyhow::Result<Answer> {
    let settings = settings(args)?;
    let name = &settings.cluster_name;
    let rotated = runtime()?.block_on(agent::rotate_key(&settings, clock::now()))?;
    Ok(Answer::yes(match rotated {
        Rotated::Done(id) => format!("{name} signs with key {id} from now on\n"),
        Rotated::LeftToTheAgent(id) => {
            format!("the running agent of {name} asks for key {id} before its next report\n")
        }
    }))
}

pub(super) fn status(args: &ReadArgs) -> anyhow::Result<Answer> {
    let settings = settings(&args.config)?;
    let running = in_use(&settings.state_dir)?;
    let Some(status) = status::read(&settings.state_dir)? else {
        anyhow::bail!("no agent has run with state directory {} yet", settings.state_dir.display());
    };
    let text = match args.output {
        Output::Text => status::render(&status, running, clock::now()),
        Output::Json => serde_json::to_string_pretty(&status)? + "\n",
    };
    let verdict = if running == InUse::Yes { Verdict::Yes } else { Verdict::No };
    Ok(Answer { text, verdict })
}

pub(super) fn hold(args: &HoldArgs) -> anyhow::Result<Answer> {
    let reason: String = args.reason.trim().chars().take(REASON_CHARS_MAX).collect();
    anyhow::ensure!(!reason.is_empty(), "a hold needs a reason");
    let settings = settings(&args.config)?;
    let hold = LocalHold { reason, since: clock::now() };
    Control::new(&settings.state_dir).place_hold(&hold)?;
    Ok(Answer::yes(format!("{} is held; `resume` lifts it\n", settings.cluster_name)))
}

pub(super) fn resume(args: &ResumeArgs) -> anyhow::Result<Answer> {
    let settings = settings(&args.config)?;
    let control = Control::new(&settings.state_dir);
    if let Some(name) = &args.give_up {
        let memory = state::load(&settings.state_dir, &settings.cluster_name)?;
        let orphans = agent::orphans(&settings, &memory.history);
        anyhow::ensure!(
            orphans.iter().any(|orphan| orphan.name() == *name),
            "nothing was begun on {name} that is no longer configured"
        );
        control.order_give_up(&GiveUpOrder { name: name.clone(), at: clock::now() })?;
        return Ok(Answer::yes(format!("{name} is given up when the agent starts next\n")));
    }
    control.lift_hold()?;
    control.order_resume(&ResumeOrder { at: clock::now() })?;
    Ok(Answer::yes(format!(
        "{} goes on once its gates have held for a new baseline\n",
        settings.cluster_name
    )))
}

pub(super) fn approve(args: &ApproveArgs) -> anyhow::Result<Answer> {
    let settings = settings(&args.config)?;
    anyhow::ensure!(
        settings.products.contains_key(&args.product),
        "{} is not configured on {}",
        args.product,
        settings.cluster_name
    );
    let (product, to, at) = (args.product.clone(), args.version.clone(), clock::now());
    Control::new(&settings.state_dir).approve(Approval { product, to, at, back: false })?;
    Ok(Answer::yes(format!("{} may move to {}\n", args.product, args.version)))
}

pub(super) fn sim(args: &SimArgs) -> anyhow::Result<Answer> {
    logging::start(None);
    runtime()?.block_on(async {
        let server = args.start()?;
        for cluster in &args.clusters {
            tracing::info!(url = server.cluster_url(cluster), "simulating");
        }
        tokio::signal::ctrl_c().await.context("cannot listen for SIGINT")?;
        server.stop().await;
        anyhow::Ok(())
    })?;
    Ok(Answer::yes(""))
}

pub(super) fn member(command: &MemberCommand) -> anyhow::Result<Answer> {
    runtime()?.block_on(command.execute())?;
    Ok(Answer::yes(""))
}

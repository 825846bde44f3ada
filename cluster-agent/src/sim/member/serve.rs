//! The member's process: beats, its page, and its end.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::signal::unix::{SignalKind, signal};

use super::files::{Files, StartCommand, file_error};
use super::ledger::LedgerEvent;
use super::rules::{Action, Core};
use super::{LedgerEntry, MemberArgs, MemberError};
use crate::driver::process;
use crate::sim::clock::now_ms;
use crate::sim::pages::{self, ControllerView, ProcessView};
use crate::sim::quorum::RaftState;

/// Between two beats: several per fetch timeout.
const BEAT: Duration = Duration::from_millis(100);

/// Looks whether the address has become free, and how far apart: 30 s in all, as long as a process
/// may take to end.
const BIND_LOOKS: u32 = 300;
const BIND_INTERVAL: Duration = Duration::from_millis(100);

/// What page and beats share.
#[derive(Debug)]
struct Member {
    core: Mutex<Core>,
    version: String,
    start_ms: i64,
    voters: usize,
}

/// Runs a member until `SIGTERM` or `SIGINT`, and records how to start it again.
pub async fn run(args: &MemberArgs) -> Result<(), MemberError> {
    let files = Files::open(&args.dir, &args.unit.to_string())?;
    let program = std::env::current_exe()
        .map_err(|source| file_error("find", std::path::Path::new("/proc/self/exe"), source))?;
    let arguments = std::env::args().skip(1).collect();
    let directory = std::env::current_dir()
        .map_err(|source| file_error("find", std::path::Path::new("."), source))?;
    files.set_command(&args.unit, &StartCommand { program, arguments, directory })?;
    let signals = |source| MemberError::Signals { source };
    let mut term = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    run_until(args, async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// Runs a member until `stop` is ready.
pub async fn run_until(
    args: &MemberArgs,
    stop: impl Future<Output = ()>,
) -> Result<(), MemberError> {
    let files = Files::open(&args.dir, &args.unit.to_string())?;
    tokio::pin!(stop);
    if let Some(version) = &args.version {
        files.set_first_version(&args.unit, version)?;
    }
    let start_ms = now_ms();
    let last = files.fetch(args.id)?;
    let member = Arc::new(Member {
        core: Mutex::new(Core::new(args.id, args.voters, last.as_ref(), start_ms)),
        version: files.version(&args.unit)?,
        start_ms,
        voters: usize::try_from(args.voters).unwrap_or(usize::MAX),
    });
    let server = tokio::select! {
        server = bind(args, &member) => server?,
        () = &mut stop => return Ok(()),
    };
    if let Some(record) = process::record_of_self() {
        files.set_process(&args.unit, &record)?;
    }
    enter(args, &files, &member, LedgerEvent::Up)?;
    let handle = server.handle();
    tokio::spawn(server);
    let mut beats = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            _ = beats.tick() => beat(args, &files, &member)?,
            () = &mut stop => break,
        }
    }
    enter(args, &files, &member, LedgerEvent::Down)?;
    if let Some(lease) = core(&member).resign(now_ms()) {
        files.renew(&lease)?;
    }
    handle.stop(false).await;
    Ok(())
}

/// Writes into the quorum's ledger what happens to this process.
fn enter(
    args: &MemberArgs,
    files: &Files,
    member: &Member,
    event: LedgerEvent,
) -> Result<(), MemberError> {
    let led = core(member).state == RaftState::Leader;
    files.enter(&LedgerEntry {
        at_ms: now_ms(),
        unit: args.unit.clone(),
        process: std::process::id(),
        version: member.version.clone(),
        event,
        led,
    })
}

fn core(member: &Member) -> std::sync::MutexGuard<'_, Core> {
    member.core.lock().unwrap_or_else(PoisonError::into_inner)
}

fn beat(args: &MemberArgs, files: &Files, member: &Member) -> Result<(), MemberError> {
    let now_ms = now_ms();
    let (lease, others) = (files.lease()?, files.others(args.id, args.voters)?);
    let mut core = core(member);
    match core.beat(lease.as_ref(), &others, now_ms) {
        Action::Follow => {}
        Action::Renew(lease) => files.renew(&lease)?,
        Action::Claim(lease) => {
            if files.claim(&lease)? {
                core.won(&lease, now_ms);
            }
        }
    }
    files.set_fetch(args.id, &core.fetch(now_ms))
}

/// Takes the address as soon as the process that had it is gone.
async fn bind(args: &MemberArgs, member: &Arc<Member>) -> Result<Server, MemberError> {
    let mut looks = 0;
    loop {
        match try_bind(args, member) {
            Ok(server) => return Ok(server),
            Err(source) if looks >= BIND_LOOKS => {
                return Err(MemberError::Listen { address: args.listen, source });
            }
            Err(_) => {
                looks += 1;
                tokio::time::sleep(BIND_INTERVAL).await;
            }
        }
    }
}

fn try_bind(args: &MemberArgs, member: &Arc<Member>) -> std::io::Result<Server> {
    let data = web::Data::from(Arc::clone(member));
    let app = move || App::new().app_data(data.clone()).route("/metrics", web::get().to(page));
    let server = HttpServer::new(app).workers(1).disable_signals().bind(args.listen)?;
    Ok(server.run())
}

async fn page(member: web::Data<Member>) -> HttpResponse {
    let core = core(&member).clone();
    let process =
        ProcessView { version: &member.version, start_ms: member.start_ms, now_ms: now_ms() };
    let page = pages::controller(&ControllerView {
        process,
        state: core.state.as_str(),
        leader: core.leader.map_or(-1, i64::from),
        epoch: core.epoch,
        high_watermark: core.high_watermark,
        log_end: core.log_end,
        log_end_epoch: core.log_end_epoch,
        voters: member.voters,
        active_brokers: 0,
        fenced_brokers: 0,
        applied_at_ms: None,
    });
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page)
}

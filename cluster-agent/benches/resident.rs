//! Resident memory, threads and processor time of a real agent in the middle of a roll: three
//! controllers and a hundred nodes, each with an address of its own and pages of 2 MB.
//!
//! The agent is the binary itself, in a process of its own; this process plays the cluster. Prints
//! what the kernel says about the agent; the bar is 15 MB. `FAIRWAY_AGENT` names another binary than
//! the one of this profile.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(clippy::print_stderr, reason = "so is saying why it could not run")]

mod site;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use channels::names::UnitName;
use channels::wire::Role;
use cluster_agent::sim::{Answer, ClusterSpec, SimServer};

use site::publish;

const CONTROLLERS: usize = 3;
const NODES: usize = 100;

/// Size of a node's page.
const PAGE_BYTES: usize = 2_000_000;

/// How often the kernel is asked.
const LOOK: Duration = Duration::from_millis(500);

/// Nodes that are rolled before the figures count as those of a roll.
const ROLLED: u64 = 4;

/// A machine under load takes its time; more is a defect.
const PATIENCE: Duration = Duration::from_mins(5);

/// The bar of the design.
const BAR_KB: u64 = 15_000;

/// What a busy kubelet has to say beside what matters.
fn filler() -> String {
    let mut text = String::with_capacity(PAGE_BYTES);
    let mut number = 0_u32;
    while text.len() < PAGE_BYTES {
        if number.is_multiple_of(130) {
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP filler_{number} Help.\n# TYPE filler_{number} gauge\n");
        }
        let _ = writeln!(
            text,
            "filler_{}{{container=\"c-{number}\",namespace=\"space\",pod=\"pod-with-a-long-name\",\
             uid=\"0b6f1c9e-64d2-4f36-8c1b-{number:012}\",path=\"/api/v1/pods\"}} {number}",
            number - number % 130
        );
        number += 1;
    }
    text
}

/// The pages of nodes: the simulator's behind a lot of text.
#[derive(Debug)]
struct Pages {
    sim: Arc<SimServer>,
    filler: String,
}

async fn page(pages: web::Data<Pages>, unit: web::Path<UnitName>) -> HttpResponse {
    match pages.sim.with("east", |cluster| cluster.answer(&unit)) {
        Some(Ok(Answer::Page(page))) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(pages.filler.clone() + &page),
        Some(Ok(Answer::Down | Answer::Hangs) | Err(_)) | None => {
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}

/// Every node has an address of its own, as in a cluster.
fn node_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 9, u8::try_from(number).unwrap_or(u8::MAX))
}

fn configuration(sim: &SimServer, port: u16, listen: u16) -> anyhow::Result<String> {
    let mut controllers = String::new();
    for number in 1..=CONTROLLERS {
        let url = sim.metrics_url("east", &format!("c-{number}").parse()?);
        writeln!(
            controllers,
            "  {{ name = \"c-{number}\", node_id = {number}, metrics_url = \"{url}\", on_node = \"\" }},"
        )?;
    }
    let mut nodes = String::new();
    for number in 1..=NODES {
        let url = format!("http://{}:{port}/n-{number}", node_address(number));
        writeln!(nodes, "  {{ name = \"n-{number}\", metrics_url = \"{url}\" }},")?;
    }
    let driver = sim.cluster_url("east");
    Ok(format!(
        "state_dir = \"state\"\n[cluster]\nname = \"east\"\n[listen]\naddress = \"127.0.0.1:{listen}\"\n\
         [hub]\nurl = \"dir:repository\"\nroot = \"root.json\"\n[policy]\nmode = \"auto\"\n\
         [timings]\nbaseline_ms = 2000\n\
         [timings.controller]\nsoak_ms = 1000\ngreen_probes = 2\n\
         [timings.node]\nsoak_ms = 2000\ngreen_probes = 2\n\
         [[products]]\nproduct = \"acme/kafka\"\nchannel = \"stable\"\ninitial_version = \"3.9.0\"\n\
         [[products.pools]]\nname = \"controllers\"\nrole = \"controller\"\nunits = [\n{controllers}]\n\
         [products.pools.simulated]\nurl = \"{driver}\"\n\
         [[products]]\nproduct = \"acme/platform\"\nchannel = \"stable\"\ninitial_version = \"1.32.0\"\n\
         [[products.pools]]\nname = \"workers\"\nrole = \"node\"\nunits = [\n{nodes}]\n\
         [products.pools.simulated]\nurl = \"{driver}\"\n"
    ))
}

/// What the kernel says about the agent.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    resident_kb: u64,
    /// Of it what is not backed by a file: heap and stacks.
    anonymous_kb: u64,
    peak_kb: u64,
    threads: u64,
    cpu_ticks: u64,
}

fn look(pid: u32) -> Option<Seen> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    Some(Seen {
        resident_kb: field("VmRSS:")?,
        anonymous_kb: field("RssAnon:")?,
        peak_kb: field("VmHWM:")?,
        threads: field("Threads:")?,
        cpu_ticks: ticks(11)? + ticks(12)?,
    })
}

/// The agent as a child that does not outlive the benchmark.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn measure(dir: &Path) -> anyhow::Result<bool> {
    let sizes = [(Role::Controller, CONTROLLERS, "3.9.0"), (Role::Node, NODES, "1.32.0")];
    let spec = ClusterSpec::of("east", 5, 20, &sizes)?;
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let sim = Arc::new(SimServer::start(&[spec], anywhere)?);
    let pages = web::Data::new(Pages { sim: Arc::clone(&sim), filler: filler() });
    let port = free_port()?;
    let mut server = HttpServer::new(move || {
        App::new().app_data(pages.clone()).route("/{unit}", web::get().to(page))
    })
    .workers(1)
    .disable_signals();
    for number in 1..=NODES {
        server = server.bind((IpAddr::V4(node_address(number)), port))?;
    }
    tokio::spawn(server.run());
    std::fs::write(dir.join("root.json"), publish(&dir.join("repository"))?)?;
    let config = dir.join("agent.toml");
    std::fs::write(&config, configuration(&sim, port, free_port()?)?)?;
    let log = std::fs::File::create(dir.join("agent.log"))?;
    let agent = std::env::var_os("FAIRWAY_AGENT");
    let agent = agent.unwrap_or_else(|| env!("CARGO_BIN_EXE_cluster-agent").into());
    let child = Command::new(agent)
        .args(["run", "--log-format", "json", "--config"])
        .arg(&config)
        // As the unit file and the manifest have it.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("cannot start the agent")?;
    let mut agent = Agent(child);
    watch(&mut agent, &sim, dir).await
}

async fn watch(agent: &mut Agent, sim: &SimServer, dir: &Path) -> anyhow::Result<bool> {
    let begun = tokio::time::Instant::now();
    let mut last = Seen::default();
    println!("seconds  resident kB  heap kB  peak kB  threads  nodes rolled");
    for round in 0_u64.. {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "no roll within {PATIENCE:?}");
        if let Some(status) = agent.0.try_wait()? {
            let log = std::fs::read_to_string(dir.join("agent.log")).unwrap_or_default();
            anyhow::bail!("the agent ended with {status}:\n{log}");
        }
        last = look(agent.0.id()).context("the agent is gone")?;
        let restarts = sim.state("east").map(|state| state.ledger.restarts).unwrap_or_default();
        let nodes = restarts.iter().filter(|r| r.unit.as_str().starts_with("n-")).count();
        let rolled = u64::try_from(nodes)?;
        if round.is_multiple_of(10) || rolled >= ROLLED {
            let Seen { resident_kb, anonymous_kb, peak_kb, threads, .. } = last;
            let seconds = begun.elapsed().as_secs();
            println!(
                "{seconds:7}  {resident_kb:11}  {anonymous_kb:7}  {peak_kb:7}  {threads:7}  {rolled:12}"
            );
        }
        if rolled >= ROLLED {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    // The kernel counts in hundredths of a second.
    let percent = u128::from(last.cpu_ticks) * 1000 / begun.elapsed().as_millis().max(1);
    println!("pages of {PAGE_BYTES} bytes, {NODES} nodes, {CONTROLLERS} controllers, in mid-roll");
    println!("peak resident {} kB (bar: {BAR_KB} kB), {} threads", last.peak_kb, last.threads);
    println!("processor {percent} % of one core");
    Ok(last.peak_kb <= BAR_KB)
}

fn main() -> ExitCode {
    let dir = std::env::temp_dir().join(format!("fairway-resident-{}", uuid::Uuid::new_v4()));
    let result = std::fs::create_dir(&dir)
        .map_err(anyhow::Error::from)
        .and_then(|()| actix_web::rt::System::new().block_on(measure(&dir)));
    // What stays behind in the temporary directory is made up.
    let _ = std::fs::remove_dir_all(&dir);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

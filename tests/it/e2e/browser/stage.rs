//! A hub in the middle of a release, and a person who signs in to it with a browser.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use channels::wire::{Page, RingState, RolloutRing, RolloutRow};

use super::driver::{Browser, Screen, peers};
use crate::e2e::process::eventually;
use crate::e2e::rollout::fleet::{Fleet, KAFKA_CHANNEL, PLATFORM_CHANNEL};
use crate::e2e::world::{KAFKA, PLATFORM, World};

/// What the hub proves itself with at the provider.
const CLIENT_SECRET: &str = "s3cret";

/// The second ring opens when a person says so: until then the release is in its middle.
const POLICY: &str = "\
name: asks-first
applies_to: [{product: acme/kafka}]
curve: {points: [{after: 0s, share: 100%}]}
emergency: true
gates: {soak: 2s, min_sample: 1, max_unknown: 100%, success: 10%, max_failures: 100}
rings:
  - {name: canary, select: {match_labels: {ring: canary}}}
  - {name: everyone, approval: true, rest: true}
";

/// A risk on edges that no cluster of the stage takes, so that it keeps nobody.
pub(super) const RISK: &str = "SlowCompaction";
const RISK_FILE: &str = "\
to: 4.3.1
from: 4.2.0
name: SlowCompaction
url: https://acme.example/slow-compaction
message: Compaction of large topics takes hours after the upgrade.
matchingRules:
  - type: PromQL
    promql:
      promql: group(large_topics > 0)
";

/// npm's oidc-provider, in which one person is always signed in; ends with this.
#[derive(Debug)]
struct Provider {
    child: Child,
    issuer: String,
}

impl Provider {
    fn start(callback: &str) -> Self {
        let mut child = Command::new(peers("oidc.sh"))
            .args(["hub", CLIENT_SECRET, callback])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let mut issuer = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut issuer).expect("it says where it listens");
        let issuer = issuer.trim().to_owned();
        assert!(issuer.starts_with("http://127.0.0.1:"), "the provider did not start");
        Self { child, issuer }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Everything of a story; ends with it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) browser: Browser,
    pub(super) world: World,
    /// Number of the rollout that is in its middle.
    pub(super) rollout: u64,
    _fleets: Vec<Fleet>,
    _provider: Provider,
    _secrets: tempfile::TempDir,
}

/// A port that was free a moment ago: the provider must know the hub's address before the hub
/// knows the provider's.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

impl Stage {
    /// Two canaries run the new release, four others wait until somebody approves.
    pub(super) fn set() -> Self {
        let address = free_address();
        let url = format!("http://{address}");
        let provider = Provider::start(&format!("{url}/auth/callback"));
        let secrets = tempfile::tempdir().expect("a folder");
        let secret = secrets.path().join("client");
        std::fs::write(&secret, CLIENT_SECRET).expect("a secret");
        let settings = format!(
            "public_url = '{url}'\n[limits]\nlogins_per_min = 1000\n[oidc]\nissuer = '{}'\n\
             client_id = 'hub'\nclient_secret_file = '{}'\nscopes = ['groups']\n\
             [[oidc.roles]]\nclaim = 'groups'\nvalue = 'fleet'\naccess = 'operator'\n",
            provider.issuer,
            secret.display()
        );
        let world = World::at(&address, &settings);
        let fleets = populate(&world);
        let rollout = release(&world);
        let browser = Browser::start();
        Self { browser, world, rollout, _fleets: fleets, _provider: provider, _secrets: secrets }
    }

    /// A person comes with this screen, and signs in.
    pub(super) fn sign_in(&mut self, screen: Screen) {
        self.browser.open(screen);
        let arrived = self.browser.goto(&self.url("/"));
        assert_eq!((arrived.status, arrived.url), (200, self.url("/")), "signed in and back");
        assert!(self.browser.text("body").contains("sso:mira"), "nobody is signed in");
        // Where the provider's own pages were slow or lacked an icon is not ours to judge.
        self.browser.complaints();
    }

    /// An address of the hub.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.hub.url())
    }

    /// The rollout as the API tells it.
    pub(super) fn row(&self) -> Result<RolloutRow, String> {
        self.world.hub.get(&format!("/api/v1/rollouts/{}", self.rollout))
    }
}

fn populate(world: &World) -> Vec<Fleet> {
    world.vendor.channel("kafka", KAFKA_CHANNEL, &KAFKA[..1]);
    world.vendor.channel("platform", PLATFORM_CHANNEL, &PLATFORM[..1]);
    world.vendor.publish();
    let fleets =
        vec![Fleet::start(world, "canary", "canary", 2), Fleet::start(world, "shop", "prod", 4)];
    for name in fleets.iter().flat_map(|fleet| &fleet.names) {
        world.eventually_row(name, "it reports itself", |row| !row.products.is_empty());
    }
    let file = world.dir().join("asks-first.yaml");
    std::fs::write(&file, POLICY).expect("a policy");
    world.hub.fairway(&["rollout", "apply", file.to_str().expect("utf-8"), "--yes"]);
    fleets
}

/// The vendor releases Kafka 4.3.1 with a risk on another way to it; the number of its rollout,
/// once the canaries are through.
fn release(world: &World) -> u64 {
    world.vendor.release("kafka", "controller", "4.2.0", "[\">=3.9.0, <4.2.0\"]");
    world.vendor.release("kafka", "controller", KAFKA[1], "[\">=3.9.0, <4.3.1\"]");
    world.vendor.channel("kafka", KAFKA_CHANNEL, &[KAFKA[0], "4.2.0", KAFKA[1]]);
    world.vendor.write("kafka/blocked-edges/SlowCompaction.yaml", RISK_FILE);
    world.vendor.publish();
    eventually("the canaries are through and the rest awaits approval", || {
        let page: Page<RolloutRow> = world.hub.get("/api/v1/rollouts")?;
        let of_it = page.items.iter().find(|row| row.release.to_string() == KAFKA[1]);
        let row = of_it.ok_or_else(|| format!("{page:#?}"))?;
        let awaits = |ring: &RolloutRing| ring.state == RingState::AwaitsApproval;
        let ready = row.rings.iter().any(awaits);
        if ready { Ok(row.id) } else { Err(format!("{row:#?}")) }
    })
}

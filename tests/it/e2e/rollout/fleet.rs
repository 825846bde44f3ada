//! Simulated clusters with real agents, several in one process: the demo's own machinery.

use crate::e2e::process::{Process, eventually};
use crate::e2e::world::{KAFKA, PLATFORM, World};

/// The channels that the demo's agents follow.
pub(in crate::e2e) const KAFKA_CHANNEL: &str = "stable-4";
/// The same for nodes.
pub(in crate::e2e) const PLATFORM_CHANNEL: &str = "stable-1.34";

/// One process of agents, its clusters labelled `ring=…`.
#[derive(Debug)]
pub(in crate::e2e) struct Fleet {
    /// Its clusters.
    pub(in crate::e2e) names: Vec<String>,
    process: Process,
}

impl Fleet {
    /// Starts `<prefix>-1` and so on, and waits until all have enrolled.
    pub(in crate::e2e) fn start(world: &World, prefix: &str, ring: &str, size: usize) -> Self {
        let dir = world.dir().join(format!("agents-{prefix}"));
        std::fs::create_dir_all(&dir).expect("a folder");
        let names: Vec<String> = (1..=size).map(|n| format!("{prefix}-{n}")).collect();
        let (uses, label) = (size.to_string(), format!("ring={ring}"));
        let words = ["clusters", "invite", "--uses", &uses, "--label", &label];
        let token = world.hub.fairway(&words);
        let members: Vec<serde_json::Value> = names
            .iter()
            .zip(1_u64..)
            .map(|(name, seed)| {
                serde_json::json!({
                    "name": name, "seed": seed, "kafka": KAFKA[0], "platform": PLATFORM[0],
                    "lagging": false,
                })
            })
            .collect();
        let spec = serde_json::json!({
            "hub": world.hub.url(),
            "root": world.vendor.root(),
            "join_token": token.trim(),
            "dir": dir,
            "speed": 20,
            "members": members,
        });
        let file = dir.join("spec.json");
        std::fs::write(&file, spec.to_string()).expect("a specification");
        let words = ["demo-fleet", "--spec", file.to_str().expect("utf-8")];
        let process = Process::start(&words, &[], &dir.join("agents.log"));
        for name in &names {
            eventually("it enrols", || world.hub.cluster(name).map(drop));
        }
        Self { names, process }
    }

    /// `kill -9`.
    pub(in crate::e2e) fn kill(&mut self) {
        self.process.kill();
    }
}

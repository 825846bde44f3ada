//! `docs/agent.md`, followed to the letter where no cluster is needed: its commands are run as they
//! are written, with the places of a machine below a folder.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use super::members::Members;
use super::process::{binary, eventually, run_ok, signal};
use super::vendor::Vendor;
use super::world::{Hub, KAFKA};

const GUIDE: &str = include_str!("../../../docs/agent.md");

/// Shell blocks of the guide: two of them are run here, the others want Kubernetes or Kafka.
const BLOCKS: usize = 5;

/// Does what systemd would: starts the unit that was installed, as it is written there.
const SYSTEMCTL: &str = r#"#!/bin/sh
set -eu
case "$*" in
daemon-reload) ;;
"enable --now cluster-agent")
    command=$(sed -n "s#^ExecStart=/usr/local/bin/#ExecStart=#; s#/etc/fairway#$PLACE/etc/fairway#; s/^ExecStart=//p" \
        "$PLACE/etc/systemd/system/cluster-agent.service")
    # shellcheck disable=SC2086  # words of a command
    setsid $command </dev/null >"$PLACE/agent.log" 2>&1 &
    echo $! >"$PLACE/agent.process"
    ;;
*) exit 2 ;;
esac
"#;

/// The first block of that language below a heading.
fn block(heading: &str, language: &str) -> String {
    let section = GUIDE.split_once(&format!("\n## {heading}\n")).expect("a heading").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let text = section.split_once(&format!("\n```{language}\n")).expect("a block").1;
    text.split_once("\n```").expect("its end").0.to_owned()
}

/// A reader with a hub, three members that run, and a machine below a folder.
struct Reader {
    hub: Hub,
    members: Members,
    dir: tempfile::TempDir,
}

impl Reader {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hub = Hub::start(dir.path(), "");
        let vendor = Vendor::init(&hub, &dir.path().join("acme"));
        vendor.release("kafka", "controller", KAFKA[0], "[]");
        vendor.channel("kafka", "stable", &KAFKA[..1]);
        vendor.publish();
        std::fs::copy(vendor.root(), dir.path().join("root.json")).unwrap();
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        symlink(workspace.join("deploy"), dir.path().join("deploy")).unwrap();
        let members = Members::start(&dir.path().join("members"), KAFKA[0]);
        let reader = Self { hub, members, dir };
        reader.install();
        reader
    }

    /// What the machine has: our programs, built already, and a systemd.
    fn install(&self) {
        for folder in ["bin", "carry", "etc/systemd/system", "srv"] {
            std::fs::create_dir_all(self.dir.path().join(folder)).unwrap();
        }
        symlink(binary(), self.dir.path().join("bin/fairway")).unwrap();
        let agent = "#!/bin/sh\nexec fairway agent \"$@\"\n";
        for (name, text) in [("cluster-agent", agent), ("systemctl", SYSTEMCTL), ("cargo", "")] {
            let path = self.dir.path().join("bin").join(name);
            std::fs::write(&path, format!("{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// The guide's words, with the machine's places below the folder.
    fn placed(&self, text: &str) -> String {
        let place = self.dir.path().display().to_string();
        ["/etc/", "/srv/"]
            .iter()
            .fold(text.to_owned(), |text, root| text.replace(root, &format!("{place}{root}")))
    }

    /// Runs commands of the guide in its order; all must succeed. Returns what they said.
    fn follow(&self, commands: &str) -> String {
        self.try_to_follow(commands).unwrap_or_else(|said| panic!("{commands}\n{said}"))
    }

    /// The same where it may be too early for them.
    fn try_to_follow(&self, commands: &str) -> Result<String, String> {
        let place = self.dir.path();
        let path = format!("{}/bin:{}", place.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-eu", "-c", &self.placed(commands)])
            .current_dir(place)
            .env("PATH", path)
            .env("PLACE", place)
            .env("FAIRWAY_SERVER", self.hub.url())
            .env("FAIRWAY_TOKEN_FILE", self.hub.token_file())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s)).concat();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// A configuration with this table `[hub]`, for the members that run.
    fn configuration(&self, hub: &str) -> String {
        let mut text = format!(
            "state_dir = \"{place}/state\"\n[cluster]\nname = \"guide\"\n{hub}\n\
             [[products]]\nproduct = \"acme/kafka\"\nchannel = \"stable\"\nmode = \"auto\"\n\
             initial_version = \"{version}\"\n[[products.pools]]\nname = \"controllers\"\n\
             role = \"controller\"\nunits = [\n",
            place = self.dir.path().display(),
            version = KAFKA[0],
        );
        for (name, id, address) in self.members.units() {
            let _ = writeln!(
                text,
                "{{ name = \"{name}\", node_id = {id}, metrics_url = \"http://{address}/metrics\" }},"
            );
        }
        text + "]\n[products.pools.exec]\nmutate = { command = [\"/bin/true\"] }\n"
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let id = std::fs::read_to_string(self.dir.path().join("agent.process"));
        if let Some(id) = id.ok().and_then(|id| id.trim().parse().ok()) {
            signal(id, "KILL");
        }
    }
}

#[test]
fn an_agent_is_installed_on_a_host_as_the_guide_says() {
    let reader = Reader::new();
    let commands = block("Install on systemd hosts", "sh");
    let (install, rest) = commands.split_once("cluster-agent enroll").expect("it enrols");
    reader.follow(install);
    // Between the two the reader edits the configuration.
    let config = reader.dir.path().join("etc/fairway/agent.toml");
    assert!(config.exists(), "the guide installs a beginning");
    let root = reader.dir.path().join("etc/fairway/root.json");
    let hub = format!("[hub]\nurl = \"{}\"\nroot = \"{}\"", reader.hub.url(), root.display());
    std::fs::write(config, reader.configuration(&hub)).unwrap();
    let (start, look) = rest.split_once("sleep 5\n").expect("a person waits a little");
    let said = reader.follow(&format!("cluster-agent enroll{start}"));
    for words in ["enrolled guide", "acme/kafka 3.9.1: nothing to do"] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    let said = eventually("the agent has looked", || reader.try_to_follow(look));
    assert!(said.contains("running, this is"), "{said}");
}

#[test]
fn an_agent_without_any_server_reads_the_directory_that_the_guide_fills() {
    let reader = Reader::new();
    // What a hub keeps in its tuf/ is what a bundle carries in its own.
    let data = Path::new(&reader.hub.token_file()).parent().unwrap().to_owned();
    let tar = reader.dir.path().join("carry/carry-0001.tar");
    let packed = Command::new("tar").arg("-cf").arg(tar).arg("-C").arg(data).arg("tuf").status();
    assert!(packed.unwrap().success());
    reader.follow(&block("Install behind an air gap", "sh"));
    std::fs::create_dir_all(reader.dir.path().join("etc/fairway")).unwrap();
    std::fs::copy(
        reader.dir.path().join("root.json"),
        reader.dir.path().join("etc/fairway/root.json"),
    )
    .unwrap();
    let hub = reader.placed(&block("Install behind an air gap", "toml"));
    // `dir:/srv/…` is placed like every other path.
    let config = reader.dir.path().join("gap.toml");
    std::fs::write(&config, reader.configuration(&hub)).unwrap();
    let said = run_ok(&["agent", "check", "--config", config.to_str().unwrap()], &[]);
    assert!(said.contains("acme/kafka 3.9.1: nothing to do"), "{said}");
}

#[test]
fn no_shell_block_of_the_guide_goes_unnoticed() {
    assert_eq!(GUIDE.matches("\n```sh\n").count(), BLOCKS, "which of them are run, and where?");
}

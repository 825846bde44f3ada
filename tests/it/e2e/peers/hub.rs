//! python-tuf and tuf-js against a running hub, and against a mirror of it that lies in one file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use signing::{Client, FileName, MemStore, Recording};

use super::{WebServer, alter, copy, flip, http_source, installed, postpone, script, target, text};
use crate::e2e::process::now;
use crate::e2e::world::World;

/// A release and a graph of the hub's vendor.
const TARGETS: [&str; 2] = ["acme/kafka/3.9.1.release.json", "acme/kafka/stable.amd64.graph.json"];

/// An independent client.
#[derive(Debug, Clone, Copy)]
enum Peer {
    PythonTuf,
    TufJs,
}

impl Peer {
    /// Downloads [`TARGETS`] from the repository at `base`, trusting `root`.
    fn download(self, root: &Path, base: &str) -> Output {
        let mut command = match self {
            Self::PythonTuf => {
                let mut command = Command::new(installed("python"));
                command.arg(script("python_tuf_client.py"));
                command
            }
            Self::TufJs => {
                let mut command = Command::new("node");
                command.arg(script("tuf_js_client.mjs")).arg(installed("node"));
                command
            }
        };
        command.arg(root).args([format!("{base}/metadata/"), format!("{base}/targets/")]);
        command.args(TARGETS).output().expect("the peer starts")
    }

    /// A part of what the peer says when that file does not verify.
    fn words(self, lie: Lie) -> &'static str {
        match (self, lie) {
            (_, Lie::Timestamp) => "timestamp was signed by 0",
            (Self::PythonTuf, Lie::Snapshot | Lie::Targets | Lie::Releases) | (_, Lie::Graph) => {
                "LengthOrHashMismatchError"
            }
            (Self::TufJs, Lie::Snapshot) => "Unable to load snapshot metadata",
            (Self::TufJs, Lie::Targets | Lie::Releases) => "Unable to load targets",
        }
    }
}

/// The one file that a mirror alters.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Timestamp,
    Snapshot,
    Targets,
    Releases,
    Graph,
}

impl Lie {
    const ALL: [Self; 5] =
        [Self::Timestamp, Self::Snapshot, Self::Targets, Self::Releases, Self::Graph];

    /// How the file's path ends.
    fn suffix(self) -> &'static str {
        match self {
            Self::Timestamp => "metadata/timestamp.json",
            Self::Snapshot => ".snapshot.json",
            Self::Targets => ".targets.json",
            Self::Releases => ".acme.releases.json",
            Self::Graph => ".stable.amd64.graph.json",
        }
    }

    fn tell(self, mirror: &Mirror, folder: &Path) {
        let told: Vec<_> = mirror.files.iter().filter(|f| f.ends_with(self.suffix())).collect();
        assert_eq!(told.len(), 1, "{self:?}: {:?}", mirror.files);
        alter(&folder.join(told[0]), |bytes| match self {
            Self::Graph => flip(bytes),
            Self::Timestamp | Self::Snapshot | Self::Targets | Self::Releases => postpone(bytes),
        });
    }
}

/// A copy of everything our own client needs from a hub for [`TARGETS`].
#[derive(Debug)]
struct Mirror {
    folder: PathBuf,
    /// Paths below `folder`.
    files: Vec<String>,
    /// What a client prints that downloads [`TARGETS`].
    expected: String,
}

impl Mirror {
    async fn of(world: &World) -> Self {
        let root = std::fs::read(world.vendor.root()).unwrap();
        let source = Recording::new(http_source(&format!("{}/tuf", world.hub.url())));
        source.add(FileName::root(1), root.clone());
        let mut expected = Vec::new();
        let mut client = Client::open(&root, &source, MemStore::new()).unwrap();
        client.refresh(now()).await.unwrap();
        for path in TARGETS {
            let found = client.target(&target(path), now()).await.unwrap().expect("it is listed");
            let bytes = client.fetch_target(&found).await.unwrap();
            expected.push(format!("{} {} {path}\n", found.digest.hex(), bytes.len()));
        }
        let folder = world.dir().join("mirror");
        let mut files = Vec::new();
        for (name, bytes) in source.files() {
            let path = folder.join(name.relative_path());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
            files.push(name.relative_path());
        }
        Self { folder, files, expected: expected.concat() }
    }
}

fn assert_downloads(peer: Peer, root: &Path, base: &str, expected: &str) {
    let output = peer.download(root, base);
    assert!(output.status.success(), "{peer:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), expected, "{peer:?}");
}

/// The hub itself, then an honest mirror of it, then mirrors that lie in one file each.
async fn agrees_with_us(peer: Peer) {
    let world = World::new("");
    let root = world.vendor.root();
    let mirror = Mirror::of(&world).await;
    assert_downloads(peer, &root, &format!("{}/tuf", world.hub.url()), &mirror.expected);
    let honest = WebServer::start(&mirror.folder);
    assert_downloads(peer, &root, &honest.url, &mirror.expected);
    for lie in Lie::ALL {
        let folder = world.dir().join(format!("{lie:?}"));
        copy(&mirror.folder, &folder);
        lie.tell(&mirror, &folder);
        let liar = WebServer::start(&folder);
        let output = peer.download(&root, &liar.url);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{peer:?} believes an altered {lie:?}");
        let refused = said.starts_with("refused: ") && said.contains(peer.words(lie));
        assert!(refused, "{peer:?}, {lie:?}: {said}");
    }
}

#[tokio::test]
#[ignore = "needs python-tuf"]
async fn python_tuf_downloads_from_a_hub_and_refuses_an_altered_file() {
    agrees_with_us(Peer::PythonTuf).await;
}

#[tokio::test]
#[ignore = "needs tuf-js"]
async fn tuf_js_downloads_from_a_hub_and_refuses_an_altered_file() {
    agrees_with_us(Peer::TufJs).await;
}

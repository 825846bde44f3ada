//! Files of a new authoring directory: settings with comments, and an example release that lints
//! clean.

use std::path::PathBuf;

use channels::names::{ProductName, VendorName};
use jiff::Timestamp;

/// Hub and top-level keys: the first half of every `hub.toml`.
#[derive(Debug, Clone)]
pub(crate) struct TopRoles {
    /// Address of the hub.
    pub(crate) server: String,
    /// Files of the root keys' public halves, below `keys`.
    pub(crate) root_keys: Vec<String>,
    /// Root keys that must sign.
    pub(crate) root_threshold: u32,
}

impl TopRoles {
    /// The settings, with comments.
    pub(super) fn text(&self) -> String {
        let Self { server, root_threshold, .. } = self;
        let quoted = |file: &String| toml::Value::from(format!("keys/{file}")).to_string();
        let root_keys = self.root_keys.iter().map(quoted).collect::<Vec<_>>().join(", ");
        format!(
            r#"# Where this repository is published, and which keys sign which part of it.
# Each role names the public halves of its keys; the private half of x.pub is looked for in x.pem, or
# with a program of your own (a KMS, a token) that x.signer names.
# Only the roles that changed are signed: a private key that is not needed need not be here.

# Address of the update server.
server = "{server}"

# root names all other top-level keys. Agents pin root 1 (root.json). Keep these private keys
# offline, each with a person of its own; `threshold` of them must sign a new root.
[root]
keys = [{root_keys}]
threshold = {root_threshold}

# targets says which vendors there are. Offline: it signs only when a vendor or its key changes.
[targets]
keys = ["keys/targets.pub"]
threshold = 1
"#
        )
    }
}

/// Whose hub it is.
#[derive(Debug, Clone)]
pub(crate) enum Top {
    /// Ours, with its top-level keys.
    Own(TopRoles),
    /// Somebody else's.
    Other {
        /// Address of the hub.
        server: String,
    },
}

impl Top {
    fn text(&self) -> String {
        match self {
            Self::Own(roles) => roles.text(),
            Self::Other { server } => format!(
                r#"# Where this vendor publishes, and which keys sign which part of it. The hub is somebody else's:
# root.json is its root, and its admin delegates to the keys of the [vendors] table below.
# Each role names the public halves of its keys; the private half of x.pub is looked for in x.pem.
# Only the roles that changed are signed: a private key that is not needed need not be here.

# Address of the update server.
server = "{server}"
"#
            ),
        }
    }

    /// Lives of the roles that are signed from here.
    fn expiry(&self) -> &'static str {
        match self {
            Self::Own(_) => "root = 365\ntargets = 365\n",
            Self::Other { .. } => "",
        }
    }
}

/// What the texts are about.
#[derive(Debug, Clone)]
pub(crate) struct Scaffold {
    /// The hub.
    pub(crate) top: Top,
    /// The vendor.
    pub(crate) vendor: VendorName,
    /// Its first product.
    pub(crate) product: ProductName,
    /// What kind of unit the example release is for: a role of the release format.
    pub(crate) role: String,
    /// Day of the example release.
    pub(crate) now: Timestamp,
}

impl Scaffold {
    /// Every text file with its path below the directory.
    pub(crate) fn files(&self) -> Vec<(PathBuf, String)> {
        let product = PathBuf::from(self.product.as_str());
        vec![
            (super::CONFIG_FILE.into(), self.hub()),
            (".gitignore".into(), GITIGNORE.to_owned()),
            (product.join("fairway.toml"), self.settings()),
            (product.join("releases/1.0.0.yaml"), self.release()),
            (product.join("channels/stable.yaml"), CHANNEL.to_owned()),
            (product.join("blocked-edges/README.md"), BLOCKED_EDGES.to_owned()),
        ]
    }

    fn hub(&self) -> String {
        let Self { vendor, .. } = self;
        format!(
            r#"{}
# A vendor says who signs its releases and its channels.
[vendors.{vendor}]
keys = ["keys/{vendor}.pub"]
threshold = 1

# Release documents: what may be installed. Offline; for more than one signer, add keys and raise
# the threshold.
[vendors.{vendor}.releases]
keys = ["keys/{vendor}.releases.pub"]
threshold = 1

# Graphs: which upgrades are offered. May be online (CI): a thief of this key can withhold or
# choose among your signed releases, never add one.
[vendors.{vendor}.channels]
keys = ["keys/{vendor}.channels.pub"]
threshold = 1

# How long signatures are valid, in days. `fairway publish` renews in the last third.
[expiry_days]
{}vendor = 365
releases = 365
channels = 365
"#,
            self.top.text(),
            self.top.expiry()
        )
    }

    fn settings(&self) -> String {
        let Self { vendor, product, .. } = self;
        format!(
            r#"# Whose product this directory is. Both names are part of every signed path.
vendor = "{vendor}"
product = "{product}"

# What releases need not repeat.
[defaults]
# Architectures that a release's own payload and components stand for.
arches = ["amd64"]
# Versions that may move to a release unless its own file says otherwise.
upgrade_from = [">=1.0.0, <2.0.0"]
"#
        )
    }

    fn release(&self) -> String {
        let Self { vendor, product, role, .. } = self;
        let day = self.now.strftime("%Y-%m-%d");
        // The digest of nothing: well formed, and no image has it.
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        format!(
            r"# One release. Immutable once published: to change anything, release a new version.
version: 1.0.0
released_at: {day}

# The release as one OCI image or artifact, by digest; the registry is each cluster's own choice.
# Replace the digest, here and below, with that of your image.
payload: {vendor}/{product}@{digest}

# What runs on which kind of unit (controller, broker, node, workload), and the version that a
# unit reports of itself when it runs it.
components:
  - role: {role}
    version: 1.0.0
    image: {vendor}/{product}@{digest}

# The first release: nothing older may move to it.
upgrade_from: []
"
        )
    }
}

pub(super) const GITIGNORE: &str = "\
# Private keys, and which local program signs for one, never enter git; the .pub files do.
keys/*.pem
keys/*.signer
# What this machine knows by itself: which server may see its token, and that nothing was published.
keys/server.confirmed
keys/never.published
";

const CHANNEL: &str = "\
# A channel: the releases a cluster that follows it may run. Edges come from each release's
# upgrade_from. To withdraw a release, move it to tombstones; never just remove it.
name: stable
versions:
  - 1.0.0
";

const BLOCKED_EDGES: &str = "\
# Blocked edges

One YAML file per fault: upgrades `to` a release `from` others are blocked, or carry a risk when the
file names one.

```yaml
to: \">=1.1.0\"
fixedIn: 1.1.3
from: \"^1.0\"
url: https://example.com/issues/7
name: DiskFills
message: The disk may fill on nodes with less than 4 GiB.
matchingRules:
  - type: Always
```
";

//! What can go wrong with a view, each with what, where and what to do.

use std::path::PathBuf;

use jiff::Timestamp;
use signing::keyfile::KeyFileError;
use signing::repository::request::RequestError;
use signing::{Attack, BuildError, KeyError, KeyId, TopRole};

/// Failure of a step of a view.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// A view would be made where something is already.
    #[error("{} is not an empty directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds no view that this version can read.
    #[error("{}: {why}", dir.display())]
    NotAView {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another run uses the view: two at once would sign two sets of one version.
    #[error("another run is using the view {}", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// The holders have not signed the first root yet.
    #[error("the view {} has no root yet", dir.display())]
    NoRoot {
        /// The directory.
        dir: PathBuf,
    },
    /// A request is out already.
    #[error("root {version} of the view waits for its holders")]
    Pending {
        /// Version of the draft.
        version: u64,
    },
    /// Nothing is waiting to be signed.
    #[error("no root of the view waits for its holders")]
    NothingPending,
    /// A request that this view did not make, or that was changed.
    #[error("{} is not a copy of this view's request", path.display())]
    OtherRequest {
        /// The file.
        path: PathBuf,
        /// What is different.
        #[source]
        source: Box<RequestError>,
    },
    /// Too few holders have signed.
    #[error("root {version} of the view is not signed by enough holders")]
    Unsigned {
        /// Version of the draft.
        version: u64,
        /// How many are missing.
        #[source]
        source: Box<RequestError>,
    },
    /// A signed root that no site could follow.
    #[error("root {version} of the view does not follow the one before")]
    Chain {
        /// Version of the draft.
        version: u64,
        /// What a client would say.
        #[source]
        source: Box<signing::Error>,
    },
    /// The hub's targets are signed by other keys than the view's root names.
    #[error("the hub's targets keys are not those that root {version} of the view names")]
    TargetsKeys {
        /// Version of the view's newest root.
        version: u64,
    },
    /// The hub's root holders are others than those that the view took over from it.
    #[error("the hub's root keys are not those that root {version} of the view names")]
    RootKeys {
        /// Version of the view's newest root.
        version: u64,
    },
    /// The view's newest root has ended.
    #[error("root {version} of the view expired at {expires}")]
    RootExpired {
        /// Its version.
        version: u64,
        /// When it ended.
        expires: Timestamp,
    },
    /// The hub's root names keys in a way that a view cannot repeat.
    #[error("the hub's root cannot be repeated for {role}: {why}")]
    HubRoot {
        /// The role.
        role: TopRole,
        /// What is in the way.
        why: &'static str,
    },
    /// The hub's snapshot leaves open which bytes it means.
    #[error("the hub's snapshot does not pin {file} by length and SHA-256")]
    LoosePin {
        /// The file.
        file: String,
    },
    /// The set would be older than what the view's sites were given.
    #[error("the view would go back for the sites that have it")]
    GoesBack {
        /// Which role.
        #[source]
        source: Box<signing::Error>,
    },
    /// A life outside what a view may have.
    #[error("{days} days: {what} may live 1 to {most} days")]
    Days {
        /// What lives so long.
        what: &'static str,
        /// What was asked for.
        days: u16,
        /// The most there is.
        most: u16,
    },
    /// There is no number left for another bundle.
    #[error("no sequence is left after {previous}, with {at_sites} at a site")]
    Sequence {
        /// The view's newest.
        previous: u64,
        /// The newest that a site says it imported.
        at_sites: u64,
    },
    /// A private key of the view cannot be made, written or read.
    #[error("the view's key {} cannot be used", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeyFileError,
    },
    /// A key file holds another key than the view's root names.
    #[error("{} holds another key than {key_id}", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The key that root names.
        key_id: KeyId,
    },
    /// No new key could be made.
    #[error("cannot make a key")]
    NewKey {
        /// What was missing.
        #[source]
        source: KeyError,
    },
    /// Metadata of the view cannot be built or signed.
    #[error("cannot sign the view's {role}")]
    Build {
        /// The role.
        role: TopRole,
        /// What is in the way.
        #[source]
        source: BuildError,
    },
    /// A signing request cannot be made.
    #[error("cannot draft a root of the view")]
    Draft {
        /// What is in the way.
        #[source]
        source: Box<RequestError>,
    },
    /// A file is no signing request, or was changed.
    #[error("{} is not a signing request that can be used", path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<RequestError>,
    },
}

impl ViewError {
    /// Names the role whose metadata could not be built.
    pub(super) fn build(role: TopRole) -> impl FnOnce(BuildError) -> Self {
        move |source| Self::Build { role, source }
    }

    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Chain { source, .. } | Self::GoesBack { source } => source.attack(),
            Self::NotEmpty { .. }
            | Self::NotAView { .. }
            | Self::Busy { .. }
            | Self::NoRoot { .. }
            | Self::Pending { .. }
            | Self::NothingPending
            | Self::OtherRequest { .. }
            | Self::Unsigned { .. }
            | Self::TargetsKeys { .. }
            | Self::RootKeys { .. }
            | Self::RootExpired { .. }
            | Self::HubRoot { .. }
            | Self::LoosePin { .. }
            | Self::Days { .. }
            | Self::Sequence { .. }
            | Self::Key { .. }
            | Self::OtherKey { .. }
            | Self::NewKey { .. }
            | Self::Build { .. }
            | Self::Draft { .. }
            | Self::Request { .. } => None,
        }
    }

    /// Whether something was looked at and refused (exit 1), rather than not got at (exit 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoRoot { .. }
            | Self::Pending { .. }
            | Self::NothingPending
            | Self::OtherRequest { .. }
            | Self::Unsigned { .. }
            | Self::Chain { .. }
            | Self::TargetsKeys { .. }
            | Self::RootKeys { .. }
            | Self::RootExpired { .. }
            | Self::HubRoot { .. }
            | Self::LoosePin { .. }
            | Self::GoesBack { .. }
            | Self::OtherKey { .. }
            | Self::Sequence { .. }
            | Self::Draft { .. }
            | Self::Request { .. } => true,
            Self::NotEmpty { .. }
            | Self::NotAView { .. }
            | Self::Busy { .. }
            | Self::Days { .. }
            | Self::Key { .. }
            | Self::NewKey { .. }
            | Self::Build { .. } => false,
        }
    }

    /// What a person can do about it, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotEmpty { .. } => "name a directory that is not there yet",
            Self::NotAView { .. } => "make one with: offline-mirror view init",
            Self::Busy { .. } => "wait for it, then run this again",
            Self::NoRoot { .. } => {
                "have request.json signed by the holders, then: offline-mirror view accept"
            }
            Self::Pending { .. } => {
                "bring it to an end with: offline-mirror view accept; or remove request.json from \
                 the view's directory to begin anew"
            }
            Self::NothingPending => "begin with: offline-mirror view renew",
            Self::OtherRequest { .. } | Self::Chain { .. } => {
                "sign and bring back the request.json that this view wrote, unchanged"
            }
            Self::Unsigned { .. } => {
                "take the request to the remaining holders: fairway root sign; several copies \
                 can be given at once"
            }
            Self::TargetsKeys { .. } | Self::RootKeys { .. } => {
                "the hub changed them, so the view needs its next root: offline-mirror view renew"
            }
            Self::GoesBack { .. } => {
                "check the clock and the hub; if the hub recovered its versions on purpose, give \
                 the view new keys as well: offline-mirror view renew --new-keys"
            }
            Self::RootExpired { .. } => "it needs its next root: offline-mirror view renew",
            Self::HubRoot { .. } | Self::LoosePin { .. } => {
                "tell whoever runs the hub; until then no view of it can be signed"
            }
            Self::Days { .. } => {
                "the longer a view lives, the longer an old parcel passes for the newest"
            }
            Self::Key { .. } | Self::OtherKey { .. } => {
                "bring the file back, or make new keys: offline-mirror view renew --new-keys"
            }
            Self::Sequence { .. } => "make a new view; its sites pin the new root",
            Self::NewKey { .. } => "the system gave no randomness; try again",
            Self::Draft { .. } => "check --root-key, --root-threshold and --root-days",
            Self::Build { .. } => "check the clock and the numbers in view.json",
            Self::Request { .. } => "copy the file again, from the holder who signed it",
        }
    }
}

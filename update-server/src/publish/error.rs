//! Why a publication was refused, or could not be stored.

use std::io;
use std::path::PathBuf;

use channels::graph::GraphError;
use channels::wire::UnknownCritical;
use signing::causes;
use signing::keyfile::KeyFileError;
use signing::{Attack, BuildError, KeyError, KeyId, RoleName, TargetPath};

use crate::http::problem::{ApiError, Code};
use crate::store::RepositoryError;

/// Why a publication was refused, or could not be stored. Nothing changed then.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// More files than a publication may have.
    #[error("the publication has {found} files; at most {limit} are taken")]
    TooManyFiles {
        /// Files found.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// A path of another shape than those of a publication.
    #[error("{path:?} cannot be published: {why}")]
    Path {
        /// The path.
        path: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Content that is not base64.
    #[error("the content of {path} is not base64")]
    Base64 {
        /// Whose.
        path: String,
        /// Where it fails.
        #[source]
        source: base64::DecodeError,
    },
    /// Metadata that does not parse, or whose name and content disagree.
    #[error("{path} is not usable metadata")]
    Metadata {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: Box<BuildError>,
    },
    /// The first publication came without root 1.
    #[error("the first publication must contain metadata/1.root.json")]
    RootMissing,
    /// A root that is not the next one.
    #[error("root {found} does not follow the served root: {expected} is next")]
    RootGap {
        /// Version found.
        found: u64,
        /// Version expected.
        expected: u64,
    },
    /// Root does not let the hub sign an online role by itself.
    #[error(
        "root {root} must name a {role} key of this hub with threshold 1: {in_force}, which is in \
         force{}; see /api/v1/hub/keys, and `fairway rotate {role}` for a root that names a new one",
        or_next(next.as_ref())
    )]
    OnlineKeys {
        /// Version of root.
        root: u64,
        /// `snapshot` or `timestamp`.
        role: &'static str,
        /// The key it signs with.
        in_force: KeyId,
        /// The key that waits for a root to name it.
        next: Option<KeyId>,
    },
    /// The key files and the repository of a data directory do not belong together.
    #[error(
        "the stored root {root} names no {role} key that is in keys: restore keys and tuf from the \
         same copy"
    )]
    OtherKeys {
        /// Version of root.
        root: u64,
        /// `snapshot` or `timestamp`.
        role: &'static str,
    },
    /// A next key for a hub whose first root is still to come.
    #[error("there is no root yet: root 1 names the {role} key that is there already")]
    NextBeforeRoot {
        /// `snapshot` or `timestamp`.
        role: &'static str,
    },
    /// Metadata older than what is served.
    #[error("{role} version {found} is older than version {served}, which is served")]
    Older {
        /// Whose metadata.
        role: RoleName,
        /// Version found.
        found: u64,
        /// Version served.
        served: u64,
    },
    /// Two different files of one version.
    #[error("{role} version {version} is already published with other content")]
    Equivocation {
        /// Whose metadata.
        role: RoleName,
        /// The version.
        version: u64,
    },
    /// A role of this publication that a client would refuse.
    #[error("{role} does not verify")]
    Role {
        /// The role.
        role: RoleName,
        /// Why.
        #[source]
        source: Box<signing::Error>,
    },
    /// The set as a whole would be refused by a client.
    #[error("a client would refuse the repository")]
    Verify(#[source] Box<signing::Error>),
    /// The hub's own roles cannot be built.
    #[error("snapshot and timestamp cannot be signed")]
    Build(#[source] Box<BuildError>),
    /// A file that no role lists with these bytes.
    #[error("no role lists {path} with the bytes that were sent")]
    Unlisted {
        /// The target.
        path: TargetPath,
    },
    /// A listed file that is neither served nor part of the publication.
    #[error("{role} lists {path}, but its bytes were not sent")]
    Missing {
        /// The target.
        path: TargetPath,
        /// Who lists it.
        role: RoleName,
    },
    /// A release document with other bytes than the one published under this path.
    #[error("{path} is published already and cannot change")]
    Immutable {
        /// The target.
        path: TargetPath,
    },
    /// A published release document that nobody lists any more.
    #[error("{path} is published and must stay listed; take the release out of the graphs instead")]
    ReleaseRemoved {
        /// Path of the target.
        path: String,
    },
    /// A role that delegates to a name which is not its to give.
    #[error(
        "{role} delegates to {delegate}: targets may name vendors (no dot), any other role only \
         names below its own"
    )]
    ForeignRole {
        /// The delegator.
        role: RoleName,
        /// The name it takes.
        delegate: RoleName,
    },
    /// More roles than one vendor may have.
    #[error("vendor {vendor} has {found} roles, over all publications; at most {limit} are taken")]
    TooManyRoles {
        /// The vendor.
        vendor: String,
        /// Roles found.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// A target that is neither a graph nor a release document.
    #[error("{path} is neither <version>.release.json nor <channel>.<arch>.graph.json")]
    UnknownTarget {
        /// The target.
        path: TargetPath,
    },
    /// A graph that does not parse.
    #[error("{path} is not a release graph")]
    Graph {
        /// The target.
        path: TargetPath,
        /// Why.
        #[source]
        source: Box<GraphError>,
    },
    /// A release document that does not parse.
    #[error("{path} is not a release document")]
    Release {
        /// The target.
        path: TargetPath,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A release document that needs a newer hub.
    #[error("{path} needs a newer hub")]
    Critical {
        /// The target.
        path: TargetPath,
        /// Why.
        #[source]
        source: UnknownCritical,
    },
    /// A valid document of something else.
    #[error("{path} holds a document of {found}")]
    WrongSoftware {
        /// The target.
        path: TargetPath,
        /// What the document says it is of.
        found: String,
    },
    /// A key file cannot be read or made.
    #[error("the hub's {role} key cannot be used")]
    Key {
        /// `snapshot` or `timestamp`.
        role: &'static str,
        /// Why.
        #[source]
        source: KeyFileError,
    },
    /// No randomness for a key.
    #[error("the hub's {role} key cannot be made")]
    NewKey {
        /// `snapshot` or `timestamp`.
        role: &'static str,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The repository is there, but not the key that signed it.
    #[error(
        "the hub's {role} key {path} is gone, but a repository it signed is there: restore keys \
         and tuf from the same copy"
    )]
    KeyLost {
        /// `snapshot` or `timestamp`.
        role: &'static str,
        /// Where the key was.
        path: PathBuf,
    },
    /// A replica without the hub's key.
    #[error(
        "{} is not the hub's {role} key: copy it there from a replica that has it, or mount the same \
         keys for all of them; a hub that shares its database makes no keys of its own",
        path.display()
    )]
    ForeignKey {
        /// `snapshot` or `timestamp`.
        role: &'static str,
        /// Where it must be.
        path: PathBuf,
    },
    /// Another replica published a root whose key is not here.
    #[error(
        "root {root} of another replica names a {role} key that is not in this one's keys: copy \
         {role}.pem, or {role}.next.pem, there from the replica that made it"
    )]
    KeyElsewhere {
        /// Version of root.
        root: u64,
        /// `snapshot` or `timestamp`.
        role: &'static str,
    },
    /// A repository on disk, and none in the database.
    #[error(
        "{} holds a repository and the database holds none: move the hub there with `update-server \
         migrate`, or start with an empty data directory",
        path.display()
    )]
    NotMoved {
        /// Where it is.
        path: PathBuf,
    },
    /// The database that replicas share.
    #[error(transparent)]
    Shared(#[from] RepositoryError),
    /// The file system refused.
    #[error("cannot {action} {path}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The data directory's repository is damaged.
    #[error("the stored repository is damaged: {what}")]
    Damaged {
        /// Which file, and how.
        what: String,
    },
}

fn or_next(next: Option<&KeyId>) -> String {
    next.map_or_else(String::new, |id| format!(", or {id}, which is next"))
}

impl PublishError {
    /// The hub's own roles cannot be built.
    pub(super) fn build(source: BuildError) -> Self {
        Self::Build(Box::new(source))
    }

    /// What keys of a stranger mean when nobody published anything.
    pub(super) fn at_start(self) -> Self {
        if let Self::OnlineKeys { root, role, .. } = self {
            Self::OtherKeys { root, role }
        } else {
            self
        }
    }

    /// What they mean when a replica follows the others.
    pub(super) fn at_replica(self) -> Self {
        if let Self::OnlineKeys { root, role, .. } = self {
            Self::KeyElsewhere { root, role }
        } else {
            self
        }
    }

    /// A client would refuse the set.
    pub(super) fn verify(source: signing::Error) -> Self {
        Self::Verify(Box::new(source))
    }

    /// A client would refuse the role.
    pub(super) fn role(role: RoleName, source: signing::Error) -> Self {
        Self::Role { role, source: Box::new(source) }
    }

    /// Code, slug and status of the answer.
    pub fn code(&self) -> Code {
        match self {
            Self::TooManyFiles { .. } => Code::BodyTooLarge,
            Self::Path { .. }
            | Self::Base64 { .. }
            | Self::Metadata { .. }
            | Self::Unlisted { .. }
            | Self::Missing { .. }
            | Self::UnknownTarget { .. }
            | Self::Graph { .. }
            | Self::Release { .. }
            | Self::Critical { .. }
            | Self::ForeignRole { .. }
            | Self::TooManyRoles { .. }
            | Self::WrongSoftware { .. } => Code::InvalidPublication,
            Self::RootMissing => Code::RootMissing,
            Self::NextBeforeRoot { .. } => Code::Conflict,
            Self::OnlineKeys { .. } | Self::ForeignKey { .. } | Self::KeyElsewhere { .. } => {
                Code::OnlineKeysMismatch
            }
            Self::RootGap { .. } | Self::Older { .. } | Self::Equivocation { .. } => {
                Code::PublicationConflict
            }
            Self::Immutable { .. } => Code::ReleaseImmutable,
            Self::ReleaseRemoved { .. } => Code::ReleaseRemoved,
            Self::Role { .. } | Self::Verify(_) => Code::PublicationUnverified,
            Self::Build(source) if matches!(**source, BuildError::NotStaged { .. }) => {
                Code::InvalidPublication
            }
            Self::Build(_)
            | Self::Key { .. }
            | Self::NewKey { .. }
            | Self::KeyLost { .. }
            | Self::OtherKeys { .. }
            | Self::NotMoved { .. }
            | Self::Damaged { .. } => Code::Internal,
            Self::Disk { .. } | Self::Shared(_) => Code::StoreUnavailable,
        }
    }

    /// The attack this would have been, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Older { .. } => Some(Attack::Rollback),
            Self::Equivocation { .. } => Some(Attack::MixAndMatch),
            Self::Role { source, .. } | Self::Verify(source) => source.attack(),
            Self::Unlisted { .. } | Self::Immutable { .. } => Some(Attack::ArbitrarySoftware),
            Self::WrongSoftware { .. } => Some(Attack::WrongSoftware),
            Self::Metadata { source, .. } => {
                if let BuildError::Existing(source) = &**source {
                    source.attack()
                } else {
                    None
                }
            }
            Self::TooManyFiles { .. }
            | Self::Path { .. }
            | Self::Base64 { .. }
            | Self::RootMissing
            | Self::RootGap { .. }
            | Self::OnlineKeys { .. }
            | Self::NextBeforeRoot { .. }
            | Self::OtherKeys { .. }
            | Self::Build(_)
            | Self::Missing { .. }
            | Self::ReleaseRemoved { .. }
            | Self::ForeignRole { .. }
            | Self::TooManyRoles { .. }
            | Self::UnknownTarget { .. }
            | Self::Graph { .. }
            | Self::Release { .. }
            | Self::Critical { .. }
            | Self::Key { .. }
            | Self::NewKey { .. }
            | Self::KeyLost { .. }
            | Self::ForeignKey { .. }
            | Self::KeyElsewhere { .. }
            | Self::NotMoved { .. }
            | Self::Shared(_)
            | Self::Disk { .. }
            | Self::Damaged { .. } => None,
        }
    }

    /// The error and all its sources in one line.
    pub fn chain(&self) -> String {
        causes::chain(self)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let code = error.code();
        if code == Code::Internal {
            return Self::internal("publish", &error);
        }
        if code == Code::StoreUnavailable {
            return Self::unavailable("publish", &error);
        }
        let attack = error.attack().map(|attack| attack.as_str().to_owned());
        Self::new(code, error.chain()).with_attack(attack)
    }
}

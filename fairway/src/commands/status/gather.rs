//! What the directory itself says: metadata, keys, open requests. Asks nobody.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use signing::metadata::{Document, Root, Targets};
use signing::{PublicKey, RoleName, SigningRequest, StagedRepository, TopRole};

use super::level::{Level, days_left};
use super::{KeyStatus, Problem, RequestStatus, RoleStatus, Status};
use crate::authoring::{
    Authoring, Directory, FileKeyring, PassphraseArgs, ROOT_FILE, read_request, requests_in,
};
use crate::error::{CliError, Result};
use crate::publisher::{
    Keyring as _, Layout, RoleKeys, Terms, TrustedRoots, channels_role, check_published,
    releases_role, targets_role, vendor_role,
};

/// Looks at the directory, whether its root 1 is signed or not.
pub(super) fn gather(dir: &Path, now: Timestamp) -> Result<(Place, Status)> {
    let has_root = dir.join(ROOT_FILE).exists();
    let directory = if has_root {
        Directory::open(dir)?
    } else {
        Directory::Hub(Authoring::open_with_root(dir, Vec::new())?)
    };
    let published = directory.metadata().load_if_there()?;
    // Only whether files are there is asked, so no passphrase is.
    let none = PassphraseArgs::default().passphrases()?;
    let keyring = match &directory {
        Directory::Hub(authoring) => authoring.keyring(none),
        Directory::Vendor(vendor) => vendor.keyring(none),
    };
    let desk = Desk { dir, directory: &directory, published: &published, keyring: &keyring, now };
    let requests = desk.requests()?;
    let mut status =
        Status { roles: desk.roles()?, requests, problems: Vec::new(), unseen: Vec::new() };
    if let Directory::Hub(authoring) = &directory {
        if has_root {
            status.problems.extend(desk.problems(authoring.layout(), &status.requests));
        } else if !status.requests.iter().any(|request| request.role == "root") {
            status.problems.push(Problem {
                what: format!("there is no {ROOT_FILE} and no request for root 1"),
                next: "restore it from git".to_owned(),
            });
        }
    }
    let place = Place {
        dir: dir.display().to_string(),
        server: directory.server().to_owned(),
        pinned: directory.pinned().to_vec(),
        is_hub: matches!(directory, Directory::Hub(_)),
    };
    Ok((place, status))
}

/// What the hub is asked with.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory, as a person would write it in a command.
    pub(super) dir: String,
    /// Address of the hub, as written.
    pub(super) server: String,
    /// The root that agents pin; nothing before it is signed.
    pub(super) pinned: Vec<u8>,
    /// Whether it is the directory of a hub's admin, whom all roles concern.
    pub(super) is_hub: bool,
}

struct Desk<'a> {
    dir: &'a Path,
    directory: &'a Directory,
    published: &'a StagedRepository,
    keyring: &'a FileKeyring,
    now: Timestamp,
}

impl Desk<'_> {
    fn roles(&self) -> Result<Vec<RoleStatus>> {
        let mut roles = Vec::new();
        let vendors = match self.directory {
            Directory::Hub(authoring) => {
                let (layout, terms) = (authoring.layout(), authoring.terms());
                let root = RoleName::from(TopRole::Root);
                roles.push(self.role(&root, &layout.root.keys, terms.root_days));
                roles.push(self.role(&targets_role(), &layout.targets, terms.targets_days));
                layout.vendors.iter().map(|(name, keys)| (name, keys, terms)).collect()
            }
            Directory::Vendor(vendor) => {
                let layout = vendor.layout();
                vec![(&layout.vendor, &layout.keys, vendor.terms())]
            }
        };
        for (vendor, keys, terms) in vendors {
            let Terms { vendor_days, releases_days, channels_days, .. } = terms;
            let name = |role: std::result::Result<RoleName, signing::NameError>| {
                role.map_err(|error| CliError::because("failed to name a role", &error))
            };
            roles.push(self.role(&name(vendor_role(vendor))?, &keys.vendor, vendor_days));
            let releases = name(releases_role(vendor))?;
            roles.push(self.role(&releases, &keys.releases, releases_days));
            let channels = name(channels_role(vendor))?;
            roles.push(self.role(&channels, &keys.channels, channels_days));
        }
        Ok(roles)
    }

    /// Where the public half of a key lies, or its id.
    fn name_of(&self, key: &PublicKey) -> String {
        self.directory.file_of(key).unwrap_or_else(|| format!("key {}", key.key_id()))
    }

    fn role(&self, role: &RoleName, keys: &RoleKeys, days: u32) -> RoleStatus {
        let newest = self.published.newest(role);
        let expires = newest.and_then(|(_, bytes)| expiry(role, bytes));
        let life = SignedDuration::from_hours(24 * i64::from(days));
        let level =
            expires.map_or(Level::Unpublished, |expires| Level::of(expires, life, self.now));
        let keys_here: Vec<KeyStatus> = keys
            .keys
            .iter()
            .map(|key| KeyStatus {
                name: self.name_of(key),
                key_id: key.key_id().to_string(),
                at_hand: self.keyring.is_at_hand(key),
            })
            .collect();
        let here = keys_here.iter().filter(|key| key.at_hand).count();
        let enough = usize::try_from(keys.threshold).is_ok_and(|threshold| here >= threshold);
        let is_root = role.as_top() == Some(TopRole::Root);
        let dir = self.dir.display();
        let next = match (level, is_root, enough) {
            (Level::Ok, _, _) | (Level::Unpublished, true, _) => None,
            (_, true, false) => Some(format!("fairway root new {dir} --renew")),
            (_, _, true) => Some(format!("fairway publish {dir}")),
            (_, false, false) => Some(format!("fairway publish {dir} --out-requests {dir}")),
        };
        RoleStatus {
            role: role.to_string(),
            version: newest.map(|(version, _)| version),
            expires,
            days_left: expires.map(|expires| days_left(expires, self.now)),
            level,
            threshold: Some(u64::from(keys.threshold)),
            keys: keys_here,
            // Without root 1 nothing else can be published; its request is what is open then.
            needs_a_person: level.needs_a_person() && next.is_some() && self.has_root(),
            next,
        }
    }

    fn has_root(&self) -> bool {
        !self.directory.pinned().is_empty()
    }

    /// Requests for versions that are not published yet.
    fn requests(&self) -> Result<Vec<RequestStatus>> {
        let mut open = Vec::new();
        for path in requests_in(self.dir)? {
            let request = read_request(&path)?;
            let newest = self.published.newest(request.role()).map(|(version, _)| version);
            if newest.is_none_or(|newest| newest < request.version()) {
                open.push(self.request(&path, &request));
            }
        }
        Ok(open)
    }

    fn request(&self, path: &Path, request: &SigningRequest) -> RequestStatus {
        let wanted = request.wanted();
        let may_sign = wanted.values().map(|key| self.name_of(key)).collect();
        let missing = request.missing();
        let (dir, file) = (self.dir.display(), path.display());
        let is_root = request.role().as_top() == Some(TopRole::Root);
        let next = match (missing, is_root) {
            (0, true) => format!("fairway root publish {dir} {file}"),
            (0, false) => format!("fairway publish {dir} --signed {file}"),
            (_, true) => format!("fairway root sign {file} --key FILE"),
            (_, false) => format!("fairway request sign {file} --key FILE"),
        };
        RequestStatus {
            file: file.to_string(),
            role: request.role().to_string(),
            version: request.version(),
            missing,
            may_sign,
            next,
        }
    }

    /// What the next publication would refuse.
    fn problems(&self, layout: &Layout, requests: &[RequestStatus]) -> Option<Problem> {
        let dir = self.dir.display();
        let restore = || "restore root.json and metadata/ from git, and look at who changed them";
        let problem = |what: String, next: String| Some(Problem { what, next });
        let roots = match TrustedRoots::verify(self.published, &layout.root.pinned) {
            Ok(roots) => roots,
            Err(error) => return problem(crate::error::chain(&error), restore().to_owned()),
        };
        let by_role: BTreeMap<&str, &RequestStatus> =
            requests.iter().map(|request| (request.role.as_str(), request)).collect();
        if let Some(difference) = roots.difference(layout) {
            let version = roots.newest().body.version;
            let next = by_role
                .get("root")
                .map_or_else(|| format!("fairway root new {dir}"), |open| open.next.clone());
            return problem(
                format!("root {version} is not what hub.toml says: {difference}"),
                next,
            );
        }
        let checked = check_published(self.published, layout);
        checked.err().and_then(|error| problem(crate::error::chain(&error), restore().to_owned()))
    }
}

fn expiry(role: &RoleName, bytes: &[u8]) -> Option<Timestamp> {
    if role.as_top() == Some(TopRole::Root) {
        return Document::<Root>::parse(role, bytes).ok().map(|root| root.body.expires);
    }
    Document::<Targets>::parse(role, bytes).ok().map(|targets| targets.body.expires)
}

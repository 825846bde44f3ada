//! Changes of keys and delegations, and whether a person has agreed to them.
//!
//! `hub.toml` lies in git, where others may write: who may sign is never signed because that file
//! says so. Somebody sees each change and agrees, on the terminal or with a flag. Nothing is signed
//! here.

use std::collections::BTreeSet;

use signing::{PublicKey, RoleName};

use super::request::ask_terminal;
use crate::error::{CliError, Result};
use crate::out::{Out, printable};
use crate::publisher::{Change, RoleKeys, TrustChange};
use crate::words::fingerprint;

/// What a person has agreed to before it is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Consent<'a> {
    /// Every change: `--accept-key-changes`.
    pub(crate) to_all: bool,
    /// The change that the command itself made.
    pub(crate) to_own: Option<&'a OwnChange>,
    /// Whether the directory was made and never published: its keys replace nobody's.
    pub(crate) is_unpublished: bool,
    /// Whether somebody may be asked for the rest.
    pub(crate) may_ask: bool,
}

/// A change of one vendor's role that a command made on behalf of whoever typed it.
#[derive(Debug, Clone)]
pub(crate) struct OwnChange {
    pub(crate) role: RoleName,
    pub(crate) extent: Extent,
}

/// How far it goes.
#[derive(Debug, Clone)]
pub(crate) enum Extent {
    /// The role is delegated to, for these keys.
    Added(RoleKeys),
    /// It is delegated to no longer.
    Removed,
    /// It gets exactly these keys.
    Replaced(RoleKeys),
    /// Some of its keys change.
    Edited {
        /// Come.
        added: Vec<PublicKey>,
        /// Go.
        removed: Vec<PublicKey>,
        /// Signatures needed before and from now on.
        threshold: (u32, u32),
    },
}

impl OwnChange {
    /// Whether `change` is part of what was typed.
    fn covers(&self, change: &TrustChange) -> bool {
        let is_ours = |role: &RoleName| *role == self.role;
        match (change, &self.extent) {
            (TrustChange::DelegationAdded { role, .. }, Extent::Added(_))
            | (TrustChange::DelegationRemoved { role }, Extent::Removed) => is_ours(role),
            (TrustChange::KeyAdded { role, key }, Extent::Added(keys) | Extent::Replaced(keys)) => {
                is_ours(role) && keys.keys.contains(key)
            }
            (TrustChange::KeyAdded { role, key }, Extent::Edited { added, .. }) => {
                is_ours(role) && added.contains(key)
            }
            (TrustChange::KeyRemoved { role, key }, Extent::Replaced(keys)) => {
                is_ours(role) && !keys.keys.contains(key)
            }
            (TrustChange::KeyRemoved { role, key }, Extent::Edited { removed, .. }) => {
                is_ours(role) && removed.contains(key)
            }
            (
                TrustChange::Threshold { role, new, .. },
                Extent::Added(keys) | Extent::Replaced(keys),
            ) => is_ours(role) && *new == u64::from(keys.threshold),
            (TrustChange::Threshold { role, old, new }, Extent::Edited { threshold, .. }) => {
                let typed = (Some(u64::from(threshold.0)), u64::from(threshold.1));
                is_ours(role) && (*old, *new) == typed
            }
            (
                _,
                Extent::Added(_) | Extent::Removed | Extent::Replaced(_) | Extent::Edited { .. },
            ) => false,
        }
    }
}

impl Consent<'_> {
    /// Requires that somebody agrees to every change of keys and delegations in `changes`, before
    /// any key is opened. A first publication replaces nobody's keys; what `elsewhere` lists is
    /// signed by people who were shown it.
    pub(crate) fn check(
        &self,
        changes: &[Change],
        elsewhere: &BTreeSet<RoleName>,
        out: &mut Out,
    ) -> Result<()> {
        let asked = changes.iter().filter(|change| !(change.is_first && self.is_unpublished));
        let asked = asked.filter(|change| !elsewhere.contains(&change.role));
        let asked: Vec<&TrustChange> = asked.flat_map(|change| &change.trust).collect();
        self.check_all(&asked, out)
    }

    /// The same for changes that are certainly to be signed here.
    pub(crate) fn check_all(&self, changes: &[&TrustChange], out: &mut Out) -> Result<()> {
        let is_open = |change: &&&TrustChange| {
            !self.to_own.is_some_and(|own| own.covers(change)) && !self.to_all
        };
        let open: Vec<_> = changes.iter().filter(is_open).collect();
        if open.is_empty() {
            return Ok(());
        }
        out.warn("hub.toml changes who may sign, or for what:")?;
        for change in &open {
            out.note(&format!("  {}", line(change)))?;
        }
        let no = CliError::no("keys or delegations change, and nobody has agreed to it").hint(
            "nothing was signed; compare each line above with the word of whose key it is, \
                 then pass --accept-key-changes to the command that publishes; if nobody meant it, restore hub.toml and keys/ \
                 from git, and look at who changed them",
        );
        let agreed = self.may_ask
            && ask_terminal("Sign these changes of keys and delegations?").unwrap_or(false);
        if agreed { Ok(()) } else { Err(no) }
    }
}

/// One change, for people.
pub(crate) fn line(change: &TrustChange) -> String {
    let ends = |terminating: bool| if terminating { "" } else { ", and the search goes on" };
    let text = match change {
        TrustChange::Expires { new, .. } => format!("expires {new}"),
        TrustChange::KeyAdded { role, key } => format!("+ key of {role}: {}", fingerprint(key)),
        TrustChange::KeyRemoved { role, key } => format!("- key of {role}: {}", fingerprint(key)),
        TrustChange::Threshold { role, old: None, new } => {
            format!("+ signatures that {role} needs: {new}")
        }
        TrustChange::Threshold { role, old: Some(old), new } => {
            format!("~ signatures that {role} needs: {old} -> {new}")
        }
        TrustChange::DelegationAdded { role, paths, terminating } => {
            format!("+ delegates {} to {role}{}", paths.join(" "), ends(*terminating))
        }
        TrustChange::DelegationRemoved { role } => format!("- delegates to {role} no longer"),
        TrustChange::DelegationScope { role, paths, terminating } => {
            format!("~ delegates to {role}: {}{}", paths.join(" "), ends(*terminating))
        }
        TrustChange::DelegationOrder => "~ delegations are searched in another order".to_owned(),
        TrustChange::TargetAdded { path, .. } => format!("+ {path}"),
        TrustChange::TargetChanged { path, .. } => format!("~ {path}"),
        TrustChange::TargetRemoved { path } => format!("- {path}"),
    };
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::testing::secret;

    fn role(name: &str) -> RoleName {
        RoleName::new(name).unwrap()
    }

    fn key(seed: u8) -> PublicKey {
        secret(seed).public().clone()
    }

    fn added(name: &str, seed: u8) -> TrustChange {
        TrustChange::KeyAdded { role: role(name), key: key(seed) }
    }

    fn removed(name: &str, seed: u8) -> TrustChange {
        TrustChange::KeyRemoved { role: role(name), key: key(seed) }
    }

    fn threshold(name: &str, old: Option<u64>, new: u64) -> TrustChange {
        TrustChange::Threshold { role: role(name), old, new }
    }

    #[test]
    fn a_rotation_agrees_to_the_keys_it_was_told_and_to_no_others() {
        let extent =
            Extent::Edited { added: vec![key(1)], removed: vec![key(2)], threshold: (1, 2) };
        let own = OwnChange { role: role("beta"), extent };
        for good in [added("beta", 1), removed("beta", 2), threshold("beta", Some(1), 2)] {
            assert!(own.covers(&good), "{good:?}");
        }
        let bad = [
            added("beta", 3),
            added("acme", 1),
            removed("beta", 1),
            threshold("beta", Some(3), 2),
            threshold("beta", Some(1), 1),
            TrustChange::DelegationRemoved { role: role("beta") },
        ];
        for bad in bad {
            assert!(!own.covers(&bad), "{bad:?}");
        }
    }

    #[test]
    fn an_introduction_agrees_to_exactly_its_keys() {
        let keys = RoleKeys { keys: vec![key(1)], threshold: 1 };
        let own = OwnChange { role: role("beta"), extent: Extent::Replaced(keys.clone()) };
        assert!(own.covers(&added("beta", 1)) && own.covers(&removed("beta", 2)));
        assert!(!own.covers(&added("beta", 2)) && !own.covers(&removed("beta", 1)));
        assert!(!own.covers(&threshold("beta", Some(1), 2)));
        let own = OwnChange { role: role("beta"), extent: Extent::Added(keys) };
        let delegates = |name| TrustChange::DelegationAdded {
            role: role(name),
            paths: vec![],
            terminating: true,
        };
        assert!(own.covers(&delegates("beta")) && own.covers(&threshold("beta", None, 1)));
        assert!(!own.covers(&delegates("evil")) && !own.covers(&added("beta", 2)));
    }

    #[test]
    fn a_withdrawal_agrees_to_nothing_else() {
        let own = OwnChange { role: role("beta"), extent: Extent::Removed };
        assert!(own.covers(&TrustChange::DelegationRemoved { role: role("beta") }));
        assert!(!own.covers(&TrustChange::DelegationRemoved { role: role("acme") }));
        assert!(!own.covers(&added("beta", 1)));
    }
}

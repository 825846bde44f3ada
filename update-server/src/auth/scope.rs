//! For which clusters somebody may do something.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use channels::rollout::{Labels, Selector, SelectorError};
use serde::{Serialize, Serializer};

use super::Access;

/// The whole fleet, or the clusters whose labels a selector selects.
///
/// Labels are the hub's own, so nobody comes into a scope by what a cluster says. Clusters of dark
/// sites have none here and are in no scope but the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(Option<Arc<Part>>);

#[derive(Debug, PartialEq, Eq)]
struct Part {
    text: String,
    selector: Selector,
    /// What it is a part of.
    of: Scope,
}

/// An access that cannot be confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{access} cannot be confined to some clusters: what it publishes and sets is for all; only \
     viewer and operator take a selector"
)]
pub struct Unconfinable {
    /// The access.
    pub access: Access,
}

impl Scope {
    /// Every cluster.
    pub fn whole() -> Self {
        Self::default()
    }

    /// The clusters of a selector that a person wrote as `text`.
    pub fn of(text: String, selector: Selector) -> Self {
        Self::whole().narrowed(text, selector)
    }

    /// Those of its clusters that a selector selects as well.
    #[must_use]
    pub fn narrowed(&self, text: String, selector: Selector) -> Self {
        Self(Some(Arc::new(Part { text, selector, of: self.clone() })))
    }

    /// Whether it is every cluster.
    pub fn is_whole(&self) -> bool {
        self.0.is_none()
    }

    /// The selector as it was written; `None` for every cluster.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref().map(|part| part.text.as_str())
    }

    /// Whether a cluster with these labels is in it.
    pub fn contains(&self, labels: &Labels) -> bool {
        self.0
            .as_deref()
            .is_none_or(|part| part.selector.matches(labels) && part.of.contains(labels))
    }

    /// Whether somebody of this access can be confined to it.
    pub fn fits(&self, access: Access) -> Result<(), Unconfinable> {
        match access {
            Access::Publisher | Access::Admin if !self.is_whole() => Err(Unconfinable { access }),
            Access::Viewer | Access::Operator | Access::Publisher | Access::Admin => Ok(()),
        }
    }
}

impl FromStr for Scope {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let text = text.trim();
        Ok(Self::of(text.to_owned(), text.parse()?))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().unwrap_or("every cluster"))
    }
}

/// The selector's text, or null.
impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ring: &str) -> Labels {
        Labels::from([("ring".to_owned(), ring.to_owned())])
    }

    #[test]
    fn a_scope_holds_what_its_selector_selects_and_the_whole_holds_all() {
        let scope: Scope = " ring in (canary,edge) ".parse().unwrap();
        assert_eq!(scope.text(), Some("ring in (canary,edge)"));
        assert!(scope.contains(&labels("edge")) && !scope.contains(&labels("prod")));
        assert!(!scope.contains(&Labels::new()) && Scope::whole().contains(&Labels::new()));
        assert!("".parse::<Scope>().is_err(), "an empty selector is not the whole fleet");
    }

    #[test]
    fn a_narrower_scope_never_leaves_the_wider_one() {
        let edge: Scope = "ring=edge".parse().unwrap();
        let other = edge.narrowed("ring=prod".to_owned(), "ring=prod".parse().unwrap());
        assert!(!other.contains(&labels("prod")) && !other.contains(&labels("edge")));
        let same = edge.narrowed("ring".to_owned(), "ring".parse().unwrap());
        assert!(same.contains(&labels("edge")) && !same.contains(&labels("prod")));
    }

    #[test]
    fn who_publishes_or_administers_does_so_for_all() {
        let scope: Scope = "ring=canary".parse().unwrap();
        for (access, fits) in [
            (Access::Viewer, true),
            (Access::Operator, true),
            (Access::Publisher, false),
            (Access::Admin, false),
        ] {
            assert_eq!(scope.fits(access).is_ok(), fits, "{access}");
            assert!(Scope::whole().fits(access).is_ok());
        }
    }
}

//! Enumerating: all delegated roles, and all targets of one role. For mirrors and servers, which
//! carry everything; an agent asks for single targets.
//!
//! One vendor must not be able to spoil another's listing, neither by being broken nor by
//! delegating to a role of the other's name: every edge is followed for itself, and the bound is
//! per top-level delegation.

use super::limits::MAX_ROLES_PER_DELEGATION;
use super::{Client, Target, TargetFile};
use crate::Verified;
use crate::error::Error;
use crate::metadata::{DelegatedRole, Document, Targets};
use crate::names::{RoleName, TargetPath};
use crate::source::Source;
use crate::store::Store;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A role on one verified path from the top.
#[derive(Debug, Clone)]
struct Route {
    metadata: Arc<Document<Targets>>,
    /// The edges from the top to here: a target must be covered by every one of them.
    edges: Vec<DelegatedRole>,
}

impl Route {
    fn may_list(&self, path: &TargetPath) -> bool {
        self.edges.iter().all(|edge| edge.covers(path))
    }
}

/// What a walk over the delegations found.
#[derive(Debug, Default)]
struct Walk {
    routes: BTreeMap<RoleName, Vec<Route>>,
    /// Roles that could not be used on any route.
    broken: BTreeMap<RoleName, Error>,
}

/// All roles that can be reached: those in order, and those that cannot be used with the reason.
#[derive(Debug, Default)]
pub struct Roles {
    /// Usable roles, top-level targets included, with their versions.
    pub usable: BTreeMap<RoleName, u64>,
    /// Delegated roles whose metadata is missing or does not verify.
    pub broken: BTreeMap<RoleName, Error>,
}

impl<S: Source, T: Store> Client<S, T> {
    /// Walks all delegations. One broken role is reported and does not stop the others.
    pub async fn roles(&mut self, now: Timestamp) -> Result<Roles, Error> {
        let Walk { routes, broken } = self.walk(now, |_| true).await?;
        let version = |routes: Vec<Route>| routes.first().map_or(0, |r| r.metadata.body.version);
        let usable = routes.into_iter().map(|(role, routes)| (role, version(routes))).collect();
        Ok(Roles { usable, broken })
    }

    /// What the verified top-level targets delegate, most trusted first: a site that carries on a
    /// vendor's files delegates to the same keys.
    pub fn delegations(&self, now: Timestamp) -> Result<Vec<DelegatedRole>, Error> {
        Ok(self.fresh(now)?.targets().body.delegations.clone())
    }

    /// All targets that `role` lists and may list. An installer still asks [`Client::target`] for
    /// the one path it wants: an earlier role may list the same path.
    pub async fn listed_targets(
        &mut self,
        role: &RoleName,
        now: Timestamp,
    ) -> Result<Vec<Verified<Target>>, Error> {
        let routes = self.routes_to(role, now).await?;
        let mut listed = Vec::new();
        let Some(first) = routes.first() else { return Ok(listed) };
        for (name, info) in &first.metadata.body.targets {
            let path = TargetPath::new(name.as_str())
                .map_err(|source| Error::Name { role: role.clone(), source })?;
            if routes.iter().any(|route| route.may_list(&path)) {
                listed.push(Verified::new(TargetFile::new(&path, info, role).named()?));
            }
        }
        Ok(listed)
    }

    /// The first target of `role` that is not its to give: outside its paths, or with a name
    /// that cannot be used.
    pub(crate) async fn foreign_target(
        &mut self,
        role: &RoleName,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let routes = self.routes_to(role, now).await?;
        let Some(first) = routes.first() else { return Ok(None) };
        let foreign = |name: &&String| match TargetPath::new(name.as_str()) {
            Ok(path) => !routes.iter().any(|route| route.may_list(&path)),
            Err(_) => true,
        };
        Ok(first.metadata.body.targets.keys().find(foreign).cloned())
    }

    /// The routes to `role`: first below roles whose name begins its name (`acme` for
    /// `acme.releases`), which loads nothing of other vendors; only if it is not there, anywhere.
    async fn routes_to(&mut self, role: &RoleName, now: Timestamp) -> Result<Vec<Route>, Error> {
        let leads = |edge: &RoleName| {
            let rest = role.as_str().strip_prefix(edge.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut walk = self.walk(now, leads).await?;
        if !walk.routes.contains_key(role) && !walk.broken.contains_key(role) {
            walk = self.walk(now, |_| true).await?;
        }
        let unknown = || Error::UnknownRole { role: role.clone() };
        match walk.routes.remove(role) {
            Some(routes) => Ok(routes),
            None => Err(walk.broken.remove(role).unwrap_or_else(unknown)),
        }
    }

    /// Follows the top-level delegations one after the other, as far as `follow` allows.
    async fn walk(
        &mut self,
        now: Timestamp,
        follow: impl Fn(&RoleName) -> bool + Send,
    ) -> Result<Walk, Error> {
        let top = self.fresh(now)?.targets().clone();
        let mut walk = Walk::default();
        for edge in top.body.delegations.iter().filter(|edge| follow(&edge.name)) {
            let below = self.walk_below(&top, edge, now, &follow).await?;
            walk.broken.extend(below.broken);
            for (role, routes) in below.routes {
                walk.routes.entry(role).or_default().extend(routes);
            }
        }
        let top = Route { metadata: top, edges: Vec::new() };
        walk.routes.entry(top.metadata.role().clone()).or_default().push(top);
        let Walk { routes, broken } = &mut walk;
        broken.retain(|role, _| !routes.contains_key(role));
        Ok(walk)
    }

    /// Breadth first below one top-level delegation. Beyond the bound nothing of it counts.
    async fn walk_below(
        &mut self,
        top: &Arc<Document<Targets>>,
        first: &DelegatedRole,
        now: Timestamp,
        follow: &(impl Fn(&RoleName) -> bool + Send),
    ) -> Result<Walk, Error> {
        let mut walk = Walk::default();
        let mut visited = BTreeSet::new();
        let mut queue = VecDeque::from([(top.clone(), vec![first.clone()])]);
        while let Some((delegator, edges)) = queue.pop_front() {
            let Some(edge) = edges.last() else { continue };
            if !visited.insert((delegator.digest(), edge.name.clone())) {
                continue;
            }
            if visited.len() > MAX_ROLES_PER_DELEGATION {
                let limit = MAX_ROLES_PER_DELEGATION;
                let broken = BTreeMap::from([(first.name.clone(), Error::TooManyRoles { limit })]);
                return Ok(Walk { broken, ..Walk::default() });
            }
            match self.delegate(&delegator, edge, now).await {
                Ok(Some(metadata)) => {
                    for next in metadata.body.delegations.iter().filter(|e| follow(&e.name)) {
                        let edges = edges.iter().chain([next]).cloned().collect();
                        queue.push_back((metadata.clone(), edges));
                    }
                    let role = edge.name.clone();
                    walk.routes.entry(role).or_default().push(Route { metadata, edges });
                }
                Ok(None) => {}
                // The store is ours, not the vendor's.
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => {
                    walk.broken.insert(edge.name.clone(), error);
                }
            }
        }
        Ok(walk)
    }
}

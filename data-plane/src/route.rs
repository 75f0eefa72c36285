//! Finds the route of a request.
//!
//! Owns the compiled route table: host names to groups of routes, and within a
//! group an index by path. What a route does is the caller's: the table carries
//! a `T` for each and knows nothing of it.
//!
//! The first route of the group that matches is found, as if all were tried in
//! order; the index only leaves out those whose path cannot match.

use evenkeel_shared::error::{Faults, Invalid};
use evenkeel_shared::ir;

use crate::head::Head;

mod conditions;
mod domains;
mod index;
pub mod path;
mod text;
mod weighted;

#[cfg(test)]
mod tests;

pub use weighted::Weighted;

use conditions::Conditions;
use domains::Domains;
use index::PathIndex;

/// The routes of a listener; each carries a `T`.
#[derive(Debug)]
pub struct Table<T> {
    domains: Domains,
    groups: Vec<Group<T>>,
}

/// The routes of a virtual host, in order.
#[derive(Debug)]
struct Group<T> {
    index: PathIndex,
    routes: Vec<(Conditions, T)>,
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a, T> {
    /// What the route carries.
    pub route: &'a T,
    /// Bytes of the path that the route's prefix covers; the whole path if it
    /// has none.
    pub matched: usize,
}

impl<T> Default for Table<T> {
    /// Without a route.
    fn default() -> Self {
        Self {
            domains: Domains::default(),
            groups: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// Builds the table; `make` gives what each route carries.
    ///
    /// # Errors
    /// Everything that is wrong with it: expressions that cannot be compiled,
    /// and host names that stand in it twice.
    pub fn build(
        table: &ir::RouteTable,
        mut make: impl FnMut(&ir::Route) -> T,
    ) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::new();
        let mut domains = Domains::new(table.ignore_port);
        let mut groups = Vec::with_capacity(table.hosts.len());
        for (group, host) in (0..).zip(&table.hosts) {
            let at = format!("hosts[{group}]");
            for (i, domain) in host.domains.iter().enumerate() {
                if !domains.insert(domain, group) {
                    let path = format!("{at}.domains[{i}]");
                    faults.add(path, "already exists: must be unique in its table");
                }
            }
            if let Some(built) = faults.take(&at, Group::build(host, &mut make)) {
                groups.push(built);
            }
        }
        faults.into_result(Self { domains, groups })
    }

    /// The first route that takes the request.
    pub fn find(&self, head: &(impl Head + ?Sized)) -> Option<Match<'_, T>> {
        let group = self.domains.find(head.authority_bytes())?;
        self.groups.get(group)?.find(head)
    }

    /// What all routes carry, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let routes = self.groups.iter().flat_map(|group| &group.routes);
        routes.map(|(_, carried)| carried)
    }
}

impl<T> Group<T> {
    fn build(
        host: &ir::VirtualHost,
        make: &mut impl FnMut(&ir::Route) -> T,
    ) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::new();
        let mut routes = Vec::with_capacity(host.routes.len());
        for (i, route) in host.routes.iter().enumerate() {
            let at = format!("routes[{i}].matches");
            if let Some(conditions) = faults.take(&at, Conditions::build(&route.matches)) {
                routes.push((conditions, make(route)));
            }
        }
        let index = PathIndex::build(host.routes.iter().map(|route| &route.matches.path));
        faults.into_result(Self { index, routes })
    }

    fn find(&self, head: &(impl Head + ?Sized)) -> Option<Match<'_, T>> {
        let path = head.path_bytes();
        let mut found = None;
        self.index.first(path, |place| {
            let Some((conditions, route)) = self.routes.get(place) else {
                return false;
            };
            let matched = conditions.matched(head, path);
            if let Some(matched) = matched {
                found = Some(Match { route, matched });
            }
            matched.is_some()
        });
        found
    }
}

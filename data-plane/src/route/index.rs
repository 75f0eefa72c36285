//! Which routes of a group a path can match at all.
//!
//! Exact paths stand in a hash map. Prefixes stand sorted, each with the next
//! shorter prefix of itself as its parent. The greatest prefix that does not
//! follow the path in the order, or one of its ancestors, is the longest that
//! the path begins with: whatever stands between two texts that begin alike
//! begins like them. From there, parents lead to all shorter ones.
//!
//! ```text
//!   /            <-+
//!   /api         --+  <-+
//!   /api/orders       --+  <-- /api/pay is looked for here and finds /api, /
//!   /shop
//! ```

use evenkeel_shared::ir::PathMatch;
use rapidhash::RapidHashMap;
use smallvec::SmallVec;

/// Places of routes in their group, ascending.
type Places = SmallVec<[usize; 2]>;

#[derive(Debug)]
pub(super) struct PathIndex {
    exact: RapidHashMap<Box<[u8]>, Places>,
    prefixes: Vec<Prefix>,
    /// Routes that may match any path.
    others: Places,
}

#[derive(Debug)]
struct Prefix {
    text: Box<[u8]>,
    /// Where the next shorter prefix of this one stands.
    parent: Option<usize>,
    places: Places,
}

impl PathIndex {
    /// Over the paths of all routes of a group, in order.
    pub(super) fn build<'a>(paths: impl Iterator<Item = &'a PathMatch>) -> Self {
        let mut exact: RapidHashMap<Box<[u8]>, Places> = RapidHashMap::default();
        let mut prefixes: RapidHashMap<&str, Places> = RapidHashMap::default();
        let mut others = Places::new();
        for (place, path) in paths.enumerate() {
            match path {
                PathMatch::Exact(text) => exact.entry(text.as_bytes().into()).or_default(),
                PathMatch::Prefix(text) | PathMatch::Segments(text) => {
                    prefixes.entry(text).or_default()
                }
                PathMatch::Regex(_) => &mut others,
            }
            .push(place);
        }
        let mut sorted: Vec<(&str, Places)> = prefixes.into_iter().collect();
        sorted.sort_unstable_by_key(|(text, _)| *text);
        Self {
            exact,
            prefixes: with_parents(sorted),
            others,
        }
    }

    /// The first route that can match the path and that `accepts` takes.
    /// `accepts` is asked about each at most once; the last it takes is the one.
    pub(super) fn first(
        &self,
        path: &[u8],
        mut accepts: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let mut best: Option<usize> = None;
        let mut search = |places: &Places| {
            let earlier = places
                .iter()
                .take_while(|place| best.is_none_or(|b| **place < b));
            if let Some(place) = earlier.copied().find(|place| accepts(*place)) {
                best = Some(place);
            }
        };
        if let Some(places) = self.exact.get(path) {
            search(places);
        }
        for prefix in self.prefixes_of(path) {
            search(&prefix.places);
        }
        search(&self.others);
        best
    }

    /// The prefixes that the path begins with, longest first.
    fn prefixes_of(&self, path: &[u8]) -> impl Iterator<Item = &Prefix> {
        let after = self
            .prefixes
            .partition_point(|prefix| *prefix.text <= *path);
        let candidates = std::iter::successors(
            after
                .checked_sub(1)
                .and_then(|place| self.prefixes.get(place)),
            |prefix| prefix.parent.and_then(|parent| self.prefixes.get(parent)),
        );
        candidates.filter(|prefix| path.starts_with(&prefix.text))
    }
}

/// Finds the parents of sorted texts: those that a text begins with are still
/// open when it comes.
fn with_parents(sorted: Vec<(&str, Places)>) -> Vec<Prefix> {
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut prefixes = Vec::with_capacity(sorted.len());
    for (at, (text, places)) in sorted.into_iter().enumerate() {
        while open
            .pop_if(|(_, begin)| !text.starts_with(&**begin))
            .is_some()
        {}
        prefixes.push(Prefix {
            text: text.as_bytes().into(),
            parent: open.last().map(|(parent, _)| *parent),
            places,
        });
        open.push((at, text));
    }
    prefixes
}

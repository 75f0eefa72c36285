//! What one group of proxies gets, and how that differs from what it got before.
//!
//! A thousand streams go from one view to the next. What lies between the two is
//! found once, so that a stream looks only at what changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use evenkeel_shared::xds::ResourceType;

use super::Encoded;

/// The resources of one type, by name.
pub type Encodings = BTreeMap<String, Arc<Encoded>>;

/// What one group of proxies gets.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Resources by type; a type without resources may be missing.
    pub resources: BTreeMap<ResourceType, Encodings>,
    /// What it follows, and how it differs from that.
    follows: Option<(Weak<View>, BTreeMap<ResourceType, Changes>)>,
}

/// How the resources of one type differ from those before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names of those that are new or have other content.
    pub set: Vec<String>,
    /// Names of those that are gone.
    pub gone: Vec<String>,
}

/// By content: what it follows does not count.
impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.resources == other.resources
    }
}

impl Eq for View {}

impl View {
    /// A resource, if the view has it.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Arc<Encoded>> {
        self.resources.get(&kind)?.get(name)
    }

    /// The same view, which knows how it differs from `before`.
    #[must_use]
    pub fn following(mut self, before: &Arc<Self>) -> Self {
        let nothing = Encodings::new();
        let mut changes = BTreeMap::new();
        for kind in ResourceType::ALL {
            let old = before.resources.get(&kind).unwrap_or(&nothing);
            let new = self.resources.get(&kind).unwrap_or(&nothing);
            let found = Changes::between(old, new);
            if found != Changes::default() {
                changes.insert(kind, found);
            }
        }
        self.follows = Some((Arc::downgrade(before), changes));
        self
    }

    /// How it differs from `before`, by type, if it follows that one; types
    /// without a difference are missing.
    pub fn changes_since(&self, before: &Arc<Self>) -> Option<&BTreeMap<ResourceType, Changes>> {
        let (followed, changes) = self.follows.as_ref()?;
        // A view that is remembered here keeps its address to itself.
        std::ptr::eq(followed.as_ptr(), Arc::as_ptr(before)).then_some(changes)
    }
}

impl Changes {
    /// Goes through both in the order of names.
    fn between(old: &Encodings, new: &Encodings) -> Self {
        let mut changes = Self::default();
        let mut before = old.iter().peekable();
        for (name, resource) in new {
            while let Some((gone, _)) = before.next_if(|(other, _)| *other < name) {
                changes.gone.push(gone.clone());
            }
            let same = before.next_if(|(other, _)| *other == name);
            let same = same.is_some_and(|(_, known)| {
                Arc::ptr_eq(known, resource) || known.version == resource.version
            });
            if !same {
                changes.set.push(name.clone());
            }
        }
        changes.gone.extend(before.map(|(gone, _)| gone.clone()));
        changes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn view(rows: &[(&str, &str)]) -> View {
        let resource = |version: &str| {
            Arc::new(Encoded {
                version: version.to_owned(),
                value: Bytes::new(),
                needs: Vec::new(),
            })
        };
        let rows = rows.iter();
        let set = rows.map(|(name, version)| ((*name).to_owned(), resource(version)));
        View {
            resources: BTreeMap::from([(ResourceType::Cluster, set.collect())]),
            follows: None,
        }
    }

    #[test]
    fn a_view_knows_how_it_differs_from_the_one_it_follows_and_from_no_other() {
        let before = Arc::new(view(&[("a", "1"), ("b", "1"), ("c", "1"), ("z", "1")]));
        let after = view(&[("0", "1"), ("a", "1"), ("c", "2"), ("d", "1")]).following(&before);
        let changes = &after.changes_since(&before).unwrap()[&ResourceType::Cluster];
        assert_eq!(changes.set, ["0", "c", "d"]);
        assert_eq!(changes.gone, ["b", "z"]);
        let other = Arc::new(View::clone(&before));
        assert!(after.changes_since(&other).is_none());
        let same = View::clone(&before).following(&before);
        assert!(same.changes_since(&before).unwrap().is_empty());
    }
}

//! How many of something there may be, in all and for each party.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// Places, of which each party may take some.
#[derive(Debug)]
pub struct Quota<K> {
    total: usize,
    each: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    total: usize,
    by: HashMap<K, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    Total,
    /// The party has taken its share.
    Share,
}

impl Full {
    /// As a label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Share => "share",
        }
    }
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place<K: Debug + Eq + Hash> {
    quota: Arc<Quota<K>>,
    party: Option<K>,
}

impl<K: Debug + Eq + Hash + Clone> Quota<K> {
    /// So many places, and so many for each party.
    pub fn new(total: usize, each: usize) -> Arc<Self> {
        let taken = Mutex::new(Taken {
            total: 0,
            by: HashMap::new(),
        });
        Arc::new(Self { total, each, taken })
    }

    /// Takes a place, for a party whose share counts if one is given.
    ///
    /// # Errors
    /// There is none left, or none for this party.
    pub fn take(self: &Arc<Self>, party: Option<K>) -> Result<Place<K>, Full> {
        let mut taken = self.taken.lock();
        if taken.total >= self.total {
            return Err(Full::Total);
        }
        if let Some(party) = &party {
            let count = taken.by.entry(party.clone()).or_default();
            if *count >= self.each {
                return Err(Full::Share);
            }
            *count += 1;
        }
        taken.total += 1;
        Ok(Place {
            quota: Arc::clone(self),
            party,
        })
    }
}

impl<K: Debug + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.quota.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(party) = &self.party
            && let Some(count) = taken.by.get_mut(party)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by.remove(party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_share_and_all_together_have_a_bound() {
        let quota = Quota::new(3, 2);
        let first = quota.take(Some("a")).unwrap();
        let _second = quota.take(Some("a")).unwrap();
        assert_eq!(quota.take(Some("a")).unwrap_err(), Full::Share);
        let _third = quota.take(None).unwrap();
        assert_eq!(quota.take(Some("b")).unwrap_err(), Full::Total);
        drop(first);
        drop(quota.take(Some("b")).unwrap());
        drop(quota.take(Some("a")).unwrap());
        assert_eq!(
            quota.taken.lock().by.len(),
            1,
            "who has nothing is forgotten"
        );
    }
}

//! The guard against removing too much at once. An accidentally empty
//! configuration must not take the site down: a step that takes away more than
//! half of what requests use is held until somebody confirms it.

use std::collections::BTreeSet;
use std::fmt;

use evenkeel_shared::ir::Action;
use evenkeel_shared::names::ClusterName;

use crate::xds::state::Active;

/// Fewer endpoints than this may be halved: one of two is a normal removal.
const FEWEST_GUARDED_ENDPOINTS: usize = 3;

/// What requests use: clusters that exist and to which a route of a listener
/// leads, and how many endpoints these have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The clusters.
    pub clusters: BTreeSet<ClusterName>,
    /// Their endpoints, all together.
    pub endpoints: usize,
}

/// A loss that needs a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// What would be lost.
    pub of: Thing,
    /// How many would be gone.
    pub lost: usize,
    /// How many there are.
    pub total: usize,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Clusters in use.
    Clusters,
    /// Endpoints in use.
    Endpoints,
}

impl Usage {
    /// Counts what is used.
    pub fn of(active: &Active) -> Self {
        let clusters: BTreeSet<ClusterName> = active
            .listeners
            .values()
            .filter_map(|listener| listener.routes.as_deref())
            .flat_map(|table| table.hosts.iter().flat_map(|host| &host.routes))
            .filter_map(|route| match &route.action {
                Action::Forward(forward) => Some(&forward.clusters),
                Action::Redirect(_) | Action::Respond(_) => None,
            })
            .flatten()
            .map(|cluster| &cluster.name)
            .filter(|name| active.clusters.contains_key(*name))
            .cloned()
            .collect();
        let endpoints = clusters
            .iter()
            .filter_map(|name| active.clusters.get(name)?.assignment.as_deref())
            .map(|assignment| assignment.endpoints.len())
            .sum();
        Self {
            clusters,
            endpoints,
        }
    }
}

/// What a step from one usage to the other loses, if that is too much: more than
/// half of the clusters, or, of at least three, more than half of the endpoints.
/// Clusters are counted, not compared: all traffic may move to another cluster.
pub fn judge(before: &Usage, after: &Usage) -> Option<Loss> {
    let clusters = loss(Thing::Clusters, before.clusters.len(), after.clusters.len());
    let endpoints = loss(Thing::Endpoints, before.endpoints, after.endpoints)
        .filter(|loss| loss.total >= FEWEST_GUARDED_ENDPOINTS);
    clusters.or(endpoints)
}

fn loss(of: Thing, before: usize, after: usize) -> Option<Loss> {
    let lost = before.saturating_sub(after);
    (lost > before / 2).then_some(Loss {
        of,
        lost,
        total: before,
    })
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, lost, total } = self;
        let things = match of {
            Thing::Clusters => "clusters",
            Thing::Endpoints => "endpoints",
        };
        write!(
            f,
            "held: would remove {lost} of {total} {things} in use; \
             confirm with apply --allow-mass-removal"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(clusters: usize, endpoints: usize) -> Usage {
        Usage {
            clusters: (0..clusters)
                .map(|index| ClusterName::new(format!("c{index}")))
                .collect(),
            endpoints,
        }
    }

    #[test]
    fn half_may_go_and_more_may_not() {
        assert_eq!(judge(&usage(8, 8), &usage(4, 4)), None);
        let loss = judge(&usage(8, 8), &usage(2, 8)).unwrap();
        assert_eq!(
            loss.to_string(),
            "held: would remove 6 of 8 clusters in use; confirm with apply --allow-mass-removal"
        );
        assert!(judge(&usage(3, 3), &usage(1, 3)).is_some());
        assert!(judge(&usage(1, 1), &usage(0, 0)).is_some());
    }

    #[test]
    fn endpoints_are_guarded_from_three_on() {
        assert_eq!(judge(&usage(1, 2), &usage(1, 0)), None);
        let loss = judge(&usage(1, 3), &usage(1, 1)).unwrap();
        assert_eq!((loss.of, loss.lost, loss.total), (Thing::Endpoints, 2, 3));
        assert_eq!(judge(&usage(1, 10), &usage(1, 5)), None);
    }

    #[test]
    fn growth_and_the_first_configuration_pass() {
        assert_eq!(judge(&Usage::default(), &usage(3, 9)), None);
        assert_eq!(judge(&usage(3, 9), &usage(4, 12)), None);
    }
}

//! What is shown of names. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::ir::DnsTarget;

use crate::tick::Tick;

/// A name that fails for longer is a problem.
const PROBLEM_AFTER: Duration = Duration::from_secs(30);
/// Most problems that are told; the rest is counted.
const MOST_PROBLEMS: usize = 20;

/// What is known of each name that is looked up.
pub type Shown = BTreeMap<DnsTarget, Seen>;

/// What came of the lookups of a name.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Lookups that failed or found nothing.
    pub failures: u64,
    /// When the last good answer came.
    pub answered: Option<Tick>,
    /// Since when it fails, and why it did last.
    pub failing: Option<(Tick, Arc<str>)>,
    /// Addresses of the last good answer beyond the bound.
    pub left_out: usize,
}

/// What people should see to, in words.
pub fn problems(shown: &Shown, now: Tick) -> Vec<String> {
    let failing = shown.iter().filter_map(|(target, seen)| {
        let (since, reason) = seen.failing.as_ref()?;
        (now.since(*since) >= PROBLEM_AFTER).then_some((target, seen, reason))
    });
    let mut told: Vec<String> = failing
        .map(|(target, seen, reason)| {
            let host = &target.host;
            let stays = match seen.answered {
                Some(_) => "the endpoints of the last answer stay",
                None => "there are no endpoints",
            };
            format!("name {host:?} cannot be looked up: {reason}; {stays}")
        })
        .collect();
    let rest = told.len().saturating_sub(MOST_PROBLEMS);
    if rest > 0 {
        told.truncate(MOST_PROBLEMS);
        told.push(format!("and {rest} more names"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xds::sample::dns_target;

    fn shown(seen: Seen) -> Shown {
        BTreeMap::from([(dns_target("cart", 80), seen)])
    }

    #[test]
    fn a_name_is_a_problem_after_half_a_minute_of_failures() {
        let seen = Seen {
            failing: Some((Tick(0), "no such name".into())),
            ..Seen::default()
        };
        let at = |seconds| Tick(0).plus(Duration::from_secs(seconds));
        let names = shown(seen);
        assert_eq!(problems(&names, at(29)), Vec::<String>::new());
        assert_eq!(
            problems(&names, at(30)),
            ["name \"cart\" cannot be looked up: no such name; there are no endpoints"]
        );
    }

    #[test]
    fn a_name_that_answers_is_no_problem() {
        let seen = Seen {
            failures: 100,
            answered: Some(Tick(0)),
            ..Seen::default()
        };
        let late = Tick(0).plus(Duration::from_hours(1));
        assert_eq!(problems(&shown(seen), late), Vec::<String>::new());
    }
}

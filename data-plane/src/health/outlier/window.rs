//! Cuts what is counted of hosts into intervals.

use std::collections::BTreeMap;

use super::tally::Totals;

/// Where the interval in progress began, by host.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    began: BTreeMap<u64, Box<Totals>>,
}

impl Windows {
    /// Ends an interval and begins the next: what each host did in it. A host
    /// that was not there when it began has none yet, and one that is not
    /// there any more is forgotten.
    pub fn turn(&mut self, counted: impl IntoIterator<Item = (u64, Totals)>) -> Vec<(u64, Totals)> {
        let mut began = BTreeMap::new();
        let mut ended = Vec::new();
        for (host, totals) in counted {
            if let Some(before) = self.began.get(&host) {
                ended.push((host, totals.since(before)));
            }
            began.insert(host, Box::new(totals));
        }
        self.began = began;
        ended
    }

    /// Forgets the interval in progress.
    pub fn clear(&mut self) {
        self.began.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(answers: u64) -> Totals {
        Totals {
            answers,
            ..Totals::default()
        }
    }

    #[test]
    fn an_interval_holds_what_came_since_the_last() {
        let mut windows = Windows::default();
        assert!(windows.turn([(1, answers(10))]).is_empty());
        let ended = windows.turn([(1, answers(25)), (2, answers(7))]);
        assert_eq!(ended, [(1, answers(15))]);
        let ended = windows.turn([(2, answers(8))]);
        assert_eq!(ended, [(2, answers(1))]);
        assert!(windows.turn([(1, answers(30))]).is_empty());
        windows.clear();
        assert!(windows.turn([(1, answers(31))]).is_empty());
    }
}

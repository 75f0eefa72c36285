//! What happens next: events in the order of their time. Of two at the same
//! time, the one that was noted first comes first, so that a run can be repeated.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use evenkeel_data_plane::tick::Tick;

/// Events to come.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    noted: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Tick,
    order: u64,
    event: E,
}

impl<E> Agenda<E> {
    /// With nothing on it.
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            noted: 0,
        }
    }

    /// Notes an event.
    pub(super) fn note(&mut self, at: Tick, event: E) {
        let order = self.noted;
        self.noted += 1;
        self.heap.push(Reverse(Entry { at, order, event }));
    }

    /// The next event, and when it is.
    pub(super) fn next(&mut self) -> Option<(Tick, E)> {
        let Reverse(entry) = self.heap.pop()?;
        Some((entry.at, entry.event))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_their_time_and_then_of_their_noting() {
        let mut agenda = Agenda::new();
        for (at, event) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            agenda.note(Tick(at), event);
        }
        let order: String = std::iter::from_fn(|| agenda.next())
            .map(|(_, event)| event)
            .collect();
        assert_eq!(order, "abcd");
    }
}

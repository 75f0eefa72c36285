//! What clients do: come, wait, try again, give up.

use std::time::Duration;

use evenkeel_data_plane::outcome::Outcome;
use evenkeel_data_plane::tick::Tick;

use super::{Asking, Event, World};
use crate::sim::asked::Asked;
use crate::sim::books::Fate;
use crate::sim::register::Key;

/// A request of a client.
#[derive(Debug)]
pub(super) struct Visit {
    arrived: Tick,
    /// Number of the try; an answer to an earlier one comes too late.
    number: u32,
    /// What the proxy makes of it.
    call: Option<Key>,
    /// More tries that the client would make.
    left: u32,
    asked: Asked,
    is_customer: bool,
}

impl World<'_> {
    /// The first clients are on their way.
    pub(super) fn open(&mut self) {
        if self.scenario.clients.rate.is_some() {
            self.next_arrival();
        }
        for _ in 0..self.scenario.clients.customers.unwrap_or_default() {
            let think = self.clients.gap(self.scenario.clients.think);
            self.agenda.note(self.now.plus(think), Event::Customer);
        }
    }

    pub(super) fn arrival(&mut self) {
        self.visit(false);
        self.next_arrival();
    }

    /// Notes when the next client comes. Where the rate changes before that, it
    /// is drawn again from there: what is to come knows nothing of the past.
    fn next_arrival(&mut self) {
        let usual = self.scenario.clients.rate.unwrap_or_default();
        let mut from = self.now;
        let next = loop {
            let mean = Duration::try_from_secs_f64(1.0 / (usual * self.timeline.load(from)));
            let next = from.plus(self.clients.gap(mean.unwrap_or(Duration::MAX)));
            let change = self.timeline.next_load(from);
            if next < change {
                break next;
            }
            from = change;
        };
        if next < self.end {
            self.agenda.note(next, Event::Arrival);
        }
    }

    /// A client comes.
    pub(super) fn visit(&mut self, is_customer: bool) {
        let percent = self.scenario.clients.unsafe_percent;
        let is_safe = !self.clients.chance(percent / 100.0);
        let client = self.clients.below(self.scenario.clients.addresses);
        let client = u16::try_from(client).unwrap_or_default();
        let visit = self.visits.add(Visit {
            arrived: self.now,
            number: 0,
            call: None,
            left: self.scenario.clients.retries,
            asked: Asked { is_safe, client },
            is_customer,
        });
        self.books.begun += 1;
        self.try_once(visit);
    }

    /// A client asks one of the proxies.
    pub(super) fn try_once(&mut self, key: Key) {
        let proxies = self.tiers.first().map_or(0, Vec::len);
        let proxy = self.clients.below(proxies);
        let Some(visit) = self.visits.get(key) else {
            return;
        };
        visit.number += 1;
        let (number, asked) = (visit.number, visit.asked);
        let patience = self.now.plus(self.scenario.clients.timeout);
        self.agenda.note(patience, Event::Patience(key, number));
        let call = self.begin(Asking::Client(key, number), (0, proxy), asked);
        if let Some(visit) = self.visits.get(key) {
            visit.call = call;
        }
    }

    pub(super) fn client_answered(&mut self, key: Key, number: u32, outcome: Outcome) {
        if self.is_current(key, number) {
            match outcome {
                Outcome::Response { status: ..400, .. } => self.settle(key, Fate::Answered),
                _ => self.failed(key, Fate::Failed),
            }
        }
    }

    pub(super) fn out_of_patience(&mut self, key: Key, number: u32) {
        if !self.is_current(key, number) {
            return;
        }
        let call = self.visits.get(key).and_then(|visit| visit.call.take());
        if let Some(call) = call {
            self.cancel(call);
        }
        self.failed(key, Fate::TimedOut);
    }

    fn is_current(&mut self, key: Key, number: u32) -> bool {
        let visit = self.visits.get(key);
        visit.is_some_and(|visit| visit.number == number)
    }

    /// A try has failed; another is made, if any are left.
    fn failed(&mut self, key: Key, fate: Fate) {
        let Some(visit) = self.visits.get(key) else {
            return;
        };
        // What is still on its way belongs to a try that is over.
        visit.number += 1;
        if visit.left == 0 {
            self.settle(key, fate);
            return;
        }
        visit.left -= 1;
        let pause = self.clients.gap(self.scenario.clients.backoff);
        self.agenda.note(self.now.plus(pause), Event::Again(key));
    }

    /// The client leaves.
    fn settle(&mut self, key: Key, fate: Fate) {
        let Some(visit) = self.visits.take(key) else {
            return;
        };
        let took = self.now.since(visit.arrived);
        self.books.ended(visit.arrived, took, fate);
        if visit.is_customer {
            let think = self.clients.gap(self.scenario.clients.think);
            let next = self.now.plus(think);
            if next < self.end {
                self.agenda.note(next, Event::Customer);
            }
        }
    }
}

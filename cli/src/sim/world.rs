//! The simulated world, from one event to the next.
//!
//! ```text
//! clients --> tier 0 of proxies --> (tier 1) --> endpoints
//! ```
//! A request of a client is a visit; what a proxy makes of it is a call, which
//! makes attempts, one after the other; an attempt at a proxy of the next tier is
//! a call there. Time is a number, nothing waits, and every event follows from
//! the scenario, the settings and the seed.

use std::rc::Rc;
use std::time::Duration;

use evenkeel_data_plane::outcome::Outcome;
use evenkeel_data_plane::tick::Tick;
use evenkeel_shared::ir;

use super::agenda::Agenda;
use super::backend::{Backend, Serial};
use super::books::Books;
use super::entropy::{Entropy, Stream};
use super::proxy::{Counts, Proxy};
use super::register::{Key, Register};
use super::scenario::{Scenario, Timeline};
use super::settings::{self, Settings};

mod calls;
mod visits;

use calls::Call;
use visits::Visit;

/// Everything there is.
#[derive(Debug)]
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    settings: Rc<Settings>,
    timeline: Timeline,
    agenda: Agenda<Event>,
    visits: Register<Visit>,
    calls: Register<Call>,
    tiers: Vec<Vec<Proxy>>,
    backends: Vec<Backend<Attempted>>,
    /// Which endpoints the control plane names.
    named: Vec<bool>,
    /// Attempts so far.
    attempts: u64,
    clients: Entropy,
    service: Entropy,
    drawn: Entropy,
    now: Tick,
    end: Tick,
    books: Books,
}

/// An attempt, by its call and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempted {
    call: Key,
    number: u64,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// A client, with a try of so many.
    Client(Key, u32),
    /// A proxy.
    Proxy(Attempted),
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Something begins or ceases to be wrong.
    Turn,
    /// A client comes.
    Arrival,
    /// A customer's next request.
    Customer,
    /// A client tries again.
    Again(Key),
    /// A client waits no longer.
    Patience(Key, u32),
    /// An answer arrives; whether a proxy has given the request up.
    Answer(Asking, Outcome, bool),
    /// An endpoint is done with a request.
    Served(usize, Serial),
    /// The time of an attempt is over.
    PerTry(Attempted),
    /// The time of a call is over.
    Deadline(Key),
    /// The pause before a retry is over.
    Retry(Key),
    /// A proxy looks at its ejected hosts.
    Sweep(usize, usize),
}

/// What a run has shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// What became of requests.
    pub(super) books: Books,
    /// What all proxies counted.
    pub(super) counts: Counts,
}

impl<'a> World<'a> {
    /// At its beginning.
    pub(super) fn new(scenario: &'a Scenario, settings: Settings, seed: u64) -> Self {
        let settings = Rc::new(settings);
        let mut drawn = Entropy::new(seed, Stream::Proxies);
        let tiers = scenario.proxies.iter().map(|count| {
            let proxies = (0..*count).map(|_| Proxy::new(&settings, drawn.next()));
            proxies.collect::<Vec<_>>()
        });
        let tiers = tiers.collect();
        let count = scenario.endpoints.count;
        let build = scenario.endpoints.build();
        let end = Tick(0).plus(scenario.duration);
        Self {
            timeline: Timeline::new(scenario),
            agenda: Agenda::new(),
            visits: Register::new(),
            calls: Register::new(),
            tiers,
            backends: (0..count).map(|_| Backend::new(build)).collect(),
            named: vec![false; count],
            attempts: 0,
            clients: Entropy::new(seed, Stream::Clients),
            service: Entropy::new(seed, Stream::Endpoints),
            drawn,
            now: Tick(0),
            end,
            books: Books::new(count),
            scenario,
            settings,
        }
    }

    /// Runs to the end: until no client comes any more and all have left.
    pub(super) fn run(mut self) -> Shown {
        self.play();
        let mut counts = Counts::default();
        for proxy in self.tiers.iter().flatten() {
            counts.add(&proxy.counts);
        }
        Shown {
            books: self.books,
            counts,
        }
    }

    fn play(&mut self) {
        self.begin_world();
        while let Some((at, event)) = self.agenda.next() {
            self.now = at;
            self.step(event);
        }
    }

    fn begin_world(&mut self) {
        for turn in self.timeline.turns() {
            self.agenda.note(turn, Event::Turn);
        }
        self.turn();
        let inner: Vec<usize> = self.scenario.proxies.iter().skip(1).copied().collect();
        for (tier, count) in self.tiers.iter_mut().zip(inner) {
            let endpoints = self.settings.endpoints.get(..count).unwrap_or_default();
            for proxy in tier {
                proxy.assign(endpoints);
            }
        }
        for (tier, count) in self.scenario.proxies.iter().enumerate() {
            for place in 0..*count {
                let interval = self
                    .settings
                    .cluster
                    .outlier
                    .map(|outlier| outlier.interval);
                let nanos = interval.map_or(0, |interval| interval.as_nanos());
                let offset = self.drawn.below(usize::try_from(nanos).unwrap_or_default());
                let offset = Duration::from_nanos(offset as u64);
                self.agenda
                    .note(self.now.plus(offset), Event::Sweep(tier, place));
            }
        }
        self.open();
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Turn => self.turn(),
            Event::Arrival => self.arrival(),
            Event::Customer => self.visit(true),
            Event::Again(visit) => self.try_once(visit),
            Event::Patience(visit, number) => self.out_of_patience(visit, number),
            Event::Answer(Asking::Client(visit, number), outcome, _) => {
                self.client_answered(visit, number, outcome);
            }
            Event::Answer(Asking::Proxy(attempted), outcome, is_final) => {
                self.proxy_answered(attempted, outcome, is_final);
            }
            Event::Served(place, serial) => self.served(place, serial),
            Event::PerTry(attempted) => {
                self.proxy_answered(attempted, Outcome::PerTryTimeout, false);
            }
            Event::Deadline(call) => self.deadline(call),
            Event::Retry(call) => self.attempt(call),
            Event::Sweep(tier, place) => self.sweep(tier, place),
        }
    }

    /// Endpoints become what the scenario says that they are now.
    fn turn(&mut self) {
        for (place, backend) in self.backends.iter_mut().enumerate() {
            let reset = backend.change(self.timeline.condition(place, self.now));
            for attempted in reset {
                let outcome = Outcome::Reset { unsent: false };
                let event = Event::Answer(Asking::Proxy(attempted), outcome, false);
                self.agenda.note(self.now, event);
            }
        }
        let named = 0..self.backends.len();
        let named = named.map(|place| !self.timeline.is_absent(place, self.now));
        let named: Vec<bool> = named.collect();
        if named == self.named {
            return;
        }
        let endpoints = self.settings.endpoints.iter().zip(&named);
        let endpoints: Vec<ir::Endpoint> = endpoints
            .filter(|(_, is_named)| **is_named)
            .map(|(endpoint, _)| endpoint.clone())
            .collect();
        for proxy in self.tiers.last_mut().into_iter().flatten() {
            proxy.assign(&endpoints);
        }
        self.named = named;
    }

    fn served(&mut self, place: usize, serial: Serial) {
        let Some(backend) = self.backends.get_mut(place) else {
            return;
        };
        // Lost when the endpoint crashed or froze.
        let Some((attempted, next)) = backend.done(serial, &mut self.service) else {
            return;
        };
        if let Some((serial, time)) = next {
            let event = Event::Served(place, serial);
            self.agenda.note(self.now.plus(time), event);
        }
        let outcome = Outcome::Response {
            status: 200,
            grpc_status: None,
        };
        self.reply(Asking::Proxy(attempted), outcome, false, Duration::ZERO);
    }

    fn sweep(&mut self, tier: usize, place: usize) {
        let Some(proxy) = self
            .tiers
            .get_mut(tier)
            .and_then(|tier| tier.get_mut(place))
        else {
            return;
        };
        let interval = proxy.interval();
        let (returned, ejected) = proxy.sweep(self.now, || self.drawn.next());
        let is_last = tier + 1 == self.tiers.len();
        for address in ejected {
            let endpoint = is_last.then(|| settings::place(address));
            self.books.ejected(self.now, endpoint);
        }
        self.books.returned += u64::try_from(returned).unwrap_or_default();
        if let Some(interval) = interval
            && self.now < self.end
        {
            let event = Event::Sweep(tier, place);
            self.agenda.note(self.now.plus(interval), event);
        }
    }

    /// An answer is on its way.
    fn reply(&mut self, to: Asking, outcome: Outcome, is_final: bool, after: Duration) {
        let at = self
            .now
            .plus(after)
            .plus(self.scenario.endpoints.round_trip);
        self.agenda.note(at, Event::Answer(to, outcome, is_final));
    }
}

#[cfg(test)]
mod tests;

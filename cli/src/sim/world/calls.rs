//! What proxies do with a request: choose, send, wait, judge, try again.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_data_plane::outcome::Outcome;
use evenkeel_data_plane::tick::Tick;
use evenkeel_data_plane::upstream::host::Host;

use super::{Asking, Attempted, Event, World};
use crate::sim::asked::Asked;
use crate::sim::backend::Taken;
use crate::sim::proxy::{Proxy, Tries};
use crate::sim::register::Key;
use crate::sim::settings;

/// A request at a proxy.
#[derive(Debug)]
pub(super) struct Call {
    asking: Asking,
    tier: usize,
    proxy: usize,
    tries: Tries,
    attempt: Option<Attempt>,
}

/// An attempt in progress.
#[derive(Debug)]
struct Attempt {
    number: u64,
    began: Tick,
    host: Arc<Host>,
    /// What a proxy of the next tier makes of it.
    inner: Option<Key>,
}

impl World<'_> {
    /// A proxy gets a request. `None` if it does not take it.
    pub(super) fn begin(
        &mut self,
        asking: Asking,
        (tier, place): (usize, usize),
        asked: Asked,
    ) -> Option<Key> {
        let proxy = self.tiers.get_mut(tier)?.get_mut(place)?;
        if let Err(code) = proxy.enter(asked, self.now) {
            self.reply(asking, status(code), false, Duration::ZERO);
            return None;
        }
        let mut tries = Tries::new(asked, None);
        tries.affinity = proxy.affinity(asked, || self.drawn.next());
        let deadline = proxy.forward(asked).timeout;
        let deadline = deadline.map(|limit| self.now.plus(limit));
        tries.deadline = deadline;
        let call = self.calls.add(Call {
            asking,
            tier,
            proxy: place,
            tries,
            attempt: None,
        });
        if let Some(deadline) = deadline {
            self.agenda.note(deadline, Event::Deadline(call));
        }
        self.attempt(call);
        Some(call)
    }

    /// Begins an attempt.
    pub(super) fn attempt(&mut self, key: Key) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let (tier, asked) = (call.tier, call.tries.asked);
        let proxy = &mut self.tiers[tier][call.proxy];
        let entropy = self.drawn.next();
        let Some(host) = proxy.choose(&call.tries, self.now, entropy) else {
            self.finish(key, 503, false);
            return;
        };
        self.attempts += 1;
        let number = self.attempts;
        let attempted = Attempted { call: key, number };
        if let Some(limit) = proxy.forward(asked).per_try_timeout {
            let at = self.now.plus(limit);
            self.agenda.note(at, Event::PerTry(attempted));
        }
        let place = settings::place(host.address);
        call.attempt = Some(Attempt {
            number,
            began: self.now,
            host,
            inner: None,
        });
        if tier + 1 == self.tiers.len() {
            self.reach(attempted, place);
            return;
        }
        let inner = self.begin(Asking::Proxy(attempted), (tier + 1, place), asked);
        let attempt = self.calls.get(key).and_then(|call| call.attempt.as_mut());
        if let Some(attempt) = attempt {
            attempt.inner = inner;
        }
    }

    /// An attempt comes to an endpoint.
    fn reach(&mut self, attempted: Attempted, place: usize) {
        self.books.reached(self.now, place);
        let Some(backend) = self.backends.get_mut(place) else {
            return;
        };
        match backend.take(attempted, self.now, &mut self.service) {
            Taken::Answered(outcome, after) => {
                self.reply(Asking::Proxy(attempted), outcome, false, after);
            }
            Taken::Begun(serial, time) => {
                let event = Event::Served(place, serial);
                self.agenda.note(self.now.plus(time), event);
            }
            Taken::Kept => {}
        }
    }

    /// An attempt has ended, unless it was given up before.
    pub(super) fn proxy_answered(
        &mut self,
        Attempted { call: key, number }: Attempted,
        outcome: Outcome,
        is_final: bool,
    ) {
        let Some((host, began)) = self.end_attempt(key, Some(number)) else {
            return;
        };
        self.observe(key, (&host, began), outcome);
        let entropy = self.drawn.next();
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let proxy = &mut self.tiers[call.tier][call.proxy];
        let ended = (&*host, outcome, is_final);
        if let Some(after) = proxy.decide(&mut call.tries, ended, (self.now, entropy)) {
            self.agenda.note(self.now.plus(after), Event::Retry(key));
            return;
        }
        let (status, gave_up) = passed_on(outcome);
        self.finish(key, status, gave_up || is_final);
    }

    /// The time of a call is over.
    pub(super) fn deadline(&mut self, key: Key) {
        if let Some((host, began)) = self.end_attempt(key, None) {
            self.observe(key, (&host, began), Outcome::PerTryTimeout);
        }
        self.finish(key, 504, true);
    }

    /// Nobody waits for a call any more. What its endpoint does goes on.
    pub(super) fn cancel(&mut self, key: Key) {
        self.end_attempt(key, None);
        if let Some(call) = self.calls.take(key) {
            self.tiers[call.tier][call.proxy].leave(&call.tries);
        }
    }

    /// The attempt of a call is no more; its host, and when it began. With a number,
    /// only if it is that one.
    fn end_attempt(&mut self, key: Key, number: Option<u64>) -> Option<(Arc<Host>, Tick)> {
        let call = self.calls.get(key)?;
        let attempt = call.attempt.as_ref()?;
        if number.is_some_and(|number| number != attempt.number) {
            return None;
        }
        let attempt = call.attempt.take()?;
        Proxy::release(&attempt.host);
        if let Some(inner) = attempt.inner {
            self.cancel(inner);
        }
        Some((attempt.host, attempt.began))
    }

    fn observe(&mut self, key: Key, (host, began): (&Host, Tick), outcome: Outcome) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let (tier, proxy) = (call.tier, &mut self.tiers[call.tier][call.proxy]);
        if proxy.observe((host, began), outcome, self.now) {
            let is_endpoint = tier + 1 == self.tiers.len();
            let place = settings::place(host.address);
            self.books.ejected(self.now, is_endpoint.then_some(place));
        }
    }

    fn finish(&mut self, key: Key, code: u16, is_final: bool) {
        if let Some(call) = self.calls.take(key) {
            self.tiers[call.tier][call.proxy].leave(&call.tries);
            self.reply(call.asking, status(code), is_final, Duration::ZERO);
        }
    }
}

/// The status of the answer to a request whose last attempt ended like this, and
/// whether it says that the proxy has given the request up.
fn passed_on(outcome: Outcome) -> (u16, bool) {
    match outcome {
        Outcome::Response { status, .. } => (status, false),
        Outcome::PerTryTimeout => (504, true),
        Outcome::ConnectFailure | Outcome::TlsFailure(_) | Outcome::RefusedStream => (503, true),
        Outcome::Reset { .. } | Outcome::BadResponse => (502, true),
    }
}

fn status(status: u16) -> Outcome {
    Outcome::Response {
        status,
        grpc_status: None,
    }
}

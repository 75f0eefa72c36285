//! The life of a request: what a newcomer reads first.
//!
//! A request is checked, routed, changed, sent to an endpoint — to another if
//! that fails and the policy allows it — and its answer is passed on as it
//! comes. Whatever goes wrong is a `ProxyError`, turned
//! into an answer in one place.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_shared::ir;

use crate::balance::affinity::Affinity;
use crate::listen::body::ClientBody;
use crate::listen::connection::Conn;
use crate::listen::watch::InProgress;
use crate::message::{Fields, RequestHead, Version};
use crate::proxy::body::AnswerBody;
use crate::proxy::error::{LimitFields, ProxyError};
use crate::proxy::forward::Journey;
use crate::proxy::intake::Intake;
use crate::runtime::snapshot::{Front, Listener};
use crate::telemetry::exchange::Exchange;

mod answer;
mod attempt;
pub(crate) mod body;
pub(crate) mod error;
mod forward;
mod hop;
mod intake;
mod judge;
mod outgoing;
mod select;
mod timing;
pub(crate) mod tunnel;

#[cfg(test)]
mod tests;

/// What every step of a request needs.
pub(crate) struct Live {
    /// The connection it came on.
    pub(crate) conn: Rc<Conn>,
    /// Its listener, for as long as the request lives.
    pub(crate) listener: Arc<Front>,
    /// What telemetry sees of it.
    pub(crate) exchange: Exchange,
    /// Whether the client speaks HTTP/1.0, to which the end of the connection is
    /// the end of the answer.
    pub(crate) http10: bool,
    /// Keeps its connection busy.
    _in_progress: InProgress,
}

/// The answer to a request.
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Fields; `Content-Length` only if an endpoint said it.
    pub(crate) fields: Fields,
    /// What follows.
    pub(crate) body: AnswerBody,
}

/// A request that is being answered. Never fails: every error is an answer.
#[must_use = "a request that is not polled is given up"]
pub(crate) enum Handling {
    /// There was nothing to wait for.
    Answered(Option<Answer>),
    /// An endpoint is asked.
    Forwarding(Option<Box<Journey>>),
}

impl Future for Handling {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let journey = match self.get_mut() {
            Self::Answered(answer) => return answer.take().map_or(Poll::Pending, Poll::Ready),
            Self::Forwarding(journey) => journey,
        };
        let Some(travelling) = journey else {
            return Poll::Pending;
        };
        let ended = ready!(travelling.poll(cx));
        let Some(journey) = journey.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match ended {
            Ok(passed) => journey.answer(passed),
            Err(error) => error.answer(journey.give_up()),
        })
    }
}

/// Begins to answer a request.
pub(crate) fn handle(conn: Rc<Conn>, head: RequestHead, body: ClientBody) -> Handling {
    let listener = conn.current_listener();
    let mut live = Live {
        exchange: Exchange::start(Rc::clone(&conn.worker), Arc::clone(&listener.front)),
        http10: head.version == Version::Http10,
        _in_progress: InProgress::begin(&conn.watch),
        listener: Arc::clone(&listener.front),
        conn,
    };
    match Intake::check(&mut live, head, body) {
        Ok(intake) => serve(live, &listener, intake),
        Err(error) => error.handled(live),
    }
}

/// Does with a request what its route says.
fn serve(mut live: Live, listener: &Listener, mut intake: Intake) -> Handling {
    let Some(found) = listener.routes.find(&intake.head) else {
        return ProxyError::NoRoute.handled(live);
    };
    let route = found.route;
    live.exchange.routed(route);
    let limited = match limit(&live, &intake, route) {
        Ok(limited) => limited,
        Err(error) => return error.handled(live),
    };
    let own = match &route.spec.action {
        ir::Action::Redirect(redirect) => {
            let request = (found.matched, intake.scheme);
            answer::redirect(redirect, &intake.head, request)
        }
        ir::Action::Respond(respond) => answer::respond(respond),
        ir::Action::Forward(to) => {
            // What the client sent counts, not what becomes of it.
            let affinity = affinity(&live, &intake, to);
            outgoing::rewrite(&live, &mut intake, route, (to, found.matched));
            return forward::begin(live, intake, (route, to), (limited, affinity));
        }
    };
    let answer = own.answer(live, &route.spec.response_headers, limited);
    Handling::Answered(Some(answer))
}

/// What ties a request to an endpoint.
fn affinity(live: &Live, intake: &Intake, to: &ir::Forward) -> Affinity {
    let entropy = || live.conn.worker.entropy();
    Affinity::of(&to.hash_policy, &intake.head, intake.client, entropy)
}

/// Asks the route's rate limit.
fn limit(
    live: &Live,
    intake: &Intake,
    route: &crate::runtime::snapshot::Route,
) -> Result<LimitFields, ProxyError> {
    let (Some(limiter), Some(spec)) = (&route.limiter, &route.spec.rate_limit) else {
        return Ok(LimitFields::default());
    };
    let verdict = limiter.take(&intake.head, intake.client, live.exchange.started());
    let fields = LimitFields::new(spec, &verdict);
    if verdict.allowed {
        return Ok(fields);
    }
    live.exchange.rate_limited();
    Err(ProxyError::RateLimited(fields))
}

//! The life of a request: what a newcomer reads first.
//!
//! A request is checked, routed, changed, sent to an endpoint — to another if
//! that fails and the policy allows it — and its answer is passed on as it
//! comes. Whatever goes wrong is a `ProxyError`, turned
//! into an answer in one place.

use std::rc::Rc;
use std::sync::Arc;

use evenkeel_shared::ir;

use crate::listen::body::ClientBody;
use crate::listen::connection::Conn;
use crate::listen::watch::InProgress;
use crate::message::{Fields, RequestHead, Version};
use crate::proxy::body::AnswerBody;
use crate::proxy::error::ProxyError;
use crate::proxy::intake::Intake;
use crate::runtime::snapshot::{Front, Listener};
use crate::telemetry::exchange::Exchange;

mod answer;
pub(crate) mod body;
pub(crate) mod error;
mod forward;
mod hop;
mod intake;
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

/// Answers a request. Never fails: every error is an answer.
pub(crate) async fn handle(conn: Rc<Conn>, head: RequestHead, body: ClientBody) -> Answer {
    let snapshot = conn.worker.snapshot();
    let listener = conn.current_listener(&snapshot);
    let mut live = Live {
        exchange: Exchange::start(Rc::clone(&conn.worker), Arc::clone(&listener.front)),
        http10: head.version == Version::Http10,
        _in_progress: InProgress::begin(&conn.watch),
        listener: Arc::clone(&listener.front),
        conn,
    };
    let answered = match Intake::check(&mut live, head, body) {
        Ok(intake) => serve(&mut live, &listener, intake).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(draft) => draft.finish(live),
        Err(error) => error.answer(live),
    }
}

/// Does with a request what its route says.
async fn serve(
    live: &mut Live,
    listener: &Listener,
    mut intake: Intake,
) -> Result<answer::Draft, ProxyError> {
    let found = listener
        .routes
        .find(&intake.head)
        .ok_or(ProxyError::NoRoute)?;
    let route = found.route;
    live.exchange.routed(route);
    let limited = limit(live, &intake, route)?;
    let draft = match &route.spec.action {
        ir::Action::Redirect(redirect) => {
            let request = (found.matched, intake.scheme);
            answer::redirect(redirect, &intake.head, request)
        }
        ir::Action::Respond(respond) => answer::respond(respond),
        ir::Action::Forward(to) => {
            outgoing::rewrite(live, &mut intake, route, (to, found.matched));
            forward::forward(live, intake, route, to).await?
        }
    };
    Ok(draft
        .edited(&route.spec.response_headers)
        .with_fields(limited))
}

/// Asks the route's rate limit.
fn limit(
    live: &Live,
    intake: &Intake,
    route: &crate::runtime::snapshot::Route,
) -> Result<error::LimitFields, ProxyError> {
    let (Some(limiter), Some(spec)) = (&route.limiter, &route.spec.rate_limit) else {
        return Ok(error::LimitFields::default());
    };
    let verdict = limiter.take(&intake.head, intake.client, live.exchange.started());
    let fields = error::LimitFields::new(spec, &verdict);
    if verdict.allowed {
        return Ok(fields);
    }
    live.exchange.rate_limited();
    Err(ProxyError::RateLimited(fields))
}

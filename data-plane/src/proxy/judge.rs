//! What becomes of a request after an attempt: its answer, an error, or another
//! attempt.

use std::sync::atomic::Ordering;

use evenkeel_shared::ir;

use crate::message::ResponseHead;
use crate::outcome::Outcome;
use crate::proxy::attempt::{observe, outcome_of};
use crate::proxy::error::{ProxyError, is_given_up};
use crate::proxy::forward::{Journey, Step, Tried};
use crate::proxy::timing::Expired;
use crate::retry::{Decision, Plan, Situation, Stop};
use crate::runtime::snapshot::Route;
use crate::telemetry::counters::add_one;
use crate::upstream::body::Broken;
use crate::upstream::host::Host;
use crate::upstream::permit::RetryHold;

impl Journey {
    /// Tells health and telemetry of an attempt, and decides whether there is
    /// another. The response, if it stands.
    pub(super) fn judge(&mut self, tried: Tried) -> Result<Option<ResponseHead>, ProxyError> {
        if let (Err(_), Some(broken)) = (&tried, self.body.broken()) {
            // The endpoint is not to blame.
            return Err(self.expired(Expired::Body(broken)));
        }
        let outcome = tried.as_ref().map_or_else(|outcome| *outcome, outcome_of);
        if let Some(attempt) = &self.attempt {
            let worker = &self.live.conn.worker;
            let took = worker.now().since(attempt.started);
            observe(worker, &self.cluster, (&attempt.host, took), outcome);
            attempt.note(&mut self.live, Some(outcome));
        }
        self.retry = None;
        let final_word = tried.as_ref().is_ok_and(|head| is_given_up(&head.fields));
        match self.decide(outcome, final_word) {
            Decision::Retry { after } => {
                self.retry = Some(RetryHold::new(&self.cluster.retry_budget));
                add_one(&self.counts().retries);
                if let Some(attempt) = self.attempt.take() {
                    self.avoid(&attempt.host);
                    if tried.is_ok() {
                        attempt.give_back();
                    }
                }
                self.step = Step::Pause(Box::pin(tokio::time::sleep(after)));
                Ok(None)
            }
            Decision::Done(stop) => {
                if stop == Stop::Budget {
                    add_one(&self.counts().retries_denied);
                    self.live.exchange.retry_denied();
                }
                tried.map(Some).map_err(ProxyError::Upstream)
            }
        }
    }

    /// Whether there is another attempt after one that ended like this.
    fn decide(&mut self, outcome: Outcome, final_word: bool) -> Decision {
        let policy = policy(&self.route);
        let mut plan = Plan::resumed(policy, self.granted);
        if final_word || !plan.is_about(outcome) {
            return Decision::Done(Stop::NotRetriable);
        }
        let worker = &self.live.conn.worker;
        let situation = Situation {
            replayable: self.body.replayable(),
            deadline: self.timing.deadline(&self.body),
            active: self.cluster.gauges.requests.load(Ordering::Relaxed),
            now: worker.now(),
            entropy: worker.entropy(),
        };
        let decision = plan.next(outcome, &situation, &self.cluster.retry_budget);
        self.granted = plan.retries();
        decision
    }

    fn avoid(&mut self, host: &Host) {
        if policy(&self.route).is_some_and(|policy| policy.avoid_previous_hosts) {
            self.tried.push(host.id);
        }
    }

    /// What ran out. A host that made the request wait until its end is treated
    /// like one that made an attempt wait.
    pub(super) fn expired(&self, expired: Expired) -> ProxyError {
        let body_ended = self.body.ended().is_some();
        let ran_out = !matches!(expired, Expired::Body(_));
        if let Some(attempt) = self.attempt.as_ref().filter(|_| body_ended && ran_out) {
            let worker = &self.live.conn.worker;
            let took = worker.now().since(attempt.started);
            let host = (&*attempt.host, took);
            observe(worker, &self.cluster, host, Outcome::PerTryTimeout);
        }
        match expired {
            Expired::Request | Expired::Attempt => ProxyError::RequestTimeout,
            Expired::Idle if body_ended => ProxyError::ResponseIdle,
            Expired::Idle => ProxyError::RequestIdle,
            Expired::Body(Broken::TooLarge) => ProxyError::BodyTooLarge,
            Expired::Body(Broken::Client | Broken::Superseded) => ProxyError::ClientGone,
        }
    }
}

/// The retry policy of a route that forwards.
fn policy(route: &Route) -> Option<&ir::RetryPolicy> {
    match &route.spec.action {
        ir::Action::Forward(to) => to.retry.as_ref(),
        ir::Action::Redirect(_) | ir::Action::Respond(_) => None,
    }
}

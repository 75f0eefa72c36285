//! A record as a line of the access log. Pure.

use jiff::Timestamp;

use crate::outcome::Outcome;
use crate::telemetry::access_log::json::Object;
use crate::telemetry::record::{Attempt, Reason, Record};

/// Writes the line of a record that began at `begun`, with its end of line, behind
/// what is there.
pub fn render(record: &Record, begun: Timestamp, text: &mut String) {
    let mut line = Object::begin(text);
    line.shown("time", format_args!("{begun:.6}"));
    line.text("request_id", &record.request_id);
    line.shown("id", record.record_id);
    line.text("method", &record.method);
    line.text("authority", &record.authority);
    line.text("path", &record.target);
    line.text("protocol", record.protocol);
    line.plain("status", record.status);
    line.some_text("reason", record.reason.map(reason_label));
    line.some_text("flags", record.reason.and_then(reason_flag));
    line.milliseconds("duration_ms", record.took);
    line.plain("bytes_received", record.received);
    line.plain("bytes_sent", record.sent);
    line.text("listener", &record.listener);
    let route = record.route.as_ref();
    line.some_text("route", route.map(|route| route.spec.name.as_str()));
    line.some_text("cluster", record.cluster.as_deref());
    line.shown("client", record.client);
    line.shown("peer", record.peer);
    line.some_text("tls_version", record.tls_version);
    line.some_text("client_identity", record.client_identity.as_deref());
    line.some_text("user_agent", record.user_agent.as_deref());
    let trace = &record.trace;
    if trace.is_present() {
        line.shown("trace_id", format_args!("{:032x}", trace.trace_id));
    }
    line.list("attempts", &record.attempts, attempt);
    if record.retry_denied {
        line.plain("retry_denied", true);
    }
    line.end();
    text.push('\n');
}

fn attempt(attempt: &Attempt, to: &mut Object<'_>) {
    to.shown("upstream", attempt.address);
    if let Some(Outcome::Response {
        status,
        grpc_status,
    }) = attempt.outcome
    {
        to.plain("status", status);
        if let Some(grpc_status) = grpc_status {
            to.plain("grpc_status", grpc_status);
        }
    }
    to.some_text("error", failure_label(attempt.outcome));
    to.milliseconds("duration_ms", attempt.took);
}

/// Why an attempt brought no response; `None` if it did.
pub(crate) fn failure_label(outcome: Option<Outcome>) -> Option<&'static str> {
    match outcome {
        Some(Outcome::Response { .. }) => None,
        Some(Outcome::ConnectFailure) => Some("connect_failure"),
        Some(Outcome::TlsFailure(failure)) => Some(failure.error()),
        Some(Outcome::RefusedStream) => Some("refused_stream"),
        Some(Outcome::Reset { unsent: true }) => Some("reset_before_request"),
        Some(Outcome::Reset { unsent: false }) => Some("reset"),
        Some(Outcome::BadResponse) => Some("bad_response"),
        Some(Outcome::PerTryTimeout) => Some("per_try_timeout"),
        None => Some("given_up"),
    }
}

/// The reason in one word.
pub(crate) fn reason_label(reason: Reason) -> &'static str {
    match reason {
        Reason::NoRoute => "no_route",
        Reason::NoCluster => "no_cluster",
        Reason::NoHost => "no_host",
        Reason::UpstreamFailure => "upstream_failure",
        Reason::RequestTimeout => "request_timeout",
        Reason::PerTryTimeout => "per_try_timeout",
        Reason::Overflow => "overflow",
        Reason::RateLimited => "rate_limited",
        Reason::DirectResponse => "direct_response",
        Reason::Redirect => "redirect",
        Reason::BadRequest => "bad_request",
        Reason::HeaderTooLarge => "header_too_large",
        Reason::BodyTooLarge => "body_too_large",
        Reason::StreamIdle => "stream_idle",
        Reason::ClientGone => "client_gone",
        Reason::UpstreamBroke => "upstream_broke",
    }
}

/// Envoy's response flag for the reason, for those who know them; `None` where
/// it has none.
fn reason_flag(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::NoRoute => Some("NR"),
        Reason::NoCluster => Some("NC"),
        Reason::NoHost => Some("UH"),
        Reason::UpstreamFailure => Some("UF"),
        Reason::RequestTimeout | Reason::PerTryTimeout => Some("UT"),
        Reason::Overflow => Some("UO"),
        Reason::RateLimited => Some("RL"),
        Reason::BadRequest | Reason::HeaderTooLarge => Some("DPE"),
        Reason::StreamIdle => Some("SI"),
        Reason::ClientGone => Some("DC"),
        Reason::UpstreamBroke => Some("UC"),
        Reason::DirectResponse | Reason::Redirect | Reason::BodyTooLarge => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::TlsFailure;
    use crate::telemetry::access_log::sample::record;

    fn rendered(record: &Record, begun: Timestamp) -> String {
        let mut text = String::new();
        render(record, begun, &mut text);
        text
    }

    #[test]
    fn a_line_says_it_all() {
        let begun = "2026-11-22T10:00:00.25Z".parse().unwrap();
        let expected = concat!(
            r#"{"time":"2026-11-22T10:00:00.250000Z","#,
            r#""request_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","#,
            r#""id":"00000000-0000-0000-0000-000000000000","method":"GET","#,
            r#""authority":"shop.example","path":"/cart?\"q\"=1\n","#,
            r#""protocol":"HTTP/1.1","status":502,"reason":"upstream_failure","flags":"UF","#,
            r#""duration_ms":12.345,"bytes_received":0,"bytes_sent":19,"listener":"edge","#,
            r#""cluster":"api","client":"192.0.2.7","peer":"127.0.0.1:4711","#,
            r#""user_agent":"curl/8","trace_id":"00000000000000000000000000000abc","#,
            r#""attempts":[{"upstream":"127.0.0.1:9001","error":"connect_failure","#,
            r#""duration_ms":2.000},{"upstream":"127.0.0.1:9002","status":503,"#,
            r#""grpc_status":14,"duration_ms":3.000}]}"#,
            "\n"
        );
        assert_eq!(rendered(&record(), begun), expected);
    }

    #[test]
    fn a_client_with_a_certificate_is_named() {
        let mut record = record();
        record.tls_version = Some("TLSv1.3");
        record.client_identity = Some("spiffe://shop/cart".into());
        let line = rendered(&record, Timestamp::UNIX_EPOCH);
        let part = r#""tls_version":"TLSv1.3","client_identity":"spiffe://shop/cart""#;
        assert!(line.contains(part), "{line}");
    }

    #[test]
    fn a_failed_handshake_is_named() {
        let mut record = record();
        record.attempts[0].outcome = Some(Outcome::TlsFailure(TlsFailure::Expired));
        let line = rendered(&record, Timestamp::UNIX_EPOCH);
        assert!(line.contains(r#""error":"tls_expired""#), "{line}");
    }

    #[test]
    fn a_retry_that_the_budget_forbade_is_said() {
        let mut record = record();
        record.retry_denied = true;
        let line = rendered(&record, Timestamp::UNIX_EPOCH);
        assert!(line.ends_with("],\"retry_denied\":true}\n"), "{line}");
    }
}

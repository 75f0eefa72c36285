//! A record for tests.

use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;
use uuid::Uuid;

use crate::outcome::Outcome;
use crate::telemetry::record::{Attempt, Reason, Record};
use crate::telemetry::trace::TraceContext;
use crate::tick::Tick;

/// Two attempts, the second answered with 503.
pub(crate) fn record() -> Record {
    Record {
        request_id: "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned(),
        record_id: Uuid::nil(),
        listener: Arc::from("edge"),
        route: None,
        cluster: Some(Arc::from("api")),
        client: [192, 0, 2, 7].into(),
        peer: ([127, 0, 0, 1], 4711).into(),
        protocol: "HTTP/1.1",
        method: "GET".to_owned(),
        authority: "shop.example".to_owned(),
        target: "/cart?\"q\"=1\n".to_owned(),
        user_agent: Some("curl/8".to_owned()),
        tls_version: None,
        client_identity: None,
        started: Tick(0),
        took: Duration::from_micros(12_345),
        status: 502,
        reason: Some(Reason::UpstreamFailure),
        attempts: smallvec![
            Attempt {
                address: ([127, 0, 0, 1], 9001).into(),
                started: Tick(0),
                took: Duration::from_millis(2),
                outcome: Some(Outcome::ConnectFailure),
                span_id: 1,
            },
            Attempt {
                address: ([127, 0, 0, 1], 9002).into(),
                started: Tick(0),
                took: Duration::from_millis(3),
                outcome: Some(Outcome::Response {
                    status: 503,
                    grpc_status: Some(14),
                }),
                span_id: 2,
            },
        ],
        retry_denied: false,
        received: 0,
        sent: 19,
        trace: TraceContext::new_root(0xabc, 1, true),
    }
}

//! The client of the management API, and the way from its errors to ours.

use std::error::Error as _;
use std::time::Duration;

use evenkeel_shared::error::Invalid;
use evenkeel_shared::proto::v1::access_service_client::AccessServiceClient;
use evenkeel_shared::proto::v1::management_service_client::ManagementServiceClient;
use evenkeel_shared::proto::v1::{ApplyRequest, ApplyResponse, ResourceId};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::context::{self, Environment, ServerArgs, Target};
use crate::failure::Failure;
use crate::kind;
use crate::link::{self, Link};
use crate::render::fault::Fault;
use crate::sources::Sources;

/// Largest answer that is taken, in bytes: a big fleet's endpoints.
const MAX_ANSWER: usize = 256 << 20;
/// How often a change is sent again when the connection broke under it. The
/// server knows it by its id, so it is made once.
const RESENDS: u32 = 3;
/// Wait before a change is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(300);

/// A connection to a control plane.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The calls.
    pub(crate) api: ManagementServiceClient<Link>,
    /// The calls that concern who may do what.
    pub(crate) access: AccessServiceClient<Link>,
    /// Where it is, for errors.
    pub(crate) address: String,
}

impl Client {
    /// Connects to the server that the arguments mean.
    ///
    /// # Errors
    /// No such context; as [`link::open`].
    pub(crate) async fn connect(server: &ServerArgs) -> Result<Self, Failure> {
        let target = context::target(server, &Environment::of_process())?;
        Ok(Self::on(link::open(&target).await?, &target.address))
    }

    /// Connects to `address`, without credentials.
    pub(crate) async fn to(address: &str) -> Result<Self, Failure> {
        let target = Target {
            address: address.to_owned(),
            ..Target::default()
        };
        Ok(Self::on(link::open(&target).await?, address))
    }

    /// Uses a connection to `address`.
    pub(crate) fn on(link: Link, address: &str) -> Self {
        let api = ManagementServiceClient::new(link.clone());
        let access = AccessServiceClient::new(link);
        Self {
            api: api.max_decoding_message_size(MAX_ANSWER),
            access: access.max_decoding_message_size(MAX_ANSWER),
            address: address.to_owned(),
        }
    }

    /// What an error of the server means here.
    pub(crate) fn failure(&self, status: &Status) -> Failure {
        failure(&self.address, status)
    }

    /// Makes a change. The connection may break on the way: the change is sent
    /// again under the same id, and is made once.
    ///
    /// # Errors
    /// As the server says, with faults of submitted documents at their place in
    /// `sources`.
    pub(crate) async fn apply(
        &mut self,
        request: &ApplyRequest,
        sources: &Sources,
    ) -> Result<ApplyResponse, Failure> {
        let mut sent = 0;
        loop {
            match self.api.apply(request.clone()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if sent < RESENDS && is_broken(&status) => {
                    sent += 1;
                    tokio::time::sleep(RESEND_AFTER).await;
                }
                Err(status) => return Err(self.refused(&status, request, sources)),
            }
        }
    }

    fn refused(&self, status: &Status, request: &ApplyRequest, sources: &Sources) -> Failure {
        let ids: Vec<ResourceId> = request
            .resources
            .iter()
            .map(|resource| kind::id(kind::of(resource), &resource.name))
            .collect();
        let faults = faults(status, &ids, sources);
        if faults.is_empty() {
            self.failure(status)
        } else {
            Failure::Invalid(faults)
        }
    }
}

/// What an error of the server at `address` means here.
pub(crate) fn failure(address: &str, status: &Status) -> Failure {
    let message = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument => {
            let faults = faults(status, &[], &Sources::default());
            if faults.is_empty() {
                Failure::Invalid(vec![Fault::elsewhere(None, "", &message)])
            } else {
                Failure::Invalid(faults)
            }
        }
        Code::Aborted | Code::FailedPrecondition | Code::AlreadyExists => {
            Failure::Conflict(message)
        }
        _ if is_broken(status) => broken(address, status),
        Code::Unauthenticated => Failure::Failed(format!(
            "{address} does not know us: {message}; give a token with --token-file or \
             EVENKEEL_TOKEN, or a certificate with --cert and --key"
        )),
        Code::PermissionDenied => Failure::Failed(format!(
            "not allowed: {message}; `evenkeel auth whoami` shows what is"
        )),
        Code::NotFound => Failure::Failed(message),
        Code::Unimplemented => {
            let text = "does not offer this; is it the management address of a control plane?";
            let said = Some(message).filter(|message| !message.is_empty());
            let said = said.map_or_else(String::new, |said| format!(" ({said})"));
            Failure::Failed(format!("{address} {text}{said}"))
        }
        code => Failure::Failed(format!("{address} answered {code:?}: {message}")),
    }
}

/// A connection that broke. A server that does not take our certificate says so
/// only then.
fn broken(address: &str, status: &Status) -> Failure {
    let reason = match status.source() {
        Some(source) => link::deepest(source),
        None => status.message().to_owned(),
    };
    let address = address.to_owned();
    match link::in_words(&reason) {
        Some(reason) => Failure::Handshake { address, reason },
        None => Failure::Unreachable { address, reason },
    }
}

/// Whether the call may not have reached the server, or its answer not us.
fn is_broken(status: &Status) -> bool {
    status.code() == Code::Unavailable
        || (status.code() == Code::Unknown && status.source().is_some())
}

/// The faults that the server found, each at its place in the files if the
/// resource was one of `submitted`.
fn faults(status: &Status, submitted: &[ResourceId], sources: &Sources) -> Vec<Fault> {
    let Some(bad) = status.get_details_bad_request() else {
        return Vec::new();
    };
    bad.field_violations
        .iter()
        .map(|violation| {
            let reason = violation.description.as_str();
            match subject(&violation.field, submitted) {
                Some((id, path)) => sources.locate(&id, Invalid::new(path, reason)),
                None => Fault::elsewhere(None, &violation.field, reason),
            }
        })
        .collect()
}

/// The resource and the field that a violation means: the server writes
/// `Route/shop`, or `Route/shop: rules[0].name`; an index into the request
/// (`resources[2].rules[0].name`) is understood as well.
fn subject(field: &str, submitted: &[ResourceId]) -> Option<(ResourceId, String)> {
    if let Some(rest) = field.strip_prefix("resources[") {
        let (index, path) = rest.split_once(']')?;
        let id = submitted.get(index.parse::<usize>().ok()?)?;
        return Some((id.clone(), path.trim_start_matches('.').to_owned()));
    }
    let (label, path) = field.split_once(": ").unwrap_or((field, ""));
    let id = kind::slashed(label).ok()?;
    Some((id, path.to_owned()))
}

/// A new id of a change.
pub(crate) fn apply_id() -> String {
    Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn refusal(field: &str) -> Status {
        let details = ErrorDetails::with_bad_request_violation(field, "must be at most 1000");
        Status::with_error_details(Code::InvalidArgument, "1 fault", details)
    }

    fn id() -> ResourceId {
        kind::id(evenkeel_shared::proto::v1::Kind::Route, "shop")
    }

    #[test]
    fn a_violation_names_a_resource_in_two_ways() {
        let by_name = subject("Route/shop: rules[0].name", &[]).unwrap();
        let by_index = subject("resources[0].rules[0].name", &[id()]).unwrap();
        assert_eq!(by_name, (id(), "rules[0].name".to_owned()));
        assert_eq!(by_index, by_name);
        assert_eq!(subject("Route/shop", &[]).unwrap(), (id(), String::new()));
        assert_eq!(subject("expected_revision", &[]), None);
    }

    #[test]
    fn a_refused_configuration_is_invalid_with_its_faults() {
        let failure = failure("http://x:1", &refusal("Route/shop: rules[0].name"));
        assert_eq!(failure.exit_code(), 3);
        let Failure::Invalid(faults) = failure else {
            panic!("faults");
        };
        assert_eq!(
            faults[0].to_string(),
            "Route/shop: rules[0].name: must be at most 1000"
        );
    }

    #[test]
    fn codes_of_the_server_become_exit_codes() {
        let code = |code| failure("http://x:1", &Status::new(code, "no")).exit_code();
        assert_eq!(code(Code::Aborted), 4);
        assert_eq!(code(Code::FailedPrecondition), 4);
        assert_eq!(code(Code::Unavailable), 5);
        assert_eq!(code(Code::NotFound), 1);
        assert_eq!(code(Code::InvalidArgument), 3);
        assert_eq!(code(Code::Internal), 1);
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let failure = Client::to(&address).await.unwrap_err();
        assert_eq!(failure.exit_code(), 5);
        assert!(failure.to_string().contains("refused"), "{failure}");
    }

    #[tokio::test]
    async fn an_address_must_be_http_or_https() {
        let failure = Client::to("ftp://127.0.0.1:1").await.unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }
}

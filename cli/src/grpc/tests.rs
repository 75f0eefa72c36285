//! Calls to a real server whose schema is only known through reflection.

use std::collections::BTreeMap;

use evenkeel_shared::proto::{DESCRIPTORS, v1};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response};

use super::*;
use crate::render::testing::captured;

/// Knows one proxy, and follows a revision in two steps.
#[derive(Debug)]
struct Fake;

type Answer<T> = Result<Response<T>, tonic::Status>;

#[tonic::async_trait]
impl v1::management_service_server::ManagementService for Fake {
    type WaitStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<v1::WaitResponse, tonic::Status>>>;

    async fn status(&self, request: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        let caller = request.metadata().get("x-caller");
        Ok(Response::new(v1::StatusResponse {
            revision: 12,
            server_version: caller
                .and_then(|caller| caller.to_str().ok())
                .unwrap_or("nobody")
                .to_owned(),
            ..v1::StatusResponse::default()
        }))
    }

    async fn wait(&self, request: Request<v1::WaitRequest>) -> Answer<Self::WaitStream> {
        let total = u32::try_from(request.into_inner().revision).unwrap();
        let step = |done| {
            Ok(v1::WaitResponse {
                total,
                done,
                ..v1::WaitResponse::default()
            })
        };
        Ok(Response::new(tokio_stream::iter(vec![
            step(false),
            step(true),
        ])))
    }

    async fn apply(&self, _: Request<v1::ApplyRequest>) -> Answer<v1::ApplyResponse> {
        Err(tonic::Status::aborted("the revision is 13"))
    }

    async fn get(&self, _: Request<v1::GetRequest>) -> Answer<v1::GetResponse> {
        Err(tonic::Status::not_found("no such resource"))
    }

    async fn list(&self, _: Request<v1::ListRequest>) -> Answer<v1::ListResponse> {
        Ok(Response::new(v1::ListResponse::default()))
    }

    async fn describe(&self, _: Request<v1::DescribeRequest>) -> Answer<v1::DescribeResponse> {
        Err(tonic::Status::not_found("no such resource"))
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Answer<v1::HistoryResponse> {
        Ok(Response::new(v1::HistoryResponse::default()))
    }

    async fn rollback(&self, _: Request<v1::RollbackRequest>) -> Answer<v1::RollbackResponse> {
        Err(tonic::Status::failed_precondition("nothing to go back to"))
    }

    async fn list_endpoints(
        &self,
        _: Request<v1::ListEndpointsRequest>,
    ) -> Answer<v1::ListEndpointsResponse> {
        Err(tonic::Status::not_found("no such cluster"))
    }
}

/// A server on a port of its own; its address.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .unwrap();
    let management = v1::management_service_server::ManagementServiceServer::new(Fake);
    let server = tonic::transport::Server::builder()
        .add_service(reflection)
        .add_service(management);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    format!("http://{address}")
}

async fn ran(address: &str, verb: GrpcVerb) -> Result<String, Failure> {
    let (mut terminal, memory) = captured();
    let with_server = with_address(verb, address);
    run(&GrpcArgs { verb: with_server }, &mut terminal).await?;
    Ok(memory.out())
}

fn with_address(mut verb: GrpcVerb, address: &str) -> GrpcVerb {
    let server = match &mut verb {
        GrpcVerb::List { server, .. } | GrpcVerb::Describe { server, .. } => server,
        GrpcVerb::Call(call) => &mut call.server,
    };
    server.server = Some(address.to_owned());
    verb
}

fn call(method: &str, data: &str) -> GrpcVerb {
    GrpcVerb::Call(CallArgs {
        method: format!("evenkeel.v1.ManagementService/{method}"),
        data: data.to_owned(),
        headers: vec!["x-caller: me".to_owned()],
        timeout: Some(Duration::from_secs(10)),
        emit_defaults: false,
        keep_open: false,
        server: ServerArgs::default(),
    })
}

fn messages(text: &str) -> Vec<BTreeMap<String, serde_json::Value>> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[tokio::test]
async fn services_and_methods_are_listed() {
    let address = serve().await;
    let list = |service: Option<&str>| GrpcVerb::List {
        service: service.map(str::to_owned),
        server: ServerArgs::default(),
    };
    let services = ran(&address, list(None)).await.unwrap();
    assert_eq!(
        services,
        "evenkeel.v1.AccessService\nevenkeel.v1.FleetService\nevenkeel.v1.ManagementService\n\
         grpc.reflection.v1.ServerReflection\n"
    );
    let methods = ran(&address, list(Some("evenkeel.v1.ManagementService"))).await;
    assert!(
        methods
            .unwrap()
            .starts_with("evenkeel.v1.ManagementService/Apply\n"),
        "methods in the order of the schema"
    );
}

#[tokio::test]
async fn symbols_are_described_as_their_schema() {
    let address = serve().await;
    let describe = |symbol: &str| GrpcVerb::Describe {
        symbol: Some(symbol.to_owned()),
        server: ServerArgs::default(),
    };
    let rate_limit = ran(&address, describe("evenkeel.v1.RateLimit")).await;
    assert_eq!(
        rate_limit.unwrap(),
        "message evenkeel.v1.RateLimit {\n  uint32 tokens = 1;\n  \
         google.protobuf.Duration per = 2;\n  optional uint32 burst = 3;\n  \
         evenkeel.v1.RateLimitKey key = 4;\n}\n"
    );
    let failure = ran(&address, describe("evenkeel.v1.Nothing")).await;
    assert_eq!(failure.unwrap_err().exit_code(), 1);
}

#[tokio::test]
async fn a_unary_call_answers_in_json() {
    let address = serve().await;
    let answer = ran(&address, call("Status", "{}")).await.unwrap();
    let answer = &messages(&answer)[0];
    assert_eq!(answer["revision"], "12");
    assert_eq!(answer["serverVersion"], "me");
}

#[tokio::test]
async fn every_message_of_a_stream_is_shown() {
    let address = serve().await;
    let answer = ran(&address, call("Wait", r#"{"revision": "3"}"#)).await;
    let answers = messages(&answer.unwrap());
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["total"], 3);
    assert_eq!(answers[1]["done"], true);
}

#[tokio::test]
async fn what_the_server_refuses_is_said_with_its_code() {
    let address = serve().await;
    let failure = ran(&address, call("Apply", "{}")).await.unwrap_err();
    assert_eq!(failure.to_string(), "Aborted: the revision is 13");
}

#[tokio::test]
async fn data_that_does_not_fit_is_a_usage_error() {
    let address = serve().await;
    let failure = ran(&address, call("Status", r#"{"revison": 1}"#)).await;
    assert_eq!(failure.unwrap_err().exit_code(), 2);
    let failure = ran(&address, call("Nothing", "{}")).await.unwrap_err();
    assert!(
        failure.to_string().contains("no method Nothing"),
        "{failure}"
    );
}

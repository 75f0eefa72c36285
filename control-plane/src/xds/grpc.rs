//! The discovery service on gRPC: finds the method, reads requests, and sends
//! messages as they are, which a generated service would encode again for each
//! stream, into a buffer that each stream keeps.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, header};
use tonic::body::Body;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::{Request, Status, Streaming};

use super::service::Ads;
use super::subscription::{SotwSubscription, Subscription};
use super::variant::Variant;

/// The largest request, in bytes: a client that reconnects names all it has of a
/// type with their versions, which takes about 80 bytes each, and there may be
/// 100,000.
const REQUEST_LIMIT: usize = 8 << 20;

/// What a stream keeps to read requests, in bytes: an ACK is small. It grows for
/// those that are not.
const BUFFER: usize = 512;

/// What a stream would buffer before it sends, in bytes; nothing is sent this way.
const UNUSED: usize = 1;

/// The service, to be mounted.
#[derive(Debug, Clone)]
pub struct AdsServer {
    ads: Arc<Ads>,
}

impl AdsServer {
    pub(super) fn new(ads: Ads) -> Self {
        Self { ads: Arc::new(ads) }
    }

    fn open<V: Variant + 'static>(&self, request: http::Request<Body>) -> http::Response<Body>
    where
        V::Request: prost::Message + Default,
    {
        let request = Request::from_http(request).map(|body| {
            let decoder = Requests(PhantomData);
            Streaming::new_request(decoder, body, None, Some(REQUEST_LIMIT))
        });
        match self.ads.start::<V>(request) {
            Ok(responses) => {
                let mut response = http::Response::new(Body::new(responses));
                let kind = HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(status) => status.into_http(),
        }
    }
}

impl NamedService for AdsServer {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl Service<http::Request<Body>> for AdsServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path().strip_prefix('/');
        let method = path.and_then(|path| path.strip_prefix(Self::NAME)?.strip_prefix('/'));
        ready(Ok(match method {
            Some(Subscription::METHOD) => self.open::<Subscription>(request),
            Some(SotwSubscription::METHOD) => self.open::<SotwSubscription>(request),
            _ => Status::unimplemented("").into_http(),
        }))
    }
}

/// Reads requests.
#[derive(Debug)]
struct Requests<R>(PhantomData<fn() -> R>);

impl<R: prost::Message + Default> Decoder for Requests<R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        let request = R::decode(bytes);
        request
            .map(Some)
            .map_err(|fault| Status::internal(fault.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, UNUSED)
    }
}

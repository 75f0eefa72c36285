//! The two variants of the protocol, on the wire.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};

use super::subscription::{Conversation, Response, SotwSubscription, Subscription};

/// A variant of the protocol, on the wire.
pub(super) trait Variant: Conversation + Send {
    /// Its responses.
    type Message: Send + 'static;

    fn node(request: &Self::Request) -> Option<&core::Node>;
    /// The type of which a request names resources, and their names.
    fn asked(request: &Self::Request) -> (&str, &[String]);
    fn message(response: Response, id: &str) -> Self::Message;
}

impl Variant for Subscription {
    type Message = DeltaDiscoveryResponse;

    fn node(request: &DeltaDiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn asked(request: &DeltaDiscoveryRequest) -> (&str, &[String]) {
        (&request.type_url, &request.resource_names_subscribe)
    }

    fn message(response: Response, id: &str) -> DeltaDiscoveryResponse {
        response.into_delta(id)
    }
}

impl Variant for SotwSubscription {
    type Message = DiscoveryResponse;

    fn node(request: &DiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn asked(request: &DiscoveryRequest) -> (&str, &[String]) {
        (&request.type_url, &request.resource_names)
    }

    fn message(response: Response, id: &str) -> DiscoveryResponse {
        response.into_sotw(id)
    }
}

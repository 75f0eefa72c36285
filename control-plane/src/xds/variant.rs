//! The two variants of the protocol, on the wire.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};

use super::message::{self, Message};
use super::subscription::{Conversation, Response, SotwSubscription, Subscription};

/// A variant of the protocol, on the wire.
pub(super) trait Variant: Conversation + Send {
    /// The method of the service that speaks it.
    const METHOD: &'static str;

    fn node(request: &Self::Request) -> Option<&core::Node>;
    /// The type of which a request names resources, and their names.
    fn asked(request: &Self::Request) -> (&str, &[String]);
    fn message(response: &Response, id: &str) -> Message;
}

impl Variant for Subscription {
    const METHOD: &'static str = "DeltaAggregatedResources";

    fn node(request: &DeltaDiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn asked(request: &DeltaDiscoveryRequest) -> (&str, &[String]) {
        (&request.type_url, &request.resource_names_subscribe)
    }

    fn message(response: &Response, id: &str) -> Message {
        message::delta(response, id)
    }
}

impl Variant for SotwSubscription {
    const METHOD: &'static str = "StreamAggregatedResources";

    fn node(request: &DiscoveryRequest) -> Option<&core::Node> {
        request.node.as_ref()
    }

    fn asked(request: &DiscoveryRequest) -> (&str, &[String]) {
        (&request.type_url, &request.resource_names)
    }

    fn message(response: &Response, id: &str) -> Message {
        message::sotw(response, id)
    }
}

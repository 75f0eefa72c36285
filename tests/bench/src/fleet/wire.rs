//! As much of the messages of Envoy's xDS v3 and of the management API as the
//! measurement needs; fields that are not here are skipped.

/// A client of the discovery service.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Node {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DeltaRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) node: Option<Node>,
    #[prost(string, tag = "2")]
    pub(super) type_url: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) subscribe: Vec<String>,
    #[prost(string, tag = "6")]
    pub(super) response_nonce: String,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DeltaResponse {
    /// The revision.
    #[prost(string, tag = "1")]
    pub(super) system_version_info: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) resources: Vec<Resource>,
    #[prost(string, tag = "4")]
    pub(super) type_url: String,
    #[prost(string, tag = "5")]
    pub(super) nonce: String,
}

/// `envoy.service.discovery.v3.Resource`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Resource {
    #[prost(string, tag = "3")]
    pub(super) name: String,
}

/// `evenkeel.v1.ApplyRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ApplyRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resources: Vec<Wanted>,
}

/// `evenkeel.v1.Resource`, of the kind `Endpoints`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Wanted {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "6")]
    pub(super) endpoints: Option<Endpoints>,
}

/// `evenkeel.v1.Endpoints`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Endpoints {
    #[prost(message, repeated, tag = "1")]
    pub(super) endpoints: Vec<Endpoint>,
}

/// `evenkeel.v1.Endpoint`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Endpoint {
    #[prost(string, tag = "1")]
    pub(super) address: String,
}

/// `evenkeel.v1.ApplyResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ApplyResponse {
    #[prost(uint64, tag = "1")]
    pub(super) revision: u64,
}

/// `evenkeel.v1.WaitRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WaitRequest {
    #[prost(uint64, tag = "1")]
    pub(super) revision: u64,
}

/// `evenkeel.v1.WaitResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WaitResponse {
    #[prost(bool, tag = "6")]
    pub(super) done: bool,
}

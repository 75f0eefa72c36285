use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryResponse, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

/// What a client reads.
pub(in crate::xds) fn read<M: prost::Message + Default>(message: &Message) -> M {
    let body = message.content();
    let head: Vec<u8> = message
        .pieces
        .iter()
        .flatten()
        .take(HEAD)
        .copied()
        .collect();
    assert_eq!(head[0], 0);
    let length = u32::from_be_bytes(head[1..].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), body.len());
    M::decode(body.as_slice()).unwrap()
}

fn identified(id: &str) -> ControlPlane {
    ControlPlane {
        identifier: id.to_owned(),
    }
}

fn any_of(response: &Response, found: &Encoded) -> Any {
    Any {
        type_url: response.type_url.clone(),
        value: found.value.to_vec(),
    }
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![0..300_usize, SHARED - 2..SHARED + 2, 3 * SHARED..4 * SHARED]
}

fn responses() -> impl Strategy<Value = Response> {
    let rows = proptest::collection::vec(("[a-z]{0,200}", "[0-9a-f]{0,32}", sizes()), 0..5);
    let removed = proptest::collection::vec("[a-z/]{0,20}", 0..3);
    (rows, removed, any::<u64>(), "[a-z.]{0,60}", "[0-9]{1,4}").prop_map(
        |(rows, removed, revision, type_url, nonce)| {
            let rows = rows.into_iter().map(|(name, version, size)| {
                let encoded = Encoded {
                    version,
                    value: Bytes::from(vec![7; size]),
                    needs: Vec::new(),
                };
                (name, Arc::new(encoded))
            });
            Response {
                type_url,
                nonce,
                revision,
                version: format!("v{revision}"),
                resources: rows.collect(),
                removed,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_delta_client_reads_what_was_meant(response in responses(), id in "[a-z]{0,8}") {
        let rows = response.resources.iter().map(|(name, found)| Resource {
            name: name.clone(),
            version: found.version.clone(),
            resource: Some(any_of(&response, found)),
            ..Resource::default()
        });
        let meant = DeltaDiscoveryResponse {
            system_version_info: response.revision.to_string(),
            resources: rows.collect(),
            type_url: response.type_url.clone(),
            removed_resources: response.removed.clone(),
            nonce: response.nonce.clone(),
            control_plane: Some(identified(&id)),
            ..DeltaDiscoveryResponse::default()
        };
        let message = delta(&response, &id);
        prop_assert_eq!(read::<DeltaDiscoveryResponse>(&message), meant);
    }

    #[test]
    fn a_sotw_client_reads_what_was_meant(response in responses(), id in "[a-z]{0,8}") {
        let rows = response.resources.iter();
        let meant = DiscoveryResponse {
            version_info: response.version.clone(),
            resources: rows.map(|(_, found)| any_of(&response, found)).collect(),
            type_url: response.type_url.clone(),
            nonce: response.nonce.clone(),
            control_plane: Some(identified(&id)),
            ..DiscoveryResponse::default()
        };
        let message = sotw(&response, &id);
        prop_assert_eq!(read::<DiscoveryResponse>(&message), meant);
    }

    #[test]
    fn large_resources_are_not_copied(response in responses()) {
        let message = delta(&response, "cp");
        for (_, found) in &response.resources {
            let shared = message.pieces.iter().any(|piece| piece.as_ptr() == found.value.as_ptr());
            prop_assert_eq!(shared, found.value.len() >= SHARED);
        }
        let copied = message.pieces.iter().filter(|piece| piece.len() < SHARED);
        prop_assert!(copied.count() <= 1 + response.resources.len());
        prop_assert!(message.pieces.iter().all(|piece| !piece.is_empty()));
        let empty = delta(&response, "cp").pieces.iter().map(Bytes::len).sum::<usize>();
        prop_assert_eq!(empty, HEAD + read::<DeltaDiscoveryResponse>(&message).encoded_len());
    }
}

//! What is encoded is decoded as it was; noise is survived.

use proptest::prelude::*;

use super::strategies;
use crate::xds::{Decoded, Resource, ResourceType, decode, encode, version};

fn kind() -> impl Strategy<Value = ResourceType> {
    proptest::sample::select(ResourceType::ALL.to_vec())
}

fn there_and_back(resource: &Resource) -> Decoded {
    let any = encode(resource);
    let kind = ResourceType::from_type_url(&any.type_url).unwrap();
    decode(kind, &any.value).unwrap_or_else(|refused| panic!("{:#?}", refused.faults))
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_as_it_was(resource in strategies::resource()) {
        let decoded = there_and_back(&resource);
        prop_assert_eq!(decoded.resource, resource);
        prop_assert_eq!(decoded.ignored, Vec::<String>::new());
    }

    #[test]
    fn encoding_is_deterministic(resource in strategies::resource()) {
        let copy = resource.clone();
        prop_assert_eq!(encode(&resource), encode(&copy));
        prop_assert_eq!(version(&resource), version(&copy));
    }

    #[test]
    fn noise_is_survived(kind in kind(), bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode(kind, &bytes);
    }

    #[test]
    fn what_survives_damage_is_sound(
        resource in strategies::resource(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut any = encode(&resource);
        prop_assume!(!any.value.is_empty());
        for (place, byte) in damage {
            let place = place.index(any.value.len());
            any.value[place] = byte;
        }
        if let Ok(decoded) = decode(resource.resource_type(), &any.value) {
            prop_assert_eq!(there_and_back(&decoded.resource).resource, decoded.resource);
        }
    }
}

#[test]
fn a_version_is_sixteen_digits_that_follow_the_content() {
    let one = super::samples::cluster();
    let mut other = one.clone();
    other.breakers.requests += 1;
    let first = version(&Resource::Cluster(one));
    assert_eq!(first.len(), 16);
    assert!(
        first
            .bytes()
            .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
    );
    assert_ne!(first, version(&Resource::Cluster(other)));
    assert_eq!(version(&Resource::RemovalGrant { revision: 7 }), "7");
}

//! What is written is read as the same resource.

use std::collections::HashMap;

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::document::{
    descriptor, kind, list_json, read, reference, to_json, write_json, write_yaml,
};
use crate::proto::v1;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z0-9./:*-]{0,12}",
        prop::sample::select(vec![
            "", "yes", "null", "~", "1", "1.0", "0x1f", "- a", "a: b", "#", " a ", "\u{85}",
            "\u{2028}", "\u{feff}", "\u{7f}", "\r", "a\nb\n", "'", "\"", "\\", "---", "<<",
            "12:30:45", "\u{ffff}",
        ])
        .prop_map(ToOwned::to_owned),
    ]
}

fn single(kind: &Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Uint32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Uint64 => any::<u64>().prop_map(Value::U64).boxed(),
        Kind::Double => prop_oneof![
            proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL,
            (0_u32..=1000).prop_map(|tenths| f64::from(tenths) / 10.0),
        ]
        .prop_map(Value::F64)
        .boxed(),
        Kind::String => text().prop_map(Value::String).boxed(),
        Kind::Enum(kind) => {
            let numbers: Vec<i32> = descriptor::choices(kind)
                .iter()
                .map(|(_, value)| value.number())
                .collect();
            prop::sample::select(numbers)
                .prop_map(Value::EnumNumber)
                .boxed()
        }
        Kind::Message(message) if descriptor::is_duration(message) => {
            let message = message.clone();
            (0_i64..1 << 32, 0_i32..1_000_000_000)
                .prop_map(move |(seconds, nanos)| {
                    let mut value = DynamicMessage::new(message.clone());
                    let duration = prost_types::Duration { seconds, nanos };
                    value.transcode_from(&duration).unwrap();
                    Value::Message(value)
                })
                .boxed()
        }
        Kind::Message(message) => content(message).prop_map(Value::Message).boxed(),
        other => panic!("{other:?} cannot be written in a document"),
    }
}

fn value(field: &FieldDescriptor) -> BoxedStrategy<Value> {
    let one = single(&descriptor::element(field));
    if field.is_map() {
        prop::collection::vec((text(), one), 0..3)
            .prop_map(|entries| {
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| (MapKey::String(key), value));
                Value::Map(entries.collect::<HashMap<_, _>>())
            })
            .boxed()
    } else if field.is_list() {
        prop::collection::vec(one, 0..3)
            .prop_map(Value::List)
            .boxed()
    } else {
        one
    }
}

/// Any message of that type; of a group the last member that was drawn is set.
fn content(message: &MessageDescriptor) -> BoxedStrategy<DynamicMessage> {
    let fields: Vec<FieldDescriptor> = message.fields().collect();
    let values: Vec<_> = fields
        .iter()
        .map(|field| prop::option::of(value(field)))
        .collect();
    let message = message.clone();
    values
        .prop_map(move |values| {
            let mut result = DynamicMessage::new(message.clone());
            for (field, value) in fields.iter().zip(values) {
                if let Some(value) = value {
                    result.set_field(field, value);
                }
            }
            result
        })
        .boxed()
}

/// Any resource that has a spec.
fn resource() -> BoxedStrategy<v1::Resource> {
    let kinds = descriptor::kinds().into_iter().map(|(field, message)| {
        (text(), content(&message)).prop_map(move |(name, spec)| {
            let mut resource = DynamicMessage::new(descriptor::resource());
            resource.set_field_by_name("name", Value::String(name));
            resource.set_field(&field, Value::Message(spec));
            resource.transcode_to::<v1::Resource>().unwrap()
        })
    });
    prop::strategy::Union::new(kinds).boxed()
}

/// Resources whose names differ.
fn resources() -> impl Strategy<Value = Vec<v1::Resource>> {
    prop::collection::vec(resource(), 0..4).prop_map(|mut resources| {
        for (index, resource) in resources.iter_mut().enumerate() {
            resource.name = format!("{}{index}", resource.name);
        }
        resources
    })
}

fn read_back(text: &str) -> Vec<v1::Resource> {
    let documents = read("written", text).unwrap_or_else(|errors| panic!("{errors:#?} in\n{text}"));
    documents
        .into_iter()
        .map(|document| document.resource)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn written_resources_are_read_as_the_same(resources in resources()) {
        prop_assert_eq!(read_back(&write_yaml(&resources)), resources.clone());
        let json = write_json(&list_json(&resources));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        prop_assert_eq!(read_back(&json), resources.clone());
        for resource in &resources {
            prop_assert_eq!(read_back(&write_json(&to_json(resource))), vec![resource.clone()]);
        }
    }
}

#[test]
fn canonical_yaml_is_what_people_write() {
    for (kind, text) in reference::EXAMPLES {
        let written = write_yaml(&read_back(text));
        insta::assert_snapshot!(format!("canonical_{}", kind.to_lowercase()), written);
    }
}

#[test]
fn the_name_of_a_kind_is_the_name_of_its_message() {
    for (field, message) in descriptor::kinds() {
        let mut resource = DynamicMessage::new(descriptor::resource());
        resource.set_field(&field, Value::Message(DynamicMessage::new(message.clone())));
        let resource: v1::Resource = resource.transcode_to().unwrap();
        assert_eq!(kind(&resource), message.name());
    }
}

#[test]
fn a_resource_without_a_spec_and_odd_values_are_written_all_the_same() {
    assert_eq!(
        write_yaml(&[v1::Resource::default()]),
        "kind: \"\"\nname: \"\"\n"
    );
    let listener = v1::Listener {
        protocol: 77,
        timeouts: Some(v1::ListenerTimeouts {
            idle: Some(prost_types::Duration {
                seconds: -1,
                nanos: -500_000_000,
            }),
            ..Default::default()
        }),
        tracing: Some(v1::Tracing {
            sample_percent: Some(f64::NAN),
        }),
        ..Default::default()
    };
    let resource = v1::Resource {
        name: "l".to_owned(),
        spec: Some(v1::resource::Spec::Listener(listener)),
    };
    assert_eq!(
        write_yaml(&[resource]),
        "kind: Listener\nname: l\nspec:\n  protocol: 77\n  timeouts:\n    idle: \"-1500ms\"\n  tracing:\n    samplePercent: NaN\n"
    );
}

//! What the documents need to know of the descriptor of `evenkeel.v1`: the
//! kinds, the short names of enum values, and how a field looks in a document.

use std::sync::LazyLock;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    OneofDescriptor,
};

use crate::proto::DESCRIPTORS;

/// The decoded descriptors. A constant in all but the compiler's eyes: made of
/// bytes in the binary, and never changed.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the build script wrote these bytes, and every test of documents reads them"
    )]
    DescriptorPool::decode(DESCRIPTORS).expect("descriptors written by the build script")
});

/// The message behind every document.
pub(super) fn resource() -> MessageDescriptor {
    #[expect(
        clippy::expect_used,
        reason = "a constant name in a constant descriptor, read by every test of documents"
    )]
    POOL.get_message_by_name("evenkeel.v1.Resource")
        .expect("the descriptor of Resource")
}

/// The kinds, in the order of the schema: for each its field in `Resource` and
/// the message of its `spec`, whose name is the kind's name.
pub(super) fn kinds() -> Vec<(FieldDescriptor, MessageDescriptor)> {
    let resource = resource();
    resource
        .oneofs()
        .flat_map(|oneof| oneof.fields().collect::<Vec<_>>())
        .filter_map(|field| match field.kind() {
            Kind::Message(message) => Some((field, message)),
            _ => None,
        })
        .collect()
}

/// The field that a document calls `name`: in lowerCamelCase, or as in the
/// schema.
pub(super) fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message
        .get_field_by_json_name(name)
        .or_else(|| message.get_field_by_name(name))
}

/// The group of which only one field may be set, if `field` is in one.
pub(super) fn group(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field
        .containing_oneof()
        .filter(|oneof| !oneof.is_synthetic())
}

/// Whether a message is written as text like `1.5s`.
pub(super) fn is_duration(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Duration"
}

/// The values that may be written for an enum, with their short names; the
/// first one, "unspecified", is written by leaving the field out.
pub(super) fn choices(kind: &EnumDescriptor) -> Vec<(String, EnumValueDescriptor)> {
    kind.values()
        .filter(|value| value.number() != 0)
        .map(|value| (short_name(kind, value.name()), value))
        .collect()
}

/// `HTTP1` of `LISTENER_PROTOCOL_HTTP1`.
pub(super) fn short_name(kind: &EnumDescriptor, name: &str) -> String {
    let mut prefix = String::new();
    for letter in kind.name().chars() {
        if letter.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix.push('_');
    name.strip_prefix(&prefix).unwrap_or(name).to_owned()
}

/// Every message that can be part of a document, each once, as met from the
/// kinds downwards. Durations are not among them.
pub(super) fn messages() -> Vec<MessageDescriptor> {
    let mut found = Vec::new();
    for (_, message) in kinds() {
        collect(&message, &mut found);
    }
    found
}

/// Adds `message` and what is below it to `found`.
pub(super) fn collect(message: &MessageDescriptor, found: &mut Vec<MessageDescriptor>) {
    if is_duration(message) || found.contains(message) {
        return;
    }
    found.push(message.clone());
    for field in message.fields() {
        if let Kind::Message(inner) = element(&field) {
            collect(&inner, found);
        }
    }
}

/// The type of one value of a field: of an element if it is a list, of a value
/// if it is a map.
pub(super) fn element(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

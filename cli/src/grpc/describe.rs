//! Descriptors as the .proto they came from, without options.

use std::fmt::Write;

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

use crate::failure::Failure;

/// What a symbol consists of.
///
/// # Errors
/// There is no such symbol.
pub(super) fn symbol(pool: &DescriptorPool, name: &str) -> Result<String, Failure> {
    let found = pool
        .get_service_by_name(name)
        .map(|found| service(&found))
        .or_else(|| pool.get_message_by_name(name).map(|found| message(&found)))
        .or_else(|| pool.get_enum_by_name(name).map(|found| choice(&found)))
        .or_else(|| one_method(pool, name).map(|found| method(&found, "")));
    found.ok_or_else(|| {
        Failure::Failed(format!(
            "`{name}` is not a service, method, message or enum"
        ))
    })
}

/// A method, named `service/method` or `service.method`.
pub(super) fn one_method(pool: &DescriptorPool, name: &str) -> Option<MethodDescriptor> {
    let (service, method) = name.rsplit_once(['/', '.'])?;
    let service = pool.get_service_by_name(service)?;
    service.methods().find(|found| found.name() == method)
}

fn service(service: &ServiceDescriptor) -> String {
    let mut text = format!("service {} {{\n", service.full_name());
    for one in service.methods() {
        text.push_str(&method(&one, "  "));
    }
    text.push_str("}\n");
    text
}

fn method(method: &MethodDescriptor, indent: &str) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!(
        "{indent}rpc {}({}{}) returns ({}{});\n",
        method.name(),
        stream(method.is_client_streaming()),
        method.input().full_name(),
        stream(method.is_server_streaming()),
        method.output().full_name(),
    )
}

fn message(message: &MessageDescriptor) -> String {
    let mut text = format!("message {} {{\n", message.full_name());
    for one in message.fields() {
        let note = match one.containing_oneof() {
            Some(oneof) if !oneof.is_synthetic() => format!("  // one of {}", oneof.name()),
            _ => String::new(),
        };
        let (name, number) = (one.name(), one.number());
        let _ = writeln!(
            text,
            "  {}{} {name} = {number};{note}",
            label(&one),
            kind(&one)
        );
    }
    text.push_str("}\n");
    text
}

fn label(field: &FieldDescriptor) -> &'static str {
    let is_optional = field
        .containing_oneof()
        .is_some_and(|oneof| oneof.is_synthetic());
    match field.cardinality() {
        Cardinality::Repeated if !field.is_map() => "repeated ",
        Cardinality::Required => "required ",
        _ if is_optional => "optional ",
        _ => "",
    }
}

fn kind(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => format!(
            "map<{}, {}>",
            kind(&entry.map_entry_key_field()),
            kind(&entry.map_entry_value_field())
        ),
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(choice) => choice.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_ascii_lowercase(),
    }
}

fn choice(choice: &EnumDescriptor) -> String {
    let mut text = format!("enum {} {{\n", choice.full_name());
    for value in choice.values() {
        let _ = writeln!(text, "  {} = {};", value.name(), value.number());
    }
    text.push_str("}\n");
    text
}

//! The JSON Schema of a document, for editors and for checks elsewhere. It says
//! what the reader says, as far as JSON Schema can; comments of the schema
//! become descriptions.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::{Comments, Meaning};
use super::descriptor;
use crate::units::parse_duration;

/// A JSON Schema (draft 2020-12) of one document, a list of documents included.
pub fn json_schema() -> Value {
    let comments = Comments::load();
    let mut definitions = Map::new();
    for message in descriptor::messages() {
        definitions.insert(message.name().to_owned(), object(&comments, &message));
    }
    let documents: Vec<Value> = descriptor::kinds()
        .iter()
        .map(|(_, message)| document(&comments, message))
        .collect();
    definitions.insert("Document".to_owned(), json!({ "oneOf": documents }));
    definitions.insert(
        "Duration".to_owned(),
        json!({
            "title": "Duration",
            "description": "A length of time such as 250ms, 1.5s, 2m or 1h.",
            "type": "string",
            "pattern": "^([0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h))+$",
        }),
    );
    let list = json!({
        "title": "List",
        "description": "Several documents in one.",
        "type": "object",
        "properties": {
            "kind": { "const": "List" },
            "items": { "type": "array", "items": { "$ref": "#/$defs/Document" } },
        },
        "required": ["kind", "items"],
        "additionalProperties": false,
    });
    let mut alternatives = documents;
    alternatives.push(list);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Evenkeel document",
        "description": comments.message(&descriptor::resource()),
        "oneOf": alternatives,
        "$defs": definitions,
    })
}

/// The document of one kind.
fn document(comments: &Comments, message: &MessageDescriptor) -> Value {
    let name = descriptor::resource()
        .get_field_by_name("name")
        .map(|field| comments.field(&field).to_owned());
    json!({
        "title": message.name(),
        "description": comments.message(message),
        "type": "object",
        "properties": {
            "kind": { "const": message.name() },
            "name": { "type": "string", "description": name },
            "spec": reference(message),
        },
        "required": ["kind", "name", "spec"],
        "additionalProperties": false,
    })
}

fn object(comments: &Comments, message: &MessageDescriptor) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in message.fields() {
        let meaning = Meaning::of(comments.field(&field));
        if meaning.required {
            required.push(field.json_name().to_owned());
        }
        properties.insert(
            field.json_name().to_owned(),
            property(comments, &field, comments.field(&field)),
        );
    }
    let mut object = json!({
        "title": message.name(),
        "description": comments.message(message),
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let exclusions = exclusions(message);
    if let Some(object) = object.as_object_mut() {
        if !required.is_empty() {
            object.insert("required".to_owned(), json!(required));
        }
        if !exclusions.is_empty() {
            object.insert("allOf".to_owned(), json!(exclusions));
        }
    }
    object
}

/// Forbids every two members of a group at once.
fn exclusions(message: &MessageDescriptor) -> Vec<Value> {
    let mut pairs = Vec::new();
    for group in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let members: Vec<FieldDescriptor> = group.fields().collect();
        for (index, first) in members.iter().enumerate() {
            for second in members.iter().skip(index + 1) {
                let both = [first.json_name(), second.json_name()];
                pairs.push(json!({ "not": { "required": both } }));
            }
        }
    }
    pairs
}

fn property(comments: &Comments, field: &FieldDescriptor, comment: &str) -> Value {
    let kind = descriptor::element(field);
    let one = value(comments, &kind);
    let mut property = if field.is_map() {
        json!({ "type": "object", "additionalProperties": one })
    } else if field.is_list() {
        json!({ "type": "array", "items": one })
    } else {
        one
    };
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), json!(comment));
        let default = Meaning::of(comment)
            .default
            .filter(|_| !field.is_map() && !field.is_list())
            .and_then(|text| default(&kind, text));
        if let Some(default) = default {
            property.insert("default".to_owned(), default);
        }
    }
    property
}

fn value(comments: &Comments, kind: &Kind) -> Value {
    match kind {
        Kind::Message(message) => reference(message),
        Kind::Enum(kind) => enumeration(comments, kind),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Double | Kind::Float => json!({ "type": "number" }),
        Kind::String | Kind::Bytes => json!({ "type": "string" }),
        Kind::Uint32 | Kind::Fixed32 => whole(0, u32::MAX),
        Kind::Uint64 | Kind::Fixed64 => whole(0, u64::MAX),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => whole(i32::MIN, i32::MAX),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => whole(i64::MIN, i64::MAX),
    }
}

fn whole(least: impl Into<Value>, most: impl Into<Value>) -> Value {
    json!({ "type": "integer", "minimum": least.into(), "maximum": most.into() })
}

fn enumeration(comments: &Comments, kind: &EnumDescriptor) -> Value {
    let choices: Vec<Value> = descriptor::choices(kind)
        .iter()
        .map(|(short, value)| json!({ "const": short, "description": comments.value(value) }))
        .collect();
    json!({
        "title": kind.name(),
        "description": comments.enumeration(kind),
        "type": "string",
        "oneOf": choices,
    })
}

/// A message: a duration is a text, and an empty value is the empty message.
fn reference(message: &MessageDescriptor) -> Value {
    if descriptor::is_duration(message) {
        return json!({ "$ref": "#/$defs/Duration" });
    }
    let reference = json!({ "$ref": format!("#/$defs/{}", message.name()) });
    json!({ "anyOf": [reference, { "type": "null" }] })
}

/// A default that is a value of the field, not a sentence.
fn default(kind: &Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Bool => text.parse::<bool>().ok().map(Value::from),
        Kind::Double => text.parse::<f64>().ok().map(Value::from),
        Kind::Uint32 | Kind::Uint64 => text.parse::<u64>().ok().map(Value::from),
        Kind::Message(message) if descriptor::is_duration(message) => {
            parse_duration(text).ok().map(|_| Value::from(text))
        }
        Kind::Enum(kind) => descriptor::choices(kind)
            .iter()
            .any(|(short, _)| short == text)
            .then(|| Value::from(text)),
        _ => None,
    }
}

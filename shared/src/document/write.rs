//! From resources to documents, in one canonical form: fields in the order of
//! the schema, what is not set left out, durations and enums as people write
//! them.

use std::time::Duration;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};
use serde_json::{Map, Number};

use super::descriptor;
use super::emit;
use crate::proto::v1;
use crate::units::format_duration;

/// A document's content in the order in which it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Self>),
    Mapping(Vec<(String, Self)>),
}

impl Tree {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl From<Tree> for serde_json::Value {
    fn from(tree: Tree) -> Self {
        match tree {
            Tree::Bool(value) => Self::Bool(value),
            Tree::Number(number) => Self::Number(number),
            Tree::Text(text) => Self::String(text),
            Tree::List(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Tree::Mapping(entries) => Self::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, Self::from(value)))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// YAML documents, separated by `---`, that [`super::read`] reads as the same
/// resources.
pub fn write_yaml(resources: &[v1::Resource]) -> String {
    let documents: Vec<String> = resources
        .iter()
        .map(|resource| emit::document(&tree(resource)))
        .collect();
    documents.join("---\n")
}

/// One document as JSON.
pub fn to_json(resource: &v1::Resource) -> serde_json::Value {
    tree(resource).into()
}

/// `{"kind": "List", "items": […]}` with one document per resource, which
/// [`super::read`] takes as well.
pub fn list_json(resources: &[v1::Resource]) -> serde_json::Value {
    serde_json::json!({
        "kind": "List",
        "items": resources.iter().map(to_json).collect::<Vec<_>>(),
    })
}

/// JSON as text, over several lines, that the reader takes: what YAML forbids
/// and JSON does not, such as U+007F, is escaped.
pub fn write_json(value: &serde_json::Value) -> String {
    let plain = format!("{value:#}");
    let mut text = String::with_capacity(plain.len() + 1);
    for letter in plain.chars() {
        match letter {
            // Between values; inside of texts it is escaped already.
            '\n' => text.push(letter),
            letter => emit::push_visible(&mut text, letter),
        }
    }
    text.push('\n');
    text
}

/// The kind of a resource as documents name it; empty without a `spec`.
pub fn kind(resource: &v1::Resource) -> &'static str {
    use v1::resource::Spec;
    match &resource.spec {
        None => "",
        Some(Spec::Listener(_)) => "Listener",
        Some(Spec::Route(_)) => "Route",
        Some(Spec::Cluster(_)) => "Cluster",
        Some(Spec::Policy(_)) => "Policy",
        Some(Spec::Endpoints(_)) => "Endpoints",
        Some(Spec::ProxyGroup(_)) => "ProxyGroup",
        Some(Spec::Secret(_)) => "Secret",
    }
}

/// Kind and name of a resource, for example `Route/shop`.
pub fn id(resource: &v1::Resource) -> String {
    format!("{}/{}", kind(resource), resource.name)
}

/// The document of a resource.
fn tree(resource: &v1::Resource) -> Tree {
    let mut entries = vec![
        ("kind".to_owned(), Tree::text(kind(resource))),
        ("name".to_owned(), Tree::text(&resource.name)),
    ];
    let mut dynamic = DynamicMessage::new(descriptor::resource());
    let transcoded = dynamic.transcode_from(resource);
    debug_assert!(transcoded.is_ok(), "both are the same message");
    let spec = descriptor::kinds()
        .into_iter()
        .find(|(field, _)| dynamic.has_field(field))
        .and_then(|(field, _)| dynamic.get_field(&field).as_message().map(message));
    entries.extend(spec.map(|spec| ("spec".to_owned(), spec)));
    Tree::Mapping(entries)
}

fn message(message: &DynamicMessage) -> Tree {
    let fields = message.descriptor();
    Tree::Mapping(
        fields
            .fields()
            .filter(|field| message.has_field(field))
            .map(|field| {
                let tree = value(&field, &message.get_field(&field));
                (field.json_name().to_owned(), tree)
            })
            .collect(),
    )
}

fn value(field: &FieldDescriptor, value: &Value) -> Tree {
    let kind = descriptor::element(field);
    match value {
        Value::List(values) => {
            Tree::List(values.iter().map(|value| single(&kind, value)).collect())
        }
        Value::Map(values) => {
            let mut entries: Vec<(String, Tree)> = values
                .iter()
                .map(|(key, value)| {
                    let key = key.as_str().unwrap_or_default();
                    (key.to_owned(), single(&kind, value))
                })
                .collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            Tree::Mapping(entries)
        }
        value => single(&kind, value),
    }
}

fn single(kind: &Kind, value: &Value) -> Tree {
    match value {
        Value::Bool(value) => Tree::Bool(*value),
        Value::I32(number) => Tree::Number(Number::from(*number)),
        Value::I64(number) => Tree::Number(Number::from(*number)),
        Value::U32(number) => Tree::Number(Number::from(*number)),
        Value::U64(number) => Tree::Number(Number::from(*number)),
        Value::F32(number) => float(f64::from(*number)),
        Value::F64(number) => float(*number),
        Value::String(text) => Tree::text(text),
        Value::EnumNumber(number) => enumerated(kind, *number),
        Value::Message(inner) if descriptor::is_duration(&inner.descriptor()) => duration(inner),
        Value::Message(inner) => message(inner),
        Value::Bytes(_) | Value::List(_) | Value::Map(_) => {
            debug_assert!(false, "no field of a document has such a value");
            Tree::Mapping(Vec::new())
        }
    }
}

/// A number, without a fraction where it has none.
fn float(number: f64) -> Tree {
    /// Up to here every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = if number.fract() == 0.0 && number.abs() <= EXACT {
        format!("{number:.0}").parse::<i64>().ok()
    } else {
        None
    };
    match (whole, Number::from_f64(number)) {
        (Some(whole), _) => Tree::Number(Number::from(whole)),
        (None, Some(number)) => Tree::Number(number),
        (None, None) => Tree::text(number.to_string()),
    }
}

/// An enum value by its short name, or the number of one that is not known.
fn enumerated(kind: &Kind, number: i32) -> Tree {
    kind.as_enum()
        .and_then(|kind| Some((kind, kind.get_value(number)?)))
        .map_or(Tree::Number(Number::from(number)), |(kind, value)| {
            Tree::text(descriptor::short_name(kind, value.name()))
        })
}

/// A duration; a negative one, which no document can hold, with its sign.
fn duration(message: &DynamicMessage) -> Tree {
    let duration: prost_types::Duration = message.transcode_to().unwrap_or_default();
    Tree::text(match Duration::try_from(duration) {
        Ok(duration) => format_duration(duration),
        Err(prost_types::DurationError::NegativeDuration(duration)) => {
            format!("-{}", format_duration(duration))
        }
        Err(_) => format!("{}s", duration.seconds),
    })
}

//! What is made of the schema: the reference, the JSON Schema, and the comments
//! both live on.

use std::path::Path;

use serde_json::Value;

use crate::document::comments::{Comments, Meaning};
use crate::document::{descriptor, read, reference, schema};

#[test]
fn everything_in_the_schema_is_described() {
    let comments = Comments::load();
    let mut missing = Vec::new();
    let mut messages = descriptor::messages();
    messages.push(descriptor::resource());
    for message in messages {
        if comments.message(&message).is_empty() {
            missing.push(message.full_name().to_owned());
        }
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            if comments.oneof(&oneof).is_empty() {
                missing.push(oneof.full_name().to_owned());
            }
        }
        for field in message.fields() {
            if comments.field(&field).is_empty() {
                missing.push(field.full_name().to_owned());
            }
            if let prost_reflect::Kind::Enum(kind) = field.kind() {
                let undescribed = kind
                    .values()
                    .filter(|value| comments.value(value).is_empty())
                    .map(|value| value.full_name().to_owned());
                missing.extend(undescribed);
                if comments.enumeration(&kind).is_empty() {
                    missing.push(kind.full_name().to_owned());
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "have no comment");
}

#[test]
fn every_field_is_required_or_has_a_default() {
    let comments = Comments::load();
    let undecided: Vec<String> = descriptor::messages()
        .iter()
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .filter(|field| descriptor::group(field).is_none())
        .filter(|field| {
            let meaning = Meaning::of(comments.field(field));
            meaning.required == meaning.default.is_some()
        })
        .map(|field| field.full_name().to_owned())
        .collect();
    assert_eq!(
        undecided,
        Vec::<String>::new(),
        "must say either `Required.` or `Default: …`"
    );
}

#[test]
fn every_kind_has_an_example_that_can_be_read() {
    let kinds: Vec<String> = descriptor::kinds()
        .iter()
        .map(|(_, message)| message.name().to_owned())
        .collect();
    let examples: Vec<&str> = reference::EXAMPLES.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(examples, kinds);
    for (kind, text) in reference::EXAMPLES {
        let documents = read(kind, text).unwrap();
        assert_eq!(documents.len(), 1);
        assert!(documents[0].id.starts_with(&format!("{kind}/")));
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let expected = reference::markdown();
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/configuration.md does not fit the schema; \
         `EVENKEEL_BLESS=1 cargo test -p evenkeel-shared` rewrites it"
    );
}

#[test]
fn links_in_the_reference_lead_somewhere() {
    let page = reference::markdown();
    let headings: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("##"))
        .map(|line| line.trim_start_matches('#').trim().to_ascii_lowercase())
        .collect();
    for target in page.split("](#").skip(1) {
        let target = target.split(')').next().unwrap();
        let count = headings.iter().filter(|heading| *heading == target).count();
        assert_eq!(count, 1, "{target}");
    }
}

/// Every `$ref` in a schema.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(target) if key == "$ref" => found.push(target.clone()),
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn references_in_the_json_schema_lead_somewhere() {
    let schema = schema::json_schema();
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(schema.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn the_json_schema_has_every_field_and_nothing_else() {
    let schema = schema::json_schema();
    for message in descriptor::messages() {
        let object = &schema["$defs"][message.name()];
        assert_eq!(object["additionalProperties"], false);
        let properties = object["properties"].as_object().unwrap();
        assert_eq!(properties.len(), message.fields().len());
        for field in message.fields() {
            let property = &properties[field.json_name()];
            assert!(property["description"].is_string(), "{}", field.full_name());
        }
    }
}

#[test]
fn the_json_schema_says_what_the_comments_say() {
    let schema = schema::json_schema();
    let retry = &schema["$defs"]["Retry"]["properties"]["retries"];
    assert_eq!(retry["default"], 2);
    assert_eq!(retry["maximum"], u32::MAX);
    let per_try = &schema["$defs"]["RouteTimeouts"]["properties"]["perTry"];
    assert_eq!(per_try["default"], "5s");
    assert_eq!(per_try["$ref"], "#/$defs/Duration");
    let protocol = &schema["$defs"]["Listener"]["properties"]["protocol"];
    assert_eq!(protocol["oneOf"][0]["const"], "HTTP");
    assert_eq!(protocol["default"], "HTTP");
    assert_eq!(schema["$defs"]["Endpoint"]["required"][0], "address");
    assert_eq!(schema["oneOf"][1]["properties"]["kind"]["const"], "Route");
}

//! The reference of all documents, in Markdown, made of the schema and its
//! comments, so that it cannot go out of date.

use std::fmt::Write;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::comments::{Comments, Meaning};
use super::descriptor;

/// One complete document of every kind, by kind.
pub const EXAMPLES: [(&str, &str); 7] = [
    ("Listener", include_str!("examples/listener.yaml")),
    ("Route", include_str!("examples/route.yaml")),
    ("Cluster", include_str!("examples/cluster.yaml")),
    ("Policy", include_str!("examples/policy.yaml")),
    ("Endpoints", include_str!("examples/endpoints.yaml")),
    ("ProxyGroup", include_str!("examples/proxy_group.yaml")),
    ("Secret", include_str!("examples/secret.yaml")),
];

const INTRODUCTION: &str = include_str!("examples/introduction.md");

/// The whole of `docs/configuration.md`.
pub fn markdown() -> String {
    let comments = Comments::load();
    let mut page = String::from(INTRODUCTION);
    let mut described: Vec<MessageDescriptor> = Vec::new();
    page.push_str("\n## Kinds\n\n| kind | meaning |\n| --- | --- |\n");
    for (_, message) in descriptor::kinds() {
        let text = comments.message(&message);
        let _ = writeln!(page, "| {} | {} |", link(&message), cell(text));
    }
    for (_, message) in descriptor::kinds() {
        let known = described.len();
        descriptor::collect(&message, &mut described);
        for (index, message) in described.iter().skip(known).enumerate() {
            let level = if index == 0 { "##" } else { "###" };
            section(&mut page, &comments, message, level);
            if index == 0 {
                example(&mut page, message.name());
            }
        }
    }
    page
}

fn example(page: &mut String, kind: &str) {
    for (_, text) in EXAMPLES.iter().filter(|(name, _)| *name == kind) {
        let _ = write!(page, "\nExample:\n\n```yaml\n{text}```\n");
    }
}

/// One message: its comment, its groups, its fields.
fn section(page: &mut String, comments: &Comments, message: &MessageDescriptor, level: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\n{level} {}\n", message.name());
    let _ = writeln!(page, "{}", comments.message(message));
    if message.fields().len() == 0 {
        page.push_str("\nIt has no fields: write `{}`.\n");
        return;
    }
    for group in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let names: Vec<String> = group
            .fields()
            .map(|field| format!("`{}`", field.json_name()))
            .collect();
        let _ = writeln!(
            page,
            "\n{} At most one of {} is set.",
            comments.oneof(&group),
            names.join(", ")
        );
    }
    page.push_str("\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for field in message.fields() {
        row(page, comments, &field);
    }
}

fn row(page: &mut String, comments: &Comments, field: &FieldDescriptor) {
    let comment = comments.field(field);
    let meaning = Meaning::of(comment);
    let default = match meaning.default {
        Some(default) => cell(default),
        None if meaning.required => "required".to_owned(),
        None => "not set".to_owned(),
    };
    let _ = writeln!(
        page,
        "| `{}` | {} | {default} | {}{} |",
        field.json_name(),
        type_name(field),
        cell(meaning.text),
        choices(comments, field),
    );
}

/// The values of an enum, each with its meaning.
fn choices(comments: &Comments, field: &FieldDescriptor) -> String {
    let Kind::Enum(kind) = descriptor::element(field) else {
        return String::new();
    };
    let mut text = String::new();
    for (short, value) in descriptor::choices(&kind) {
        let _ = write!(text, "<br>`{short}`: {}", cell(comments.value(&value)));
    }
    text
}

fn type_name(field: &FieldDescriptor) -> String {
    let one = match descriptor::element(field) {
        Kind::Message(message) if descriptor::is_duration(&message) => "duration".to_owned(),
        Kind::Message(message) => link(&message),
        Kind::Enum(_) => "one word".to_owned(),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Double | Kind::Float => "number".to_owned(),
        Kind::String | Kind::Bytes => "text".to_owned(),
        _ => "whole number".to_owned(),
    };
    if field.is_map() {
        format!("mapping of text to {one}")
    } else if field.is_list() {
        format!("list of {one}")
    } else {
        one
    }
}

fn link(message: &MessageDescriptor) -> String {
    let name = message.name();
    format!("[{name}](#{})", name.to_ascii_lowercase())
}

/// A text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

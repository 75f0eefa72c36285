//! The comments of the schema, for people: each one on one line, taken apart
//! into meaning and default.

use std::collections::HashMap;

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, MessageDescriptor, OneofDescriptor,
};

use super::descriptor;

/// Marks a default; always the last sentence of a comment.
const DEFAULT: &str = "Default: ";

/// The comment of everything in the schema.
pub(super) struct Comments {
    /// By file and path in its descriptor.
    texts: HashMap<(String, Vec<i32>), String>,
}

impl Comments {
    /// All comments.
    pub(super) fn load() -> Self {
        let mut texts = HashMap::new();
        for file in descriptor::resource().parent_pool().files() {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            for location in info.iter().flat_map(|info| &info.location) {
                if let Some(comment) = &location.leading_comments {
                    let words: Vec<&str> = comment.split_whitespace().collect();
                    let key = (file.name().to_owned(), location.path.clone());
                    texts.insert(key, words.join(" "));
                }
            }
        }
        Self { texts }
    }

    pub(super) fn message(&self, message: &MessageDescriptor) -> &str {
        self.text(message.parent_file().name(), message.path())
    }

    pub(super) fn field(&self, field: &FieldDescriptor) -> &str {
        self.text(field.parent_file().name(), field.path())
    }

    pub(super) fn oneof(&self, oneof: &OneofDescriptor) -> &str {
        self.text(oneof.parent_file().name(), oneof.path())
    }

    pub(super) fn enumeration(&self, kind: &EnumDescriptor) -> &str {
        self.text(kind.parent_file().name(), kind.path())
    }

    pub(super) fn value(&self, value: &EnumValueDescriptor) -> &str {
        self.text(value.parent_file().name(), value.path())
    }

    fn text(&self, file: &str, path: &[i32]) -> &str {
        self.texts
            .get(&(file.to_owned(), path.to_vec()))
            .map_or("", String::as_str)
    }
}

/// A field's comment, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaning<'c> {
    /// What the field is, without its default.
    pub(super) text: &'c str,
    /// What holds without the field; for people.
    pub(super) default: Option<&'c str>,
    /// Whether the field must be there.
    pub(super) required: bool,
}

impl<'c> Meaning<'c> {
    pub(super) fn of(comment: &'c str) -> Self {
        let (text, default) = match comment.split_once(DEFAULT) {
            Some((text, default)) => (text.trim_end(), Some(default.trim_end_matches('.'))),
            None => (comment, None),
        };
        Self {
            text: text.strip_suffix("Required.").unwrap_or(text).trim_end(),
            default,
            required: text.contains("Required"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_meaning_and_default() {
        assert_eq!(
            Meaning::of("How long. Default: 1.5s."),
            Meaning {
                text: "How long.",
                default: Some("1.5s"),
                required: false,
            }
        );
        assert_eq!(
            Meaning::of("The name. Required."),
            Meaning {
                text: "The name.",
                default: None,
                required: true,
            }
        );
    }
}

//! Reads a tree against a message's descriptor. Everything that is wrong is
//! reported; what is right comes back as a message.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::descriptor;
use super::report::{Complaint, Report};
use super::scalar::{self, shorten, wrong};
use super::suggest;
use super::tree::{Content, Entry, Key, Node, Span};

/// The way from the root to a value, written only when it is asked for.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
    Key(&'p Path<'p>, &'p str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) if !is_word(key) => write!(f, "{parent}[{key:?}]"),
            Self::Field(Path::Root, name) | Self::Key(Path::Root, name) => f.write_str(name),
            Self::Field(parent, name) | Self::Key(parent, name) => write!(f, "{parent}.{name}"),
        }
    }
}

/// Whether a key can stand in a path without quotes.
fn is_word(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
}

/// A value and the key it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    pub(super) key: Option<Span>,
    pub(super) node: &'t Node,
}

impl<'t> Place<'t> {
    /// The value of an entry.
    pub(super) fn of(entry: &'t Entry) -> Self {
        Self {
            key: Some(entry.key.span),
            node: &entry.value,
        }
    }

    /// The characters to point at.
    pub(super) fn focus(self) -> Span {
        self.node.focus(self.key)
    }
}

/// Reads the parts of one resource.
pub(super) struct Walk<'r> {
    pub(super) report: &'r mut Report,
    /// Kind and name, for the report.
    pub(super) resource: Option<&'r str>,
}

impl Walk<'_> {
    /// The message at `place`; where something is wrong it is incomplete, and
    /// the report longer.
    pub(super) fn message(
        &mut self,
        message: &MessageDescriptor,
        place: Place<'_>,
        path: &Path<'_>,
    ) -> DynamicMessage {
        let mut result = DynamicMessage::new(message.clone());
        let entries = match &place.node.content {
            Content::Mapping(entries) => entries,
            content if content.is_null() => return result,
            content => {
                self.refuse(place, path, not_a_mapping(message, content));
                return result;
            }
        };
        let mut seen = Seen::default();
        for entry in entries {
            let name = entry.key.text.as_str();
            let Some(field) = descriptor::field(message, name) else {
                self.refuse_key(&entry.key, path, unknown(message, name));
                self.doubt_meant(message, name, path);
                continue;
            };
            let path = Path::Field(path, field.json_name());
            if let Err(complaint) = seen.check(&field, &entry.key) {
                self.report
                    .add(entry.key.span, self.resource, path, complaint);
                continue;
            }
            if let Some(value) = self.field(&field, Place::of(entry), &path)
                && result.try_set_field(&field, value).is_err()
            {
                let complaint = Complaint::new("the value does not fit the field");
                self.refuse(Place::of(entry), &path, complaint);
            }
        }
        result
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        place: Place<'_>,
        path: &Path<'_>,
    ) -> Option<Value> {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => self.map(&entry, place, path),
            kind if field.is_list() => self.list(&kind, place, path),
            kind => self.value(&kind, place, path),
        }
    }

    fn list(&mut self, kind: &Kind, place: Place<'_>, path: &Path<'_>) -> Option<Value> {
        let Content::List(nodes) = &place.node.content else {
            self.refuse(place, path, not_a_list(kind, &place.node.content));
            return None;
        };
        let mut values = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let place = Place { key: None, node };
            let value = self.value(kind, place, &Path::Index(path, index));
            // Something in the place of what is wrong: the others keep theirs.
            values.push(value.unwrap_or_else(|| Value::default_value(kind)));
        }
        Some(Value::List(values))
    }

    fn map(
        &mut self,
        entry: &MessageDescriptor,
        place: Place<'_>,
        path: &Path<'_>,
    ) -> Option<Value> {
        let Content::Mapping(entries) = &place.node.content else {
            self.refuse(place, path, wrong(&place.node.content, "a mapping"));
            return None;
        };
        let kind = entry.map_entry_value_field().kind();
        let mut values = HashMap::new();
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for entry in entries {
            let key = entry.key.text.as_str();
            let path = Path::Key(path, key);
            if let Some(line) = lines.insert(key, entry.key.span.line) {
                self.report
                    .add(entry.key.span, self.resource, path, twice(line));
                continue;
            }
            if let Some(value) = self.value(&kind, Place::of(entry), &path) {
                values.insert(MapKey::String(key.to_owned()), value);
            }
        }
        Some(Value::Map(values))
    }

    fn value(&mut self, kind: &Kind, place: Place<'_>, path: &Path<'_>) -> Option<Value> {
        let content = &place.node.content;
        let value = match kind {
            Kind::Message(message) if descriptor::is_duration(message) => {
                scalar::duration(message, content).map(Value::Message)
            }
            Kind::Message(message) => Ok(Value::Message(self.message(message, place, path))),
            Kind::Enum(kind) => scalar::enumerated(kind, content),
            kind => scalar::read(kind, content),
        };
        value
            .map_err(|complaint| self.refuse(place, path, complaint))
            .ok()
    }

    fn refuse(&mut self, place: Place<'_>, path: &Path<'_>, complaint: Complaint) {
        self.report
            .add(place.focus(), self.resource, path, complaint);
    }

    /// Doubts the field that an unknown key probably means.
    fn doubt_meant(&mut self, message: &MessageDescriptor, name: &str, path: &Path<'_>) {
        let fields: Vec<FieldDescriptor> = message.fields().collect();
        if let Some(meant) = suggest::nearest(name, fields.iter().map(FieldDescriptor::json_name)) {
            self.report.doubt(&Path::Field(path, meant));
        }
    }

    fn refuse_key(&mut self, key: &Key, path: &Path<'_>, complaint: Complaint) {
        let name = shorten(&key.text);
        self.report
            .add(key.span, self.resource, Path::Key(path, &name), complaint);
    }
}

/// The fields of a message that were met so far.
#[derive(Default)]
struct Seen {
    /// Line by field number.
    lines: BTreeMap<u32, usize>,
    /// Field by group.
    members: BTreeMap<String, String>,
}

impl Seen {
    /// Whether `field` may be set now.
    fn check(&mut self, field: &FieldDescriptor, key: &Key) -> Result<(), Complaint> {
        if let Some(line) = self.lines.insert(field.number(), key.span.line) {
            return Err(twice(line));
        }
        let Some(group) = descriptor::group(field) else {
            return Ok(());
        };
        let name = field.json_name();
        match self.members.get(group.name()) {
            None => {
                self.members
                    .insert(group.name().to_owned(), name.to_owned());
                Ok(())
            }
            Some(first) => {
                let all: Vec<String> = group
                    .fields()
                    .map(|field| field.json_name().to_owned())
                    .collect();
                Err(Complaint::new(format!(
                    "{first} and {name} are both set: must be at most one of {}",
                    all.join(", ")
                )))
            }
        }
    }
}

/// Says that a key was there before.
pub(super) fn twice(line: usize) -> Complaint {
    Complaint::new(format!("set twice: first on line {line}"))
}

fn unknown(message: &MessageDescriptor, name: &str) -> Complaint {
    let fields: Vec<FieldDescriptor> = message.fields().collect();
    let names: Vec<&str> = fields.iter().map(FieldDescriptor::json_name).collect();
    let hint = match name {
        "<<" => "merge keys are no part of YAML 1.2: repeat the fields, or use a Policy".to_owned(),
        name => suggest::advice(name, &names),
    };
    Complaint::new("unknown field").hint(hint)
}

/// Says that a mapping is needed, and how the word that stands there becomes
/// one if it names a field: `leastRequest` is `{leastRequest: {}}`.
fn not_a_mapping(message: &MessageDescriptor, content: &Content) -> Complaint {
    let hint = match content {
        Content::Scalar(word) => descriptor::field(message, &word.text)
            .filter(|field| matches!(field.kind(), Kind::Message(_)) && !field.is_list())
            .map(|field| format!("write {{{}: {{}}}}", field.json_name())),
        Content::List(_) if message.fields().len() == 0 => Some("write {}".to_owned()),
        Content::List(_) | Content::Mapping(_) => None,
    };
    wrong(content, "a mapping").maybe(hint)
}

fn not_a_list(kind: &Kind, content: &Content) -> Complaint {
    let hint = match (kind, content) {
        (_, content) if content.is_null() => Some("write [] for an empty list".to_owned()),
        (Kind::Message(_), Content::Mapping(_)) => Some("write `- ` before it".to_owned()),
        (_, Content::Scalar(scalar)) => Some(format!("write [{}]", shorten(&scalar.text))),
        _ => None,
    };
    wrong(content, "a list").maybe(hint)
}

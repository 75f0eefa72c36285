//! From a text to resources: the envelope of `kind`, `name` and `spec`, lists
//! of documents, and resources that are defined twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value};

use super::descriptor;
use super::locate::Document;
use super::report::{Complaint, DocumentError, Report};
use super::scalar;
use super::suggest;
use super::tree::{Content, Entry, Key, Node, Span};
use super::walk::{Path, Place, Walk, twice};
use super::yaml;
use crate::error::Invalid;
use crate::proto::v1;

/// The kind of a document that holds others.
const LIST: &str = "List";

/// Reads all documents of a text. `file` is the name shown in errors.
///
/// # Errors
/// Everything that is wrong with any of the documents, in the order of the
/// text.
pub fn read(file: &str, text: &str) -> Result<Vec<Document>, Vec<DocumentError>> {
    let reading = read_all(file, text);
    if reading.errors.is_empty() {
        Ok(reading.documents)
    } else {
        Err(reading.errors)
    }
}

/// What could be read of a text.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Every document whose kind and name could be read. Of a damaged one
    /// ([`Document::is_damaged`]) only those fields are set that are right.
    pub documents: Vec<Document>,
    /// Everything that is wrong, in the order of the text.
    pub errors: Vec<DocumentError>,
    /// Whether there are documents of which not even kind and name could be
    /// read, so that a reference to what is not here may still be right.
    pub is_partial: bool,
}

/// Reads all documents of a text as far as they can be read, and everything
/// that is wrong with them. Never fails otherwise, whatever the text is.
pub fn read_all(file: &str, text: &str) -> Reading {
    let mut report = Report::new(file);
    let trees = yaml::parse(text, &mut report);
    let mut reader = Reader {
        file: Arc::from(file),
        is_partial: report.found() > 0,
        report,
        documents: Vec::new(),
    };
    for tree in trees {
        if !tree.content.is_null() {
            reader.document(tree, &Path::Root);
        }
    }
    let (documents, doubles) = refuse_duplicates(reader.documents);
    let mut errors = reader.report.into_errors();
    errors.extend(doubles);
    errors.sort_by_key(|error| error.location.offset);
    Reading {
        documents,
        errors,
        is_partial: reader.is_partial,
    }
}

/// Keeps the first of the documents with the same kind and name, and says where
/// the others are. For documents of several files.
pub fn refuse_duplicates(documents: Vec<Document>) -> (Vec<Document>, Vec<DocumentError>) {
    let mut first = BTreeMap::new();
    let mut kept = Vec::with_capacity(documents.len());
    let mut errors = Vec::new();
    for document in documents {
        let place = document.locate("");
        if let Some(earlier) = first.get(&document.id) {
            let reason = format!("defined twice: first at {earlier}");
            errors.push(document.error(Invalid::new("", reason)));
        } else {
            first.insert(document.id.clone(), place);
            kept.push(document);
        }
    }
    (kept, errors)
}

/// The keys of a document.
#[derive(Default)]
struct Envelope {
    kind: Option<Entry>,
    name: Option<Entry>,
    spec: Option<Entry>,
    items: Option<Entry>,
}

impl Envelope {
    fn slot(&mut self, key: &str) -> Option<&mut Option<Entry>> {
        match key {
            "kind" => Some(&mut self.kind),
            "name" => Some(&mut self.name),
            "spec" => Some(&mut self.spec),
            "items" => Some(&mut self.items),
            _ => None,
        }
    }
}

struct Reader {
    file: Arc<str>,
    report: Report,
    documents: Vec<Document>,
    /// Whether a document was lost.
    is_partial: bool,
}

impl Reader {
    /// Reads one document, or the documents of a list.
    fn document(&mut self, node: Node, base: &Path<'_>) {
        self.report.take_damage();
        let whole = node.focus(None);
        let content = node.content;
        let Content::Mapping(entries) = content else {
            let complaint = scalar::wrong(&content, "a mapping of kind, name and spec");
            self.report.add(whole, None, base, complaint);
            self.is_partial = true;
            return;
        };
        let is_list = entries.iter().any(is_list_kind);
        let allowed: &[&str] = if is_list {
            &["kind", "items"]
        } else {
            &["kind", "name", "spec"]
        };
        let mut envelope = self.envelope(entries, allowed, base);
        for &key in allowed {
            if envelope.slot(key).is_some_and(|slot| slot.is_none()) {
                let complaint = Complaint::new("required field is missing");
                let path = Path::Field(base, key);
                self.report.add(whole, None, path, complaint);
            }
        }
        if is_list {
            self.list(envelope, base);
        } else {
            let read = self.resource(envelope, whole, base);
            self.is_partial |= read.is_none();
            self.documents.extend(read);
        }
    }

    /// Sorts the entries of a document by key.
    fn envelope(&mut self, entries: Vec<Entry>, allowed: &[&str], base: &Path<'_>) -> Envelope {
        let mut envelope = Envelope::default();
        for entry in entries {
            let name = entry.key.text.as_str();
            let span = entry.key.span;
            let complaint = match envelope.slot(name) {
                Some(slot) if allowed.contains(&name) => {
                    let Some(first) = slot else {
                        *slot = Some(entry);
                        continue;
                    };
                    twice(first.key.span.line)
                }
                _ => Complaint::new("unknown field").hint(suggest::advice(name, allowed)),
            };
            let name = scalar::shorten(name);
            let path = Path::Key(base, &name);
            self.report.add(span, None, path, complaint);
        }
        envelope
    }

    fn list(&mut self, envelope: Envelope, base: &Path<'_>) {
        let Some(items) = envelope.items else {
            self.is_partial = true;
            return;
        };
        let span = items.value.focus(Some(items.key.span));
        let path = Path::Field(base, "items");
        if matches!(base, Path::Index(..)) {
            let complaint = Complaint::new("a List cannot hold another List");
            self.report.add(span, None, path, complaint);
            self.is_partial = true;
            return;
        }
        match items.value.content {
            Content::List(nodes) => {
                for (index, node) in nodes.into_iter().enumerate() {
                    self.document(node, &Path::Index(&path, index));
                }
            }
            content => {
                let complaint = scalar::wrong(&content, "a list of documents");
                self.report.add(span, None, path, complaint);
                self.is_partial = true;
            }
        }
    }

    /// Reads a resource that stands at `whole`, as far as it is right; `None`
    /// if it cannot be told which resource it is.
    fn resource(&mut self, envelope: Envelope, whole: Span, base: &Path<'_>) -> Option<Document> {
        let kind = envelope
            .kind
            .as_ref()
            .and_then(|entry| self.kind(entry, base));
        let known = kind.as_ref().map(|(_, message)| message.name().to_owned());
        let name = envelope.name.as_ref().and_then(|entry| {
            let path = Path::Field(base, "name");
            self.text(entry, known.as_deref(), &path)
        });
        let (field, message) = kind?;
        let id = match &name {
            Some(name) => format!("{}/{name}", message.name()),
            None => message.name().to_owned(),
        };
        let spec = envelope.spec.unwrap_or_else(|| self.missing_spec(whole));
        let mut walk = Walk {
            report: &mut self.report,
            resource: Some(&id),
        };
        let content = walk.message(&message, Place::of(&spec), &Path::Root);
        let (kind, name_entry, name) = (envelope.kind?, envelope.name?, name?);
        match assemble(&name, &field, content) {
            Ok(resource) => Some(Document {
                resource,
                id,
                file: Arc::clone(&self.file),
                kind: kind.value.focus(Some(kind.key.span)),
                name: name_entry.value.focus(Some(name_entry.key.span)),
                spec: spec.value,
                damage: self.report.take_damage(),
            }),
            Err(complaint) => {
                self.report
                    .add(Place::of(&spec).focus(), Some(&id), base, complaint);
                None
            }
        }
    }

    /// Stands for a `spec` that is not there, and of which nothing is known.
    fn missing_spec(&mut self, whole: Span) -> Entry {
        self.report.doubt(&Path::Root);
        Entry {
            key: Key {
                text: "spec".to_owned(),
                span: whole,
            },
            value: Node {
                span: whole,
                content: Content::Mapping(Vec::new()),
            },
        }
    }

    /// The kind that a document names.
    fn kind(
        &mut self,
        entry: &Entry,
        base: &Path<'_>,
    ) -> Option<(FieldDescriptor, MessageDescriptor)> {
        let path = Path::Field(base, "kind");
        let text = self.text(entry, None, &path)?;
        let kinds = descriptor::kinds();
        if let Some(found) = kinds.iter().find(|(_, message)| message.name() == text) {
            return Some(found.clone());
        }
        let mut names: Vec<&str> = kinds.iter().map(|(_, message)| message.name()).collect();
        names.push(LIST);
        let complaint = Complaint::new(format!("unknown kind {:?}", scalar::shorten(&text)))
            .hint(suggest::advice(&text, &names));
        self.report.add(whole(entry), None, path, complaint);
        None
    }

    fn text(&mut self, entry: &Entry, resource: Option<&str>, path: &Path<'_>) -> Option<String> {
        match scalar::text(&entry.value.content) {
            Ok(text) => Some(text.to_owned()),
            Err(complaint) => {
                self.report.add(whole(entry), resource, path, complaint);
                None
            }
        }
    }
}

/// Where an entry's value is pointed at.
fn whole(entry: &Entry) -> Span {
    Place::of(entry).focus()
}

fn is_list_kind(entry: &Entry) -> bool {
    entry.key.text == "kind"
        && matches!(&entry.value.content, Content::Scalar(scalar) if scalar.text == LIST)
}

/// The resource of a name and a spec.
fn assemble(
    name: &str,
    field: &FieldDescriptor,
    spec: DynamicMessage,
) -> Result<v1::Resource, Complaint> {
    let mut resource = DynamicMessage::new(descriptor::resource());
    let parts = [
        (
            descriptor::resource().get_field_by_name("name"),
            Value::String(name.to_owned()),
        ),
        (Some(field.clone()), Value::Message(spec)),
    ];
    for (field, value) in parts {
        let set = field.is_some_and(|field| resource.try_set_field(&field, value).is_ok());
        debug_assert!(set, "a resource has a name and the field of its kind");
    }
    resource
        .transcode_to()
        .map_err(|error| Complaint::new(format!("not a resource: {error}")))
}

//! The only place that knows the YAML parser: turns text into spanned trees,
//! one per document, and goes on with the next document after a syntax error.
//!
//! Depth, number of values and copied text are bounded, whatever aliases do.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, StrInput};

use super::report::{Complaint, Report};
use super::tree::{Content, Entry, Key, Node, Scalar, Span};

/// Largest text that is read, in bytes.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// Most values in one text, copies through aliases included.
const MAX_NODES: usize = 2_000_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// The trees of all documents that are well-formed; what is wrong with the
/// others goes to `report`.
pub(super) fn parse(text: &str, report: &mut Report) -> Vec<Node> {
    if text.len() > MAX_BYTES {
        let reason = format!(
            "{} bytes are too much: a text must have at most {MAX_BYTES}",
            text.len()
        );
        report.add_loose(Span::start(), Complaint::new(reason));
        return Vec::new();
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::default();
    while let Err(stop) = builder.run(&mut parser) {
        report.add_loose(stop.span, stop.complaint);
        builder.abandon();
        if stop.last || !go_on(&mut parser, report) {
            break;
        }
    }
    builder.documents
}

/// Moves to the next document; whether there is one.
fn go_on<'t>(parser: &mut Parser<'t, StrInput<'t>>, report: &mut Report) -> bool {
    match parser.proceed_next_document() {
        Ok(more) => more,
        Err(error) => {
            let stop = Stop::syntax(&error);
            report.add_loose(stop.span, stop.complaint);
            false
        }
    }
}

/// Why a document cannot be read.
struct Stop {
    span: Span,
    complaint: Complaint,
    /// Whether the documents after it are not read either.
    last: bool,
}

impl Stop {
    fn document(span: Span, complaint: Complaint) -> Self {
        Self {
            span,
            complaint,
            last: false,
        }
    }

    fn syntax(error: &ScanError) -> Self {
        let marker = error.marker();
        let span = Span {
            line: marker.line().max(1),
            column: marker.col() + 1,
            offset: marker.byte_offset().unwrap_or_else(|| marker.index()),
            length: 0,
        };
        Self::document(span, Complaint::new(format!("not YAML: {}", error.info())))
    }

    fn too_many(span: Span) -> Self {
        let complaint = Complaint::new(format!(
            "too much in one text: at most {MAX_NODES} values, and {MAX_BYTES} bytes of text, \
             aliases counted as often as they are used"
        ))
        .hint("split the text into several");
        Self {
            span,
            complaint,
            last: true,
        }
    }
}

/// Size of a tree.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
    height: usize,
}

impl Weight {
    /// Counts a part in; the height of the whole is one more than its parts'.
    fn hold(&mut self, part: Self) {
        self.nodes += part.nodes;
        self.bytes += part.bytes;
        self.height = self.height.max(part.height + 1);
    }
}

/// A list or mapping whose end was not seen yet.
struct Open {
    span: Span,
    anchor: usize,
    content: OpenContent,
    weight: Weight,
}

enum OpenContent {
    List(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        key: Option<Key>,
    },
}

/// Builds trees from events.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Weight)>,
    nodes: usize,
    bytes: usize,
}

impl Builder {
    /// Takes events until the end of the text or something is wrong.
    fn run<'t>(&mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Result<(), Stop> {
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| Stop::syntax(&error))?;
            self.take(event, Span::of(&span))?;
        }
        Ok(())
    }

    /// Forgets the document in progress.
    fn abandon(&mut self) {
        self.open.clear();
        self.anchors.clear();
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        if let Some(tag) = event.tag()
            && !tag.is_yaml_core_schema_tag("str")
        {
            let reason = format!("tag {} has no meaning here", tag.original());
            return Err(Stop::document(span, Complaint::new(reason)));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let weight = Weight {
                    nodes: 1,
                    bytes: text.len(),
                    height: 0,
                };
                self.charge(weight, span)?;
                let content = Content::Scalar(Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain && tag.is_none(),
                });
                self.close(Node { span, content }, anchor, weight)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(span, anchor, OpenContent::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                let entries = Vec::new();
                self.begin(span, anchor, OpenContent::Mapping { entries, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentEnd => {
                self.abandon();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, span: Span, anchor: usize, content: OpenContent) -> Result<(), Stop> {
        let weight = Weight {
            nodes: 1,
            ..Weight::default()
        };
        self.charge(weight, span)?;
        self.check_depth(1, span)?;
        self.open.push(Open {
            span,
            anchor,
            content,
            weight,
        });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let content = match open.content {
            OpenContent::List(nodes) => Content::List(nodes),
            OpenContent::Mapping { entries, .. } => Content::Mapping(entries),
        };
        let span = Span {
            length: (end.offset + end.length).saturating_sub(open.span.offset),
            ..open.span
        };
        self.close(Node { span, content }, open.anchor, open.weight)
    }

    /// A copy of the node with that anchor.
    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some((node, weight)) = self.anchors.get(&anchor) else {
            let complaint = Complaint::new("an alias cannot stand inside of what it names");
            return Err(Stop::document(span, complaint));
        };
        let (weight, node) = (*weight, node);
        charge(&mut self.nodes, &mut self.bytes, weight, span)?;
        let node = node.clone();
        self.check_depth(weight.height, span)?;
        self.close(node, 0, weight)
    }

    /// Puts a complete node where it belongs.
    fn close(&mut self, node: Node, anchor: usize, weight: Weight) -> Result<(), Stop> {
        if anchor != 0 {
            self.charge(weight, node.span)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        parent.weight.hold(weight);
        match &mut parent.content {
            OpenContent::List(nodes) => nodes.push(node),
            OpenContent::Mapping { entries, key } => match key.take() {
                Some(key) => entries.push(Entry { key, value: node }),
                None => *key = Some(as_key(node)?),
            },
        }
        Ok(())
    }

    fn charge(&mut self, weight: Weight, span: Span) -> Result<(), Stop> {
        charge(&mut self.nodes, &mut self.bytes, weight, span)
    }

    fn check_depth(&self, more: usize, span: Span) -> Result<(), Stop> {
        if self.open.len() + more > MAX_DEPTH {
            let reason = format!("nested too deeply: at most {MAX_DEPTH} levels");
            return Err(Stop::document(span, Complaint::new(reason)));
        }
        Ok(())
    }
}

/// Counts `weight` towards the bounds of the text.
fn charge(nodes: &mut usize, bytes: &mut usize, weight: Weight, span: Span) -> Result<(), Stop> {
    *nodes = nodes.saturating_add(weight.nodes);
    *bytes = bytes.saturating_add(weight.bytes);
    if *nodes > MAX_NODES || *bytes > MAX_BYTES {
        return Err(Stop::too_many(span));
    }
    Ok(())
}

/// A node in the place of a key.
fn as_key(node: Node) -> Result<Key, Stop> {
    match node.content {
        Content::Scalar(scalar) => Ok(Key {
            text: scalar.text,
            span: node.span,
        }),
        Content::List(_) | Content::Mapping(_) => {
            let complaint = Complaint::new("a key must be a word, not a list or a mapping");
            Err(Stop::document(node.span, complaint))
        }
    }
}

impl Span {
    /// The very beginning.
    fn start() -> Self {
        Self {
            line: 1,
            column: 1,
            offset: 0,
            length: 0,
        }
    }

    fn of(span: &granit_parser::Span) -> Self {
        let begin = &span.start;
        let offset = begin.byte_offset().unwrap_or_else(|| begin.index());
        let end = span.end.byte_offset().unwrap_or_else(|| span.end.index());
        Self {
            line: begin.line().max(1),
            column: begin.col() + 1,
            offset,
            length: end.saturating_sub(offset),
        }
    }
}

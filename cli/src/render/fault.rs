//! What is wrong with a configuration: with a piece of the file on a terminal,
//! as one line otherwise, and as JSON for scripts.

use std::fmt;
use std::sync::Arc;

use evenkeel_shared::document::{DocumentError, Location};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::render::conceal::Concealed;
use crate::render::{BOLD, CYAN, Format, RED, Terminal, styled};

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// Where it stands, if it stands in a file.
    pub(crate) location: Option<Location>,
    /// Kind and name of the resource, if they are known.
    pub(crate) resource: Option<String>,
    /// The field; empty for the whole.
    pub(crate) path: String,
    /// The value and the rule it breaks.
    pub(crate) reason: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
    /// The text of the file, without keys.
    text: Option<Arc<str>>,
}

impl Fault {
    /// A fault that stands in a file with this text, of which neither lines nor
    /// words are shown that belong to a key.
    pub(crate) fn in_file(error: DocumentError, text: Option<&Concealed>) -> Self {
        let clean = |said: String| text.map_or_else(|| said.clone(), |text| text.remark(&said));
        Self {
            location: Some(error.location),
            resource: error.resource.map(clean),
            path: clean(error.path),
            reason: clean(error.reason),
            hint: error.hint.map(clean),
            text: text.map(|text| Arc::clone(&text.shown)),
        }
    }

    /// A fault of something that is in no file of ours.
    pub(crate) fn elsewhere(resource: Option<String>, path: &str, reason: &str) -> Self {
        Self {
            location: None,
            resource,
            path: path.to_owned(),
            reason: reason.to_owned(),
            hint: None,
            text: None,
        }
    }

    fn subject(&self) -> String {
        let mut parts: Vec<&str> = Vec::new();
        parts.extend(self.resource.as_deref());
        parts.extend((!self.path.is_empty()).then_some(self.path.as_str()));
        parts.join(": ")
    }

    fn json(&self) -> Value {
        let mut value = json!({ "path": self.path, "reason": self.reason });
        if let Some(location) = &self.location {
            value["file"] = json!(location.file);
            value["line"] = json!(location.line);
            value["column"] = json!(location.column);
        }
        if let Some(resource) = &self.resource {
            value["resource"] = json!(resource);
        }
        if let Some(hint) = &self.hint {
            value["hint"] = json!(hint);
        }
        value
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        let subject = self.subject();
        if !subject.is_empty() {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.reason)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// A fault as miette wants it.
#[derive(Debug)]
struct Snippet<'f> {
    fault: &'f Fault,
    location: &'f Location,
    source: NamedSource<Arc<str>>,
}

impl fmt::Display for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.fault.subject();
        if subject.is_empty() {
            f.write_str(&self.fault.reason)
        } else {
            f.write_str(&subject)
        }
    }
}

impl std::error::Error for Snippet<'_> {}

impl Diagnostic for Snippet<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fault
            .hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::new(
            Some(self.fault.reason.clone()),
            self.location.offset,
            self.location.length,
        ))))
    }
}

/// The fault with the lines of its file around it; `None` where there is no
/// file to show.
fn snippet(fault: &Fault, theme: GraphicalTheme) -> Option<String> {
    let (location, text) = (fault.location.as_ref()?, fault.text.as_ref()?);
    let snippet = Snippet {
        fault,
        location,
        source: NamedSource::new(&location.file, Arc::clone(text)),
    };
    let mut rendered = String::new();
    GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_context_lines(2)
        .render_report(&mut rendered, &snippet)
        .ok()?;
    Some(rendered)
}

/// Tells of a failure on standard error; as JSON for scripts.
pub(crate) fn report(terminal: &mut Terminal, failure: &Failure, format: Format) {
    if failure.is_broken_pipe() {
        return;
    }
    if format == Format::Json {
        terminal.note(as_json(failure));
        return;
    }
    if let Failure::Invalid(faults) = failure {
        for fault in faults {
            one(terminal, fault);
        }
    }
    let label = styled(RED.bold(), "error");
    terminal.note(format_args!("{label}: {failure}"));
    if let Some(advice) = advice(failure) {
        terminal.note(format_args!("{}: {advice}", styled(CYAN, "hint")));
    }
}

fn one(terminal: &mut Terminal, fault: &Fault) {
    let theme = if terminal.err_has_colour() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let shown = terminal
        .watched_err()
        .then(|| snippet(fault, theme))
        .flatten();
    match shown {
        Some(text) => terminal.note(text),
        None => terminal.note(format_args!("{}: {fault}", styled(BOLD, "invalid"))),
    }
}

fn advice(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Unreachable { address, .. } => {
            let tls = if address.starts_with("https://") {
                ""
            } else {
                "; one that uses TLS needs https://"
            };
            Some(format!(
                "is a control plane running at {address}? Start one with `evenkeel \
                 control-plane`, or name another with --server, EVENKEEL_SERVER or `evenkeel \
                 config use-context`{tls}"
            ))
        }
        _ => None,
    }
}

/// The failure for scripts.
pub(crate) fn as_json(failure: &Failure) -> Value {
    let mut value = json!({ "error": failure.code(), "message": failure.to_string() });
    if let Failure::Invalid(faults) = failure {
        value["faults"] = faults.iter().map(Fault::json).collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::document;

    use super::*;
    use crate::render::testing::captured;

    const TEXT: &str = "kind: Cluster\nname: cart\nspec:\n  endpoints:\n    statik: []\n";

    fn faults() -> Vec<Fault> {
        let errors = document::read("shop.yaml", TEXT).unwrap_err();
        errors
            .into_iter()
            .map(|error| Fault::in_file(error, Some(&Concealed::new(TEXT))))
            .collect()
    }

    #[test]
    fn a_fault_is_one_line_where_nobody_watches() {
        let (mut terminal, memory) = captured();
        report(&mut terminal, &Failure::Invalid(faults()), Format::Table);
        assert!(
            memory.err().starts_with(
                "invalid: shop.yaml:5:5: Cluster/cart: endpoints.statik: unknown field"
            ),
            "{}",
            memory.err()
        );
        assert_eq!(memory.out(), "");
    }

    #[test]
    fn a_fault_shows_its_line_of_the_file_on_a_terminal() {
        let text = snippet(&faults()[0], GraphicalTheme::unicode_nocolor()).unwrap();
        assert!(text.contains("Cluster/cart: endpoints.statik"), "{text}");
        assert!(text.contains("5 │     statik: []"), "{text}");
        assert!(text.contains("unknown field"), "{text}");
    }

    #[test]
    fn scripts_get_every_part_of_a_fault() {
        let (mut terminal, memory) = captured();
        report(&mut terminal, &Failure::Invalid(faults()), Format::Json);
        let value: Value = serde_json::from_str(&memory.err()).unwrap();
        assert_eq!(value["error"], "invalid");
        assert_eq!(value["faults"][0]["file"], "shop.yaml");
        assert_eq!(value["faults"][0]["line"], 5);
        assert_eq!(value["faults"][0]["path"], "endpoints.statik");
    }

    #[test]
    fn an_unreachable_server_comes_with_what_to_try() {
        let (mut terminal, memory) = captured();
        let failure = |address: &str| Failure::Unreachable {
            address: address.to_owned(),
            reason: "connection refused".to_owned(),
        };
        report(&mut terminal, &failure("http://127.0.0.1:1"), Format::Table);
        assert!(
            memory
                .err()
                .contains("http://127.0.0.1:1: connection refused")
        );
        assert!(memory.err().contains("evenkeel control-plane"));
        assert!(memory.err().contains("needs https://"));
        let (mut terminal, memory) = captured();
        report(&mut terminal, &failure("https://a:1"), Format::Table);
        assert!(!memory.err().contains("needs https://"));
    }
}

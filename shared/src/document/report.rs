//! What is wrong with a text, and where: everything that was found, up to a
//! bound, in the order of the text.

use std::fmt;

use super::tree::Span;

/// Most errors of one text that are kept; the rest is only counted.
const MAX_ERRORS: usize = 1000;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Name of the file, as given by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte in the text, from 0.
    pub offset: usize,
    /// Number of bytes; 0 where there is nothing to mark.
    pub length: usize,
}

impl Location {
    pub(super) fn new(file: &str, span: Span) -> Self {
        Self {
            file: file.to_owned(),
            line: span.line,
            column: span.column,
            offset: span.offset,
            length: span.length,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong with a document. Its text is one line:
/// `shop.yaml:12:7: Route/shop: rules[0].retry.retris: unknown field; did you
/// mean "retries"?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// Where it is.
    pub location: Location,
    /// Kind and name of the resource (`Route/shop`), or its kind alone, as far
    /// as they could be read.
    pub resource: Option<String>,
    /// The field, seen from `spec`; for what is outside of `spec`, seen from
    /// the document. Empty if no field is meant.
    pub path: String,
    /// The value and the rule it breaks.
    pub reason: String,
    /// What to write instead, if that can be guessed.
    pub hint: Option<String>,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.location)?;
        if let Some(resource) = &self.resource {
            write!(f, "{resource}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentError {}

/// What is wrong with a value, wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) reason: String,
    pub(super) hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: None,
        }
    }

    /// With advice.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        self.maybe(Some(hint.into()))
    }

    /// With advice if there is any.
    pub(super) fn maybe(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

/// Collects the errors of one text.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    errors: Vec<DocumentError>,
    found: usize,
    /// What of the present document cannot be relied on, by path.
    damage: Vec<String>,
}

impl Report {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            errors: Vec::new(),
            found: 0,
            damage: Vec::new(),
        }
    }

    /// How many errors were found so far, kept or not.
    pub(super) fn found(&self) -> usize {
        self.found
    }

    /// Notes what is wrong at `path` of `resource`.
    pub(super) fn add(
        &mut self,
        span: Span,
        resource: Option<&str>,
        path: impl fmt::Display,
        complaint: Complaint,
    ) {
        self.found += 1;
        self.doubt(&path);
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(DocumentError {
                location: Location::new(&self.file, span),
                resource: resource.map(ToOwned::to_owned),
                path: path.to_string(),
                reason: complaint.reason,
                hint: complaint.hint,
            });
        }
    }

    /// Notes that the field at `path` may be meant by something that is wrong,
    /// and so cannot be called missing. After too many, all is in doubt.
    pub(super) fn doubt(&mut self, path: &dyn fmt::Display) {
        match self.damage.len() {
            0..MAX_ERRORS => self.damage.push(path.to_string()),
            MAX_ERRORS => self.damage.push(String::new()),
            _ => {}
        }
    }

    /// What is wrong or in doubt since this was asked last, by path.
    pub(super) fn take_damage(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damage)
    }

    /// Notes what is wrong outside of any resource.
    pub(super) fn add_loose(&mut self, span: Span, complaint: Complaint) {
        self.add(span, None, "", complaint);
    }

    /// Everything, in the order of the text.
    pub(super) fn into_errors(mut self) -> Vec<DocumentError> {
        let dropped = self.found - self.errors.len();
        self.errors.sort_by_key(|error| error.location.offset);
        if dropped > 0
            && let Some(last) = self.errors.last()
        {
            self.errors.push(DocumentError {
                location: last.location.clone(),
                resource: None,
                path: String::new(),
                reason: format!("{dropped} more errors are not shown"),
                hint: None,
            });
        }
        self.errors
    }
}

//! What is wrong with a piece of configuration, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong: the field, in the words of who wrote it, and the
/// rule it breaks. Checks collect all of them before they give up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Invalid {
    /// Path of the field from the root of the resource, for example
    /// `rules[0].clusters[1].weight`; empty for the resource as a whole.
    pub path: String,
    /// The value, the rule, and a hint if there is one:
    /// `invalid value 4000: must be at most 1000`.
    pub reason: String,
}

impl Invalid {
    /// Says what is wrong at `path`.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// The same fault seen from one level further out: `parent` comes in front
    /// of the path.
    #[must_use]
    pub fn under(self, parent: &str) -> Self {
        let path = match (parent.is_empty(), self.path.is_empty()) {
            (true, _) => self.path,
            (false, true) => parent.to_owned(),
            (false, false) if self.path.starts_with('[') => format!("{parent}{}", self.path),
            (false, false) => format!("{parent}.{}", self.path),
        };
        Self { path, ..self }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

impl std::error::Error for Invalid {}

/// Collects faults under a common path.
#[derive(Debug, Default)]
pub struct Faults {
    found: Vec<Invalid>,
}

impl Faults {
    /// Nothing found yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault.
    pub fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.found.push(Invalid::new(path, reason));
    }

    /// Notes the faults of a part, whose path begins at `parent`.
    pub fn extend_under(&mut self, parent: &str, faults: Vec<Invalid>) {
        self.found
            .extend(faults.into_iter().map(|fault| fault.under(parent)));
    }

    /// The value of a part, or a note of its faults under `parent`.
    pub fn take<T>(&mut self, parent: &str, part: Result<T, Vec<Invalid>>) -> Option<T> {
        match part {
            Ok(value) => Some(value),
            Err(faults) => {
                self.extend_under(parent, faults);
                None
            }
        }
    }

    /// Whether anything was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `value` if nothing was found, else everything that was.
    ///
    /// # Errors
    /// All faults, in the order they were found.
    pub fn into_result<T>(self, value: T) -> Result<T, Vec<Invalid>> {
        if self.found.is_empty() {
            Ok(value)
        } else {
            Err(self.found)
        }
    }

    /// Everything that was found.
    pub fn into_vec(self) -> Vec<Invalid> {
        self.found
    }
}

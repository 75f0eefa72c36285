//! What is noticed while a message is read, and where.

use crate::error::{Faults, Invalid};

/// What is said of a field that cannot be obeyed.
const UNSUPPORTED: &str = "not supported by evenkeel";

/// A part that was read, or nothing where a fault was noted.
pub(super) type Read<T> = Option<T>;

/// Collects faults and ignored fields under the path of the part that is being
/// read.
#[derive(Debug, Default)]
pub(in crate::xds) struct Findings {
    path: String,
    faults: Faults,
    ignored: Vec<String>,
}

impl Findings {
    /// Reads a part that stands at `field`.
    pub(super) fn at<T>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.path.len();
        self.path = self.path_of(field);
        let part = read(self);
        self.path.truncate(outer);
        part
    }

    /// Reads every element of a list that stands at `field`. All are read, so
    /// that all faults are found; `None` if any was refused.
    pub(super) fn each<I, T>(
        &mut self,
        field: &str,
        items: Vec<I>,
        mut read: impl FnMut(I, &mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let parts: Vec<Option<T>> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.at(&format!("{field}[{index}]"), |found| read(item, found)))
            .collect();
        parts.into_iter().collect()
    }

    /// Notes that `field` breaks a rule; `None`, to be returned in place of it.
    pub(super) fn fault<T>(&mut self, field: &str, reason: impl Into<String>) -> Option<T> {
        let path = self.path_of(field);
        self.faults.add(path, reason);
        None
    }

    /// As [`Self::fault`], quoting the value.
    pub(super) fn invalid<T>(
        &mut self,
        field: &str,
        value: impl std::fmt::Debug,
        rule: &str,
    ) -> Option<T> {
        self.fault(field, format!("invalid value {value:?}: {rule}"))
    }

    /// Notes that `field` cannot be obeyed.
    pub(super) fn unsupported<T>(&mut self, field: &str) -> Option<T> {
        self.fault(field, UNSUPPORTED)
    }

    /// Notes each field that is in use and cannot be obeyed.
    pub(super) fn unsupported_if<const N: usize>(&mut self, fields: [(&str, bool); N]) {
        for (field, _) in fields.into_iter().filter(|(_, in_use)| *in_use) {
            self.unsupported::<()>(field);
        }
    }

    /// Notes that `field` has no effect.
    pub(super) fn ignore(&mut self, field: &str) {
        let path = self.path_of(field);
        self.ignored.push(path);
    }

    /// Notes each field that is in use and has no effect.
    pub(super) fn ignore_if<const N: usize>(&mut self, fields: [(&str, bool); N]) {
        for (field, _) in fields.into_iter().filter(|(_, in_use)| *in_use) {
            self.ignore(field);
        }
    }

    /// All faults and all ignored fields, in the order in which they were met.
    pub(super) fn into_parts(self) -> (Vec<Invalid>, Vec<String>) {
        (self.faults.into_vec(), self.ignored)
    }

    fn path_of(&self, field: &str) -> String {
        match (self.path.is_empty(), field.is_empty()) {
            (true, _) => field.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{field}", self.path),
        }
    }
}

/// Whether a field was set to anything but its default.
pub(super) fn set<T: Default + PartialEq>(field: &T) -> bool {
    *field != T::default()
}

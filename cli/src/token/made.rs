//! A new token, which is shown once.

use std::path::Path;

use evenkeel_shared::proto::v1::{CreateTokenResponse, Token};
use evenkeel_shared::secret::SecretBytes;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{label, until};
use crate::access;
use crate::failure::Failure;
use crate::private_file::{self, Existing, Readers};
use crate::render::table::Columns;
use crate::render::{Format, Terminal, json};

/// A file that is there for a token, and goes again if there is none.
pub(super) struct NewFile<'p> {
    path: &'p Path,
    is_filled: bool,
}

impl<'p> NewFile<'p> {
    /// Makes it, for its owner only.
    ///
    /// # Errors
    /// It is there already; what the system says.
    pub(super) fn reserve(path: &'p Path) -> Result<Self, Failure> {
        private_file::write(path, b"", Readers::Owner, Existing::Keep)
            .map_err(|error| Failure::Failed(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self {
            path,
            is_filled: false,
        })
    }

    /// Puts the token in.
    ///
    /// # Errors
    /// What the system says; nobody knows the token then.
    pub(super) fn fill(mut self, token: &SecretBytes) -> Result<&'p Path, Failure> {
        let path = self.path;
        let mut line = Zeroizing::new(token.expose().to_vec());
        line.push(b'\n');
        private_file::write(path, &line, Readers::Owner, Existing::Replace).map_err(|error| {
            Failure::Failed(format!(
                "cannot write {}: {error}; the token is there, but nobody knows it: end it with \
                 `evenkeel token revoke`",
                path.display()
            ))
        })?;
        self.is_filled = true;
        Ok(path)
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.is_filled {
            // It is empty; left over, it only looks odd.
            drop(std::fs::remove_file(self.path));
        }
    }
}

/// A new token.
pub(super) struct Made<'p> {
    /// Without its secret.
    pub(super) answer: CreateTokenResponse,
    /// Empty for a certificate.
    pub(super) secret: SecretBytes,
    /// Where the secret was written.
    pub(super) path: Option<&'p Path>,
}

impl Made<'_> {
    /// Shows it, this once.
    ///
    /// # Errors
    /// The output is gone.
    pub(super) fn show(&self, format: Format, terminal: &mut Terminal) -> Result<(), Failure> {
        let token = self.answer.token.clone().unwrap_or_default();
        let is_certificate = self.secret.expose().is_empty();
        let shows_secret = !is_certificate && self.path.is_none();
        match format {
            Format::Json => terminal.json(&self.value()?)?,
            Format::Yaml => terminal.text(&json::yaml(&self.value()?)?)?,
            Format::Name if shows_secret => terminal.line(self.text())?,
            Format::Name => terminal.line(label(&token))?,
            Format::Table | Format::Wide => {
                terminal.text(&facts(&token))?;
                if shows_secret {
                    terminal.line(format_args!("token     {}", self.text()))?;
                }
            }
        }
        terminal.flush()?;
        if let Some(path) = self.path {
            let path = path.display();
            terminal.note(format_args!(
                "The token is in {path}; use it with --token-file {path}"
            ));
        } else if shows_secret {
            terminal.note(
                "The token is shown only this once. Keep it in a file that only you can read, \
                 and give it with --token-file or EVENKEEL_TOKEN_FILE",
            );
        }
        if token.expires.is_none() {
            terminal.note("It never ends by itself; --expires sets an end, `token revoke` ends it");
        }
        Ok(())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.secret.expose()).into_owned()
    }

    fn value(&self) -> Result<Value, Failure> {
        let mut value = json::value("CreateTokenResponse", &self.answer)?;
        match self.path {
            Some(path) => value["file"] = Value::from(path.display().to_string()),
            None => value["secret"] = Value::from(self.text()),
        }
        Ok(value)
    }
}

/// Lines of a name and what it is.
fn facts(token: &Token) -> String {
    let mut columns = Columns::new(&["", ""]);
    let mut row = |name: &str, fact: String| columns.row([name.to_owned(), fact]);
    row("name", token.name.clone());
    row("id", token.id.clone());
    row("may", access::words(&token.grants));
    if !token.certificate.is_empty() {
        row("carries", token.certificate.clone());
    }
    row("expires", until(token.expires.as_ref()));
    columns.render(false)
}

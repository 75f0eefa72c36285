//! The settings file: servers by name, with what is needed to talk to them. Only
//! its owner can read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use evenkeel_shared::secret::SecretBytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::credentials::{Credentials, TokenSource};
use crate::failure::Failure;
use crate::private_file::{self, Existing, Readers};
use crate::render::conceal;

/// The settings file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The context in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current_context: Option<String>,
    /// Contexts by name.
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// One server. Serialised for people: without the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Context {
    /// Address of its management API.
    pub(crate) server: String,
    /// Authorities that sign its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// Our certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// Our token.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "secret"
    )]
    pub(crate) token: Option<SecretBytes>,
    /// File that holds our token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// Name that its certificate must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretBytes>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.map(|text| SecretBytes::new(text.into_bytes())))
}

impl Context {
    /// A server without credentials.
    pub(crate) fn new(server: String) -> Self {
        Self {
            server,
            ca: None,
            certificate: None,
            key: None,
            token: None,
            token_file: None,
            server_name: None,
        }
    }

    /// What it says of who we are, and who the server must be.
    pub(crate) fn credentials(&self) -> Credentials {
        let file = || self.token_file.clone().map(TokenSource::File);
        Credentials {
            ca: self.ca.clone(),
            cert: self.certificate.clone(),
            key: self.key.clone(),
            token: self.token.clone().map(TokenSource::Given).or_else(file),
            server_name: self.server_name.clone(),
        }
    }
}

impl Settings {
    /// Reads the file; one that does not exist is empty.
    ///
    /// # Errors
    /// It cannot be read, or says what is not known.
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(failed("read", file, &error)),
        };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| {
            // The lines around it may hold a token.
            let said = error.without_snippet().to_string();
            failed("read", file, &conceal::remark(&said, &text))
        })
    }

    /// Writes the file as a whole: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn store(&self, file: &Path) -> Result<(), Failure> {
        let mut value = json!(self);
        for (name, context) in &self.contexts {
            if let Some(token) = &context.token {
                let token = String::from_utf8_lossy(token.expose());
                value["contexts"][name]["token"] = Value::from(token);
            }
        }
        let text = serde_saphyr::to_string(&value).map_err(|_| {
            // Without its words, which may be those of a token.
            failed("write", file, &"it cannot be written as YAML")
        })?;
        std::fs::create_dir_all(private_file::directory(file))
            .and_then(|()| {
                private_file::write(file, text.as_bytes(), Readers::Owner, Existing::Replace)
            })
            .map_err(|error| failed("write", file, &error))
    }

    /// The context of this name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn context(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there is none; make one with `evenkeel config set-context NAME --server URL`"
                    .to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            Failure::Usage(format!("no context `{name}`; {known}"))
        })
    }
}

fn failed(verb: &str, file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!("cannot {verb} {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn settings() -> Settings {
        let lab = Context {
            token: Some(SecretBytes::new(b"canary: #1".to_vec())),
            ca: Some("/pki/ca.crt".into()),
            ..Context::new("https://lab:1".to_owned())
        };
        Settings {
            current_context: Some("lab".to_owned()),
            contexts: BTreeMap::from([
                ("lab".to_owned(), lab),
                ("prod".to_owned(), Context::new("prod:2".to_owned())),
            ]),
        }
    }

    #[test]
    fn settings_survive_the_file_which_only_its_owner_reads() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("evenkeel").join("config.yaml");
        settings().store(&file).unwrap();
        assert_eq!(Settings::load(&file).unwrap(), settings());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_token_is_shown_nowhere_but_in_the_file() {
        let shown = format!("{:?} {}", settings(), json!(settings()));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_explained_without_its_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        for text in [
            "contexts:\n  lab:\n    token: canary-canary\n    sever: x\n",
            "contexts:\n  lab: {server: x, token: [canary-canary]}\n",
            "contexts:\n  lab:\n    server: x\n    token: \"canary-canary\n",
            "contexts:\n  lab: token=canary-canary\n",
        ] {
            std::fs::write(&file, text).unwrap();
            let failure = Settings::load(&file).unwrap_err().to_string();
            assert!(failure.contains("config.yaml"), "{failure}");
            assert!(!failure.contains("canary"), "{failure}");
        }
    }

    #[test]
    fn an_unknown_context_is_a_usage_error_that_lists_the_others() {
        let failure = settings().context("qa").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(
            failure.to_string().contains("there are lab, prod"),
            "{failure}"
        );
    }
}

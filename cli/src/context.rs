//! Which server the client verbs talk to: `--server`, then `--context`, then
//! the environment, then the current context of the file, then the default.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Where a control plane listens unless told otherwise.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:18001";

/// Which server.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    // The environment is read later: a context on the command line wins over it.
    #[arg(
        long,
        value_name = "URL",
        help = "Address of the management API [env: EVENKEEL_SERVER] \
                [default: http://127.0.0.1:18001]"
    )]
    pub(crate) server: Option<String>,
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "server",
        help = "Context of the settings file to use [env: EVENKEEL_CONTEXT] \
                [default: the current one]"
    )]
    pub(crate) context: Option<String>,
}

impl ServerArgs {
    /// Whether nothing is said of the server.
    pub(crate) fn is_empty(&self) -> bool {
        self.server.is_none() && self.context.is_none()
    }
}

/// The parts of the environment that matter here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `EVENKEEL_SERVER`.
    pub(crate) server: Option<String>,
    /// `EVENKEEL_CONTEXT`.
    pub(crate) context: Option<String>,
    /// The settings file.
    pub(crate) file: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn of_process() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".config")));
        Self {
            server: set("EVENKEEL_SERVER"),
            context: set("EVENKEEL_CONTEXT"),
            file: home.map(|home| home.join("evenkeel").join("config.yaml")),
        }
    }

    /// Where the settings are kept.
    ///
    /// # Errors
    /// Neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub(crate) fn settings_file(&self) -> Result<&Path, Failure> {
        self.file.as_deref().ok_or_else(|| {
            Failure::Failed(
                "no place for settings: neither XDG_CONFIG_HOME nor HOME is set".to_owned(),
            )
        })
    }
}

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

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Context {
    /// Address of its management API.
    pub(crate) server: String,
}

impl Settings {
    /// Reads the file; one that does not exist is empty.
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
        serde_saphyr::from_str(&text).map_err(|error| failed("read", file, &error))
    }

    /// Writes the file as a whole: a crash leaves the old one or the new one.
    pub(crate) fn store(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_saphyr::to_string(self).map_err(|error| failed("write", file, &error))?;
        replace(file, &text).map_err(|error| failed("write", file, &error))
    }

    /// The context of this name.
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

fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let fresh = file.with_extension(format!("yaml.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(&fresh)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    std::fs::rename(&fresh, file)
}

fn failed(verb: &str, file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!("cannot {verb} {}: {error}", file.display()))
}

/// The address of the server.
///
/// # Errors
/// A context that does not exist; a settings file that cannot be read.
pub(crate) fn server(args: &ServerArgs, environment: &Environment) -> Result<String, Failure> {
    if let Some(server) = &args.server {
        return Ok(with_scheme(server));
    }
    let settings = || match &environment.file {
        Some(file) => Settings::load(file),
        None => Ok(Settings::default()),
    };
    if let Some(name) = &args.context {
        return Ok(with_scheme(&settings()?.context(name)?.server));
    }
    if let Some(server) = &environment.server {
        return Ok(with_scheme(server));
    }
    let settings = settings()?;
    match environment
        .context
        .as_ref()
        .or(settings.current_context.as_ref())
    {
        Some(name) => Ok(with_scheme(&settings.context(name)?.server)),
        None => Ok(DEFAULT_SERVER.to_owned()),
    }
}

/// `host:port` becomes `http://host:port`.
pub(crate) fn with_scheme(server: &str) -> String {
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let context = |server: &str| Context {
            server: server.to_owned(),
        };
        Settings {
            current_context: Some("lab".to_owned()),
            contexts: BTreeMap::from([
                ("lab".to_owned(), context("http://lab:1")),
                ("prod".to_owned(), context("prod:2")),
            ]),
        }
    }

    fn environment(directory: &Path) -> Environment {
        let file = directory.join("evenkeel").join("config.yaml");
        settings().store(&file).unwrap();
        Environment {
            file: Some(file),
            ..Environment::default()
        }
    }

    #[test]
    fn settings_survive_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let environment = environment(directory.path());
        let file = environment.settings_file().unwrap();
        assert_eq!(Settings::load(file).unwrap(), settings());
    }

    #[test]
    fn the_most_deliberate_choice_of_a_server_wins() {
        let directory = tempfile::tempdir().unwrap();
        let file = environment(directory.path());
        let exported = Environment {
            server: Some("http://env:3".to_owned()),
            ..file.clone()
        };
        let context = ServerArgs {
            context: Some("prod".to_owned()),
            ..ServerArgs::default()
        };
        let flag = ServerArgs {
            server: Some("flag:4".to_owned()),
            ..ServerArgs::default()
        };
        let none = ServerArgs::default();
        assert_eq!(server(&flag, &exported).unwrap(), "http://flag:4");
        assert_eq!(server(&context, &exported).unwrap(), "http://prod:2");
        assert_eq!(server(&none, &exported).unwrap(), "http://env:3");
        assert_eq!(server(&none, &file).unwrap(), "http://lab:1");
        assert_eq!(
            server(&none, &Environment::default()).unwrap(),
            DEFAULT_SERVER
        );
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

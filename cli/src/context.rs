//! Which server the client verbs talk to, and as whom: `--server`, then
//! `--context`, then the environment, then the current context of the file, then
//! the default.

use std::path::{Path, PathBuf};

use clap::Args;
use evenkeel_shared::secret::SecretBytes;

use crate::credentials::{CredentialArgs, Credentials, TokenSource};
use crate::failure::Failure;
use crate::settings::{Context, Settings};

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
    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
}

impl ServerArgs {
    /// Whether nothing is said of the server.
    pub(crate) fn is_empty(&self) -> bool {
        self.server.is_none() && self.context.is_none() && self.credentials.is_empty()
    }

    /// These, and `before` for what is missing: the nearer one wins.
    pub(crate) fn or(self, before: Self) -> Self {
        let (server, context) = if self.server.is_some() || self.context.is_some() {
            (self.server, self.context)
        } else {
            (before.server, before.context)
        };
        Self {
            server,
            context,
            credentials: self.credentials.or(before.credentials),
        }
    }
}

/// A server, and what is needed to talk to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// Address of its management API, with a scheme.
    pub(crate) address: String,
    /// Who we are, and who it must be.
    pub(crate) credentials: Credentials,
}

/// The parts of the environment that matter here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `EVENKEEL_SERVER`.
    pub(crate) server: Option<String>,
    /// `EVENKEEL_CONTEXT`.
    pub(crate) context: Option<String>,
    /// `EVENKEEL_CA`, `EVENKEEL_CERT`, `EVENKEEL_KEY`, `EVENKEEL_TOKEN` or else
    /// `EVENKEEL_TOKEN_FILE`.
    pub(crate) credentials: Credentials,
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
        let path = |name: &str| set(name).map(PathBuf::from);
        let token = set("EVENKEEL_TOKEN")
            .map(|token| TokenSource::Given(SecretBytes::new(token.into_bytes())));
        Self {
            server: set("EVENKEEL_SERVER"),
            context: set("EVENKEEL_CONTEXT"),
            credentials: Credentials {
                ca: path("EVENKEEL_CA"),
                cert: path("EVENKEEL_CERT"),
                key: path("EVENKEEL_KEY"),
                token: token.or_else(|| path("EVENKEEL_TOKEN_FILE").map(TokenSource::File)),
                server_name: None,
            },
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

/// The server, with the credentials that are meant for it. Those of a context go
/// to no other server, and a context that is named on the command line counts
/// for more than the environment.
///
/// # Errors
/// A context that does not exist; a settings file that cannot be read.
pub(crate) fn target(args: &ServerArgs, environment: &Environment) -> Result<Target, Failure> {
    let flags = Credentials::from(args.credentials.clone());
    let exported = environment.credentials.clone();
    let settings = || match &environment.file {
        Some(file) => Settings::load(file),
        None => Ok(Settings::default()),
    };
    if let Some(server) = args.server.as_ref() {
        return Ok(Target::new(server, flags.or(exported)));
    }
    if let Some(name) = &args.context {
        let settings = settings()?;
        let context = settings.context(name)?;
        let credentials = flags.or(context.credentials()).or(exported);
        return Ok(Target::new(&context.server, credentials));
    }
    if let Some(server) = &environment.server {
        return Ok(Target::new(server, flags.or(exported)));
    }
    let settings = settings()?;
    let name = environment.context.as_ref();
    let context = name.or(settings.current_context.as_ref());
    let context = context.map(|name| settings.context(name)).transpose()?;
    let server = context.map_or(DEFAULT_SERVER, |context| context.server.as_str());
    let own = context.map(Context::credentials).unwrap_or_default();
    Ok(Target::new(server, flags.or(exported).or(own)))
}

impl Target {
    fn new(server: &str, credentials: Credentials) -> Self {
        Self {
            address: with_scheme(server),
            credentials,
        }
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
    use std::collections::BTreeMap;

    use super::*;

    fn environment(directory: &Path) -> Environment {
        let file = directory.join("evenkeel").join("config.yaml");
        let context = |server: &str, token: &str| Context {
            token_file: Some(token.into()),
            ..Context::new(server.to_owned())
        };
        let settings = Settings {
            current_context: Some("lab".to_owned()),
            contexts: BTreeMap::from([
                ("lab".to_owned(), context("http://lab:1", "lab.token")),
                ("prod".to_owned(), context("prod:2", "prod.token")),
            ]),
        };
        settings.store(&file).unwrap();
        Environment {
            file: Some(file),
            ..Environment::default()
        }
    }

    fn exported(directory: &Path) -> Environment {
        Environment {
            server: Some("http://env:3".to_owned()),
            credentials: Credentials {
                token: Some(TokenSource::File("env.token".into())),
                ..Credentials::default()
            },
            ..environment(directory)
        }
    }

    fn context(name: &str) -> ServerArgs {
        ServerArgs {
            context: Some(name.to_owned()),
            ..ServerArgs::default()
        }
    }

    fn flag() -> ServerArgs {
        ServerArgs {
            server: Some("flag:4".to_owned()),
            ..ServerArgs::default()
        }
    }

    #[test]
    fn the_most_deliberate_choice_of_a_server_wins() {
        let directory = tempfile::tempdir().unwrap();
        let (file, exported) = (environment(directory.path()), exported(directory.path()));
        let none = ServerArgs::default();
        let address = |args: &ServerArgs, environment: &Environment| {
            target(args, environment).unwrap().address
        };
        assert_eq!(address(&flag(), &exported), "http://flag:4");
        assert_eq!(address(&context("prod"), &exported), "http://prod:2");
        assert_eq!(address(&none, &exported), "http://env:3");
        assert_eq!(address(&none, &file), "http://lab:1");
        assert_eq!(address(&none, &Environment::default()), DEFAULT_SERVER);
    }

    #[test]
    fn the_token_of_a_context_goes_to_its_server_only() {
        let directory = tempfile::tempdir().unwrap();
        let (file, exported) = (environment(directory.path()), exported(directory.path()));
        let token = |args: &ServerArgs, environment| match target(args, environment)
            .unwrap()
            .credentials
            .token
        {
            Some(TokenSource::File(path)) => path.display().to_string(),
            _ => String::new(),
        };
        assert_eq!(token(&flag(), &file), "");
        assert_eq!(token(&flag(), &exported), "env.token");
        assert_eq!(token(&context("prod"), &exported), "prod.token");
        assert_eq!(token(&ServerArgs::default(), &file), "lab.token");
        let named = ServerArgs {
            credentials: CredentialArgs {
                token_file: Some("flag.token".into()),
                ..CredentialArgs::default()
            },
            ..context("prod")
        };
        assert_eq!(token(&named, &exported), "flag.token");
    }
}

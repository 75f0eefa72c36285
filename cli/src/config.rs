//! `evenkeel config`: contexts, so that servers have short names.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use evenkeel_shared::secret::SecretBytes;
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::OutputArgs;
use crate::context::{Environment, with_scheme};
use crate::credentials::{self, CredentialArgs};
use crate::failure::{Failure, Verdict};
use crate::link;
use crate::render::table::Columns;
use crate::render::{Format, Terminal, json as proto_json};
use crate::settings::{Context, Settings};

/// Arguments of `config`.
#[derive(Debug, Args)]
#[command(after_help = "\
The settings are in $XDG_CONFIG_HOME/evenkeel/config.yaml, which only its owner
can read. Certificates, keys and tokens stay in their files; only a token that is
given on standard input is stored itself.

Examples:
  evenkeel config set-context lab --server http://127.0.0.1:18001
  evenkeel config set-context prod --server https://control.example.internal:18001 \\
    --ca pki/ca.crt --token-file admin.token
  evenkeel config set-context prod --token-stdin < admin.token
  evenkeel config view
  evenkeel config use-context lab
  evenkeel config get-contexts")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

impl ConfigArgs {
    /// How to show the answer.
    pub(crate) fn format(&self) -> Format {
        match &self.verb {
            ConfigVerb::GetContexts(output) => output.output,
            ConfigVerb::View { output } => *output,
            _ => Format::Table,
        }
    }
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Make a context the current one.
    UseContext {
        /// Its name.
        name: String,
    },
    /// Show all contexts.
    GetContexts(OutputArgs),
    /// Make or change a context.
    SetContext(SetContext),
    /// Show the settings, without tokens.
    View {
        /// How to show them.
        #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
        output: Format,
    },
    /// Forget a context.
    DeleteContext {
        /// Its name.
        name: String,
    },
    /// Show the name of the current context.
    CurrentContext,
}

/// Arguments of `config set-context`.
#[derive(Debug, Default, Args)]
struct SetContext {
    /// Its name.
    name: String,
    /// Address of the management API; needed for a new context. Another address
    /// makes it forget all credentials that are not given again.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Read a token from standard input and store it.
    #[arg(long, conflicts_with = "token_file")]
    token_stdin: bool,
}

impl SetContext {
    /// The context as it will be.
    ///
    /// # Errors
    /// A new context without a server; an address that is none; a token that
    /// cannot be read.
    fn on(&self, old: Option<&Context>) -> Result<Context, Failure> {
        let mut context = match (&self.server, old) {
            (Some(server), old) => {
                let server = with_scheme(server);
                link::endpoint(&server)?;
                let same = old.filter(|old| old.server == server);
                same.cloned().unwrap_or_else(|| Context::new(server))
            }
            (None, Some(old)) => old.clone(),
            (None, None) => {
                let name = &self.name;
                return Err(Failure::Usage(format!(
                    "context `{name}` is new: give its --server"
                )));
            }
        };
        let given = &self.credentials;
        if given.cert.is_some() || given.key.is_some() {
            context.certificate = absolute(given.cert.as_deref())?;
            context.key = absolute(given.key.as_deref())?;
        }
        context.ca = absolute(given.ca.as_deref())?.or(context.ca);
        context.server_name = given.server_name.clone().or(context.server_name);
        if let Some(file) = absolute(given.token_file.as_deref())? {
            (context.token, context.token_file) = (None, Some(file));
        }
        if self.token_stdin {
            (context.token, context.token_file) = (Some(token_on_stdin()?), None);
        }
        context.credentials().pair()?;
        Ok(context)
    }
}

/// A path that means the same from every directory.
fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let absolute = path.map(std::path::absolute).transpose();
    absolute.map_err(|error| Failure::Failed(format!("no present directory: {error}")))
}

fn token_on_stdin() -> Result<SecretBytes, Failure> {
    /// More than any token has, in bytes.
    const MOST: usize = 8192;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST));
    let limit = u64::try_from(MOST).unwrap_or(u64::MAX);
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    let bytes = SecretBytes::new(std::mem::take(&mut *bytes));
    credentials::checked(&bytes, "the token on standard input")
}

/// Runs `config`.
pub(crate) fn run(args: &ConfigArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let environment = Environment::of_process();
    run_on(args, terminal, environment.settings_file()?)
}

fn run_on(args: &ConfigArgs, terminal: &mut Terminal, file: &Path) -> Result<Verdict, Failure> {
    let mut settings = Settings::load(file)?;
    match &args.verb {
        ConfigVerb::UseContext { name } => {
            settings.context(name)?;
            settings.current_context = Some(name.clone());
            settings.store(file)?;
            terminal.line(format_args!("current context: {name}"))?;
        }
        ConfigVerb::GetContexts(output) => show(terminal, &settings, *output)?,
        ConfigVerb::SetContext(set) => {
            let name = &set.name;
            let old = settings.contexts.get(name);
            let context = set.on(old)?;
            let word = if old.is_some() { "changed" } else { "created" };
            settings.contexts.insert(name.clone(), context);
            settings.store(file)?;
            terminal.line(format_args!("context/{name} {word}"))?;
        }
        ConfigVerb::View { output } => {
            let output = match output {
                Format::Table | Format::Wide => Format::Yaml,
                other => *other,
            };
            let no_headers = false;
            show(terminal, &settings, OutputArgs { output, no_headers })?;
        }
        ConfigVerb::DeleteContext { name } => {
            settings.context(name)?;
            settings.contexts.remove(name);
            if settings.current_context.as_ref() == Some(name) {
                settings.current_context = None;
            }
            settings.store(file)?;
            terminal.line(format_args!("context/{name} deleted"))?;
        }
        ConfigVerb::CurrentContext => {
            let Some(name) = &settings.current_context else {
                return Err(Failure::Failed("there is no current context".to_owned()));
            };
            terminal.line(name)?;
        }
    }
    Ok(Verdict::Good)
}

fn show(terminal: &mut Terminal, settings: &Settings, output: OutputArgs) -> Result<(), Failure> {
    match output.output {
        Format::Json => terminal.json(&json!(settings))?,
        Format::Yaml => terminal.text(&proto_json::yaml(&json!(settings))?)?,
        Format::Name => {
            for name in settings.contexts.keys() {
                terminal.line(name)?;
            }
        }
        format => {
            let columns = table(settings, format == Format::Wide);
            columns.print(terminal, !output.no_headers)?;
        }
    }
    Ok(())
}

fn table(settings: &Settings, wide: bool) -> Columns {
    let mut heading = vec!["CURRENT", "NAME", "SERVER"];
    if wide {
        heading.extend(["CA", "CERTIFICATE", "TOKEN"]);
    }
    let mut columns = Columns::new(&heading);
    for (name, context) in &settings.contexts {
        let current = settings.current_context.as_ref() == Some(name);
        let mark = if current { "*" } else { " " };
        let mut cells = vec![mark.to_owned(), name.clone(), context.server.clone()];
        if wide {
            let path = |path: &Option<PathBuf>| {
                let path = path.as_ref().map(|path| path.display().to_string());
                path.unwrap_or_default()
            };
            let token = match &context.token {
                Some(_) => "stored".to_owned(),
                None => path(&context.token_file),
            };
            cells.extend([path(&context.ca), path(&context.certificate), token]);
        }
        columns.row(cells);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::captured;

    fn on(file: &Path, verb: ConfigVerb) -> Result<String, Failure> {
        let (mut terminal, memory) = captured();
        run_on(&ConfigArgs { verb }, &mut terminal, file)?;
        Ok(memory.out())
    }

    fn set(name: &str) -> ConfigVerb {
        ConfigVerb::SetContext(SetContext {
            name: name.to_owned(),
            server: Some(format!("{name}:18001")),
            ..SetContext::default()
        })
    }

    #[test]
    fn contexts_are_made_used_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        let name = "lab".to_owned();
        assert_eq!(on(&file, set("lab")).unwrap(), "context/lab created\n");
        assert_eq!(on(&file, set("prod")).unwrap(), "context/prod created\n");
        on(&file, ConfigVerb::UseContext { name: name.clone() }).unwrap();
        assert_eq!(on(&file, ConfigVerb::CurrentContext).unwrap(), "lab\n");
        assert_eq!(
            on(&file, ConfigVerb::GetContexts(OutputArgs::default())).unwrap(),
            "CURRENT   NAME   SERVER\n*         lab    http://lab:18001\n          \
             prod   http://prod:18001\n"
        );
        on(&file, ConfigVerb::DeleteContext { name }).unwrap();
        let failure = on(&file, ConfigVerb::CurrentContext).unwrap_err();
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_context_must_exist_to_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let name = "lab".to_owned();
        let verb = ConfigVerb::UseContext { name };
        let failure = on(&directory.path().join("config.yaml"), verb).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn another_address_forgets_the_credentials_of_the_old_one() {
        let secure = SetContext {
            name: "prod".to_owned(),
            server: Some("https://prod:1".to_owned()),
            credentials: CredentialArgs {
                ca: Some("/pki/ca.crt".into()),
                token_file: Some("/pki/token".into()),
                ..CredentialArgs::default()
            },
            ..SetContext::default()
        };
        let old = secure.on(None).unwrap();
        let same = SetContext {
            credentials: CredentialArgs {
                server_name: Some("prod.internal".to_owned()),
                ..CredentialArgs::default()
            },
            ..SetContext::default()
        };
        let kept = same.on(Some(&old)).unwrap();
        assert_eq!(kept.token_file, old.token_file);
        assert_eq!(kept.server_name.as_deref(), Some("prod.internal"));
        let moved = SetContext {
            server: Some("https://other:1".to_owned()),
            ..SetContext::default()
        };
        assert_eq!(
            moved.on(Some(&kept)).unwrap(),
            Context::new("https://other:1".to_owned())
        );
        let halved = SetContext {
            credentials: CredentialArgs {
                cert: Some("/pki/me.crt".into()),
                ..CredentialArgs::default()
            },
            ..SetContext::default()
        };
        assert_eq!(halved.on(Some(&kept)).unwrap_err().exit_code(), 2);
        assert_eq!(halved.on(None).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_view_shows_that_there_is_a_token_and_not_which() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        let mut settings = Settings::default();
        let mut context = Context::new("https://prod:1".to_owned());
        context.token = Some(SecretBytes::new(b"canary".to_vec()));
        settings.contexts.insert("prod".to_owned(), context);
        settings.store(&file).unwrap();
        for output in [Format::Yaml, Format::Json, Format::Table] {
            let shown = on(&file, ConfigVerb::View { output }).unwrap();
            assert!(shown.contains("[redacted]"), "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
        let output = OutputArgs {
            output: Format::Wide,
            no_headers: false,
        };
        let shown = on(&file, ConfigVerb::GetContexts(output)).unwrap();
        assert!(shown.contains("stored"), "{shown}");
    }
}

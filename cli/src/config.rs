//! `evenkeel config`: contexts, so that servers have short names.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::args::OutputArgs;
use crate::client;
use crate::context::{Context, Environment, Settings, with_scheme};
use crate::failure::{Failure, Verdict};
use crate::render::table::Columns;
use crate::render::{Format, Terminal, json as proto_json};

/// Arguments of `config`.
#[derive(Debug, Args)]
#[command(after_help = "\
The settings are in $XDG_CONFIG_HOME/evenkeel/config.yaml.

Examples:
  evenkeel config set-context lab --server http://10.0.0.5:18001
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
    SetContext {
        /// Its name.
        name: String,
        /// Address of the management API.
        #[arg(long, value_name = "URL")]
        server: String,
    },
    /// Forget a context.
    DeleteContext {
        /// Its name.
        name: String,
    },
    /// Show the name of the current context.
    CurrentContext,
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
        ConfigVerb::SetContext { name, server } => {
            let server = with_scheme(server);
            client::endpoint(&server)?;
            let word = match settings.contexts.get(name) {
                Some(_) => "changed",
                None => "created",
            };
            settings.contexts.insert(name.clone(), Context { server });
            settings.store(file)?;
            terminal.line(format_args!("context/{name} {word}"))?;
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
        Format::Table | Format::Wide => {
            let mut columns = Columns::new(&["CURRENT", "NAME", "SERVER"]);
            for (name, context) in &settings.contexts {
                let current = settings.current_context.as_ref() == Some(name);
                let mark = if current { "*" } else { " " };
                columns.row([mark.to_owned(), name.clone(), context.server.clone()]);
            }
            columns.print(terminal, !output.no_headers)?;
        }
    }
    Ok(())
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
        ConfigVerb::SetContext {
            name: name.to_owned(),
            server: format!("{name}:18001"),
        }
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
}

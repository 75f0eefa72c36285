//! `evenkeel sim`: what would happen? Runs the code with which proxies decide
//! on a virtual clock, without a socket, and tells what clients would notice.
//!
//! ```text
//! scenario --\
//!             world: clients, proxies, endpoints --> books --> report --> table, JSON, chart
//! settings --/   one event after the other
//! ```
//! The same scenario, settings and seed give the same answer to the last byte.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use evenkeel_shared::proto::v1::Kind;
use serde_json::json;

use crate::failure::{Failure, Verdict};
use crate::kind;
use crate::render::table::Columns;
use crate::render::{Format, Terminal, json as shown_as};
use crate::sources::{Files, Sources};

mod agenda;
mod asked;
mod backend;
mod books;
mod chart;
mod entropy;
mod proxy;
mod register;
mod report;
mod scenario;
mod settings;
mod shipped;
mod show;
mod world;

use report::Report;
use scenario::Scenario;
use settings::Settings;
use world::World;

/// Arguments of `sim`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  evenkeel sim list
  evenkeel sim --scenario s2-failing-replica
  evenkeel sim --scenario s1-slow-replica -f shop.yaml --cluster cart
  evenkeel sim --scenario s5-overload --chart overload.svg
  evenkeel sim --scenario mine.yaml --seed 7 -o json")]
pub(crate) struct SimArgs {
    /// What to simulate: a name that `sim list` shows, or a file.
    #[arg(long, value_name = "NAME|FILE", required = true)]
    scenario: Option<String>,
    /// Take the settings of a cluster and of the route to it from these files,
    /// instead of those of the scenario; `-` is standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The cluster, if there is more than one in the files.
    #[arg(long, value_name = "NAME", requires = "files")]
    cluster: Option<String>,
    /// What random numbers begin with.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Draw it there as well, as SVG.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// How to show the answer; `wide` also second by second.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Show the scenarios that come with the program.
    #[command(after_help = "\
Examples:
  evenkeel sim list
  evenkeel sim list -o json")]
    List(crate::args::OutputArgs),
}

impl SimArgs {
    /// How the answer is shown.
    pub(crate) fn format(&self) -> Format {
        match &self.part {
            Some(Part::List(args)) => args.output,
            None => self.output,
        }
    }
}

/// Runs `sim`.
pub(crate) fn run(args: &SimArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    if let Some(Part::List(args)) = &args.part {
        list(*args, terminal)?;
        return Ok(Verdict::Good);
    }
    let wanted = args.scenario.as_deref().unwrap_or_default();
    let scenario = shipped::find(wanted)?;
    let settings = settings_of(args, &scenario)?;
    for field in settings.passed_over() {
        terminal.note(format_args!("note: {field} is not simulated"));
    }
    let shown = World::new(&scenario, settings, args.seed).run();
    let report = Report::new(&scenario, args.seed, &shown);
    if let Some(path) = &args.chart {
        std::fs::write(path, chart::draw(&report)).map_err(|error| {
            Failure::Failed(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    match args.output {
        Format::Json => terminal.json(&json!(report))?,
        Format::Yaml => terminal.text(&shown_as::yaml(&json!(report))?)?,
        Format::Name => terminal.line(&report.scenario)?,
        Format::Table => terminal.text(&show::table(&report))?,
        Format::Wide => {
            terminal.text(&show::table(&report))?;
            terminal.text(&format!("\n{}", show::timeline(&report)))?;
        }
    }
    Ok(Verdict::Good)
}

/// The settings of the files, if there are any, or else those of the scenario.
fn settings_of(args: &SimArgs, scenario: &Scenario) -> Result<Settings, Failure> {
    // A tier of proxies stands where endpoints stand for the tier before it.
    let tiers = scenario.proxies.iter().skip(1);
    let count = tiers.fold(scenario.endpoints.count, |most, tier| most.max(*tier));
    if args.files.is_empty() {
        return Settings::of_policy(&scenario.policy, count);
    }
    let files = Files {
        files: args.files.clone(),
    };
    let sources = Sources::read(&files)?;
    let faults = sources.check(true);
    if !faults.is_empty() {
        return Err(Failure::Invalid(faults));
    }
    let resources = sources.resources();
    let clusters = resources
        .iter()
        .filter(|one| kind::of(one) == Kind::Cluster);
    let clusters: Vec<&str> = clusters.map(|one| one.name.as_str()).collect();
    let cluster = match (&args.cluster, clusters.as_slice()) {
        (Some(cluster), _) => cluster.clone(),
        (None, [only]) => (*only).to_owned(),
        (None, []) => return Err(Failure::Usage("the files hold no Cluster".to_owned())),
        (None, several) => {
            let several = several.join(", ");
            let rule = format!("say which one with --cluster: {several}");
            return Err(Failure::Usage(rule));
        }
    };
    Settings::of_resources(resources, &cluster, count)
}

fn list(args: crate::args::OutputArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let scenarios = shipped::all()?;
    let listed = scenarios.iter();
    let listed = listed.map(|one| json!({"name": one.name, "about": one.about}));
    let listed = json!({ "scenarios": listed.collect::<Vec<_>>() });
    match args.output {
        Format::Json => terminal.json(&listed)?,
        Format::Yaml => terminal.text(&shown_as::yaml(&listed)?)?,
        Format::Name => {
            for scenario in &scenarios {
                terminal.line(&scenario.name)?;
            }
        }
        Format::Table | Format::Wide => {
            let mut columns = Columns::new(&["NAME", "WHAT IT SHOWS"]);
            for scenario in scenarios {
                columns.row([scenario.name, scenario.about]);
            }
            columns.print(terminal, !args.no_headers)?;
        }
    }
    Ok(())
}

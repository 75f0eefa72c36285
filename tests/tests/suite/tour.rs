//! The tour of `README.md` through the composed project: every command as it
//! stands there, and what it prints.
//!
//! Needs a Docker engine with compose, and the images: either those of the
//! registries, or what `deploy/offline/up.sh --images` makes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

/// Patience with one command.
const PATIENCE: Duration = Duration::from_mins(4);
/// The part of the document that is tried.
const TOUR: &str = "## Run it with docker compose";
/// Each port of the document, and the one that the test uses instead, so that
/// neither another test nor somebody's own project is in the way.
const PORTS: [(&str, &str); 6] = [
    ("8081", "27081"),
    ("8082", "27082"),
    ("8083", "27083"),
    ("8090", "27090"),
    ("16686", "27686"),
    ("9090", "27190"),
];
/// Columns of tables that are different each time.
const COUNTED: [&str; 2] = ["REQUESTS", "LAG"];
/// What compose says of its own work, by its first word.
const PROGRESS: [&str; 9] = [
    "Container",
    "Creating",
    "Killing",
    "Network",
    "Removing",
    "Starting",
    "Stopping",
    "Volume",
    "time=",
];
/// Begins the line after what a command printed, whether or not that ended its
/// last line.
const END: &str = "--- end of step ---";
/// Version 1 of compose is a program of its own, version 2 a verb of `docker`.
const PREAMBLE: &str = r#"
command docker compose version >/dev/null 2>&1 || docker() {
    if [ "$1" = compose ]; then shift; docker-compose "$@"; else command docker "$@"; fi
}
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command of the document, and what stands below it.
struct Step {
    command: String,
    expected: Vec<String>,
}

/// The commands of the tour, in order.
fn steps() -> Vec<Step> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let tour = readme.split_once(TOUR).unwrap().1;
    let tour = tour.split("\n## ").next().unwrap();
    let blocks = tour.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap().lines());
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step {
                command: command.to_owned(),
                expected: Vec::new(),
            }),
            None => steps.last_mut().unwrap().expected.push(line.to_owned()),
        }
    }
    steps
}

/// What is the same each time: without times, ids, counts, width and empty lines.
fn masked(lines: &[String]) -> Vec<String> {
    let mut counted = Vec::new();
    let mut masked = Vec::new();
    for line in lines {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&"PROXY") {
            let column = |name| words.iter().position(|word| word == name);
            counted = COUNTED.iter().filter_map(column).collect();
        } else if words.is_empty() {
            counted.clear();
            continue;
        } else {
            for column in &counted {
                words[*column] = "COUNT";
            }
        }
        masked.push(masked_words(&words.join(" ")));
    }
    masked
}

/// A line with each run of letters, digits and points masked.
fn masked_words(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut masked = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let is_word = is_part(first);
        let end = rest.find(|c| is_part(c) != is_word).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        masked.push_str(if is_word { masked_word(run) } else { run });
        rest = after;
    }
    masked
}

fn masked_word(word: &str) -> &str {
    let number = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let is_age = matches!(&word[number.len()..], "ms" | "s" | "m" | "h")
        && number
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, 'h' | 'm'));
    // The year 2001 and later, in seconds.
    let is_time = word.parse::<f64>().is_ok_and(|seconds| seconds >= 1e9);
    let is_id = word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    match () {
        () if is_age && !number.is_empty() => "AGE",
        () if is_time => "TIME",
        () if is_id => "ID",
        () => word,
    }
}

/// Whether compose says so of its own work.
fn is_progress(line: &str) -> bool {
    let first = line.split_whitespace().next();
    first.is_none_or(|first| PROGRESS.iter().any(|word| first.starts_with(word)))
}

/// One shell for all commands, because later ones use what earlier ones define.
struct Shell {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    errors: tempfile::NamedTempFile,
    _child: Child,
}

impl Shell {
    async fn start() -> anyhow::Result<Self> {
        let mut child = Command::new("bash")
            .current_dir(root())
            .env("COMPOSE_PROJECT_NAME", "evenkeel-tour")
            .env("EVENKEEL_PROXY_PORTS", "27081-27083")
            .env("EVENKEEL_API_PORT", "27001")
            .env("EVENKEEL_CLIENT_PORT", "27090")
            .env("EVENKEEL_TRACES_PORT", "27686")
            .env("EVENKEEL_PROMETHEUS_PORT", "27190")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut shell = Self {
            input: child.stdin.take().context("no input")?,
            output: BufReader::new(output).lines(),
            errors: tempfile::NamedTempFile::new()?,
            _child: child,
        };
        shell.input.write_all(PREAMBLE.as_bytes()).await?;
        Ok(shell)
    }

    /// What a command prints: its output, then its errors and remarks, and those of
    /// compose only if it fails.
    async fn run(&mut self, command: &str) -> anyhow::Result<Vec<String>> {
        let errors = self.errors.path().display();
        let line =
            format!("{{ {command}\n}} 2>{errors} </dev/null\nprintf '\\n%s %s\\n' '{END}' $?\n");
        self.input.write_all(line.as_bytes()).await?;
        let (mut printed, status) = timeout(PATIENCE, self.printed()).await??;
        let errors = std::fs::read_to_string(self.errors.path())?;
        anyhow::ensure!(status == "0", "{command}: exit code {status}: {errors}");
        if !command.starts_with("docker compose ") {
            let remarks = errors.lines().filter(|line| !is_progress(line));
            printed.extend(remarks.map(str::to_owned));
        }
        Ok(printed)
    }

    /// The lines that a command printed, and its exit code.
    async fn printed(&mut self) -> anyhow::Result<(Vec<String>, String)> {
        let mut printed = Vec::new();
        loop {
            let line = self.output.next_line().await?.context("the shell ended")?;
            match line.strip_prefix(END) {
                Some(status) => return Ok((printed, status.trim().to_owned())),
                None => printed.push(line),
            }
        }
    }

    /// Runs a command until it prints what is expected. Only what reads is run more
    /// than once: metrics and traces take a moment to arrive.
    async fn expect(&mut self, step: &Step) {
        let mut command = step.command.clone();
        for (documented, used) in PORTS {
            command = command.replace(&format!(":{documented}"), &format!(":{used}"));
        }
        let expected = masked(&step.expected);
        let is_reading = command.starts_with("curl ");
        let began = Instant::now();
        loop {
            let printed = self.run(&command).await;
            let is_expected = |lines: &Vec<String>| masked(lines) == expected;
            if printed.as_ref().is_ok_and(is_expected) {
                return;
            }
            let is_over = !is_reading || began.elapsed() > PATIENCE;
            assert!(!is_over, "{}: {printed:#?}", step.command);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Takes the project down, however the test ends.
struct Project;

impl Drop for Project {
    fn drop(&mut self) {
        let script = format!("{PREAMBLE}\ndocker compose down --volumes --remove-orphans");
        let ended = std::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(root())
            .env("COMPOSE_PROJECT_NAME", "evenkeel-tour")
            .output();
        drop(ended);
    }
}

#[test]
fn what_differs_each_time_is_masked_and_nothing_else() {
    let masked = |text: &str| masked(&text.lines().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(
        masked("revision 1, committed 2m41s ago; 3 of 3"),
        ["revision 1, committed AGE ago; 3 of 3"]
    );
    assert_eq!(
        masked("PROXY          REVISION   LAG   REQUESTS\na0611479ebad   1    -    7\n\nall 7 s"),
        ["PROXY REVISION LAG REQUESTS", "ID 1 COUNT COUNT", "all 7 s"]
    );
    assert_eq!(
        masked(r#"{"value":[1795387404.508,"4"]} catalogue-1 100 200"#),
        [r#"{"value":[TIME,"4"]} catalogue-1 100 200"#]
    );
}

#[tokio::test]
#[ignore = "needs docker"]
async fn the_tour_of_the_readme_prints_what_it_says() {
    let steps = steps();
    assert!(steps.len() > 10, "{}", steps.len());
    let mut shell = Shell::start().await.unwrap();
    let _project = Project;
    let began = Instant::now();
    for step in &steps {
        shell.expect(step).await;
        println!("{:6.1} s  {}", began.elapsed().as_secs_f64(), step.command);
    }
}

//! The engine and compose, through their command lines.

use std::path::PathBuf;
use std::time::Duration;

use evenkeel_tests::process::text_of;
use tokio::process::Command;

/// The longest that a command of the engine may take.
const COMMAND: Duration = Duration::from_mins(3);

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The words that begin a command of compose.
pub(super) fn compose() -> Vec<&'static str> {
    // The second version is a verb of `docker`, the first one a program.
    let second = std::process::Command::new("docker")
        .args(["compose", "version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if second {
        vec!["docker", "compose"]
    } else {
        vec!["docker-compose"]
    }
}

/// Runs a command at the root of the repository; its standard output.
pub(super) async fn run(words: &[&str], environment: &[(&str, String)]) -> anyhow::Result<String> {
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(COMMAND, output).await??;
    anyhow::ensure!(output.status.success(), "{words:?}: {}", text_of(&output));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Runs a verb of `docker`; its standard output.
pub(super) async fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    run(&[&["docker"], arguments].concat(), &[]).await
}

/// A field of what the engine knows of a container.
pub(super) async fn inspect(container: &str, field: &str) -> anyhow::Result<String> {
    docker(&[
        "inspect",
        "--format",
        &format!("{{{{{field}}}}}"),
        container,
    ])
    .await
}

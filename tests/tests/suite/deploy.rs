//! What is shipped beside the program: manifests and service units. The archive
//! that holds them is in `release.rs`.
//!
//! The Python package `kubernetes-validate`, which brings the schemas of
//! Kubernetes, is looked for in the interpreter that `EVENKEEL_PYTHON` names, else
//! `python3`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use evenkeel_tests::process::{binary, text_of};
use tokio::process::Command;

/// What packing and checking may take.
const PATIENCE: Duration = Duration::from_mins(5);

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder below `deploy`, in order.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let folder = repository().join("deploy").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn manifests() -> Vec<PathBuf> {
    let mut files = files("kubernetes");
    files.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    files
}

/// Runs a program to its end: whether it was content, and what it said.
pub(crate) async fn run(command: &mut Command) -> (bool, String) {
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await;
    let output = output.unwrap().unwrap();
    (output.status.success(), text_of(&output))
}

/// Names of variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| word.starts_with("EVENKEEL_") || *word == "RUST_LOG")
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn settings_that_are_shipped_and_explained_are_those_of_the_roles() {
    let roles = ["control-plane", "proxy"];
    let mut known = Vec::new();
    for role in roles {
        let mut command = Command::new(binary().unwrap());
        let (is_done, help) = run(command.args([role, "--help"])).await;
        assert!(is_done, "{help}");
        known.push(variables(&help));
    }
    let both = &known[0] | &known[1];
    let handbook = repository().join("docs/operations.md");
    let handbook = variables(&std::fs::read_to_string(handbook).unwrap());
    assert_eq!(handbook.difference(&both).count(), 0, "{handbook:?}");
    let missing: Vec<_> = both.difference(&handbook).collect();
    assert!(missing.is_empty(), "docs/operations.md lacks {missing:?}");
    let mut checked = 0;
    for path in files("systemd").into_iter().chain(files("kubernetes")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let role = roles.iter().position(|role| {
            name == format!("{role}.yaml")
                || name.starts_with(&format!("{role}.env"))
                || name == format!("evenkeel-{role}.service")
        });
        let known = role.map_or(&both, |role| &known[role]);
        // The prefix alone is in a comment.
        let mut used = variables(&std::fs::read_to_string(&path).unwrap());
        used.remove("EVENKEEL_");
        checked += used.len();
        let unknown: Vec<_> = used.difference(known).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn the_image_is_given_every_package_of_the_workspace() {
    // Cargo reads the manifests of all of them, and wants their sources to be there.
    let read = |name: &str| std::fs::read_to_string(repository().join(name)).unwrap();
    let (manifest, context) = (read("Cargo.toml"), read(".dockerignore"));
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = ["))
        .unwrap();
    let is_given = |path: &str| {
        context
            .lines()
            .any(|line| line.strip_prefix('!') == Some(path))
    };
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.len() > 3, "{members:?}");
    for member in members {
        let parts = [format!("{member}/Cargo.toml"), format!("{member}/src")];
        let is_complete = is_given(member) || parts.iter().all(|part| is_given(part));
        assert!(is_complete, ".dockerignore leaves out {member}");
    }
}

#[test]
fn units_leave_more_time_to_stop_than_draining_takes() {
    let seconds = |text: &str, key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap().trim_end_matches('s').parse().unwrap()
    };
    let systemd = repository().join("deploy/systemd");
    let read = |name: &str| std::fs::read_to_string(systemd.join(name)).unwrap();
    let (unit, example) = (read("evenkeel-proxy.service"), read("proxy.env.example"));
    let drain =
        seconds(&example, "EVENKEEL_DRAIN_DELAY=") + seconds(&example, "EVENKEEL_DRAIN_TIMEOUT=");
    assert!(seconds(&unit, "TimeoutStopSec=") > drain);
}

#[tokio::test]
#[ignore = "needs kubernetes-validate"]
async fn manifests_fit_the_schemas_of_kubernetes() {
    let python = std::env::var("EVENKEEL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let validate = |files: Vec<PathBuf>| {
        let mut command = Command::new(&python);
        command.args(["-m", "kubernetes_validate", "--strict"]);
        command.args(files);
        command
    };
    let (is_content, said) = run(&mut validate(manifests())).await;
    assert!(is_content, "{said}");
    assert_eq!(said.matches(" passed for resource ").count(), 11, "{said}");
    // And what does not fit is found.
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.yaml");
    let proxy = repository().join("deploy/kubernetes/proxy.yaml");
    let text = std::fs::read_to_string(proxy).unwrap();
    std::fs::write(&wrong, text.replace("readinessProbe", "readyProbe")).unwrap();
    let (is_content, said) = run(&mut validate(vec![wrong])).await;
    assert!(!is_content && said.contains("readyProbe"), "{said}");
}

//! The binary itself, as a shell runs it: what it prints where, and its exit
//! codes.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CLUSTER: &str = "\
kind: Cluster
name: cart
spec:
  endpoints:
    static:
    - address: 127.0.0.1:9001
";

/// Runs a command line in a directory of its own, without anything of the
/// environment that could change what it does.
fn evenkeel(directory: &Path, line: &str, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(line.split_whitespace())
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A verb that does not read it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Exit code, standard output, standard error.
fn run(line: &str) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    told(&evenkeel(directory.path(), line, ""))
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The verbs that `--help` lists.
fn verbs() -> Vec<String> {
    let (code, help, _) = run("--help");
    assert_eq!(code, 0);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = lines.take_while(|line| !line.is_empty());
    let verbs: Vec<String> = verbs
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect();
    assert!(verbs.len() > 10, "{help}");
    verbs
}

#[test]
fn the_version_is_told_with_and_without_a_server() {
    let version = env!("CARGO_PKG_VERSION");
    let (code, out, _) = run("--version");
    assert_eq!((code, out), (0, format!("evenkeel {version}\n")));
    let (code, out, err) = run("version --server 127.0.0.1:1");
    assert_eq!((code, out), (0, format!("client   {version}\n")));
    assert!(err.starts_with("server   no answer"), "{err}");
}

#[test]
fn every_verb_explains_itself_with_examples() {
    for verb in verbs() {
        let (code, out, err) = run(&format!("{verb} --help"));
        assert_eq!((code, err.as_str()), (0, ""), "{verb}");
        assert!(out.contains("\nExamples:\n"), "{verb}: {out}");
        assert!(
            out.contains("\n  evenkeel ") || out.contains("(evenkeel "),
            "{verb}: {out}"
        );
    }
}

#[test]
fn the_reference_names_every_verb() {
    let reference = include_str!("../../docs/cli.md");
    for verb in verbs() {
        assert!(reference.contains(&format!("| `{verb}")), "{verb}");
    }
}

#[test]
fn four_shells_get_completions() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (code, out, err) = run(&format!("completion {shell}"));
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        assert!(out.contains("rollback"), "{shell}");
    }
}

#[test]
fn validation_tells_by_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let validate = |input: &str| told(&evenkeel(directory.path(), "validate -f -", input)).0;
    assert_eq!(validate(CLUSTER), 0);
    assert_eq!(validate(&CLUSTER.replace("9001", "nine")), 3);
    assert_eq!(validate("kind: ["), 3);
    assert_eq!(validate(""), 1);
    let (code, _, err) = run("validate -f nowhere.yaml");
    assert_eq!(code, 1);
    assert!(err.contains("nowhere.yaml"), "{err}");
    assert_eq!(run("validate").0, 2);
}

#[test]
fn nobody_at_the_address_is_exit_code_5_wherever_the_server_is_named() {
    for line in [
        "--server 127.0.0.1:1 get routes",
        "status --server 127.0.0.1:1",
        "--server 127.0.0.1:1 grpc list",
    ] {
        let (code, out, err) = run(line);
        assert_eq!((code, out.as_str()), (5, ""), "{line}: {err}");
        assert!(err.contains("hint: is a control plane running"), "{err}");
    }
}

#[test]
fn a_role_that_cannot_start_says_why_and_ends() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, _, err) = run(&format!("proxy --no-state --admin-listen {address}"));
    assert_eq!(code, 1);
    assert!(err.contains(&address.to_string()), "{err}");
    let elsewhere = "--xds-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0";
    let (code, _, err) = run(&format!("control-plane {elsewhere} --api-listen {address}"));
    assert_eq!(code, 1);
    assert!(err.contains(&address.to_string()), "{err}");
    assert_eq!(run("control-plane --xds-listen nowhere").0, 2);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (code, _, err) = told(&child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}

//! The archive that `deploy/release.sh` makes.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use evenkeel_tests::process::binary;
use serde_json::Value;
use tokio::process::Command;

use crate::deploy::{files, repository, run};

/// Packs the program of this build; what `release.sh` said.
async fn pack(out: &Path, more: &[&str]) -> (bool, String) {
    let mut release = Command::new(repository().join("deploy/release.sh"));
    release.arg("--binary").arg(binary().unwrap());
    run(release.arg("--out").arg(out).args(more)).await
}

/// Runs a program that must be content, in a directory; what it said.
async fn within(directory: &Path, line: &[&str]) -> String {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(directory);
    let (is_content, said) = run(&mut command).await;
    assert!(is_content, "{line:?}: {said}");
    said
}

/// What the program itself says.
async fn told(line: &[&str]) -> String {
    let mut command = Command::new(binary().unwrap());
    let (is_content, said) = run(command.args(line)).await;
    assert!(is_content, "{line:?}: {said}");
    said
}

/// An archive that was made here, unpacked.
async fn unpacked(directory: &Path) -> PathBuf {
    let (is_done, said) = pack(directory, &[]).await;
    assert!(is_done, "{said}");
    within(
        directory,
        &["sha256sum", "--check", "--strict", "SHA256SUMS"],
    )
    .await;
    let sums = std::fs::read_to_string(directory.join("SHA256SUMS")).unwrap();
    let (_, archive) = sums.trim_end().split_once("  ").unwrap();
    let listed = within(directory, &["tar", "--numeric-owner", "-tvzf", archive]).await;
    assert!(
        listed.lines().all(|line| line.contains(" 0/0 ")),
        "{listed}"
    );
    within(directory, &["tar", "-xzf", archive]).await;
    directory.join(archive.strip_suffix(".tar.gz").unwrap())
}

/// All files below a folder, by their path in it, with their modes.
fn below(root: &Path, folder: &Path, found: &mut BTreeSet<(String, u32)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            below(root, &path, found);
        } else {
            assert!(metadata.is_file(), "{}", path.display());
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert((name.to_owned(), metadata.permissions().mode() & 0o7777));
        }
    }
}

/// A manual page for each verb that `--help` lists.
async fn pages() -> Vec<String> {
    let help = told(&["--help"]).await;
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = lines.take_while(|line| !line.is_empty());
    verbs
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(|verb| format!("man/man1/evenkeel-{verb}.1"))
        .collect()
}

#[tokio::test]
#[ignore = "needs python3 and GNU tar"]
async fn the_archive_is_complete_whole_and_readable_by_all() {
    let directory = tempfile::tempdir().unwrap();
    let root = unpacked(directory.path()).await;
    holds_what_the_program_says(&root).await;
    within(&root, &["sha256sum", "--check", "--strict", "SHA256SUMS"]).await;

    let mut found = BTreeSet::new();
    below(&root, &root, &mut found);
    for (name, mode) in &found {
        let expected = if name == "evenkeel" { 0o755 } else { 0o644 };
        assert_eq!(*mode, expected, "{name}");
    }
    let mut found: BTreeSet<String> = found.into_iter().map(|(name, _)| name).collect();
    assert!(found.remove("SHA256SUMS"));
    let sums = std::fs::read_to_string(root.join("SHA256SUMS")).unwrap();
    let summed = sums.lines().filter_map(|line| line.split_once("  "));
    let summed: BTreeSet<String> = summed.map(|(_, name)| name.to_owned()).collect();
    assert_eq!(summed, found);

    let mut promised = pages().await;
    for shell in [
        "evenkeel.bash",
        "_evenkeel",
        "evenkeel.fish",
        "_evenkeel.ps1",
    ] {
        promised.push(format!("completions/{shell}"));
    }
    for folder in ["systemd", "kubernetes"] {
        for file in files(folder) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            promised.push(format!("{folder}/{name}"));
        }
    }
    for name in ["evenkeel", "evenkeel.schema.json", "README.md", "LICENSE"] {
        promised.push(name.to_owned());
    }
    let missing = promised.iter().filter(|name| !found.contains(*name));
    assert_eq!(missing.count(), 0, "{promised:?} {found:?}");
}

async fn holds_what_the_program_says(root: &Path) {
    let packed = std::fs::read(root.join("evenkeel")).unwrap();
    assert_eq!(packed, std::fs::read(binary().unwrap()).unwrap());
    let version = told(&["version", "--client", "-o", "json"]).await;
    let version: Value = serde_json::from_str(&version).unwrap();
    let name = ["version", "target"].map(|field| version["client"][field].as_str().unwrap());
    let name = format!("evenkeel-{}-{}", name[0], name[1]);
    assert_eq!(root.file_name().unwrap().to_str().unwrap(), name);
    let schema = std::fs::read_to_string(root.join("evenkeel.schema.json")).unwrap();
    assert_eq!(schema, told(&["schema"]).await);
    let licences = std::fs::read_to_string(root.join("LICENSES-OF-DEPENDENCIES.txt")).unwrap();
    for package in ["aws-lc-sys", "hyper", "libsqlite3-sys", "tokio"] {
        assert!(licences.contains(&format!("{package} ")), "{package}");
    }
}

#[tokio::test]
#[ignore = "needs python3 and GNU tar"]
async fn the_same_program_is_packed_into_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut sums = Vec::new();
    for name in ["one", "two"] {
        let out = directory.path().join(name);
        let (is_done, said) = pack(&out, &[]).await;
        assert!(is_done, "{said}");
        sums.push(std::fs::read(out.join("SHA256SUMS")).unwrap());
    }
    assert_eq!(sums[0], sums[1]);
    let (is_done, said) = pack(directory.path(), &["0.0.0"]).await;
    assert!(!is_done && said.contains("0.0.0 is wanted"), "{said}");
}

//! The import rule and the file budget, kept by reading `use` lines.

use std::path::{Path, PathBuf};

/// Source files of the libraries and the binaries.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for package in [
        "shared",
        "control-plane",
        "data-plane",
        "cli",
        "tests/bench",
    ] {
        let mut folders: Vec<PathBuf> = vec![root.join(package).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|kind| kind == "rs") {
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    found.push((name, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

/// Whether a file is production code, and that part of its text.
fn production(name: &str, text: &str) -> Option<String> {
    let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    (!is_test).then(|| text[..end].to_owned())
}

/// Files below one of `folders` that name one of `words` in code.
fn offenders(folders: &[&str], except: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources() {
        let inside = |list: &[&str]| {
            list.iter()
                .any(|part| name == format!("{part}.rs") || name.starts_with(&format!("{part}/")))
        };
        let Some(text) = production(&name, &text) else {
            continue;
        };
        if !inside(folders) || inside(except) {
            continue;
        }
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{name}: {word} in `{}`", line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_planes_do_not_know_each_other() {
    assert_eq!(
        offenders(&["control-plane/src"], &[], &["evenkeel_data_plane"]),
        Vec::<String>::new()
    );
    assert_eq!(
        offenders(&["data-plane/src"], &[], &["evenkeel_control_plane"]),
        Vec::<String>::new()
    );
    assert_eq!(
        offenders(
            &["shared/src"],
            &[],
            &["evenkeel_control_plane", "evenkeel_data_plane", "tokio::"]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn policy_knows_neither_runtime_nor_codec() {
    let pure = [
        "route", "filter", "balance", "retry", "health", "limit", "tick", "head", "outcome",
        "message", "http1",
    ]
    .map(|module| format!("data-plane/src/{module}"));
    let folders: Vec<&str> = pure.iter().map(String::as_str).collect();
    let except = [
        "data-plane/src/health/task",
        "data-plane/src/health/trigger",
    ];
    let words = [
        "tokio",
        "hyper::",
        "http::",
        "tonic::",
        "opentelemetry",
        "crate::upstream",
        "Instant",
    ];
    assert_eq!(offenders(&folders, &except, &words), Vec::<String>::new());
}

#[test]
fn only_the_shell_of_the_proxy_names_the_http_codec() {
    let except =
        ["listen", "proxy", "upstream", "admin"].map(|module| format!("data-plane/src/{module}"));
    let except: Vec<&str> = except.iter().map(String::as_str).collect();
    assert_eq!(
        offenders(
            &["data-plane/src"],
            &except,
            &["hyper::", " http::", "h2::"]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn only_the_codecs_name_envoy_types() {
    let except = [
        "shared/src/xds",
        "control-plane/src/xds",
        "data-plane/src/xds",
    ];
    let everything = [
        "shared/src",
        "control-plane/src",
        "data-plane/src",
        "cli/src",
    ];
    assert_eq!(
        offenders(&everything, &except, &["envoy_types"]),
        Vec::<String>::new()
    );
}

#[test]
fn files_stay_within_their_budget() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter_map(|(name, text)| {
            let lines = production(&name, &text)?.lines().count();
            (lines > 400).then(|| format!("{name}: {lines} lines"))
        })
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

//! Hands to the program what only the build knows.

use std::process::Command;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=build.rs");
    println!(
        "cargo:rustc-env=EVENKEEL_TARGET={}",
        std::env::var("TARGET")?
    );
    println!(
        "cargo:rustc-env=EVENKEEL_PROFILE={}",
        std::env::var("PROFILE")?
    );
    println!("cargo:rustc-env=EVENKEEL_FEATURES={}", features());
    println!("cargo:rustc-env=EVENKEEL_RUST={}", rust()?);
    Ok(())
}

/// The Cargo features of the program, separated by commas. Cargo gives each as a
/// variable, with its name in capitals.
fn features() -> String {
    let mut names: Vec<String> = std::env::vars()
        .filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase))
        .collect();
    names.sort();
    names.join(",")
}

/// The version of the compiler: the second word of `rustc 1.95.0 (… 2026-04-14)`.
fn rust() -> Result<String, Failure> {
    let told = Command::new(std::env::var("RUSTC")?)
        .arg("--version")
        .output()?;
    let told = String::from_utf8(told.stdout)?;
    let version = told.split_whitespace().nth(1);
    Ok(version.ok_or("rustc does not tell its version")?.to_owned())
}

//! Hands to the program what only the build knows.

fn main() -> Result<(), std::env::VarError> {
    let target = std::env::var("TARGET")?;
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=EVENKEEL_TARGET={target}");
    Ok(())
}

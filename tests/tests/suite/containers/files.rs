//! The compose file is understood by those who read it.

use std::path::{Path, PathBuf};

use super::engine::{compose, root, run};

/// Checks a compose file against the schema of the Compose Specification.
async fn checked(file: &Path) -> anyhow::Result<String> {
    let python = std::env::var("EVENKEEL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let file = file.display().to_string();
    let words = [
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
    ];
    run(
        &[&[python.as_str()], &words[..], &[file.as_str()]].concat(),
        &[],
    )
    .await
}

#[tokio::test]
#[ignore = "needs check-jsonschema"]
async fn the_compose_file_fits_the_schema_of_the_specification() {
    let file = root().join("docker-compose.yml");
    checked(&file).await.unwrap();
    // And what does not fit is found.
    let directory = tempfile::tempdir().unwrap();
    let wrong: PathBuf = directory.path().join("docker-compose.yml");
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(&wrong, text.replace("read_only:", "readonly:")).unwrap();
    let said = checked(&wrong).await.unwrap_err().to_string();
    assert!(said.contains("readonly"), "{said}");
}

#[tokio::test]
#[ignore = "needs compose"]
async fn the_compose_file_is_accepted_by_compose() {
    let words = [&compose()[..], &["config"]].concat();
    let config = run(&words, &[]).await.unwrap();
    for service in ["control-plane:", "proxy:", "client:", "prometheus:"] {
        assert!(config.contains(service), "{config}");
    }
    println!(
        "{}",
        run(&[&compose()[..], &["version"]].concat(), &[])
            .await
            .unwrap()
    );
}

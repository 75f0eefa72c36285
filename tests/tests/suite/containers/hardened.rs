//! What a container may do: nothing but its work.

use serde_json::Value;

use super::engine::{docker, run};
use super::project::{Container, Project};

/// The user of the images.
const USER: &str = "65532";

/// Looks at every container that runs, from outside.
pub(super) async fn check(project: &Project) -> anyhow::Result<()> {
    let mut checked = 0;
    for container in project.containers("").await? {
        let settings = settings(&container).await?;
        restricted(&container, &settings)?;
        let pid = settings["State"]["Pid"].as_u64().unwrap_or(0);
        if pid > 0 {
            powerless(&container, pid)?;
            checked += 1;
        }
    }
    // Three proxies, seven instances, and one each of four.
    anyhow::ensure!(checked >= 14, "{checked} containers run");
    for service in ["control-plane", "catalogue-1", "client"] {
        lonely(&project.only(service).await?).await?;
    }
    lonely(&project.containers("proxy").await?[0]).await?;
    only_the_program(project).await
}

async fn settings(container: &Container) -> anyhow::Result<Value> {
    let all: Value = serde_json::from_str(&docker(&["inspect", &container.id]).await?)?;
    Ok(all[0].clone())
}

/// What the engine was asked for.
fn restricted(container: &Container, settings: &Value) -> anyhow::Result<()> {
    let host = &settings["HostConfig"];
    let service = &container.service;
    anyhow::ensure!(host["ReadonlyRootfs"] == true, "{service} may write");
    anyhow::ensure!(host["Privileged"] == false, "{service} is privileged");
    anyhow::ensure!(host["CapDrop"] == serde_json::json!(["ALL"]), "{service}");
    anyhow::ensure!(host["CapAdd"].is_null(), "{service}: {}", host["CapAdd"]);
    anyhow::ensure!(host["Memory"].as_u64() > Some(0), "{service} has no bound");
    let user = settings["Config"]["User"].as_str().unwrap_or_default();
    let is_root = user.is_empty() || user.starts_with('0') || user.starts_with("root");
    anyhow::ensure!(!is_root, "{service} is user {user:?}");
    Ok(())
}

/// What the kernel thinks of its first process.
fn powerless(container: &Container, pid: u64) -> anyhow::Result<()> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .unwrap_or_default()
    };
    let service = &container.service;
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        anyhow::ensure!(
            of(set) == "0000000000000000",
            "{service}: {set} {}",
            of(set)
        );
    }
    anyhow::ensure!(of("NoNewPrivs:") == "1", "{service} may gain privileges");
    anyhow::ensure!(
        of("Seccomp:") == "2",
        "{service} has no filter of system calls"
    );
    anyhow::ensure!(!of("Uid:").starts_with("0 "), "{service} is root");
    let is_ours = container.service != "prometheus";
    let ours = [USER; 4].join(" ");
    anyhow::ensure!(!is_ours || of("Uid:") == ours, "{service}: {}", of("Uid:"));
    Ok(())
}

/// Nobody can be started in it but the program, and that one cannot write.
async fn lonely(container: &Container) -> anyhow::Result<()> {
    for shell in ["sh", "/bin/sh", "bash", "busybox"] {
        let started = docker(&["exec", &container.id, shell, "-c", "true"]).await;
        anyhow::ensure!(started.is_err(), "{} has {shell}", container.service);
    }
    docker(&["exec", &container.id, "evenkeel", "--version"]).await?;
    let words = ["exec", &container.id, "evenkeel", "pki", "init", "--dir"];
    let written = docker(&[&words[..], &["/tmp/pki"]].concat()).await;
    let refused = written.err().map(|error| error.to_string());
    let refused = refused.unwrap_or_default();
    anyhow::ensure!(
        refused.contains("Read-only file system"),
        "{} wrote: {refused}",
        container.service
    );
    Ok(())
}

/// One file in the image can be executed.
async fn only_the_program(project: &Project) -> anyhow::Result<()> {
    let container = project.only("catalogue-1").await?;
    let list = format!("docker export {} | tar --list --verbose", container.id);
    let list = run(&["sh", "-c", &list], &[]).await?;
    let programs = list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (mode, size) = (words.next()?, words.nth(1)?);
        // The engine puts empty ones where it mounts something.
        let is_program = mode.starts_with('-') && mode.contains('x') && size != "0";
        is_program.then(|| words.next_back()).flatten()
    });
    let programs: Vec<_> = programs.collect();
    anyhow::ensure!(programs == ["usr/local/bin/evenkeel"], "{programs:?}");
    Ok(())
}

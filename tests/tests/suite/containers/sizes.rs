//! What a container takes: memory when nobody asks, time until it is ready.

use std::time::Duration;

use evenkeel_tests::client::Client;
use evenkeel_tests::process::eventually;

use super::engine::inspect;
use super::project::{Container, PATIENCE, Project};

/// Service, network that the page is asked in, port and path.
const ROLES: [(&str, &str, u16, &str); 3] = [
    ("control-plane", "control", 18080, "/readyz"),
    ("proxy", "shop", 9901, "/ready"),
    ("catalogue-1", "shop", 8080, "/healthz"),
];
/// Ready, even on a busy machine and in a program that is not optimised.
const SOON: Duration = Duration::from_secs(10);

/// Prints all of it, and looks whether it is within bounds.
pub(super) async fn check(project: &Project) -> anyhow::Result<()> {
    project.only("client").await?.order("stop").await?;
    for (service, network, port, path) in ROLES {
        let container = project.containers(service).await?.remove(0);
        println!("{service}: {}", memory(&container).await?);
        container.order("stop").await?;
        container.order("start").await?;
        let address = container.address(network).await?;
        let ready = eventually(PATIENCE, || async {
            let mut client = Client::new(format!("{address}:{port}").parse()?, "admin");
            let answer = client.get(path).await?;
            anyhow::ensure!(answer.status == 200, "{}", answer.status);
            age(&container).await
        });
        let ready = ready.await?;
        println!("{service}: ready {ready:?} after its process began, at most");
        anyhow::ensure!(ready < SOON, "{service} took {ready:?}");
    }
    Ok(())
}

async fn pid(container: &Container) -> anyhow::Result<String> {
    inspect(&container.id, ".State.Pid").await
}

/// Memory of the first process, which is the only one.
async fn memory(container: &Container) -> anyhow::Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid(container).await?))?;
    let of = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kibibytes.unwrap_or_default().parse()?)
    };
    let (all, own) = (of("VmRSS:")?, of("RssAnon:")?);
    let bound: u64 = inspect(&container.id, ".HostConfig.Memory")
        .await?
        .parse()?;
    anyhow::ensure!(own * 1024 < bound / 2, "{own} KiB of {bound} bytes");
    let bound = bound / (1 << 20);
    Ok(format!(
        "resident {all} KiB, of which {own} are its own; the bound is {bound} MiB"
    ))
}

/// How long its first process has run; in steps of 10 ms.
async fn age(container: &Container) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid(container).await?))?;
    // The second field, in parentheses, may hold anything; the 22nd is the start,
    // in hundredths of a second since the machine's.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let began: u64 = fields
        .split_whitespace()
        .nth(19)
        .unwrap_or_default()
        .parse()?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let now: f64 = uptime
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .parse()?;
    Ok(Duration::from_secs_f64(now).saturating_sub(Duration::from_millis(began * 10)))
}

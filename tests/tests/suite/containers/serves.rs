//! Up, and everything does what it is for.

use evenkeel_tests::process::eventually;
use tokio::time::Instant;

use super::engine::root;
use super::hardened;
use super::project::{Books, PATIENCE, PROMETHEUS, PROXIES, Project, TRACES, json};
use super::sizes;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker"]
async fn compose_up_serves_is_observed_and_takes_changes() {
    let began = Instant::now();
    let project = Project::up().await.unwrap();
    let proxies = project.proxies().await.unwrap();
    assert_eq!(proxies.len(), PROXIES);
    let first = eventually(PATIENCE, || json(proxies[0].1, "/catalogue/items"));
    first.await.unwrap();
    println!("first request after {:.1?}", began.elapsed());
    for (_, port) in &proxies {
        let asked = eventually(PATIENCE, || json(*port, "/cart/items")).await;
        let asked = asked.unwrap();
        assert!(asked["name"].as_str().unwrap().starts_with("cart-"));
    }
    hardened::check(&project).await.unwrap();
    observed().await;
    let before = Books::after(0).await.unwrap();
    pushed(&project).await;
    let calm = Books::after(600).await.unwrap();
    assert_eq!(calm.lost(), before.lost(), "{calm:?}");
    assert_eq!(calm.count("/orders/lost"), 0, "{calm:?}");
    sizes::check(&project).await.unwrap();
    ended(&project).await;
}

/// Traces and metrics have what the proxies say.
async fn observed() {
    let found = eventually(PATIENCE, || async {
        let found = json(TRACES, "/api/traces?service=evenkeel-proxy&limit=5").await?;
        let traces = found["data"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(traces > 0, "no trace");
        Ok(found)
    });
    let found = found.await.unwrap();
    assert!(!found["data"][0]["spans"].as_array().unwrap().is_empty());
    let figure = async |query: &str| -> anyhow::Result<String> {
        let found = json(PROMETHEUS, &format!("/api/v1/query?query={query}")).await?;
        let value = found["data"]["result"][0]["value"][1].as_str();
        value
            .map(str::to_owned)
            .ok_or_else(|| anyhow::anyhow!("{found}"))
    };
    let metrics = eventually(PATIENCE, || async {
        figure("count(evenkeel_requests_total%3E0)").await?;
        let up = figure("sum(up)").await?;
        anyhow::ensure!(
            up == "4",
            "of three proxies and a control plane, {up} are up"
        );
        Ok(())
    });
    metrics.await.unwrap();
}

/// The command line of the host changes what all proxies do, and nobody notices.
async fn pushed(project: &Project) {
    let shop = std::fs::read_to_string(root().join("deploy/compose/shop.yaml")).unwrap();
    let both = "/catalogue}\n        - path: {prefix: /katalog}";
    let shop = shop.replace("/catalogue}", both);
    project.push(&shop).await.unwrap();
    for (_, port) in project.proxies().await.unwrap() {
        json(port, "/katalog/items").await.unwrap();
    }
    let back = project.cli(&["rollback", "--to", "1", "--wait"]).await;
    back.unwrap();
    for (_, port) in project.proxies().await.unwrap() {
        assert!(json(port, "/katalog/items").await.is_err());
    }
}

/// Stopped containers end by themselves and are content; down leaves nothing.
async fn ended(project: &Project) {
    project.compose(&["stop"]).await.unwrap();
    for service in ["proxy", "control-plane", "catalogue-1"] {
        for container in project.containers(service).await.unwrap() {
            let code = super::engine::inspect(&container.id, ".State.ExitCode").await;
            // 137 would be the engine's patience.
            assert_eq!(code.unwrap(), "0", "{service}");
        }
    }
    let down = ["down", "--volumes", "--remove-orphans"];
    project.compose(&down).await.unwrap();
    assert_eq!(project.containers("").await.unwrap(), []);
    let mine = format!(
        "label=com.docker.compose.project={}",
        super::project::PROJECT
    );
    for what in ["volume", "network"] {
        let left = super::engine::docker(&[what, "ls", "-q", "--filter", &mine]).await;
        assert_eq!(left.unwrap(), "", "{what}");
    }
}

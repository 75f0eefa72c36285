//! Networks that break, with everybody alive.

use super::engine::{docker, root};
use super::faults::suffered;
use super::project::{FAR, PROJECT, PROXIES, Project, json, network};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker"]
async fn proxies_that_are_cut_off_serve_with_what_they_have() {
    let project = Project::up().await.unwrap();
    from_the_control_plane(&project).await;
    from_half_of_the_endpoints(&project).await;
}

/// Without control plane a proxy goes on, and learns later what it has missed.
async fn from_the_control_plane(project: &Project) {
    let (proxy, port) = project.proxies().await.unwrap().remove(0);
    let shop = std::fs::read_to_string(root().join("deploy/compose/shop.yaml")).unwrap();
    let shop = shop.replace("/catalogue}", "/catalogue}\n        - path: {prefix: /neu}");
    let control = network("control");
    let cost = suffered(
        project,
        "a proxy is cut off from the control plane",
        async || {
            docker(&["network", "disconnect", &control, &proxy.id]).await?;
            // Who is connected then has it at once; the control plane may not have
            // noticed yet who is not.
            let file = project.pki.path().join("neu.yaml");
            std::fs::write(&file, &shop)?;
            let file = file.display().to_string();
            project.cli(&["apply", "-f", &file]).await?;
            Ok(())
        },
        async || {
            for (other, port) in project.proxies().await? {
                let has_it = json(port, "/neu/items").await.is_ok();
                anyhow::ensure!(has_it != (other == proxy), "{other:?}: {has_it}");
            }
            docker(&["network", "connect", &control, &proxy.id]).await?;
            Ok(())
        },
    )
    .await;
    // The engine publishes its port anew through the other network, which cuts
    // what comes through that, but not what comes from inside.
    cost.beside(port).nothing_lost();
    project.synced(PROXIES).await.unwrap();
    for (_, port) in project.proxies().await.unwrap() {
        json(port, "/neu/items").await.unwrap();
    }
}

/// Without half of the endpoints it uses the other half.
async fn from_half_of_the_endpoints(project: &Project) {
    let far = network(FAR);
    let mark = format!("com.docker.compose.project={PROJECT}");
    docker(&["network", "create", "--label", &mark, &far])
        .await
        .unwrap();
    let mut shop = std::fs::read_to_string(root().join("deploy/compose/shop.yaml")).unwrap();
    for service in ["catalogue", "cart", "checkout"] {
        let near = project.only(&format!("{service}-1")).await.unwrap();
        let other = project.only(&format!("{service}-2")).await.unwrap();
        docker(&["network", "connect", &far, &other.id])
            .await
            .unwrap();
        let near = near.address("shop").await.unwrap();
        let other = other.address(FAR).await.unwrap();
        let here = format!("dns: {{host: {service}, port: 8080, refresh: 1s}}");
        let there =
            format!("static: [{{address: \"{near}:8080\"}}, {{address: \"{other}:8080\"}}]");
        assert!(shop.contains(&here));
        shop = shop.replace(&here, &there);
    }
    for (proxy, _) in project.proxies().await.unwrap() {
        docker(&["network", "connect", &far, &proxy.id])
            .await
            .unwrap();
    }
    project.push(&shop).await.unwrap();
    let (proxy, port) = project.proxies().await.unwrap().remove(0);
    let cost = suffered(
        project,
        "a proxy is cut off from half of the endpoints",
        async || {
            docker(&["network", "disconnect", &far, &proxy.id])
                .await
                .map(drop)
        },
        async || {
            docker(&["network", "connect", &far, &proxy.id])
                .await
                .map(drop)
        },
    )
    .await;
    cost.only_orders_lost();
    // Of the other proxies, orders neither.
    assert_eq!(cost.beside(port).account.failed(|_| true), 0);
}

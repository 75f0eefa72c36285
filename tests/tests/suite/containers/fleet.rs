//! Containers that come, go and are exchanged on purpose.

use http::Method;
use tokio::time::Instant;

use super::account::Customers;
use super::project::{Books, Container, PROXIES, Project};

/// All that answer.
const INSTANCES: [&str; 7] = [
    "catalogue-1",
    "catalogue-2",
    "catalogue-3",
    "cart-1",
    "cart-2",
    "checkout-1",
    "checkout-2",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker"]
async fn everything_can_be_scaled_and_exchanged_without_loss() {
    let project = Project::up().await.unwrap();
    instances(&project).await;
    control_plane(&project).await;
    proxies(&project).await;
    scaled(&project).await;
}

/// Puts a new container into the place of an old one; there are `count` of its
/// service.
async fn exchange(project: &Project, old: &Container, count: usize) {
    old.remove().await.unwrap();
    project.fill(&old.service, count).await.unwrap();
    let all = project.containers(&old.service).await.unwrap();
    assert_eq!(all.len(), count, "{all:?}");
    assert!(!all.contains(old), "{all:?}");
}

/// Every instance of every service, one after the other.
async fn instances(project: &Project) {
    // The other one fails now and then, so this one must not be alone.
    project.fill("cart-1", 2).await.unwrap();
    project.synced(PROXIES).await.unwrap();
    let proxies = project.proxies().await.unwrap();
    let ports: Vec<u16> = proxies.iter().map(|(_, port)| *port).collect();
    let customers = Customers::start(&ports);
    let before = Books::after(600).await.unwrap();
    let began = Instant::now();
    for service in INSTANCES {
        let all = project.containers(service).await.unwrap();
        for old in &all {
            exchange(project, old, all.len()).await;
            // The proxies have looked the name up again, and said so.
            Books::after(600).await.unwrap();
            // Who comes before it answers is taken out for a while: the next one
            // may go when this one is used.
            let cluster = service.split('-').next().unwrap();
            project.used(cluster).await.unwrap();
        }
    }
    let after = Books::after(300).await.unwrap();
    let account = customers.stop().await.unwrap();
    println!("{}", account.told("all instances are exchanged", began));
    told(began, &before, &after);
    assert_eq!(account.failed(|fate| fate.method == Method::GET), 0);
    // An order that meets the end of a connection may have been executed, so it is
    // not placed again; that takes some luck.
    let orders = account.failed(|_| true);
    assert!(orders <= 2);
    let orders = after.count("/orders/lost") - before.count("/orders/lost");
    assert_eq!(after.lost() - before.lost(), orders, "{after:?}");
    assert!(orders <= 2, "{after:?}");
}

/// Prints what the customers' container has lost.
fn told(began: Instant, before: &Books, after: &Books) {
    println!(
        "    in {:.1?}; the shop's own customers lost {} of {}",
        began.elapsed(),
        after.lost() - before.lost(),
        after.count("/requests") - before.count("/requests")
    );
}

async fn control_plane(project: &Project) {
    let before = Books::after(300).await.unwrap();
    let old = project.only("control-plane").await.unwrap();
    let began = Instant::now();
    exchange(project, &old, 1).await;
    project.synced(PROXIES).await.unwrap();
    let after = Books::after(300).await.unwrap();
    println!("the control plane is exchanged");
    told(began, &before, &after);
    assert_eq!(after.lost(), before.lost(), "{after:?}");
}

/// All proxies, one after the other, behind customers who go to the next door.
async fn proxies(project: &Project) {
    let before = Books::after(300).await.unwrap();
    let began = Instant::now();
    for (old, _) in project.proxies().await.unwrap() {
        exchange(project, &old, PROXIES).await;
        project.synced(PROXIES).await.unwrap();
    }
    let after = Books::after(600).await.unwrap();
    println!("all proxies are exchanged");
    told(began, &before, &after);
    assert_eq!(after.lost(), before.lost(), "{after:?}");
}

/// More proxies, fewer, and as many as before.
async fn scaled(project: &Project) {
    let before = Books::after(300).await.unwrap();
    for count in [PROXIES + 2, PROXIES - 1, PROXIES] {
        let began = Instant::now();
        project.fill("proxy", count).await.unwrap();
        project.synced(count).await.unwrap();
        let after = Books::after(600).await.unwrap();
        println!("there are {count} proxies");
        told(began, &before, &after);
    }
    let after = Books::after(300).await.unwrap();
    assert_eq!(after.lost(), before.lost(), "{after:?}");
}

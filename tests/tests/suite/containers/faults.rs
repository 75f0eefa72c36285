//! Containers that die or freeze, and what that costs those who ask.

use http::Method;
use tokio::time::Instant;

use super::account::{Account, Customers};
use super::project::{Books, Container, PROXIES, Project};

/// Requests of the customers' container that are watched after a fault: five
/// seconds' worth.
const WATCHED: u64 = 1500;
/// And after its end.
const WATCHED_AFTER: u64 = 600;
/// Customers of a proxy in that container, each with one request at most.
const CUSTOMERS_OF_A_PROXY: u64 = 20;

/// What a fault has cost.
pub(super) struct Cost {
    what: &'static str,
    began: Instant,
    pub(super) account: Account,
    /// What the customers' container has lost.
    pub(super) books: Books,
    before: Books,
}

impl Cost {
    /// What the customers' container lost of some kind.
    pub(super) fn more(&self, pointer: &str) -> u64 {
        self.books.count(pointer) - self.before.count(pointer)
    }

    /// Without what went through a port whose proxy has suffered itself.
    pub(super) fn beside(self, port: u16) -> Self {
        let account = self.account.beside(port);
        Self { account, ..self }
    }

    /// Prints what there is to know.
    pub(super) fn tell(&self) {
        println!("{}", self.account.told(self.what, self.began));
        println!(
            "    the shop's own customers lost {} of {}",
            self.more("/lost/all"),
            self.more("/requests")
        );
    }

    /// Expects that every safe request was answered.
    pub(super) fn only_orders_lost(&self) {
        self.tell();
        let safe = self.account.failed(|fate| fate.method == Method::GET);
        assert_eq!(safe, 0, "{}", self.what);
        let lost = self.more("/lost/all");
        assert_eq!(lost, self.more("/orders/lost"), "{:?}", self.books);
    }

    /// Expects that nobody was left without an answer.
    pub(super) fn nothing_lost(&self) {
        self.tell();
        assert_eq!(self.account.failed(|_| true), 0, "{}", self.what);
        assert_eq!(self.more("/lost/all"), 0, "{}: {:?}", self.what, self.books);
    }
}

/// Lets a fault happen under traffic, watches, ends it, and watches again.
pub(super) async fn suffered(
    project: &Project,
    what: &'static str,
    fault: impl AsyncFnOnce() -> anyhow::Result<()>,
    end: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> Cost {
    project.synced(PROXIES).await.unwrap();
    let proxies = project.proxies().await.unwrap();
    let ports: Vec<u16> = proxies.iter().map(|(_, port)| *port).collect();
    let customers = Customers::start(&ports);
    customers.more(100).await.unwrap();
    let before = Books::after(300).await.unwrap();
    let began = Instant::now();
    fault().await.unwrap();
    Books::after(WATCHED).await.unwrap();
    end().await.unwrap();
    let books = Books::after(WATCHED_AFTER).await.unwrap();
    let account = customers.stop().await.unwrap();
    Cost {
        what,
        began,
        account,
        books,
        before,
    }
}

/// The same with verbs of `docker` for one container.
async fn ordered(
    project: &Project,
    what: &'static str,
    container: &Container,
    verbs: [&str; 2],
) -> Cost {
    for cluster in ["catalogue", "cart", "checkout"] {
        project.used(cluster).await.unwrap();
    }
    let fault = async || container.order(verbs[0]).await;
    let end = async || container.order(verbs[1]).await;
    suffered(project, what, fault, end).await
}

const KILL: [&str; 2] = ["kill", "start"];
const PAUSE: [&str; 2] = ["pause", "unpause"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker"]
async fn containers_that_die_or_freeze_cost_what_was_under_way_in_them_at_most() {
    let project = Project::up().await.unwrap();
    instances(&project).await;
    tills(&project).await;
    control_plane(&project).await;
    proxy(&project).await;
}

/// An instance of a service that answers safe requests: nobody notices.
async fn instances(project: &Project) {
    let instance = project.only("catalogue-1").await.unwrap();
    let killed = ordered(project, "an instance is killed", &instance, KILL).await;
    killed.nothing_lost();
    let paused = ordered(project, "an instance freezes", &instance, PAUSE).await;
    paused.nothing_lost();
}

/// An instance that executes orders: an order that has reached it may have been
/// executed, so the proxy must not place it again.
async fn tills(project: &Project) {
    let till = project.only("checkout-1").await.unwrap();
    let killed = ordered(project, "a till is killed", &till, KILL).await;
    killed.only_orders_lost();
    // Those that were under way in it; an order takes some milliseconds.
    assert!(killed.more("/lost/all") <= 3, "{:?}", killed.books);
    let frozen = ordered(project, "a till freezes", &till, PAUSE).await;
    frozen.only_orders_lost();
}

/// The control plane is not on the way of requests.
async fn control_plane(project: &Project) {
    let container = project.only("control-plane").await.unwrap();
    for (what, verbs) in [
        ("the control plane is killed", KILL),
        ("the control plane freezes", PAUSE),
    ] {
        let cost = ordered(project, what, &container, verbs).await;
        cost.nothing_lost();
    }
}

/// A proxy takes what is under way in it, and the others none of theirs.
async fn proxy(project: &Project) {
    for (what, verbs) in [("a proxy is killed", KILL), ("a proxy freezes", PAUSE)] {
        let (container, port) = project.proxies().await.unwrap().remove(0);
        let cost = ordered(project, what, &container, verbs).await.beside(port);
        cost.tell();
        assert_eq!(cost.account.failed(|_| true), 0, "{what}");
        assert!(
            cost.more("/lost/all") <= CUSTOMERS_OF_A_PROXY,
            "{:?}",
            cost.books
        );
        assert_eq!(cost.more("/lost/unreachable"), 0, "{:?}", cost.books);
    }
    project.synced(PROXIES).await.unwrap();
}

//! The verbs against a control plane of their own, as a user would run them.

use std::time::Duration;

use clap::Parser;
use evenkeel_control_plane::app::{self, Addresses};
use evenkeel_control_plane::config::ControlPlaneArgs;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::failure::{Failure, Verdict};
use crate::render::testing::{Captured, captured};
use crate::{Cli, ask};

const CART: &str = "\
kind: Cluster
name: cart
spec:
  endpoints:
    static:
    - address: 127.0.0.1:9001
";

/// A control plane, the files of a user, and what was printed last.
struct Session {
    server: String,
    files: tempfile::TempDir,
    _stop: DropGuard,
}

#[derive(Parser)]
struct Role {
    #[command(flatten)]
    args: ControlPlaneArgs,
}

impl Session {
    async fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let data = files.path().join("data").display().to_string();
        let nowhere = "127.0.0.1:0";
        let words = [
            "role",
            "--data-dir",
            &data,
            "--xds-listen",
            nowhere,
            "--api-listen",
            nowhere,
            "--admin-listen",
            nowhere,
        ];
        let args = Role::try_parse_from(words).unwrap().args;
        let stop = CancellationToken::new();
        let (sender, ready) = tokio::sync::oneshot::channel::<Addresses>();
        let stopping = stop.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let ready = move |addresses| {
                let _ = sender.send(addresses);
            };
            runtime.block_on(app::run(args, stopping, ready))
        });
        let addresses = tokio::time::timeout(Duration::from_secs(20), ready).await;
        Self {
            server: format!("http://{}", addresses.unwrap().unwrap().api),
            files,
            _stop: stop.drop_guard(),
        }
    }

    /// Runs a command line; `FILE` stands for the file written last.
    async fn run(&self, line: &str) -> (Result<Verdict, Failure>, Captured) {
        let file = self.files.path().join("file.yaml").display().to_string();
        let words = line.split(' ').map(|word| word.replace("FILE", &file));
        let words = std::iter::once("evenkeel".to_owned())
            .chain(words)
            .chain(["--server".to_owned(), self.server.clone()]);
        let command = Cli::try_parse_from(words).unwrap().command;
        let (mut terminal, memory) = captured();
        (ask(command, &mut terminal).await, memory)
    }

    /// Runs a command line that must succeed; what it printed.
    async fn out(&self, line: &str) -> String {
        let (outcome, memory) = self.run(line).await;
        outcome.unwrap();
        memory.out()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.files.path().join("file.yaml"), text).unwrap();
    }
}

#[tokio::test]
async fn a_change_is_diffed_applied_shown_and_undone() {
    let session = Session::start().await;
    session.write(CART);
    let (verdict, _) = session.run("diff -f FILE").await;
    assert_eq!(verdict.unwrap(), Verdict::Bad);
    assert_eq!(
        session.out("apply -f FILE --dry-run").await,
        "cluster/cart created (dry run)\nrevision 0\n"
    );
    assert_eq!(
        session.out("apply -f FILE -m first").await,
        "cluster/cart created\nrevision 1\n"
    );
    assert_eq!(
        session.out("apply -f FILE").await,
        "cluster/cart unchanged\nrevision 1\n"
    );
    let (verdict, _) = session.run("diff -f FILE").await;
    assert_eq!(verdict.unwrap(), Verdict::Good);

    session.write(&CART.replace("9001", "9002"));
    assert_eq!(
        session.out("apply -f FILE").await,
        "cluster/cart configured\nrevision 2\n"
    );
    assert!(
        session
            .out("get cluster cart -o yaml")
            .await
            .contains("127.0.0.1:9002")
    );
    assert_eq!(
        session.out("rollback").await,
        "cluster/cart configured\nrevision 3\n"
    );
    assert!(
        session
            .out("get cluster cart -o yaml")
            .await
            .contains("127.0.0.1:9001")
    );
    let history = session.out("history cluster/cart --no-headers").await;
    assert_eq!(history.lines().count(), 3, "{history}");
    assert_eq!(
        session.out("delete cluster cart").await,
        "cluster/cart deleted\nrevision 4\n"
    );
}

#[tokio::test]
async fn a_refused_change_shows_the_lines_of_the_file() {
    let session = Session::start().await;
    session.write(&CART.replace("127.0.0.1:9001", "nowhere"));
    let (outcome, _) = session.run("apply -f FILE").await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.exit_code(), 3);
    let Failure::Invalid(faults) = failure else {
        panic!("faults");
    };
    let shown = faults[0].to_string();
    assert!(
        shown.contains("file.yaml:6:16: Cluster/cart: endpoints.static[0].address"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_change_for_an_older_revision_is_a_conflict() {
    let session = Session::start().await;
    session.write(CART);
    session.out("apply -f FILE").await;
    session.write(&CART.replace("9001", "9002"));
    session.out("apply -f FILE").await;
    session.write(&CART.replace("9001", "9003"));
    let (outcome, _) = session.run("apply -f FILE --expected-revision 1").await;
    assert_eq!(outcome.unwrap_err().exit_code(), 4);
}

#[tokio::test]
async fn what_is_not_there_is_a_failure() {
    let session = Session::start().await;
    for line in [
        "get route shop",
        "describe cluster cart",
        "endpoints cart",
        "delete cluster cart",
    ] {
        let (outcome, _) = session.run(line).await;
        assert_eq!(outcome.unwrap_err().exit_code(), 1, "{line}");
    }
    let (outcome, memory) = session.run("get routes").await;
    assert_eq!(outcome.unwrap(), Verdict::Good);
    assert_eq!(
        (memory.out(), memory.err()),
        (String::new(), "no resources found\n".to_owned())
    );
}

#[tokio::test]
async fn without_proxies_a_change_is_everywhere_at_once() {
    let session = Session::start().await;
    session.write(CART);
    let (outcome, memory) = session.run("apply -f FILE --wait --timeout 10s").await;
    assert_eq!(outcome.unwrap(), Verdict::Good);
    assert_eq!(memory.err(), "revision 1: no proxy was connected\n");
    let (outcome, _) = session.run("wait --revision 99 --timeout 10s").await;
    assert!(outcome.is_err());
}

//! What a proxy refuses is shown with its reason, and thaws when mended.

use std::net::TcpListener;

use evenkeel_tests::backend::Mode;
use evenkeel_tests::client::Client;
use evenkeel_tests::config;
use evenkeel_tests::process::{eventually, free_address, text_of};

use crate::{SOON, Small};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_listener_is_shown_and_thaws_while_the_rest_is_live() {
    let small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    let occupied = TcpListener::bind(free_address().unwrap()).unwrap();
    let address = occupied.local_addr().unwrap();

    let push = [
        format!(
            "kind: Listener\nname: taken\nspec: {{address: \"{address}\"}}\n---\n\
             kind: ProxyGroup\nname: more\nspec: {{listeners: [taken]}}\n---\n"
        ),
        "kind: Route\nname: more\nspec:\n  listeners: [edge-p1, taken]\n  \
         hostnames: [\"more.test\"]\n  rules:\n  - clusters: [{name: shop}]\n---\n"
            .to_owned(),
    ];
    let refused = small
        .control_plane
        .cli_with_input(&["apply", "-f", "-", "--wait"], &push.concat())
        .await
        .unwrap();
    let text = text_of(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("taken") && text.contains("in use"), "{text}");

    let status = small.control_plane.cli(&["status"]).await.unwrap();
    let text = text_of(&status);
    assert!(
        text.contains("p1") && text.contains("taken") && text.contains("in use"),
        "{text}"
    );
    let mut client = Client::new(small.proxy.listener, "more.test");
    eventually(SOON, || async {
        let answer = Client::new(small.proxy.listener, "more.test")
            .get("/")
            .await?;
        anyhow::ensure!(answer.status == 200, "{}", answer.status);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(client.get("/").await.unwrap().status, 200);

    drop(occupied);
    let answer = eventually(SOON, || async {
        Client::new(address, "more.test").get("/").await
    })
    .await
    .unwrap();
    assert_eq!(answer.status, 200);
    eventually(SOON, || async {
        let status = text_of(&small.control_plane.cli(&["status"]).await?);
        anyhow::ensure!(!status.contains("in use"), "{status}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_mistakes_give_five_errors_in_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.yaml");
    let text = "kind: Listener\nname: edge\nspec:\n  adress: 127.0.0.1:8080\n---\n\
                kind: Route\nname: shop\nspec:\n  listeners: [edge]\n  rules:\n  \
                - retry: {retries: many}\n    clusters: [{name: api, weight: -1}]\n---\n\
                kind: Cluster\nname: api\nspec:\n  endpoints:\n    static:\n    \
                - {address: localhost}\n  connection: {connectTimeout: 5 parsecs}\n";
    std::fs::write(&file, text).unwrap();
    let output = evenkeel_tests::process::run_cli(
        "127.0.0.1:1".parse().unwrap(),
        &["validate", "-f", file.to_str().unwrap()],
        "",
    )
    .await
    .unwrap();
    let errors = text_of(&output);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    for expected in [
        "shop.yaml:4:",
        "did you mean \"address\"",
        "rules[0].retry.retries",
        "rules[0].clusters[0].weight",
        "endpoints.static[0].address",
        "connection.connectTimeout",
    ] {
        assert!(errors.contains(expected), "no {expected:?} in:\n{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_helpers_write_what_the_product_reads() {
    let yaml = config::cluster("api", &[("127.0.0.1:9001".parse().unwrap(), 1)]);
    let output = evenkeel_tests::process::run_cli(
        "127.0.0.1:1".parse().unwrap(),
        &["validate", "-f", "-"],
        &yaml,
    )
    .await
    .unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
}

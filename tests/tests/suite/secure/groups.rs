//! A proxy gets what its certificate is good for, whatever it says of itself.

use evenkeel_tests::config;
use evenkeel_tests::process::eventually;

use super::Secure;
use crate::SOON;

const GROUPS: &str = "\
kind: ProxyGroup
name: a
spec: {selector: {cluster: a}, listeners: [edge-a]}
---
kind: ProxyGroup
name: b
spec: {selector: {cluster: b}, listeners: [edge-b]}
---
";

fn configuration(a: &str, b: &str) -> String {
    let listener = |name: &str, address: &str| {
        format!("kind: Listener\nname: edge-{name}\nspec: {{address: \"{address}\"}}\n---\n")
    };
    [
        listener("a", a),
        listener("b", b),
        config::route("for-a", &["a"], "a.test", "shop-a"),
        config::route("for-b", &["b"], "b.test", "shop-b"),
        config::cluster("shop-a", &[(([127, 0, 0, 1], 9).into(), 1)]),
        config::cluster("shop-b", &[(([127, 0, 0, 1], 9).into(), 1)]),
        GROUPS.to_owned(),
    ]
    .concat()
}

/// Waits for an entry of the audit log about `node`.
async fn audited(secure: &Secure, node: &str) -> serde_json::Value {
    eventually(SOON, || async {
        let output = secure.control_plane.cli(&["audit", "-o", "json"]).await?;
        let log: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let entries = log["entries"].as_array().or(log.as_array());
        let found = entries.and_then(|entries| {
            let about = |entry: &&serde_json::Value| entry.to_string().contains(node);
            entries.iter().find(about).cloned()
        });
        found.ok_or_else(|| anyhow::anyhow!("nothing about {node} in {log}"))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_gets_nothing_by_claiming_another_name_or_group() {
    let secure = Secure::start().await.unwrap();
    let yaml = configuration("127.0.0.1:0", "127.0.0.2:0");
    secure.control_plane.apply(&yaml, &[]).await.unwrap();
    secure.proxy_certificate("a1", &["a"]).unwrap();

    let good = secure
        .proxy("a1", "a1", &[("EVENKEEL_CLUSTER", "a")])
        .await
        .unwrap();
    let has = eventually(SOON, || async {
        let dump = good.admin("/config_dump").await?;
        let text = String::from_utf8_lossy(&dump.body).into_owned();
        anyhow::ensure!(text.contains("shop-a"), "nothing yet");
        Ok(text)
    })
    .await
    .unwrap();
    assert!(!has.contains("shop-b"), "only what its group needs");

    for (says, cluster) in [("b1", "a"), ("a1", "b")] {
        let liar = secure
            .proxy(
                says,
                "a1",
                &[("EVENKEEL_CLUSTER", cluster), ("EVENKEEL_NO_STATE", "true")],
            )
            .await
            .unwrap();
        let entry = audited(&secure, if says == "b1" { "b1" } else { "group" }).await;
        println!("{says} in {cluster}: {entry}");
        let dump = liar.admin("/config_dump").await.unwrap();
        let text = String::from_utf8_lossy(&dump.body);
        assert!(!text.contains("shop-"), "{says} in {cluster} got {text}");
    }
    let log = std::fs::read_to_string(secure.path().join("control-plane.log")).unwrap();
    assert!(log.contains("b1"), "the refusal is logged");
}

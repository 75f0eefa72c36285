//! What stands open, and to whom.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_tests::backend::Mode;
use evenkeel_tests::process::{binary, free_address, run_cli, run_cli_with, text_of};
use tokio::process::Command;

use super::Secure;
use crate::Small;

/// Whether anything listens on a port beyond the loopback addresses, by what the
/// system says of the process.
fn listens_beyond(port: u16) -> Vec<String> {
    let mut found = Vec::new();
    for (file, loopback) in [
        ("/proc/net/tcp", "0100007F"),
        ("/proc/net/tcp6", "00000000000000000000000001000000"),
    ] {
        let table = std::fs::read_to_string(file).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, ..] = fields.as_slice() else {
                continue;
            };
            let is_ours = local.ends_with(&format!(":{port:04X}"));
            if *state == "0A" && is_ours && !local.starts_with(loopback) {
                found.push((*local).to_owned());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_beyond_the_machine_unless_it_is_told_to() {
    let small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    let control_plane = &small.control_plane;
    for address in [
        control_plane.xds,
        control_plane.api,
        control_plane.admin,
        small.proxy.admin,
    ] {
        assert_eq!(listens_beyond(address.port()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_beyond_the_machine_wants_tls_or_refuses_to_start() {
    for flag in ["--xds-listen", "--api-listen"] {
        let directory = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "control-plane".to_owned(),
            format!("--data-dir={}", directory.path().display()),
            format!("{flag}=0.0.0.0:{}", free_address().unwrap().port()),
        ];
        for other in ["--xds-listen", "--api-listen", "--admin-listen"] {
            if other != flag {
                arguments.push(format!("{other}={}", free_address().unwrap()));
            }
        }
        let output = Command::new(binary().unwrap()).args(&arguments).output();
        let output = tokio::time::timeout(Duration::from_secs(20), output).await;
        let output = output.unwrap().unwrap();
        let text = text_of(&output);
        println!("{flag}: {}", text.trim());
        assert!(!output.status.success(), "{text}");
        for wanted in [flag, "--tls-cert", "--insecure", "evenkeel pki"] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }
}

/// Every method of a service, by reflection.
async fn methods(api: SocketAddr, client: &[(String, String)]) -> Vec<String> {
    let list = run_cli_with(api, &["grpc", "list"], "", client)
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_can_be_read_or_changed() {
    let secure = Secure::start().await.unwrap();
    let api = secure.control_plane.api;
    let all = methods(api, &secure.control_plane.client).await;
    assert!(!all.is_empty());
    let ca = secure.path().join("ca.crt").display().to_string();
    let anonymous = [
        ("EVENKEEL_SERVER".to_owned(), format!("https://{api}")),
        ("EVENKEEL_CA".to_owned(), ca),
    ];
    let stranger = {
        let mut with = anonymous.to_vec();
        with.push(("EVENKEEL_TOKEN".to_owned(), "ekt_nobody_nothing".to_owned()));
        with
    };
    for environment in [anonymous.as_slice(), stranger.as_slice()] {
        for verb in [
            &["get", "clusters"][..],
            &["history"],
            &["status"],
            &["endpoints", "shop"],
            &["delete", "cluster/shop"],
            &["rollback", "--to", "1"],
            &["token", "list"],
            &["token", "create", "mine", "--role", "admin"],
            &["audit"],
        ] {
            let output = run_cli_with(api, verb, "", environment).await.unwrap();
            let text = text_of(&output);
            assert!(!output.status.success(), "{verb:?}: {text}");
            assert!(
                text.to_lowercase().contains("credentials") || text.contains("token"),
                "{verb:?} says why: {text}"
            );
        }
    }
    // In the clear nothing is spoken at all.
    let plain = run_cli(api, &["get", "clusters"], "").await.unwrap();
    assert!(!plain.status.success());
}

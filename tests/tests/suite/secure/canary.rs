//! A key and a token are put into every place that takes one, and looked for in
//! every place that shows something.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use evenkeel_tests::backend::{Backend, Mode};
use evenkeel_tests::client::Client;
use evenkeel_tests::config;
use evenkeel_tests::pki::{Issued, Subject};
use evenkeel_tests::process::{Proxy, eventually, text_of};

use super::{Secure, inline_secret};
use crate::SOON;

/// What must not be found anywhere: lines of the key, in text and in bytes.
struct Canary {
    needles: Vec<Vec<u8>>,
}

impl Canary {
    fn new(issued: &Issued, token: &str) -> Self {
        use rustls::pki_types::PrivateKeyDer;
        use rustls::pki_types::pem::PemObject;

        let lines = issued.key.lines().filter(|line| !line.starts_with("--"));
        // The first line of a key is the same in all keys of its kind.
        let mut needles: Vec<Vec<u8>> =
            lines.skip(1).map(|line| line.as_bytes().to_vec()).collect();
        let der = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        // The secret number of a P-256 key in PKCS#8 stands here.
        needles.push(der.secret_der()[36..68].to_vec());
        let (_, secret) = token.rsplit_once('_').unwrap();
        needles.push(secret.as_bytes().to_vec());
        Self { needles }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let found = |needle: &Vec<u8>| text.windows(needle.len()).any(|part| part == needle);
        self.needles.iter().any(found)
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A stage with a canary on it, and what was seen so far, by place.
struct Stage {
    secure: Secure,
    proxy: Proxy,
    backend: Backend,
    issued: Issued,
    token_file: PathBuf,
    canary: Canary,
    seen: Vec<(String, Vec<u8>)>,
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let mut secure = Secure::start().await?;
        let trace = ("RUST_LOG".to_owned(), "trace".to_owned());
        secure.control_plane.environment.push(trace);
        secure.control_plane.restart().await?;
        let token_file = secure.path().join("canary.token");
        let create = ["token", "create", "canary", "--role", "admin", "--quiet"];
        let said = secure.says(&create).await;
        let token = said.lines().find(|line| line.starts_with("ekt_"));
        let token = token.context("no token")?;
        std::fs::write(&token_file, token)?;
        let issued = shop(&secure)?;
        let canary = Canary::new(&issued, token);
        assert!(canary.is_in(issued.key.as_bytes()) && canary.is_in(token.as_bytes()));
        secure.proxy_certificate("p1", &[])?;
        let proxy = secure.proxy("p1", "p1", &[("RUST_LOG", "trace")]).await?;
        // From here on with the token instead of the certificate.
        let client = &mut secure.control_plane.client;
        client.retain(|(name, _)| name != "EVENKEEL_CERT" && name != "EVENKEEL_KEY");
        let file = token_file.display().to_string();
        client.push(("EVENKEEL_TOKEN_FILE".to_owned(), file));
        Ok(Self {
            secure,
            proxy,
            backend: Backend::start("a", Mode::Serve).await?,
            issued,
            token_file,
            canary,
            seen: Vec::new(),
        })
    }

    fn configuration(&self) -> String {
        [
            inline_secret("shop", &self.issued),
            format!(
                "kind: Listener\nname: edge-p1\nspec:\n  address: \"{}\"\n  \
                 tls: {{certificates: [shop]}}\n---\n",
                self.proxy.listener
            ),
            config::route("shop", &["p1"], "shop.test", "shop"),
            config::cluster("shop", &[(self.backend.address, 1)]),
        ]
        .concat()
    }

    /// Runs a verb and keeps what it prints.
    async fn run(&mut self, verb: &[&str], input: &str) {
        let ran = self.secure.control_plane.cli_with_input(verb, input);
        let said = text_of(&ran.await.unwrap());
        self.seen.push((format!("{verb:?}"), said.into_bytes()));
    }

    /// Every verb that shows something of a secret.
    async fn look_around(&mut self) {
        for verb in [
            &["get", "secrets", "-o", "yaml"][..],
            &["get", "secret", "shop", "-o", "json"],
            &["describe", "secret", "shop"],
            &["describe", "secret", "shop", "-o", "json"],
            &["history", "-o", "json"],
            &["audit", "-o", "json"],
            &["token", "list", "-o", "json"],
            &["auth", "whoami", "-o", "json"],
            &["status", "-o", "json"],
            &["config", "view"],
        ] {
            self.run(verb, "").await;
        }
    }

    /// Changes, and mistakes in them.
    async fn make_changes(&mut self) {
        let yaml = self.configuration();
        let apply = ["apply", "-f", "-"];
        let other = shop(&self.secure).unwrap();
        let mismatched = Issued {
            certificate: other.certificate.clone(),
            key: self.issued.key.clone(),
        };
        let dry = ["apply", "-f", "-", "--dry-run", "-o", "yaml"];
        self.run(&dry, &yaml).await;
        self.run(&["apply", "-f", "-", "--wait", "-o", "json"], &yaml)
            .await;
        for mistake in [
            inline_secret("shop", &mismatched),
            yaml.replace("privateKey", "privateKye"),
            yaml.replace("privateKey:", "privateKey: x"),
            yaml.replace("-----END PRIVATE KEY-----", ""),
            yaml.replace("      inline: |", "      inline: |\n    x"),
        ] {
            self.run(&apply, &mistake).await;
            self.run(&["validate", "-f", "-"], &mistake).await;
        }
        self.run(&["diff", "-f", "-"], &yaml).await;
        let replaced = inline_secret("shop", &other);
        self.run(&["diff", "-f", "-"], &replaced).await;
        self.look_around().await;
        self.run(&apply, &replaced).await;
        self.look_around().await;
        self.run(&["rollback", "--to", "1"], "").await;
    }

    async fn serves(&self) {
        let tls = self.secure.authority.client("shop.test", None).unwrap();
        eventually(SOON, || async {
            let tls = Arc::clone(&tls);
            let mut client = Client::secure(self.proxy.listener, "shop.test", tls);
            let answer = client.get("/").await?;
            anyhow::ensure!(answer.status.is_success(), "{}", answer.status);
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Pages, logs, and every file that either plane keeps.
    async fn search(&mut self) {
        for page in ["/config_dump", "/certs", "/clusters", "/metrics", "/ready"] {
            let answer = self.proxy.admin(page).await.unwrap();
            self.seen.push((page.to_owned(), answer.body.to_vec()));
        }
        let mut admin = Client::new(self.secure.control_plane.admin, "admin");
        let metrics = admin.get("/metrics").await.unwrap();
        self.seen
            .push(("metrics".to_owned(), metrics.body.to_vec()));
        saved(&self.secure).await;
        for path in files(self.secure.path()) {
            if path != self.token_file {
                let content = std::fs::read(&path).unwrap();
                self.seen.push((path.display().to_string(), content));
            }
        }
    }
}

fn shop(secure: &Secure) -> anyhow::Result<Issued> {
    secure.authority.issue(Subject {
        hosts: &["shop.test"],
        ..Subject::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_nowhere() {
    let mut stage = Stage::set().await.unwrap();
    stage.make_changes().await;
    stage.serves().await;
    stage.search().await;
    let found: Vec<&String> = stage
        .seen
        .iter()
        .filter(|(_, text)| stage.canary.is_in(text))
        .map(|(place, _)| place)
        .collect();
    println!("looked in {} places", stage.seen.len());
    assert_eq!(found, Vec::<&String>::new());
}

/// Waits until the proxy has saved its configuration.
async fn saved(secure: &Secure) {
    eventually(SOON, || async {
        let state = secure.path().join("state-p1");
        let saved = files(&state).iter().any(|path| {
            std::fs::read(path)
                .is_ok_and(|content| content.windows(7).any(|part| part == b"edge-p1"))
        });
        anyhow::ensure!(saved, "nothing saved yet");
        Ok(())
    })
    .await
    .unwrap();
}

//! Everything over TLS: certificates rotate, secrets stay secret, and nobody
//! gets what is not theirs.

mod canary;
mod doors;
mod groups;
mod interop;
mod rotation;
mod upstream;

use std::path::{Path, PathBuf};

use evenkeel_tests::pki::{Authority, Issued, Subject};
use evenkeel_tests::process::{ControlPlane, Proxy, text_of};

/// A control plane that asks everybody for a certificate.
struct Secure {
    control_plane: ControlPlane,
    /// Signs for proxies, operators and the control plane.
    authority: Authority,
    directory: tempfile::TempDir,
}

impl Secure {
    async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more flags for the control plane.
    async fn start_with(flags: &[&str]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("test authority")?;
        let at = directory.path();
        let ca = text(&authority.write(at)?);
        let (certificate, key) = control_plane_certificate(&authority)?.write(at, "cp")?;
        let admin = authority.issue(Subject {
            uris: &["spiffe://test/admin/alice"],
            ..Subject::default()
        })?;
        let (admin_certificate, admin_key) = admin.write(at, "alice")?;
        let mut all = vec![
            format!("--tls-cert={}", certificate.display()),
            format!("--tls-key={}", key.display()),
            format!("--client-ca={ca}"),
            "--require-auth".to_owned(),
        ];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let client = [
            ("EVENKEEL_CA", ca.as_str()),
            ("EVENKEEL_CERT", &text(&admin_certificate)),
            ("EVENKEEL_KEY", &text(&admin_key)),
        ];
        let mut control_plane = ControlPlane::start_with(at, &all, &client).await?;
        let server = format!("https://{}", control_plane.api);
        control_plane
            .client
            .push(("EVENKEEL_SERVER".to_owned(), server));
        Ok(Self {
            control_plane,
            authority,
            directory,
        })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A certificate for a proxy, in files of its name.
    fn proxy_certificate(&self, id: &str, groups: &[&str]) -> anyhow::Result<Issued> {
        let mut uris = vec![format!("spiffe://test/proxy/{id}")];
        uris.extend(
            groups
                .iter()
                .map(|group| format!("spiffe://test/group/{group}")),
        );
        let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
        let issued = self.authority.issue(Subject {
            uris: &uris,
            ..Subject::default()
        })?;
        issued.write(self.path(), id)?;
        Ok(issued)
    }

    /// A proxy that says it is `id` and shows the certificate in the files of
    /// `certificate`.
    async fn proxy(
        &self,
        id: &str,
        certificate: &str,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Proxy> {
        let file = |name: &str| text(&self.path().join(name));
        let (ca, shown, key) = (
            file("ca.crt"),
            file(&format!("{certificate}.crt")),
            file(&format!("{certificate}.key")),
        );
        let mut environment = vec![
            ("EVENKEEL_CONTROL_PLANE_CA", ca.as_str()),
            ("EVENKEEL_TLS_CERT", shown.as_str()),
            ("EVENKEEL_TLS_KEY", key.as_str()),
        ];
        environment.extend(more);
        let url = format!("https://{}", self.control_plane.xds);
        Proxy::start_at(id, &url, self.path(), &environment).await
    }

    /// What a client verb prints; it has to succeed.
    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.control_plane.cli(arguments).await.unwrap();
        let text = text_of(&output);
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }
}

fn control_plane_certificate(authority: &Authority) -> anyhow::Result<Issued> {
    authority.issue(Subject {
        hosts: &["127.0.0.1", "localhost"],
        uris: &["spiffe://test/control-plane/cp"],
        ..Subject::default()
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A secret with a certificate, by reference.
fn file_secret(name: &str, files: &(PathBuf, PathBuf)) -> String {
    let (chain, key) = files;
    format!(
        "kind: Secret\nname: {name}\nspec:\n  certificate:\n    chain: {{file: {}}}\n    \
         privateKey: {{file: {}}}\n---\n",
        chain.display(),
        key.display()
    )
}

/// A secret with a certificate, inline.
fn inline_secret(name: &str, issued: &Issued) -> String {
    format!(
        "kind: Secret\nname: {name}\nspec:\n  certificate:\n    chain:\n      inline: |\n{}    \
         privateKey:\n      inline: |\n{}---\n",
        indented(&issued.certificate),
        indented(&issued.key)
    )
}

/// A secret with an authority, inline.
fn trust_secret(name: &str, authority: &Authority) -> String {
    format!(
        "kind: Secret\nname: {name}\nspec:\n  trust:\n    certificates:\n      inline: |\n{}---\n",
        indented(&authority.pem)
    )
}

fn indented(pem: &str) -> String {
    let lines = pem.lines().flat_map(|line| ["        ", line, "\n"]);
    lines.collect()
}

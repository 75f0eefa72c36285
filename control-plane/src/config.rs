//! What a control plane is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::Rules;

/// Settings of the control plane, from the command line or the environment.
#[derive(Debug, Clone, clap::Args)]
pub struct ControlPlaneArgs {
    /// Directory of the configuration store; made if it is not there. One
    /// control plane at a time.
    #[arg(
        long,
        env = "EVENKEEL_DATA_DIR",
        value_name = "DIR",
        default_value = "./evenkeel-data"
    )]
    pub data_dir: PathBuf,

    /// Where proxies connect (xDS over gRPC).
    #[arg(
        long,
        env = "EVENKEEL_XDS_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:18000"
    )]
    pub xds_listen: SocketAddr,

    /// Where the command line connects (management API over gRPC).
    #[arg(
        long,
        env = "EVENKEEL_API_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:18001"
    )]
    pub api_listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served (HTTP).
    #[arg(
        long,
        env = "EVENKEEL_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:18080"
    )]
    pub admin_listen: SocketAddr,

    /// Name of this control plane, which proxies and `status` show.
    #[arg(
        long,
        env = "EVENKEEL_CONTROL_PLANE_ID",
        value_name = "ID",
        default_value = "control-plane"
    )]
    pub id: String,

    /// Certificate chain (PEM) of the xDS and the API port, which then speak
    /// TLS only. Read again when the file changes.
    #[arg(
        long,
        env = "EVENKEEL_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate. Read again when the file changes.
    #[arg(
        long,
        env = "EVENKEEL_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// Authorities (PEM) of client certificates: proxies must show one, users
    /// of the API may. Read again when the file changes.
    #[arg(
        long,
        env = "EVENKEEL_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub client_ca: Option<PathBuf>,

    /// Serve other machines although nothing is encrypted or nobody has to say
    /// who they are.
    #[arg(long, env = "EVENKEEL_INSECURE")]
    pub insecure: bool,

    /// Ask for credentials on the API port also on this machine. On an address
    /// of other machines they are always asked for. The first token is written
    /// to `admin.token` in the data directory.
    #[arg(long, env = "EVENKEEL_REQUIRE_AUTH")]
    pub require_auth: bool,
}

/// What is insecure about how a control plane would be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}\nGive certificates (`evenkeel pki init` makes some): --tls-cert FILE --tls-key FILE \
     --client-ca FILE; or listen on 127.0.0.1; or accept the danger with --insecure",
    .0.join("\n")
)]
pub struct Exposed(Vec<String>);

impl ControlPlaneArgs {
    /// How callers of the management API are let in.
    pub fn access(&self) -> Rules {
        Rules {
            local: !self.require_auth && self.api_listen.ip().is_loopback(),
            directory: self.data_dir.clone(),
        }
    }

    /// What is insecure about these settings, one sentence each; empty if
    /// nothing is. The admin port never counts: what it serves is neither secret
    /// nor writable, and probes and Prometheus come from other machines.
    ///
    /// # Errors
    /// Something is insecure, and nobody said that it may be.
    pub fn warnings(&self) -> Result<Vec<String>, Exposed> {
        let (tls, clients) = (self.tls_cert.is_some(), self.client_ca.is_some());
        let mut found = Vec::new();
        let xds = self.xds_listen;
        if !xds.ip().is_loopback() {
            if !tls {
                found.push(format!(
                    "--xds-listen {xds}: without TLS (--tls-cert, --tls-key) anybody between here and the proxies can read and change what they are told"
                ));
            }
            if !clients {
                found.push(format!(
                    "--xds-listen {xds}: without --client-ca anybody who reaches the port gets the configuration of any proxy"
                ));
            }
        }
        let api = self.api_listen;
        if !api.ip().is_loopback() && !tls {
            found.push(format!(
                "--api-listen {api}: without TLS (--tls-cert, --tls-key) anybody between here and the users can read their tokens and change what they send"
            ));
        }
        if found.is_empty() || self.insecure {
            Ok(found)
        } else {
            Err(Exposed(found))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Role {
        #[command(flatten)]
        args: ControlPlaneArgs,
    }

    fn warnings(line: &str) -> Result<Vec<String>, Exposed> {
        let words = std::iter::once("role").chain(line.split_whitespace());
        Role::try_parse_from(words).unwrap().args.warnings()
    }

    const TLS: &str = "--tls-cert c.pem --tls-key k.pem";

    #[test]
    fn what_stays_on_this_machine_needs_nothing() {
        assert_eq!(warnings(""), Ok(Vec::new()));
        assert_eq!(warnings("--xds-listen [::1]:1 --insecure"), Ok(Vec::new()));
        assert_eq!(warnings("--admin-listen 0.0.0.0:1"), Ok(Vec::new()));
    }

    #[test]
    fn other_machines_need_tls_and_proxies_a_certificate() {
        let both = "--xds-listen 0.0.0.0:1 --api-listen [::]:2";
        let refused = warnings(both).unwrap_err();
        assert_eq!(refused.0.len(), 3);
        let text = refused.to_string();
        for part in [
            "--xds-listen 0.0.0.0:1",
            "--api-listen [::]:2",
            "evenkeel pki init",
            "--tls-cert",
            "--client-ca",
            "--insecure",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let refused = warnings(&format!("{both} {TLS}")).unwrap_err();
        assert_eq!(refused.0.len(), 1);
        assert!(refused.0[0].contains("--client-ca"), "{refused}");
        assert_eq!(
            warnings(&format!("{both} {TLS} --client-ca a.pem")),
            Ok(Vec::new())
        );
        assert_eq!(
            warnings(&format!("--api-listen [::]:2 {TLS}")),
            Ok(Vec::new())
        );
    }

    #[test]
    fn the_danger_can_be_accepted_and_stays_visible() {
        let accepted = warnings("--xds-listen 0.0.0.0:1 --insecure").unwrap();
        assert_eq!(accepted.len(), 2);
    }

    #[test]
    fn half_a_pair_is_refused() {
        for line in ["--tls-cert c.pem", "--tls-key k.pem", "--client-ca a.pem"] {
            assert!(Role::try_parse_from(["role"].into_iter().chain(line.split(' '))).is_err());
        }
    }
}

//! Settings of the process. Everything about traffic comes from the control
//! plane instead.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use evenkeel_shared::units::parse_duration;
use tonic::transport::Uri;

use crate::admin::guard::read_token;
use crate::drain::DrainTimes;
use crate::worker::Http1Codec;
use crate::xds::connect::{Dialer, is_loopback};

/// Where the kernel says what the machine is called.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

const EXAMPLES: &str = "\
Examples:
  # The control plane on this machine, state kept across restarts:
  evenkeel proxy --state-dir /var/lib/evenkeel

  # Two control planes, the second in case the first is away:
  evenkeel proxy --node-id edge-1 --cluster edge \\
    --control-plane https://10.0.0.1:18000 --control-plane https://10.0.0.2:18000 \\
    --control-plane-ca ca.pem --control-plane-name control-plane.internal \\
    --tls-cert edge-1.pem --tls-key edge-1.key

  # Scraped from other machines, and drained from there by those with the token:
  evenkeel proxy --admin-listen 0.0.0.0:9901 --admin-token-file admin.token
  curl -X POST -H \"Authorization: Bearer $(cat admin.token)\" \\
    http://10.0.0.7:9901/drain_listeners

  # Taken out of a load balancer in front before it stops:
  evenkeel proxy --drain-delay 5s --drain-timeout 60s";

/// What `evenkeel proxy` is told on the command line or in the environment.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProxyArgs {
    /// Name of this proxy, unique among all; the host's name if not given.
    #[arg(long, env = "EVENKEEL_NODE_ID", value_parser = parse_name)]
    pub node_id: Option<String>,

    /// Name of the group it says it belongs to.
    #[arg(long, env = "EVENKEEL_CLUSTER", default_value = "")]
    pub cluster: String,

    /// More that is told of this proxy, to be chosen by; may be repeated.
    #[arg(
        long,
        env = "EVENKEEL_METADATA",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = parse_pair
    )]
    pub metadata: Vec<(String, String)>,

    /// Address of the control plane, `https://` if it is not on this machine; more
    /// of them are asked in order if those before are away.
    #[arg(
        long,
        env = "EVENKEEL_CONTROL_PLANE",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:18000",
        value_parser = parse_control_plane
    )]
    pub control_plane: Vec<Uri>,

    /// File with the certificates of the authorities that sign those of control
    /// planes; PEM.
    #[arg(long, env = "EVENKEEL_CONTROL_PLANE_CA", value_name = "FILE")]
    pub control_plane_ca: Option<PathBuf>,

    /// Name that the certificate of a control plane must carry; the host of its
    /// address if not given.
    #[arg(long, env = "EVENKEEL_CONTROL_PLANE_NAME", value_name = "NAME")]
    pub control_plane_name: Option<String>,

    /// File with the certificate that this proxy shows to control planes, and with
    /// those between it and its authority; PEM. Read again for each connection.
    #[arg(
        long,
        env = "EVENKEEL_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// File with the private key of that certificate; PEM.
    #[arg(
        long,
        env = "EVENKEEL_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// Speak with control planes on other machines in the clear: whoever is in
    /// between reads the secrets and writes the configuration.
    #[arg(long, env = "EVENKEEL_INSECURE")]
    pub insecure: bool,

    /// Where readiness, metrics and state are served, to everybody who can reach it:
    /// keep it away from clients. Elsewhere than on this machine, calls that change
    /// something need a token.
    #[arg(long, env = "EVENKEEL_ADMIN_LISTEN", default_value = "127.0.0.1:9901")]
    pub admin_listen: SocketAddr,

    /// File with the token that calls to the admin port must carry if they change
    /// something, as `Authorization: Bearer`; read again for each.
    #[arg(long, env = "EVENKEEL_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Threads that carry requests; as many as there are processors if not
    /// given.
    #[arg(long, env = "EVENKEEL_WORKERS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,

    /// Directory for the last configuration that was good, from which the proxy
    /// starts when the control plane is away.
    #[arg(
        long,
        env = "EVENKEEL_STATE_DIR",
        value_name = "DIRECTORY",
        default_value = "evenkeel-state"
    )]
    pub state_dir: PathBuf,

    /// Keep nothing on disk.
    #[arg(long, env = "EVENKEEL_NO_STATE")]
    pub no_state: bool,

    /// Name server that is asked for the endpoints of clusters with `dns`, such as
    /// `10.0.0.53:53`; may be given more than once. Those of the host if not given.
    #[arg(
        long,
        env = "EVENKEEL_DNS_SERVER",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub dns_server: Vec<SocketAddr>,

    /// Who reads and writes HTTP/1.1, with clients and endpoints: this proxy itself,
    /// or the hyper library as in earlier releases. The next release has no choice.
    #[arg(
        long,
        env = "EVENKEEL_HTTP1_CODEC",
        value_name = "CODEC",
        value_enum,
        default_value_t
    )]
    pub http1_codec: Http1Codec,

    /// Time between not being ready and closing the listeners and idle connections,
    /// when stopping. Until then all is served, and clients are told to go.
    #[arg(long, env = "EVENKEEL_DRAIN_DELAY", value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub drain_delay: Duration,

    /// Time that requests have to end from then on, when stopping; also how long the
    /// connections of a listener that is deleted may stay idle.
    #[arg(long, env = "EVENKEEL_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
}

impl ProxyArgs {
    /// Name of this proxy: the one given, or the host's.
    ///
    /// # Errors
    /// A sentence for the user if there is neither.
    pub fn node(&self) -> Result<String, String> {
        if let Some(id) = &self.node_id {
            return Ok(id.clone());
        }
        let missing = "this host has no name: give --node-id";
        let hostname = std::fs::read_to_string(HOSTNAME_FILE).map_err(|_| missing.to_owned())?;
        parse_name(hostname.trim()).map_err(|_| missing.to_owned())
    }

    /// What is told of this proxy; of one key the last value.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.iter().cloned().collect()
    }

    /// How control planes are reached.
    ///
    /// # Errors
    /// All that does not fit together, for the user.
    pub fn dialer(&self) -> Result<Dialer, String> {
        let faults = self.control_plane.iter();
        let faults = faults.filter_map(|uri| self.fault_of(uri));
        let faults: Vec<String> = faults.chain(self.unused()).collect();
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        Ok(Dialer {
            control_planes: self.control_plane.clone(),
            authorities: self.control_plane_ca.clone(),
            certificate: self.tls_cert.clone().zip(self.tls_key.clone()),
            name: self.control_plane_name.clone(),
        })
    }

    /// Checks that there is a token where one is to be, so that its lack is not
    /// found when it is needed.
    ///
    /// # Errors
    /// What is wrong with the file, for the user.
    pub fn check_admin_token(&self) -> Result<(), String> {
        let file = self.admin_token_file.as_deref();
        file.map_or(Ok(()), |file| read_token(file).map(drop))
    }

    /// Flags that are meant to protect the connection, if none would be: whoever
    /// gives them takes it for protected.
    fn unused(&self) -> Option<String> {
        let is_secure = |uri: &Uri| uri.scheme_str() == Some("https");
        if self.control_plane.iter().any(is_secure) {
            return None;
        }
        let given = [
            ("--tls-cert", self.tls_cert.is_some()),
            ("--control-plane-ca", self.control_plane_ca.is_some()),
            ("--control-plane-name", self.control_plane_name.is_some()),
        ];
        let given: Vec<&str> = given
            .into_iter()
            .filter_map(|(flag, is_given)| is_given.then_some(flag))
            .collect();
        let first = self.control_plane.first()?;
        (!given.is_empty()).then(|| {
            format!(
                "{}: no effect on --control-plane {first}, which is not encrypted: write https://, \
                 or leave them out",
                given.join(", ")
            )
        })
    }

    fn fault_of(&self, uri: &Uri) -> Option<String> {
        let secure = uri.scheme_str() == Some("https");
        if secure && self.control_plane_ca.is_none() {
            return Some(format!(
                "--control-plane {uri}: give --control-plane-ca with the authorities that sign \
                 its certificate"
            ));
        }
        (!secure && !is_loopback(uri) && !self.insecure).then(|| {
            format!(
                "--control-plane {uri}: configuration and secrets would travel in the clear: \
                 use https:// with --control-plane-ca, or say --insecure"
            )
        })
    }

    /// How long the steps of a drain take.
    pub fn drain_times(&self) -> DrainTimes {
        DrainTimes {
            delay: self.drain_delay,
            timeout: self.drain_timeout,
        }
    }

    /// Number of threads that carry requests.
    pub fn worker_count(&self) -> usize {
        self.workers.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        )
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 253 || text.chars().any(char::is_control) {
        return Err("must be 1 to 253 characters".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must look like key=value".to_owned()),
    }
}

fn parse_control_plane(text: &str) -> Result<Uri, String> {
    let rule = "must look like https://10.0.0.1:18000 or http://127.0.0.1:18000";
    let uri: Uri = text.parse().map_err(|error| format!("{rule}: {error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(rule.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ProxyArgs,
    }

    fn parse(line: &[&str]) -> Result<ProxyArgs, clap::Error> {
        let words = ["proxy"].iter().chain(line);
        Line::try_parse_from(words).map(|line| line.args)
    }

    #[test]
    fn nothing_has_to_be_given() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.control_plane[0].to_string(), "http://127.0.0.1:18000/");
        assert_eq!(args.admin_listen.to_string(), "127.0.0.1:9901");
        assert_eq!(args.drain_timeout, Duration::from_secs(30));
        assert_eq!(args.http1_codec, Http1Codec::Own);
        assert!(args.worker_count() >= 1);
    }

    #[test]
    fn control_planes_keep_their_order() {
        let args = parse(&[
            "--control-plane",
            "http://b:1",
            "--control-plane",
            "http://a:1",
        ]);
        let hosts: Vec<_> = args.unwrap().control_plane;
        assert_eq!(hosts[0].host(), Some("b"));
        assert_eq!(hosts[1].host(), Some("a"));
    }

    #[test]
    fn control_planes_elsewhere_need_tls_or_a_word() {
        let dialer = |line: &[&str]| parse(line).unwrap().dialer();
        assert!(dialer(&[]).is_ok());
        assert!(dialer(&["--control-plane", "http://[::1]:1"]).is_ok());
        assert!(dialer(&["--control-plane", "http://localhost:1"]).is_ok());
        let far = ["--control-plane", "http://10.0.0.1:18000"];
        let refused = dialer(&far).unwrap_err();
        assert!(refused.contains("use https://"), "{refused}");
        assert!(dialer(&[far[0], far[1], "--insecure"]).is_ok());
        let secure = ["--control-plane", "https://cp:18000"];
        let refused = dialer(&[far[0], far[1], secure[0], secure[1]]).unwrap_err();
        assert_eq!(refused.lines().count(), 2, "{refused}");
        assert!(refused.contains("give --control-plane-ca"), "{refused}");
        let line = [secure[0], secure[1], "--control-plane-ca", "ca.pem"];
        assert!(dialer(&line).is_ok());
    }

    #[test]
    fn certificates_without_tls_are_not_left_unused() {
        let tls = ["--tls-cert", "a.pem", "--tls-key", "a.key"];
        let authority = ["--control-plane-ca", "ca.pem"];
        let line = [&tls[..], &authority].concat();
        let refused = parse(&line).unwrap().dialer().unwrap_err();
        for part in [
            "--tls-cert, --control-plane-ca:",
            "http://127.0.0.1:18000",
            "https://",
        ] {
            assert!(refused.contains(part), "{part} in {refused}");
        }
        let mixed = [
            "--control-plane",
            "http://127.0.0.1:1",
            "--control-plane",
            "https://cp:2",
        ];
        let line = [&mixed[..], &line].concat();
        assert!(parse(&line).unwrap().dialer().is_ok());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for line in [
            &["--control-plane", "127.0.0.1:18000"][..],
            &["--control-plane", "ftp://cp"],
            &["--tls-cert", "a.pem"],
            &["--tls-key", "a.key"],
            &["--metadata", "zone"],
            &["--workers", "0"],
            &["--drain-delay", "5"],
            &["--http1-codec", "other"],
            &["--node-id", ""],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}

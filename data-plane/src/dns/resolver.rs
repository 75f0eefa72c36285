//! Asks name servers: those of the host, read from `/etc/resolv.conf` without
//! libc, so that a static binary in an empty container does the same as any.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_shared::ir::{DnsFamily, DnsTarget};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::plan::Answer;
use crate::tick::Tick;

/// How often the files of the host are read again.
const READ_EVERY: Duration = Duration::from_secs(30);
/// How long one server may take for one question.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a lookup may take, with all servers and search domains.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Questions that may be under way to one server.
const MOST_QUESTIONS: usize = 512;

/// Makes lookups.
#[derive(Default)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    read: Tick,
    /// By family, because the question is part of the settings.
    made: BTreeMap<DnsFamily, TokioResolver>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Resolver {
    /// Asks these servers; none are those of the host.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            ..Self::default()
        }
    }

    /// What the addresses of a name can be asked with.
    ///
    /// # Errors
    /// If the files of the host cannot be read.
    pub fn ready(&mut self, family: DnsFamily, now: Tick) -> Result<TokioResolver, String> {
        if now.since(self.read) >= READ_EVERY {
            self.made.clear();
            self.read = now;
        }
        if let Some(made) = self.made.get(&family) {
            return Ok(made.clone());
        }
        let made = self.make(family)?;
        self.made.insert(family, made.clone());
        Ok(made)
    }

    fn make(&self, family: DnsFamily) -> Result<TokioResolver, String> {
        let unreadable = |error| format!("the name servers of this host cannot be read: {error}");
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(unreadable)?
        } else {
            let servers = self.servers.iter().map(server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        // When to ask again is decided elsewhere.
        options.cache_size = 0;
        options.timeout = options.timeout.min(SERVER_TIMEOUT);
        options.max_active_requests = MOST_QUESTIONS;
        options.ip_strategy = match family {
            DnsFamily::All => LookupIpStrategy::Ipv4AndIpv6,
            DnsFamily::V4 => LookupIpStrategy::Ipv4Only,
            DnsFamily::V6 => LookupIpStrategy::Ipv6Only,
        };
        if !self.servers.is_empty() {
            options.use_hosts_file = ResolveHosts::Never;
        }
        builder.build().map_err(|error| error.to_string())
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// Looks a name up.
///
/// # Errors
/// If there is no such name, or no answer: why.
pub async fn look_up(resolver: TokioResolver, target: &DnsTarget) -> Result<Answer, String> {
    let lookup = resolver.lookup_ip(target.host.as_str());
    let found = match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) if error.is_nx_domain() => return Err("no such name".to_owned()),
        Ok(Err(error)) if error.is_no_records_found() => return Err("no address".to_owned()),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no answer within {LOOKUP_TIMEOUT:?}")),
    };
    let lives = found.as_lookup().answers().iter().map(|record| record.ttl);
    Ok(Answer {
        addresses: found.iter().collect(),
        ttl: Duration::from_secs(lives.min().unwrap_or(0).into()),
    })
}

#[cfg(test)]
mod tests;

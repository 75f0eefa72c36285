//! What the proxies see of the shop, as the management API tells it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_shared::proto::v1::{EndpointState, ListEndpointsRequest, ListEndpointsResponse};

use super::shop::{CLUSTERS, Instance};
use crate::client::Client;
use crate::failure::Failure;

/// Time over which rates are taken.
const WINDOW: Duration = Duration::from_millis(1500);
/// How long an answer may take; the picture stands still in the meantime.
const PATIENCE: Duration = Duration::from_secs(2);

/// An instance as one proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Id of the proxy.
    pub(super) proxy: String,
    /// Whether it may be chosen.
    pub(super) healthy: bool,
    /// Why not.
    pub(super) reason: String,
    /// For how long.
    pub(super) back_in: Option<Duration>,
}

/// An instance as all proxies see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Which one.
    pub(super) instance: Instance,
    /// Attempts sent to it by all proxies.
    pub(super) attempts: u64,
    /// Of these, how many failed.
    pub(super) failures: u64,
    /// Attempts in a second, lately.
    pub(super) rate: f64,
    /// Its part of the attempts of its cluster, lately, 0 to 1.
    pub(super) share: f64,
    /// How each proxy sees it.
    pub(super) views: Vec<View>,
}

/// Remembers enough to tell rates.
#[derive(Debug)]
pub(super) struct Watcher {
    client: Client,
    instances: Vec<Instance>,
    /// Attempts by address, with the time they were read at; the oldest is
    /// about as old as the window.
    samples: VecDeque<(Duration, BTreeMap<SocketAddr, u64>)>,
}

impl Watcher {
    /// Watches these instances.
    pub(super) fn new(client: Client, instances: Vec<Instance>) -> Self {
        Self {
            client,
            instances,
            samples: VecDeque::new(),
        }
    }

    /// Asks how things are `now`, counted from the beginning of the demo.
    pub(super) async fn look(&mut self, now: Duration) -> Result<Vec<Seen>, Failure> {
        let ask = |name: &str| {
            let mut client = self.client.clone();
            let request = ListEndpointsRequest {
                cluster: name.to_owned(),
            };
            async move {
                let answer = tokio::time::timeout(PATIENCE, client.api.list_endpoints(request));
                match answer.await {
                    Ok(Ok(answer)) => Ok(answer.into_inner()),
                    Ok(Err(status)) => Err(client.failure(&status)),
                    Err(_) => Err(Failure::Failed(format!(
                        "the management API did not answer within {PATIENCE:?}"
                    ))),
                }
            }
        };
        let answers = futures_util::future::try_join_all(CLUSTERS.map(ask)).await?;
        Ok(self.take(now, &answers))
    }

    fn take(&mut self, now: Duration, answers: &[ListEndpointsResponse]) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self
            .instances
            .iter()
            .map(|instance| sight(instance, answers))
            .collect();
        let sample = seen
            .iter()
            .map(|one| (one.instance.address, one.attempts))
            .collect();
        self.samples.push_back((now, sample));
        while self
            .samples
            .get(1)
            .is_some_and(|(time, _)| now.saturating_sub(*time) >= WINDOW)
        {
            self.samples.pop_front();
        }
        if let Some((then, before)) = self.samples.front() {
            let elapsed = now.saturating_sub(*then).as_secs_f64();
            if elapsed > 0.0 {
                rate(&mut seen, before, elapsed);
            }
        }
        seen
    }
}

/// One instance as all proxies see it, without rates.
fn sight(instance: &Instance, answers: &[ListEndpointsResponse]) -> Seen {
    let mut seen = Seen {
        instance: instance.clone(),
        attempts: 0,
        failures: 0,
        rate: 0.0,
        share: 0.0,
        views: Vec::new(),
    };
    let address = instance.address.to_string();
    for proxy in answers.iter().flat_map(|answer| &answer.proxies) {
        for state in proxy
            .endpoints
            .iter()
            .filter(|state| state.address == address)
        {
            seen.attempts = seen.attempts.saturating_add(state.requests);
            seen.failures = seen.failures.saturating_add(state.failures);
            seen.views.push(view(&proxy.proxy, state));
        }
    }
    seen.views.sort_by(|a, b| a.proxy.cmp(&b.proxy));
    seen
}

fn view(proxy: &str, state: &EndpointState) -> View {
    View {
        proxy: proxy.to_owned(),
        healthy: state.healthy,
        reason: state.reason.clone(),
        back_in: state
            .ejected_for
            .and_then(|span| Duration::try_from(span).ok()),
    }
}

/// Fills in rates and shares.
fn rate(seen: &mut [Seen], before: &BTreeMap<SocketAddr, u64>, elapsed: f64) {
    let mut of_cluster: BTreeMap<&'static str, f64> = BTreeMap::new();
    for one in seen.iter_mut() {
        let earlier = before.get(&one.instance.address).copied().unwrap_or(0);
        let fresh = u32::try_from(one.attempts.saturating_sub(earlier)).unwrap_or(u32::MAX);
        one.rate = f64::from(fresh) / elapsed;
        *of_cluster.entry(one.instance.cluster).or_default() += one.rate;
    }
    for one in seen {
        let all = of_cluster.get(one.instance.cluster).copied().unwrap_or(0.0);
        one.share = if all > 0.0 { one.rate / all } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::proto::v1::ProxyEndpoints;

    use super::*;

    fn instance(port: u16) -> Instance {
        Instance {
            cluster: "cart",
            name: "cart-1",
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            note: String::new(),
        }
    }

    fn answer(requests: &[(u16, u64)]) -> ListEndpointsResponse {
        let endpoints = requests.iter().map(|(port, requests)| EndpointState {
            address: format!("127.0.0.1:{port}"),
            healthy: true,
            requests: *requests,
            ..EndpointState::default()
        });
        let proxy = |name: &str| ProxyEndpoints {
            proxy: name.to_owned(),
            endpoints: endpoints.clone().collect(),
            panic: false,
        };
        ListEndpointsResponse {
            proxies: vec![proxy("b"), proxy("a")],
            silent: Vec::new(),
        }
    }

    #[tokio::test]
    async fn rates_and_shares_come_from_what_was_added_lately() {
        let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let client = Client::on(crate::link::anonymous(channel), "http://127.0.0.1:1");
        let mut watcher = Watcher::new(client, vec![instance(1), instance(2)]);
        watcher.take(Duration::from_secs(1), &[answer(&[(1, 100), (2, 100)])]);
        let seen = watcher.take(Duration::from_secs(2), &[answer(&[(1, 115), (2, 105)])]);
        assert_eq!(seen[0].attempts, 230);
        assert!((seen[0].rate - 30.0).abs() < 0.01, "{}", seen[0].rate);
        assert!((seen[0].share - 0.75).abs() < 0.01, "{}", seen[0].share);
        let proxies: Vec<&str> = seen[0]
            .views
            .iter()
            .map(|view| view.proxy.as_str())
            .collect();
        assert_eq!(proxies, ["a", "b"]);
    }
}

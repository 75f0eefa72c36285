//! A good proxy, and how soon it learns of changes.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::management_service_client::ManagementServiceClient;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::xds::ResourceType;
use parking_lot::Mutex;
use tokio::time::{Instant, interval, timeout};
use tonic::transport::Channel;

use crate::plane::{PATIENCE, Plane, Stream, apply, channel, cluster, hello};

/// How often something changes.
const EVERY: Duration = Duration::from_millis(50);

/// When each revision came.
type Arrivals = Arc<Mutex<Vec<(u64, Instant)>>>;

/// A good proxy, and a user who changes things.
pub(crate) struct Victim {
    api: ManagementServiceClient<Channel>,
    arrivals: Arrivals,
    stream: tokio::task::JoinHandle<tonic::Status>,
    changes: u16,
}

/// How long each update took.
pub(crate) struct Updates(Vec<Duration>);

/// Enough clusters that sending them all is work.
pub(crate) fn crowd(size: usize) -> Vec<v1::Resource> {
    (0..size)
        .map(|number| cluster(&format!("crowd-{number}"), &[9000]))
        .collect()
}

/// A cluster that is different each time.
fn changed(number: u16) -> v1::Resource {
    let connect = prost_types::Duration {
        seconds: i64::from(number % 60) + 1,
        nanos: 0,
    };
    let mut resource = cluster("changing", &[9000]);
    if let Some(Spec::Cluster(cluster)) = &mut resource.spec {
        cluster.connection = Some(v1::Connection {
            connect_timeout: Some(connect),
            ..v1::Connection::default()
        });
    }
    resource
}

impl Victim {
    pub(crate) async fn start(plane: &Plane) -> Self {
        let admin = plane
            .authority
            .sign(&["spiffe://plane.test/admin/ann"], &[]);
        let mut api = plane.api(Some(plane.authority.client(Some(&admin)))).await;
        let mut resources = crowd(200);
        resources.push(changed(0));
        api.apply(apply(resources)).await.unwrap();
        let own = plane
            .authority
            .sign(&["spiffe://plane.test/proxy/good"], &[]);
        let tls = plane.authority.client(Some(&own));
        let channel = channel(plane.addresses.xds, Some(tls)).await.unwrap();
        let first = hello("good", "", ResourceType::Cluster);
        let mut stream = Stream::open(channel, first).await.unwrap();
        let arrivals = Arrivals::default();
        let noted = Arc::clone(&arrivals);
        let stream = tokio::spawn(async move {
            loop {
                let response = match stream.hear.message().await {
                    Ok(Some(response)) => response,
                    Ok(None) => return tonic::Status::ok("ended"),
                    Err(status) => return status,
                };
                let revision = response.system_version_info.parse().unwrap();
                noted.lock().push((revision, Instant::now()));
                stream.accept(&response).await;
            }
        });
        Self {
            api,
            arrivals,
            stream,
            changes: 0,
        }
    }

    /// Changes something every now and then, for a while; how long each change
    /// took from the request for it to its arrival. All arrive.
    pub(crate) async fn updates(&mut self, duration: Duration) -> Updates {
        let mut ticks = interval(EVERY);
        let end = Instant::now() + duration;
        let mut made = Vec::new();
        while Instant::now() < end {
            ticks.tick().await;
            self.changes += 1;
            let began = Instant::now();
            let change = apply(vec![changed(self.changes)]);
            let applied = timeout(PATIENCE, self.api.apply(change)).await.unwrap();
            made.push((applied.unwrap().into_inner().revision, began));
        }
        let mut took = Vec::new();
        for (revision, began) in made {
            let arrived = timeout(PATIENCE, self.arrival(revision)).await;
            took.push(arrived.unwrap().duration_since(began));
        }
        self.arrivals.lock().clear();
        took.sort_unstable();
        Updates(took)
    }

    /// When a revision came, or a newer one in its place.
    async fn arrival(&self, revision: u64) -> Instant {
        loop {
            let arrivals = self.arrivals.lock().clone();
            if let Some((_, at)) = arrivals.iter().find(|(came, _)| *came >= revision) {
                return *at;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// That the stream was never interrupted, and the proxy is known to have all.
    pub(crate) async fn check(&mut self) {
        assert!(
            !self.stream.is_finished(),
            "the stream of the good proxy ended"
        );
        let status = self.api.status(v1::StatusRequest {}).await.unwrap();
        let status = status.into_inner();
        let good = status.proxies.iter().find(|proxy| proxy.id == "good");
        assert!(good.unwrap().connected);
    }
}

impl Updates {
    fn at(&self, percent: usize) -> Duration {
        let last = self.0.len() - 1;
        self.0[(self.0.len() * percent / 100).min(last)]
    }

    pub(crate) fn median(&self) -> Duration {
        self.at(50)
    }

    pub(crate) fn print(&self, name: &str, tries: u64, grown: u64) {
        let millis = |percent| format!("{:.1}", self.at(percent).as_secs_f64() * 1000.0);
        println!(
            "{name:<28} {tries:>9} {:>8} {:>8} {:>8} {:>8} {grown:>9}",
            self.0.len(),
            millis(50),
            millis(99),
            millis(100),
        );
    }
}

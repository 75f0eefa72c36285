//! What hostile clients do to a control plane, and that its good proxies do not
//! notice: while each abuse goes on, a proxy gets an update every 50 ms.
//!
//! The attackers are as strong as they can be: they are on this machine and have
//! a valid certificate of another proxy. Their memory counts as the control
//! plane's, because all are one process.

#![cfg(test)]
#![expect(clippy::print_stdout, reason = "a test says what it measured")]

mod attacks;
#[path = "../suite/plane.rs"]
mod plane;
mod raw;
mod victim;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_shared::xds::ResourceType;
use plane::{Plane, Stream, channel, hello};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use tonic::Code;

use self::raw::Raw;
use self::victim::Victim;

/// How long each abuse goes on.
const ABUSE: Duration = Duration::from_millis(1500);

/// The most that memory may grow while one goes on, in bytes.
const GROWTH: u64 = 200 << 20;

/// Until when half of the updates have to arrive; all arrive in the end. The
/// figures of a quiet machine are a fraction of this.
const LATE: Duration = Duration::from_secs(5);

/// Whom an attacker attacks, and with what.
#[derive(Clone)]
pub(crate) struct Target {
    xds: std::net::SocketAddr,
    tls: Arc<ClientConfig>,
    /// How often something was tried.
    tries: Arc<AtomicU64>,
}

impl Target {
    fn tried(&self) {
        self.tries.fetch_add(1, Ordering::Relaxed);
    }

    /// A gRPC channel with the attacker's certificate.
    async fn channel(&self) -> tonic::transport::Channel {
        loop {
            match channel(self.xds, Some(Arc::clone(&self.tls))).await {
                Ok(channel) => return channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// A stream whose first request is a good one.
    async fn stream(&self) -> Stream {
        loop {
            let first = hello("evil", "", ResourceType::Cluster);
            if let Ok(stream) = Stream::open(self.channel().await, first).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Resident memory of this process, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() << 10
}

/// Looks at the memory until it is dropped; the highest that was seen.
async fn watch_memory(highest: Arc<AtomicU64>) {
    loop {
        highest.fetch_max(memory(), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets an attack go on for its time, on a thread of its own, so that what is
/// measured is not the attacker's work.
fn attack_aside(attack: attacks::Attacking) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Attacks end by being dropped.
        let _ = runtime.block_on(async { timeout(ABUSE, attack).await });
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_proxies_do_not_notice_hostile_clients() {
    let plane = Plane::secure(true).await;
    let mut victim = Victim::start(&plane).await;
    println!(
        "{:<28} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "abuse", "tries", "updates", "p50 ms", "p99 ms", "max ms", "grown MiB"
    );
    let quiet = victim.updates(ABUSE).await;
    quiet.print("(none)", 0, 0);
    for (number, (name, attack)) in attacks::all().into_iter().enumerate() {
        // Each has a certificate of its own, so that the share of one does not
        // hold back the next.
        let uri = format!("spiffe://plane.test/group/evil-{number}");
        let own = plane.authority.sign(&[&uri], &[]);
        let target = Target {
            xds: plane.addresses.xds,
            tls: plane.authority.client(Some(&own)),
            tries: Arc::default(),
        };
        let before = memory();
        let highest = Arc::new(AtomicU64::new(before));
        let attacker = attack_aside(attack(target.clone()));
        let watch = tokio::spawn(watch_memory(Arc::clone(&highest)));
        let updates = victim.updates(ABUSE).await;
        attacker.await.unwrap();
        watch.abort();
        let grown = highest.load(Ordering::Relaxed).saturating_sub(before);
        updates.print(name, target.tries.load(Ordering::Relaxed), grown >> 20);
        assert!(
            target.tries.load(Ordering::Relaxed) > 0,
            "{name} did nothing"
        );
        let median = updates.median();
        assert!(median < LATE, "{name}: {median:?}");
        assert!(grown < GROWTH, "{name}: {} MiB", grown >> 20);
    }
    victim.check().await;
    println!("{}", counted(&plane.metrics().await));
    plane.stop().await;
}

/// The lines of the metrics that tell who was kept out.
fn counted(metrics: &str) -> String {
    let parts = [
        "refused_total",
        "failed_total",
        "ended_total",
        "denied_total",
    ];
    let lines = metrics
        .lines()
        .filter(|line| !line.starts_with('#') && parts.iter().any(|part| line.contains(part)));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_flood_on_one_stream_ends_that_stream() {
    let plane = Plane::secure(true).await;
    let own = plane
        .authority
        .sign(&["spiffe://plane.test/group/evil"], &[]);
    let target = Target {
        xds: plane.addresses.xds,
        tls: plane.authority.client(Some(&own)),
        tries: Arc::default(),
    };
    let mut stream = target.stream().await;
    let say = stream.say.clone();
    let flood = tokio::spawn(async move {
        let request = hello("evil", "", ResourceType::Cluster);
        while say.send(request.clone()).await.is_ok() {}
    });
    let status = loop {
        if let Err(status) = stream.next().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(stream);
    flood.await.unwrap();
    plane
        .until_counted(r#"xds_streams_ended_total{reason="rate"} 1"#)
        .await;
    plane.stop().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_at_first_is_closed() {
    let plane = Plane::start(&[]).await;
    let began = Instant::now();
    let mut silent = plane::connect(plane.addresses.xds, None).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut rest);
    // Closed or reset, as the system sees fit.
    let _ = timeout(plane::PATIENCE, read).await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    plane.stop().await;
}

#[tokio::test]
#[ignore = "takes 45 seconds"]
async fn a_connection_whose_client_never_reads_is_cut_off() {
    let plane = Plane::start(&[]).await;
    let mut api = plane.api(None).await;
    api.apply(plane::apply(victim::crowd(1000))).await.unwrap();
    let stream = plane::connect(plane.addresses.xds, None).await.unwrap();
    // It answers pings, so that it seems alive, but never makes room.
    let mut raw = Raw::polite(stream, 0).await.unwrap();
    raw.ask(1).await.unwrap();
    let request = hello("slow", "", ResourceType::Cluster);
    raw.message(1, &prost::Message::encode_to_vec(&request))
        .await
        .unwrap();
    let began = Instant::now();
    timeout(Duration::from_mins(1), raw.closed()).await.unwrap();
    println!("cut off after {:?}", began.elapsed());
    plane
        .until_counted(r#"xds_streams_ended_total{reason="unread"} 1"#)
        .await;
    plane.until_counted("slow_readers_total 1").await;
    plane.stop().await;
}

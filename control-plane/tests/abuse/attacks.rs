//! The abuses, each a future that goes on until it is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc::Status as Detail;
use evenkeel_shared::xds::ResourceType;
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Target;
use crate::plane::{Duplex, Stream, connect, hello};
use crate::raw::{Raw, drip};

/// One that goes on.
pub(crate) type Attacking = Pin<Box<dyn Future<Output = ()> + Send>>;

type Attack = fn(Target) -> Attacking;

/// How many things one attacker holds open at once.
const HELD: usize = 500;

/// Every abuse, by name.
pub(crate) fn all() -> [(&'static str, Attack); 18] {
    [
        ("connections", |t| Box::pin(connections(t))),
        ("TLS half handshakes", |t| Box::pin(half_handshakes(t))),
        ("streams", |t| Box::pin(streams(t))),
        ("subscriptions", |t| Box::pin(subscriptions(t))),
        ("ACKs", |t| Box::pin(acks(t))),
        ("NACKs of 1 MB", |t| Box::pin(nacks(t))),
        ("requests of 40 MB", |t| Box::pin(large_requests(t))),
        ("never reading", |t| Box::pin(never_reading(t))),
        ("open, then silent", |t| Box::pin(silent(t))),
        ("garbage bytes", |t| Box::pin(garbage_bytes(t))),
        ("garbage protobuf", |t| Box::pin(garbage_protobuf(t))),
        ("unknown types", |t| Box::pin(unknown_types(t))),
        ("wrong nonces", |t| Box::pin(wrong_nonces(t))),
        ("huge metadata", |t| Box::pin(huge_metadata(t))),
        ("open and reset", |t| Box::pin(resets(t))),
        ("pings", |t| Box::pin(pings(t))),
        ("headers of 64 KB", |t| Box::pin(large_headers(t))),
        ("drip of bytes", |t| Box::pin(drips(t))),
    ]
}

/// A connection with the attacker's certificate.
async fn inside(target: &Target) -> Box<dyn Duplex> {
    loop {
        match connect(target.xds, Some(Arc::clone(&target.tls))).await {
            Ok(stream) => return stream,
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn connections(target: Target) {
    let mut held = std::collections::VecDeque::new();
    loop {
        if let Ok(stream) = TcpStream::connect(target.xds).await {
            target.tried();
            held.push_back(stream);
        }
        if held.len() > 4 * HELD {
            held.pop_front();
        }
    }
}

async fn half_handshakes(target: Target) {
    // The head of a record of 512 bytes with a ClientHello, and a part of it.
    let mut hello = vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    hello.extend([5; 100]);
    let mut held = Vec::new();
    loop {
        if let Ok(mut stream) = TcpStream::connect(target.xds).await {
            // The server may have closed it already, which is as well.
            let _ = stream.write_all(&hello).await;
            target.tried();
            held.push(stream);
        }
        if held.len() > 4 * HELD {
            held.clear();
        }
    }
}

async fn streams(target: Target) {
    let mut held = Vec::new();
    loop {
        let channel = target.channel().await;
        for _ in 0..20 {
            let first = hello("evil", "", ResourceType::Cluster);
            let opened = Stream::open(channel.clone(), first);
            target.tried();
            match tokio::time::timeout(Duration::from_millis(100), opened).await {
                Ok(Ok(stream)) => held.push(stream),
                _ => break,
            }
        }
    }
}

/// Says something on one stream after another, as fast as it is taken, and reads
/// what comes.
async fn flood(target: Target, mut request: impl FnMut(u64) -> DeltaDiscoveryRequest) {
    let mut number = 0;
    loop {
        let mut stream = target.stream().await;
        loop {
            number += 1;
            tokio::select! {
                said = stream.say.send(request(number)) => match said {
                    Ok(()) => target.tried(),
                    Err(_) => break,
                },
                heard = stream.hear.message() => match heard {
                    Ok(Some(_)) => {}
                    _ => break,
                },
            }
        }
    }
}

fn request() -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: ResourceType::Cluster.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

async fn subscriptions(target: Target) {
    flood(target, |number| DeltaDiscoveryRequest {
        resource_names_subscribe: (0..1000).map(|n| format!("none-{number}-{n}")).collect(),
        ..request()
    })
    .await;
}

async fn acks(target: Target) {
    flood(target, |_| DeltaDiscoveryRequest {
        response_nonce: "1".to_owned(),
        ..request()
    })
    .await;
}

async fn nacks(target: Target) {
    let message = "it is bad; ".repeat(100_000);
    flood(target, |number| DeltaDiscoveryRequest {
        response_nonce: number.to_string(),
        error_detail: Some(Detail {
            code: 3,
            message: message.clone(),
            ..Detail::default()
        }),
        ..request()
    })
    .await;
}

async fn large_requests(target: Target) {
    let body = vec![b'x'; 40 << 20];
    loop {
        let Ok(mut raw) = Raw::careless(inside(&target).await).await else {
            continue;
        };
        // It ends as soon as the server has seen how long it is.
        if raw.ask(1).await.is_ok() {
            target.tried();
            let _ = raw.message(1, &body).await;
        }
    }
}

async fn never_reading(target: Target) {
    let mut held = Vec::new();
    loop {
        let Ok(mut raw) = Raw::deaf(inside(&target).await).await else {
            continue;
        };
        for stream in [1, 3, 5, 7] {
            let asked = raw.ask(stream).await;
            let first = hello("evil", "", ResourceType::Cluster).encode_to_vec();
            if asked.is_err() || raw.message(stream, &first).await.is_err() {
                break;
            }
            target.tried();
        }
        held.push(raw);
        sleep(Duration::from_millis(5)).await;
    }
}

async fn silent(target: Target) {
    let mut held = Vec::new();
    loop {
        let Ok(mut raw) = Raw::careless(inside(&target).await).await else {
            continue;
        };
        // What is refused is refused; the rest stays open.
        let _ = raw.ask(1).await;
        target.tried();
        held.push(raw);
        if held.len() > HELD {
            held.clear();
        }
    }
}

async fn garbage_bytes(target: Target) {
    // The same each time, so that a failure can be seen again.
    let mut state = 7_u64;
    let mut garbage = move || {
        let mut bytes = Vec::with_capacity(4096);
        for _ in 0..512 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            bytes.extend(state.to_be_bytes());
        }
        bytes
    };
    loop {
        let mut streams: Vec<Box<dyn Duplex>> = vec![inside(&target).await];
        if let Ok(outside) = TcpStream::connect(target.xds).await {
            streams.push(Box::new(outside));
        }
        for mut stream in streams {
            target.tried();
            let mut answer = [0; 4096];
            if stream.write_all(&garbage()).await.is_ok() && stream.flush().await.is_ok() {
                // Until the server has had enough of it.
                let _ = stream.read(&mut answer).await;
            }
        }
        let Ok(mut raw) = Raw::careless(inside(&target).await).await else {
            continue;
        };
        target.tried();
        while raw.write(&garbage()).await.is_ok() {}
    }
}

async fn garbage_protobuf(target: Target) {
    loop {
        let Ok(mut raw) = Raw::careless(inside(&target).await).await else {
            continue;
        };
        for stream in (1..200).step_by(2) {
            if raw.ask(stream).await.is_err() || raw.message(stream, &[255; 2000]).await.is_err() {
                break;
            }
            target.tried();
        }
    }
}

async fn unknown_types(target: Target) {
    flood(target, |number| DeltaDiscoveryRequest {
        type_url: format!("type.googleapis.com/none.v{number}"),
        resource_names_subscribe: vec!["x".repeat(1000)],
        ..DeltaDiscoveryRequest::default()
    })
    .await;
}

async fn wrong_nonces(target: Target) {
    flood(target, |number| DeltaDiscoveryRequest {
        response_nonce: format!("{number}-{}", "9".repeat(1000)),
        ..request()
    })
    .await;
}

async fn huge_metadata(target: Target) {
    let fields = (0..1000).map(|number| {
        let value = Value {
            kind: Some(Kind::StringValue("x".repeat(1000))),
        };
        (number.to_string(), value)
    });
    let mut first = hello("evil", "", ResourceType::Cluster);
    if let Some(node) = &mut first.node {
        node.metadata = Some(Struct {
            fields: fields.collect(),
        });
    }
    loop {
        let channel = target.channel().await;
        for _ in 0..10 {
            target.tried();
            if let Ok(mut stream) = Stream::open(channel.clone(), first.clone()).await {
                assert!(stream.next().await.is_err(), "it was taken");
            }
        }
    }
}

async fn resets(target: Target) {
    loop {
        let Ok(mut raw) = Raw::careless(inside(&target).await).await else {
            continue;
        };
        let mut first = 1;
        while raw.ask_and_reset(first, 100).await.is_ok() {
            first += 200;
            for _ in 0..100 {
                target.tried();
            }
        }
    }
}

async fn pings(target: Target) {
    let mut deaf = JoinSet::new();
    let stubborn = target.clone();
    // One of them does not even read the answers.
    deaf.spawn(async move {
        if let Ok(mut raw) = Raw::deaf(inside(&stubborn).await).await {
            while raw.pings(1000).await.is_ok() {}
        }
    });
    loop {
        let Ok(mut raw) = Raw::careless(inside(&target).await).await else {
            continue;
        };
        while raw.pings(1000).await.is_ok() {
            for _ in 0..1000 {
                target.tried();
            }
        }
    }
}

async fn large_headers(target: Target) {
    loop {
        let Ok(mut raw) = Raw::careless(inside(&target).await).await else {
            continue;
        };
        let mut stream = 1;
        while raw.ask_with(stream, 64_000).await.is_ok() {
            target.tried();
            stream += 2;
        }
    }
}

async fn drips(target: Target) {
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let stream = inside(&target).await;
        target.tried();
        tasks.spawn(drip(stream));
    }
    while tasks.join_next().await.is_some() {}
}

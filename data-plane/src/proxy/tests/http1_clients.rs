//! Clients that speak HTTP/1.1, or less, in all the ways they may.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel_shared::ir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::support::{Backend, GET, OK, Plan, Proxy, name, soon, until};
use crate::listen::accept::Phase;
use crate::listen::connection::{self, Latest};
use crate::worker::{Http1Codec, Worker};

/// An idle connection costs this much, and what the system holds of it.
const MOST_IDLE: usize = 1_536;

const BOTH: [Http1Codec; 2] = [Http1Codec::Own, Http1Codec::Hyper];

fn start(codec: Http1Codec, endpoint: SocketAddr) -> Proxy {
    let mut plan = Plan::to(&[endpoint]);
    plan.settings.http1_codec = codec;
    plan.start()
}

/// All requests get this answer from the proxy itself.
fn responding(codec: Http1Codec) -> Proxy {
    let mut plan = Plan::to(&[]);
    plan.settings.http1_codec = codec;
    plan.route().action = ir::Action::Respond(ir::Respond {
        status: 404,
        body: "nothing here".to_owned(),
    });
    plan.start()
}

/// An endpoint that answers with the target of the request.
async fn echoing() -> Backend {
    Backend::scripted(|_, mut peer| async move {
        loop {
            let message = peer.message().await;
            let Some(target) = message.split(' ').nth(1) else {
                return;
            };
            let length = target.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{target}");
            peer.write(&head).await;
        }
    })
    .await
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_their_order() {
    for codec in BOTH {
        let backend = echoing().await;
        let proxy = start(codec, backend.address);
        let mut client = proxy.client().await;
        let requests = [
            "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody",
            "PUT /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\n\r\n",
            "\r\nGET /4 HTTP/1.1\r\nhost: a\r\n\r\n",
        ];
        client.write(&requests.concat()).await;
        for target in ["/1", "/2", "/3", "/4"] {
            let answer = client.message().await;
            assert!(answer.ends_with(target), "{codec:?} {target}: {answer}");
        }
        assert_eq!(proxy.shared.counts.of(0).panics.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    for codec in BOTH {
        let backend = echoing().await;
        let proxy = start(codec, backend.address);
        let mut client = proxy.client().await;
        let requests = [
            "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n",
            "PUT /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
             3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n",
        ];
        for (request, target) in requests.iter().zip(["/1", "/2"]) {
            for byte in request.bytes() {
                client.stream.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            let answer = client.message().await;
            assert!(answer.ends_with(target), "{codec:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_large_body_in_chunks_passes_whole() {
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        let body = peer.until("\r\n0\r\n\r\n").await;
        let count = body.matches('x').count();
        let length = count.to_string().len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{count}");
        peer.write(&head).await;
    })
    .await;
    for codec in BOTH {
        let proxy = start(codec, backend.address);
        let mut client = proxy.client().await;
        let head = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        client.write(head).await;
        let sizes = [1, 17, 4_000, 16_384, 70_000, 200_000, 3];
        for size in sizes {
            let chunk = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
            client.write(&chunk).await;
        }
        client.write("0\r\n\r\n").await;
        let answer = client.message().await;
        let whole: usize = sizes.iter().sum();
        assert!(answer.ends_with(&format!("\r\n\r\n{whole}")), "{answer}");
    }
}

#[tokio::test]
async fn nobody_is_told_to_send_a_body_that_is_not_wanted() {
    let proxy = responding(Http1Codec::Own);
    let mut client = proxy.client().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    client.write(head).await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_here_but_not_wanted_does_not_end_the_connection() {
    for codec in BOTH {
        let proxy = responding(codec);
        let mut client = proxy.client().await;
        for request in [
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody",
            "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            GET,
        ] {
            client.write(request).await;
            let answer = client.message().await;
            assert!(answer.ends_with("nothing here"), "{codec:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn the_answer_to_head_has_the_length_of_what_it_leaves_out() {
    for codec in BOTH {
        let proxy = responding(codec);
        let mut client = proxy.client().await;
        client.write("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.head().await;
        assert!(head.contains("content-length: 12\r\n"), "{codec:?}: {head}");
        client.write(GET).await;
        let answer = client.message().await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{codec:?}: {answer}");
    }
}

#[tokio::test]
async fn an_old_client_keeps_its_connection_only_if_it_asks() {
    for codec in BOTH {
        let backend = Backend::answering(OK).await;
        let proxy = start(codec, backend.address);
        let mut client = proxy.client().await;
        let kept = "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n";
        for _ in 0..2 {
            client.write(kept).await;
            let answer = client.message().await;
            let lower = answer.to_ascii_lowercase();
            assert!(lower.contains("connection: keep-alive\r\n"), "{answer}");
            assert!(answer.ends_with("ok"), "{answer}");
        }
        client.write("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
        let (answer, reset) = client.rest().await;
        assert!(answer.ends_with("ok") && !reset, "{codec:?}: {answer}");
    }
}

#[tokio::test]
async fn to_an_old_client_the_end_of_the_connection_ends_the_answer() {
    for codec in BOTH {
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            2\r\nab\r\n3\r\ncde\r\n0\r\nx-sum: 1\r\n\r\n";
        let backend = Backend::answering(answer).await;
        let proxy = start(codec, backend.address);
        let mut client = proxy.client().await;
        let request = "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n";
        client.write(request).await;
        let (answer, reset) = client.rest().await;
        assert!(answer.ends_with("\r\n\r\nabcde"), "{codec:?}: {answer}");
        assert!(!answer.contains("chunked") && !reset, "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_says_close_gets_one_answer() {
    for codec in BOTH {
        let backend = Backend::answering(OK).await;
        let proxy = start(codec, backend.address);
        let mut client = proxy.client().await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: Close\r\n\r\n";
        client.write(&[request, GET].concat()).await;
        let (answers, _) = client.rest().await;
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 1, "{answers}");
        assert!(answers.contains("connection: close\r\n"), "{answers}");
        assert_eq!(backend.requests(), 1);
    }
}

#[tokio::test]
async fn a_client_that_ends_its_half_gives_its_request_up() {
    for codec in BOTH {
        let (gone, mut seen) = watch::channel(false);
        let stuck = Backend::scripted(move |_, mut peer| {
            let gone = gone.clone();
            async move {
                peer.head().await;
                peer.rest().await;
                gone.send_replace(true);
            }
        })
        .await;
        let proxy = start(codec, stuck.address);
        let mut client = proxy.client().await;
        client.write(GET).await;
        until(|| stuck.connections() == 1).await;
        client.stream.shutdown().await.unwrap();
        soon(seen.wait_for(|gone| *gone)).await.unwrap();
        assert_eq!(client.rest().await.0, "", "{codec:?}");
    }
}

#[tokio::test]
async fn a_refusal_says_why_and_is_counted() {
    let backend = Backend::answering(OK).await;
    let proxy = start(Http1Codec::Own, backend.address);
    for (request, status, reason) in [
        (
            "GET / HTTP/1.1\nhost: a\n\n".to_owned(),
            "400",
            "bad-request",
        ),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), "505", "bad-request"),
        (
            format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(20_000)),
            "431",
            "header-too-large",
        ),
    ] {
        let mut client = proxy.client().await;
        client.write(&request).await;
        let (answer, reset) = client.rest().await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        let field = format!("x-evenkeel-reason: {reason}\r\n");
        assert!(answer.contains(&field), "{answer}");
        assert!(
            answer.contains("connection: close\r\n") && !reset,
            "{answer}"
        );
    }
    let counts = &proxy.front.counts;
    let answered = |class: usize| counts.sum(|of| of.answers[class].load(Ordering::Relaxed));
    assert_eq!((answered(4), answered(5)), (2, 1));
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_reaches_nobody_whole() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::scripted(move |_, mut peer| {
        let tell = tell.clone();
        async move {
            tell.send(peer.head().await).unwrap();
            tell.send(peer.rest().await.0).unwrap();
        }
    })
    .await;
    let proxy = start(Http1Codec::Own, backend.address);
    let mut client = proxy.client().await;
    let head = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(&[head, "3\r\nabc\r\n"].concat()).await;
    assert!(soon(told.recv()).await.unwrap().starts_with("PUT / "));
    client
        .write("3\r\nabcd\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let (answers, _) = client.rest().await;
    assert!(answers.starts_with("HTTP/1.1 400 "), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    let seen = soon(told.recv()).await.unwrap();
    assert!(!seen.contains("/admin"), "{seen}");
    assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn part_of_a_request_behind_another_is_held_to_the_time_of_a_header() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.settings.http1_codec = Http1Codec::Own;
    plan.listener.timeouts.header = Some(Duration::from_millis(150));
    let proxy = plan.start();
    let mut client = proxy.client().await;
    client.write(&[GET, "GET / HTTP/1.1\r\n"].concat()).await;
    assert!(client.message().await.ends_with("ok"));
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_for() {
    for codec in BOTH {
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        let backend = Backend::scripted(move |_, mut peer| {
            let taken = Arc::clone(&counted);
            async move {
                peer.head().await;
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n")
                    .await;
                let piece = vec![b'x'; 65_536];
                while peer.stream.write_all(&piece).await.is_ok() {
                    taken.fetch_add(piece.len(), Ordering::SeqCst);
                }
            }
        })
        .await;
        let mut plan = Plan::to(&[backend.address]);
        plan.settings.http1_codec = codec;
        plan.listener.timeouts.stream_idle = Some(Duration::from_millis(300));
        let proxy = plan.start();
        let mut client = proxy.client().await;
        client.write(GET).await;
        client.head().await;
        let cluster = proxy.cluster();
        until(|| cluster.gauges.requests.load(Ordering::SeqCst) == 0).await;
        // What the sockets of both sides hold, and nothing near what was offered.
        assert!(taken.load(Ordering::SeqCst) < 64 * 1024 * 1024);
        assert!(
            client.rest().await.1,
            "{codec:?}: a stall ends with a reset"
        );
    }
}

#[tokio::test]
async fn what_is_sent_right_behind_an_upgrade_goes_into_the_tunnel() {
    for codec in BOTH {
        let backend = Backend::scripted(|_, mut peer| async move {
            peer.head().await;
            peer.write(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                 upgrade: websocket\r\n\r\n",
            )
            .await;
            let early = peer.exactly(5).await;
            peer.write(&early).await;
            peer.rest().await;
        })
        .await;
        let proxy = start(codec, backend.address);
        let mut client = proxy.client().await;
        client
            .write(
                "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: Upgrade\r\n\
                 upgrade: websocket\r\n\r\nearly",
            )
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{codec:?}: {head}");
        assert_eq!(client.exactly(5).await, "early", "{codec:?}");
    }
}

#[tokio::test]
async fn a_connection_needs_little_room() {
    let mut plan = Plan::to(&[]);
    plan.settings.http1_codec = Http1Codec::Own;
    let proxy = plan.start();
    let worker = Worker::alone(&proxy.shared);
    let listener = Arc::clone(&proxy.shared.config.load().listeners[&name()]);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (peer, local) = (stream.local_addr().unwrap(), proxy.address);
    let (_phase, watched) = watch::channel(Phase::Serving);
    let served = connection::serve(
        worker,
        (Arc::clone(&listener.front), Latest::new(&listener)),
        (stream, peer, local),
        watched,
    );
    let size = size_of_val(&served);
    assert!(size <= MOST_IDLE, "{size} bytes");
}

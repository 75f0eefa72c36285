//! Bodies: streamed, limited, broken.

use std::time::Duration;

use super::support::{Backend, GET, OK, Plan, name, soon, until};

#[tokio::test]
async fn a_client_that_asks_is_told_to_continue() {
    let backend = Backend::answering(OK).await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    client.write(head).await;
    let go_on = client.head().await;
    assert!(go_on.starts_with("HTTP/1.1 100 "), "{go_on}");
    client.write("body").await;
    let answer = client.message().await;
    assert!(answer.ends_with("ok"), "{answer}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let backend = Backend::answering(OK).await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.limits.body_bytes = Some(3);
    let proxy = plan.start();
    let answer = proxy.ask(super::support::POST).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let chunks = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
        2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
    let answer = proxy.ask(chunks).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn a_large_body_passes_in_both_directions() {
    let backend = Backend::scripted(|_, mut peer| async move {
        let message = peer.message().await;
        let (_, body) = message.split_once("\r\n\r\n").unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        peer.write(&head).await;
        peer.write(body).await;
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let body = "0123456789abcdef".repeat(64 * 1024);
    let length = body.len();
    let client = proxy.client().await;
    let (read, mut write) = client.stream.into_split();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let sending = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(body.as_bytes()).await.unwrap();
        write
    });
    let mut read = tokio::io::BufReader::new(read);
    let received = soon(async {
        use tokio::io::{AsyncBufReadExt, AsyncReadExt};
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            read.read_line(&mut line).await.unwrap();
        }
        let mut received = vec![0; length];
        read.read_exact(&mut received).await.unwrap();
        received
    })
    .await;
    assert!(received.chunks(16).all(|part| part == b"0123456789abcdef"));
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let backend = Backend::scripted(move |_, mut peer| {
        let tell = tell.clone();
        async move {
            let mut request = peer.head().await;
            request += &peer.until("0\r\n").await;
            request += &peer.until("\r\n\r\n").await;
            tell.send(request).unwrap();
            peer.write(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                2\r\nok\r\n0\r\nx-sum: 9\r\n\r\n",
            )
            .await;
        }
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    client
        .write(
            "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\
            trailer: x-sum, cookie, x-forwarded-for\r\ntransfer-encoding: chunked\r\n\r\n\
            1\r\na\r\n0\r\nx-sum: 7\r\ncookie: a\r\nx-forwarded-for: 6.6.6.6\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut body = client.until("0\r\n").await;
    body += &client.until("\r\n\r\n").await;
    assert!(body.contains("x-sum: 9"), "{body}");
    let seen = soon(told.recv()).await.unwrap();
    assert!(seen.contains("x-sum: 7"), "{seen}");
    assert!(!seen.contains("cookie: a"), "{seen}");
    assert!(!seen.contains("6.6.6.6"), "{seen}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_for_the_client_at_once() {
    for (start, whole) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "half"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "\r\n0\r\n",
        ),
    ] {
        let backend = Backend::scripted(move |_, mut peer| async move {
            peer.head().await;
            peer.write(start).await;
            // Time for the first half to pass.
            tokio::time::sleep(Duration::from_millis(50)).await;
        })
        .await;
        let proxy = Plan::to(&[backend.address]).start();
        let mut client = proxy.client().await;
        client.write(GET).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let (body, _) = client.rest().await;
        if whole == "half" {
            assert!(body.len() < 10, "{body}");
        } else {
            assert!(!body.contains(whole), "{body}");
        }
        let counts = proxy.shared.counts.of(0);
        until(|| {
            counts
                .broken_responses
                .load(std::sync::atomic::Ordering::Relaxed)
                == 1
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_reset_for_an_old_client() {
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    client.write("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let (_, reset) = client.rest().await;
    assert!(reset);
}

#[tokio::test]
async fn an_endpoint_that_falls_silent_is_given_up() {
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut plan = Plan::to(&[backend.address]);
    plan.listener.timeouts.stream_idle = Some(Duration::from_millis(100));
    let proxy = plan.start();
    let mut client = proxy.client().await;
    client.write(GET).await;
    client.head().await;
    let (body, _) = client.rest().await;
    assert_eq!(body.len().min(4), body.len());
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        peer.write(
            "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )
        .await;
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let mut client = proxy.client().await;
    client
        .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nsome")
        .await;
    let answer = client.message().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn interim_answers_of_an_endpoint_do_not_count() {
    let backend = Backend::scripted(|_, mut peer| async move {
        peer.head().await;
        peer.write("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            .await;
        peer.write(OK).await;
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_flood_of_interim_answers_ends_the_attempt() {
    let backend = Backend::scripted(|_, mut peer| async move {
        use tokio::io::AsyncWriteExt;
        peer.head().await;
        let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
        while peer.stream.write_all(flood.as_bytes()).await.is_ok() {}
    })
    .await;
    let proxy = Plan::to(&[backend.address]).start();
    let answer = proxy.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn neither_a_slow_answer_nor_an_idle_connection_keeps_old_routes_alive() {
    let (go_on, may) = tokio::sync::watch::channel(false);
    let slow = Backend::scripted(move |_, mut peer| {
        let mut may = may.clone();
        async move {
            peer.message().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
                .await;
            may.wait_for(|go| *go).await.unwrap();
            peer.write("done").await;
        }
    })
    .await;
    let mut proxy = Plan::to(&[slow.address]).start();
    let idle = proxy.client().await;
    let mut client = proxy.client().await;
    client.write(GET).await;
    assert!(client.until("half").await.ends_with("half"));
    let routes = {
        let snapshot = proxy.shared.config.load();
        std::sync::Arc::downgrade(&snapshot.listeners[&name()].routes)
    };
    proxy.respond(202);
    assert!(proxy.ask(GET).await.starts_with("HTTP/1.1 202 "));
    until(|| routes.strong_count() == 0).await;
    go_on.send(true).unwrap();
    assert_eq!(client.exactly(4).await, "done");
    drop(idle);
}

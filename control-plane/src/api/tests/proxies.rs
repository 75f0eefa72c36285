//! Configuration streams, and what is told of them.

use super::*;

#[tokio::test]
async fn a_proxy_gets_what_is_applied_and_is_waited_for() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let proxy = Proxy::connect(&plane, "p1", content).await.run();
    until_connected(&mut client, "p1").await;
    let applied = client.apply(apply(shop())).await.unwrap().into_inner();
    assert_eq!((applied.revision, applied.proxies), (1, 1));
    let done = wait(&mut client, 0).await;
    assert_eq!((done.total, done.done), (1, true));
    assert_eq!(done.accepted, ["p1"]);
    let status = client.status(v1::StatusRequest {}).await.unwrap();
    let status = status.into_inner();
    assert_eq!(
        (status.revision, status.control_plane_id.as_str()),
        (1, "cp-1")
    );
    let known = &status.proxies[0];
    assert_eq!((known.revision, known.lag, known.connected), (1, 0, true));
    assert_eq!(known.agent, "tester");
    plane.stop().await;
    assert_eq!(proxy.await.unwrap().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_response_names_the_control_plane_and_the_revision() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    plane.client().await.apply(apply(shop())).await.unwrap();
    let mut proxy = Proxy::connect(&plane, "p1", content).await;
    let response = proxy.step().await.unwrap();
    assert_eq!(response.type_url, ResourceType::Cluster.type_url());
    assert_eq!(response.system_version_info, "1");
    assert_eq!(response.control_plane.unwrap().identifier, "cp-1");
    assert_eq!(response.resources[0].name, "api");
    plane.stop().await;
}

#[tokio::test]
async fn a_refusal_is_told_with_its_text() {
    fn refuse_bad(response: &DeltaDiscoveryResponse) -> Option<String> {
        let bad = response.resources.iter().any(|r| r.name == "bad");
        bad.then(|| "Cluster/bad: lb_policy: not here".to_owned())
    }
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    client.apply(apply(shop())).await.unwrap();
    let proxy = Proxy::connect(&plane, "p1", refuse_bad).await.run();
    until(&mut client, "p1", |proxy| proxy.revision == 1).await;
    let change = apply(vec![cluster("bad", &[1])]);
    client.apply(change).await.unwrap();
    let done = wait(&mut client, 2).await;
    assert!(done.done && done.accepted.is_empty());
    let rejection = &done.rejections[0];
    assert_eq!(
        (
            rejection.proxy.as_str(),
            rejection.r#type.as_str(),
            rejection.name.as_str()
        ),
        ("p1", "Cluster", "bad")
    );
    assert_eq!(rejection.detail, "lb_policy: not here");
    assert_eq!(rejection.revision, 2);
    let request = v1::DescribeRequest {
        id: Some(id(v1::Kind::Cluster, "bad")),
    };
    let described = client.describe(request).await.unwrap().into_inner();
    assert_eq!(described.rejections.len(), 1);
    let metrics = plane.page("/metrics").await;
    assert!(
        metrics.contains("evenkeel_control_plane_nacks_total 1"),
        "{metrics}"
    );
    plane.stop().await;
    proxy.await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_goes_away_is_told_as_disconnected() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let proxy = Proxy::connect(&plane, "p1", content).await;
    until_connected(&mut client, "p1").await;
    client.apply(apply(shop())).await.unwrap();
    drop(proxy);
    let done = wait(&mut client, 1).await;
    assert_eq!(done.disconnected, ["p1"]);
    plane.stop().await;
}

#[tokio::test]
async fn without_proxies_there_is_nothing_to_wait_for() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    client.apply(apply(shop())).await.unwrap();
    assert!(wait(&mut client, 1).await.done);
    let status = client
        .wait(v1::WaitRequest { revision: 9 })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    plane.stop().await;
}

#[tokio::test]
async fn endpoints_are_asked_of_proxies_and_the_silent_are_named() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    client.apply(apply(shop())).await.unwrap();
    let mut proxies = Vec::new();
    for name in ["mute", "p1"] {
        proxies.push(Proxy::connect(&plane, name, content).await.run());
        until_connected(&mut client, name).await;
    }
    let url = format!("http://{}", plane.addresses.xds);
    let mut fleet = FleetServiceClient::connect(url).await.unwrap();
    let (say, said) = mpsc::channel(8);
    let message = |message| v1::ReportRequest {
        message: Some(message),
    };
    let hello = v1::ProxyHello {
        node_id: "p1".to_owned(),
    };
    let report = v1::ProxyReport {
        requests: 42,
        ..v1::ProxyReport::default()
    };
    for first in [
        report_request::Message::Hello(hello),
        report_request::Message::Report(report),
    ] {
        say.send(message(first)).await.unwrap();
    }
    let questions = fleet.report(ReceiverStream::new(said)).await.unwrap();
    let mut questions = questions.into_inner();
    let answering = tokio::spawn(async move {
        let asked = questions.message().await.unwrap().unwrap().message.unwrap();
        let report_response::Message::Endpoints(question) = asked;
        let answer = v1::EndpointsAnswer {
            question: question.question,
            known: true,
            endpoints: Some(v1::ProxyEndpoints::default()),
        };
        let answer = report_request::Message::Endpoints(answer);
        say.send(message(answer)).await.unwrap();
        (say, questions, question.cluster)
    });
    until(&mut client, "p1", |proxy| {
        let report = proxy.report.as_ref();
        report.is_some_and(|report| report.requests == 42)
    })
    .await;
    let request = v1::ListEndpointsRequest {
        cluster: "api".to_owned(),
    };
    let listed = client.list_endpoints(request).await.unwrap().into_inner();
    assert_eq!(listed.proxies[0].proxy, "p1");
    assert_eq!(listed.silent, ["mute"]);
    assert_eq!(answering.await.unwrap().2, "api");
    plane.stop().await;
}

#[tokio::test]
async fn a_stream_without_a_type_ends_with_an_error() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let url = format!("http://{}", plane.addresses.xds);
    let mut client = AggregatedDiscoveryServiceClient::connect(url)
        .await
        .unwrap();
    let first = tokio_stream::iter([DeltaDiscoveryRequest::default()]);
    let stream = client.delta_aggregated_resources(first).await.unwrap();
    let mut stream = stream.into_inner();
    let status = timeout(PATIENCE, stream.message())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    plane.stop().await;
}

#[tokio::test]
async fn the_admin_port_tells_health_and_counts() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let proxy = Proxy::connect(&plane, "p1", content).await.run();
    until_connected(&mut client, "p1").await;
    client.apply(apply(shop())).await.unwrap();
    wait(&mut client, 1).await;
    for path in ["/healthz", "/livez", "/readyz"] {
        assert!(plane.page(path).await.starts_with("HTTP/1.1 200"), "{path}");
    }
    let metrics = plane.page("/metrics").await;
    for line in [
        "evenkeel_control_plane_revision 1",
        "evenkeel_control_plane_connected_proxies 1",
        "evenkeel_control_plane_streams 1",
        "evenkeel_control_plane_commits_total{result=\"ok\"} 1",
        "evenkeel_control_plane_pushes_total{type=\"RouteConfiguration\"} 1",
        "accepted_revision{proxy=\"p1\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    plane.stop().await;
    proxy.await.unwrap();
}

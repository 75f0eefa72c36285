//! What the certificate of a proxy entitles it to.

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::fleet_service_client::FleetServiceClient;
use evenkeel_shared::proto::v1::report_request::Message;
use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::xds::ResourceType;
use tonic::{Code, Status};

use super::plane::*;

const ADMIN: &str = "spiffe://plane.test/admin/ann";

fn group(name: &str, selector: v1::ProxySelector, identities: &[&str]) -> v1::Resource {
    let spec = v1::ProxyGroup {
        selector: Some(selector),
        listeners: vec![name.to_owned()],
        identities: identities.iter().map(|text| (*text).to_owned()).collect(),
    };
    resource(name, Spec::ProxyGroup(spec))
}

fn of_cluster(cluster: &str) -> v1::ProxySelector {
    v1::ProxySelector {
        cluster: cluster.to_owned(),
        ..v1::ProxySelector::default()
    }
}

/// Two sites, each for the proxies of the cluster of its name.
async fn two_sites(flags: bool) -> Plane {
    let plane = if flags {
        Plane::secure(true).await
    } else {
        Plane::start(&[]).await
    };
    let mut resources = [site("edge", 8001), site("core", 8002)].concat();
    resources.push(group("edge", of_cluster("edge"), &[]));
    resources.push(group(
        "core",
        of_cluster("core"),
        &["spiffe://plane.test/site/*"],
    ));
    let mut api = admin(&plane, flags).await;
    api.apply(apply(resources)).await.unwrap();
    plane
}

async fn admin(
    plane: &Plane,
    secure: bool,
) -> v1::management_service_client::ManagementServiceClient<tonic::transport::Channel> {
    let own = plane.authority.sign(&[ADMIN], &[]);
    let tls = secure.then(|| plane.authority.client(Some(&own)));
    plane.api(tls).await
}

/// Opens a stream with a certificate of these names.
async fn open(plane: &Plane, uris: &[&str], id: &str, cluster: &str) -> Stream {
    let own = plane.authority.sign(uris, &[]);
    let tls = (!uris.is_empty()).then(|| plane.authority.client(Some(&own)));
    let channel = channel(plane.addresses.xds, tls).await.unwrap();
    let first = hello(id, cluster, ResourceType::Listener);
    Stream::open(channel, first).await.unwrap()
}

async fn listeners(stream: &mut Stream) -> Result<Vec<String>, Status> {
    let response = stream.next().await?;
    stream.accept(&response).await;
    let names = response.resources.into_iter().map(|resource| resource.name);
    Ok(names.collect())
}

#[tokio::test]
async fn a_proxy_gets_the_groups_of_its_certificate_and_no_others() {
    let plane = two_sites(true).await;
    let p1 = "spiffe://plane.test/proxy/p1";
    let edge = "spiffe://plane.test/group/edge";
    let site = "spiffe://plane.test/site/7";
    for (uris, id, cluster, expected) in [
        (&[p1, edge][..], "p1", "edge", Ok(vec!["edge".to_owned()])),
        (&[edge][..], "p9", "edge", Ok(vec!["edge".to_owned()])),
        (&[p1, site][..], "p1", "core", Ok(vec!["core".to_owned()])),
        (&[p1][..], "p1", "else", Ok(vec![])),
        (&[p1][..], "p1", "edge", Err(Code::PermissionDenied)),
        (&[p1, edge][..], "p1", "core", Err(Code::PermissionDenied)),
        (&[p1, edge][..], "p2", "edge", Err(Code::PermissionDenied)),
    ] {
        let mut stream = open(&plane, uris, id, cluster).await;
        let found = listeners(&mut stream).await.map_err(|status| status.code());
        assert_eq!(found, expected, "{uris:?} as {id} in {cluster}");
    }
    let metrics = plane.metrics().await;
    for line in [
        r#"xds_denied_total{reason="group"} 2"#,
        r#"xds_denied_total{reason="node_id"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    plane.stop().await;
}

#[tokio::test]
async fn a_new_group_ends_the_streams_that_it_selects_but_does_not_admit() {
    let plane = two_sites(true).await;
    let mut stream = open(&plane, &["spiffe://plane.test/proxy/p1"], "p1", "lab").await;
    assert_eq!(listeners(&mut stream).await.unwrap(), [""; 0]);
    let mut resources = site("lab", 8003);
    resources.push(group("lab", of_cluster("lab"), &[]));
    let mut api = admin(&plane, true).await;
    api.apply(apply(resources)).await.unwrap();
    let refused = listeners(&mut stream).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("lab"), "{refused}");
    plane.stop().await;
}

#[tokio::test]
async fn what_is_outside_of_the_view_does_not_exist_and_is_counted() {
    let plane = two_sites(false).await;
    let mut stream = open(&plane, &[], "p1", "edge").await;
    assert_eq!(listeners(&mut stream).await.unwrap(), ["edge"]);
    let clusters = |name: &str| {
        let mut request = hello("p1", "edge", ResourceType::Cluster);
        request.node = None;
        request.resource_names_subscribe = vec![name.to_owned()];
        request
    };
    for (name, removed) in [("core", true), ("nowhere", true), ("edge", false)] {
        stream.say.send(clusters(name)).await.unwrap();
        let response = stream.next().await.unwrap();
        assert_eq!(
            response.removed_resources == [name],
            removed,
            "{response:?}"
        );
        assert_eq!(response.resources.is_empty(), removed);
        stream.accept(&response).await;
    }
    plane
        .until_counted(r#"xds_denied_total{reason="not_in_view"} 1"#)
        .await;
    plane.stop().await;
}

async fn report(plane: &Plane, uris: &[&str], id: &str) -> Result<(), Status> {
    let own = plane.authority.sign(uris, &[]);
    let tls = plane.authority.client(Some(&own));
    let channel = channel(plane.addresses.xds, Some(tls)).await.unwrap();
    let hello = v1::ReportRequest {
        message: Some(Message::Hello(v1::ProxyHello {
            node_id: id.to_owned(),
        })),
    };
    let reports = tokio_stream::iter([hello]);
    let mut client = FleetServiceClient::new(channel);
    let mut answers = client.report(reports).await?.into_inner();
    answers.message().await.map(|_| ())
}

#[tokio::test]
async fn reports_are_taken_only_under_the_own_name() {
    let plane = Plane::secure(true).await;
    let p1 = ["spiffe://plane.test/proxy/p1"];
    report(&plane, &p1, "p1").await.unwrap();
    let refused = report(&plane, &p1, "p2").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    plane.stop().await;
}

#[tokio::test]
async fn a_certificate_has_its_share_of_streams() {
    let plane = Plane::secure(true).await;
    let own = plane.authority.sign(&["spiffe://plane.test/proxy/p1"], &[]);
    let mut open = Vec::new();
    let mut refused = None;
    'filled: for _ in 0..10 {
        let tls = plane.authority.client(Some(&own));
        let channel = channel(plane.addresses.xds, Some(tls)).await.unwrap();
        for _ in 0..16 {
            let first = hello("p1", "", ResourceType::Cluster);
            match Stream::open(channel.clone(), first).await {
                Ok(stream) => open.push(stream),
                Err(status) => {
                    refused = Some(status);
                    break 'filled;
                }
            }
        }
    }
    assert_eq!(open.len(), 64);
    assert_eq!(refused.unwrap().code(), Code::ResourceExhausted);
    plane
        .until_counted(r#"xds_streams_ended_total{reason="streams"} 1"#)
        .await;
    drop(open);
    plane
        .until_counted("evenkeel_control_plane_streams 0")
        .await;
    plane.stop().await;
}

#[tokio::test]
async fn a_certificate_that_has_ended_opens_no_stream_on_an_open_connection() {
    let plane = Plane::secure(true).await;
    let uris = ["spiffe://plane.test/proxy/p1"];
    let own = plane.authority.sign_until(&uris, &[], Some(5));
    let tls = plane.authority.client(Some(&own));
    let channel = channel(plane.addresses.xds, Some(tls)).await.unwrap();
    let first = hello("p1", "", ResourceType::Cluster);
    let open = async || Stream::open(channel.clone(), first.clone()).await;
    let mut before = open().await.unwrap();
    before.next().await.unwrap();
    let refused = async {
        loop {
            // The connection is cut off after the first refusal.
            match open().await {
                Ok(mut stream) => {
                    if let Err(status) = stream.next().await {
                        return status;
                    }
                }
                Err(status) => return status,
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    // The stream that was open ends with the connection.
    assert!(before.next().await.is_err());
    plane.stop().await;
}

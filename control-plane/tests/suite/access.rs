//! Client certificates on the management API, and refusals of proxies in the
//! audit log.

use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::access_service_client::AccessServiceClient;
use evenkeel_shared::xds::ResourceType;
use tonic::Code;
use tonic::transport::Channel;

use super::plane::*;

const ADMIN: &str = "spiffe://plane.test/admin/ann";
const USER: &str = "spiffe://plane.test/user/bob";

/// A client with a certificate of this name.
async fn user(plane: &Plane, uri: &str) -> (AccessServiceClient<Channel>, Channel) {
    let own = plane.authority.sign(&[uri], &[]);
    let tls = plane.authority.client(Some(&own));
    let channel = channel(plane.addresses.api, Some(tls)).await.unwrap();
    (AccessServiceClient::new(channel.clone()), channel)
}

#[tokio::test]
async fn a_certificate_is_let_in_by_its_name_until_that_is_revoked() {
    let plane = Plane::secure(true).await;
    let (mut admin, _) = user(&plane, ADMIN).await;
    let who = admin.who_am_i(v1::WhoAmIRequest {}).await.unwrap();
    let who = who.into_inner();
    let (subject, method) = (who.subject.as_str(), who.method.as_str());
    assert_eq!((subject, method), (ADMIN, "certificate"));
    assert!(who.expires.is_some(), "it ends with the certificate");

    let (mut bob, channel) = user(&plane, USER).await;
    let refused = bob.who_am_i(v1::WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains(USER), "{refused}");

    let request = v1::CreateTokenRequest {
        name: "bob".to_owned(),
        grants: vec![v1::Grant {
            role: v1::Role::Write.into(),
            kind: v1::Kind::Cluster.into(),
            name: "shop-*".to_owned(),
        }],
        certificate: USER.to_owned(),
        ..v1::CreateTokenRequest::default()
    };
    admin.create_token(request).await.unwrap();
    let who = bob.who_am_i(v1::WhoAmIRequest {}).await.unwrap();
    assert_eq!(who.into_inner().subject, USER);
    let mut api = v1::management_service_client::ManagementServiceClient::new(channel);
    let mine = apply(vec![cluster("shop-a", &[9001])]);
    api.apply(mine).await.unwrap();
    let other = apply(vec![cluster("bank", &[9001])]);
    let refused = api.apply(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let request = v1::RevokeTokenRequest {
        token: "bob".to_owned(),
    };
    admin.revoke_token(request).await.unwrap();
    let refused = bob.who_am_i(v1::WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    plane.stop().await;
}

#[tokio::test]
async fn what_a_proxy_was_refused_is_in_the_audit_log() {
    let plane = Plane::secure(true).await;
    let p1 = "spiffe://plane.test/proxy/p1";
    let own = plane.authority.sign(&[p1], &[]);
    let tls = plane.authority.client(Some(&own));
    let port = channel(plane.addresses.xds, Some(tls)).await.unwrap();
    let first = hello("p2", "", ResourceType::Cluster);
    let mut stream = Stream::open(port, first).await.unwrap();
    stream.next().await.unwrap_err();

    let (mut admin, _) = user(&plane, ADMIN).await;
    let search = async {
        loop {
            let request = v1::ListAuditRequest {
                subject: p1.to_owned(),
                ..v1::ListAuditRequest::default()
            };
            let listed = admin.list_audit(request).await.unwrap().into_inner();
            if let Some(entry) = listed.entries.into_iter().next() {
                return entry;
            }
            tokio::task::yield_now().await;
        }
    };
    let entry = tokio::time::timeout(PATIENCE, search).await.unwrap();
    assert_eq!((entry.action.as_str(), entry.allowed), ("stream", false));
    assert_eq!(entry.method, "certificate");
    assert!(entry.detail.contains("p2"), "{}", entry.detail);
    assert!(entry.source.starts_with("127.0.0.1:"), "{}", entry.source);
    plane.stop().await;
}

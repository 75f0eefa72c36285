//! Changing and reading the configuration.

use super::*;

#[tokio::test]
async fn what_is_applied_can_be_read() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let applied = client.apply(apply(shop())).await.unwrap().into_inner();
    assert_eq!((applied.revision, applied.proxies), (1, 0));
    assert!(
        applied
            .changes
            .iter()
            .all(|change| change.action() == v1::ChangeAction::Created)
    );
    let request = v1::GetRequest {
        id: Some(id(v1::Kind::Cluster, "api")),
    };
    let got = client.get(request).await.unwrap().into_inner();
    assert_eq!(got.resource, Some(cluster("api", &[9001, 9002])));
    let listed = client.list(v1::ListRequest { kind: 0 }).await.unwrap();
    assert_eq!(listed.into_inner().resources.len(), 3);
    let request = v1::DescribeRequest {
        id: Some(id(v1::Kind::Cluster, "api")),
    };
    let described = client.describe(request).await.unwrap().into_inner();
    assert_eq!(described.changed.unwrap().revision, 1);
    assert_eq!(described.referenced_by[0].name, "web");
    assert!(!described.effective.is_empty());
    plane.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let request = v1::GetRequest {
        id: Some(id(v1::Kind::Cluster, "none")),
    };
    let status = client.get(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "there is no Cluster/none");
    let status = client.get(v1::GetRequest { id: None }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    plane.stop().await;
}

#[tokio::test]
async fn nothing_changed_is_no_revision() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    client.apply(apply(shop())).await.unwrap();
    let again = client.apply(apply(shop())).await.unwrap().into_inner();
    assert_eq!(again.revision, 1);
    assert!(
        again
            .changes
            .iter()
            .all(|change| change.action() == v1::ChangeAction::Unchanged)
    );
    plane.stop().await;
}

#[tokio::test]
async fn the_same_apply_id_changes_nothing_twice() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let apply_id = uuid::Uuid::new_v4().to_string();
    for resources in [shop(), vec![cluster("other", &[1])]] {
        let request = v1::ApplyRequest {
            apply_id: apply_id.clone(),
            ..apply(resources)
        };
        let applied = client.apply(request).await.unwrap().into_inner();
        assert_eq!((applied.revision, applied.changes.len()), (1, 3));
    }
    plane.stop().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let request = v1::ApplyRequest {
        dry_run: true,
        ..apply(shop())
    };
    let applied = client.apply(request).await.unwrap().into_inner();
    assert_eq!((applied.revision, applied.changes.len()), (0, 3));
    let listed = client.list(v1::ListRequest { kind: 0 }).await.unwrap();
    assert!(listed.into_inner().resources.is_empty());
    plane.stop().await;
}

#[tokio::test]
async fn another_revision_than_expected_is_a_conflict() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    client.apply(apply(shop())).await.unwrap();
    let request = v1::ApplyRequest {
        expected_revision: 7,
        ..apply(vec![cluster("other", &[1])])
    };
    let status = client.apply(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    assert!(status.message().contains("revision 1"), "{status}");
    plane.stop().await;
}

#[tokio::test]
async fn all_faults_come_back_with_their_fields() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let resources = vec![listener("web", 80), route("web", "web", &["none", "nix"])];
    let status = client.apply(apply(resources)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_details_bad_request().unwrap();
    let fields: Vec<&str> = details
        .field_violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "Route/web: rules[0].clusters[0].name",
            "Route/web: rules[1].clusters[0].name"
        ]
    );
    let listed = client.list(v1::ListRequest { kind: 0 }).await.unwrap();
    assert_eq!(listed.into_inner().revision, 0);
    plane.stop().await;
}

#[tokio::test]
async fn very_many_faults_still_reach_the_client() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let names: Vec<String> = (0..2000).map(|number| format!("none-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let resources = vec![listener("web", 80), route("web", "web", &names)];
    let status = client.apply(apply(resources)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().unwrap();
    let last = details.field_violations.last().unwrap();
    assert!(last.description.ends_with("more faults"), "{last:?}");
    plane.stop().await;
}

#[tokio::test]
async fn what_is_in_use_cannot_be_deleted() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    client.apply(apply(shop())).await.unwrap();
    let request = delete(v1::Kind::Cluster, "api");
    let status = client.apply(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(
        status.message(),
        "cannot be deleted: Cluster/api is used by Route/web"
    );
    plane.stop().await;
}

#[tokio::test]
async fn removing_much_needs_a_confirmation() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let names = ["a", "b", "c"];
    let mut resources = vec![listener("web", 80), route("web", "web", &names)];
    resources.extend(names.map(|name| cluster(name, &[9000])));
    client.apply(apply(resources)).await.unwrap();
    let mut request = delete(v1::Kind::Cluster, "a");
    request.deletions.push(id(v1::Kind::Cluster, "b"));
    request.resources = vec![route("web", "web", &["c"])];
    let status = client.apply(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("--allow-mass-removal"));
    request.allow_mass_removal = true;
    assert_eq!(
        client.apply(request).await.unwrap().into_inner().revision,
        2
    );
    plane.stop().await;
}

#[tokio::test]
async fn a_rollback_is_a_new_revision() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    client.apply(apply(shop())).await.unwrap();
    let change = apply(vec![cluster("api", &[9009])]);
    client.apply(change).await.unwrap();
    let request = v1::RollbackRequest {
        to_revision: 1,
        ..v1::RollbackRequest::default()
    };
    let rolled = client.rollback(request).await.unwrap().into_inner();
    assert_eq!((rolled.revision, rolled.changes.len()), (3, 1));
    let request = v1::GetRequest {
        id: Some(id(v1::Kind::Cluster, "api")),
    };
    let got = client.get(request).await.unwrap().into_inner();
    assert_eq!(got.resource, Some(cluster("api", &[9001, 9002])));
    let history = client.history(v1::HistoryRequest::default()).await.unwrap();
    let revisions = history.into_inner().revisions;
    assert_eq!(
        revisions.iter().map(|r| r.revision).collect::<Vec<_>>(),
        [3, 2, 1]
    );
    assert_eq!(revisions[0].message, "rollback to revision 1");
    assert_eq!(revisions[0].author, "local");
    let request = v1::RollbackRequest {
        to_revision: 99,
        ..v1::RollbackRequest::default()
    };
    let status = client.rollback(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    plane.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_last_durable_revision() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    plane.client().await.apply(apply(shop())).await.unwrap();
    plane.stop().await;
    let plane = Plane::start(directory.path()).await;
    let mut client = plane.client().await;
    let listed = client.list(v1::ListRequest { kind: 0 }).await.unwrap();
    let listed = listed.into_inner();
    assert_eq!((listed.revision, listed.resources.len()), (1, 3));
    let change = apply(vec![cluster("more", &[1])]);
    assert_eq!(client.apply(change).await.unwrap().into_inner().revision, 2);
    plane.stop().await;
}

#[tokio::test]
async fn changes_at_the_same_time_all_happen_once() {
    let directory = TempDir::new().unwrap();
    let plane = Plane::start(directory.path()).await;
    let client = plane.client().await;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let mut client = client.clone();
        let change = apply(vec![cluster(&format!("c{number}"), &[9000])]);
        tasks.push(tokio::spawn(async move {
            client.apply(change).await.unwrap().into_inner().revision
        }));
    }
    let mut revisions = Vec::new();
    for task in tasks {
        revisions.push(task.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=20).collect::<Vec<u64>>());
    plane.stop().await;
}

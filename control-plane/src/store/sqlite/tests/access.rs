//! Tokens and the audit log.

use super::*;
use crate::store::access::AuditQuery;

fn entry(subject: &str, allowed: bool) -> v1::AuditEntry {
    v1::AuditEntry {
        time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 7,
        }),
        subject: subject.to_owned(),
        method: "token".to_owned(),
        source: "127.0.0.1:1".to_owned(),
        action: "apply".to_owned(),
        allowed,
        ..v1::AuditEntry::default()
    }
}

fn all() -> AuditQuery {
    AuditQuery {
        limit: 1000,
        before: 0,
        subject: String::new(),
        key: None,
    }
}

/// The change of a resource, whose content has a length.
fn change(name: &str, length: usize) -> v1::Change {
    let key = ResourceKey::new(v1::Kind::Cluster, name);
    v1::Change {
        id: Some(key.to_id()),
        action: v1::ChangeAction::Created.into(),
        before: None,
        after: Some(v1::Resource {
            name: "x".repeat(length),
            spec: None,
        }),
    }
}

#[tokio::test]
async fn a_revision_and_its_entry_are_made_together_or_not_at_all() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let audited = |id: &str| Proposal {
        audit: entry(id, true),
        ..proposal(id, port(1))
    };
    store.commit(0, audited("one")).await.unwrap();
    store.commit(0, audited("two")).await.unwrap_err();
    store.commit(1, audited("one")).await.unwrap_err();
    let entries = store.audit(all()).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].subject.as_str(), entries[0].revision),
        ("one", 1)
    );
}

#[tokio::test]
async fn refusals_cannot_push_out_what_was_done() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let mut entries = vec![entry("first", true)];
    entries.extend((0..9).map(|_| entry("stranger", false)));
    store.record(entries).await.unwrap();
    let path = directory.path().join("store/config.db");
    store.close().await;
    let mut connection = open::writer(&path).await.unwrap();
    for (allowed, dropped) in [(true, 0), (false, 5)] {
        let pruned = audit::prune(&mut connection, allowed, 4).await.unwrap();
        assert_eq!(pruned, dropped);
    }
    connection.close().await.unwrap();
    let store = open(&directory).await;
    let entries = store.audit(all()).await.unwrap();
    let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [10, 9, 8, 7, 1]);
    store.record(vec![entry("next", true)]).await.unwrap();
    assert_eq!(store.audit(all()).await.unwrap()[0].id, 11);
}

#[tokio::test]
async fn an_entry_that_is_too_long_says_what_it_left_out_and_is_found_all_the_same() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let changes = (0..300).map(|number| change(&format!("c-{number}"), 1024));
    let long = v1::AuditEntry {
        changes: changes.collect(),
        detail: "ä".repeat(4000),
        ..entry("long", true)
    };
    store.record(vec![long]).await.unwrap();
    let found = AuditQuery {
        key: Some(ResourceKey::new(v1::Kind::Cluster, "c-299")),
        ..all()
    };
    let entries = store.audit(found).await.unwrap();
    assert_eq!(entries[0].changes.len(), 300);
    assert_eq!(entries[0].changes[299].after, None);
    assert!(entries[0].detail.ends_with("ä…; contents left out"));
}

#[tokio::test]
async fn an_answer_ends_before_a_client_would_refuse_it() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let long = v1::AuditEntry {
        changes: vec![change("c", 250 << 10)],
        ..entry("long", true)
    };
    store.record(vec![long; 30]).await.unwrap();
    let entries = store.audit(all()).await.unwrap();
    let size: usize = entries.iter().map(prost::Message::encoded_len).sum();
    assert!((1 << 20..=3 << 20).contains(&size), "{size}");
    let rest = AuditQuery {
        before: entries.last().unwrap().id,
        ..all()
    };
    assert!(!store.audit(rest).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_up_to_date() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("config.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new();
    let options = options.filename(&path).create_if_missing(true);
    let mut old = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let schema = sqlx::raw_sql(include_str!("../0001_revisions.sql"));
    schema.execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    assert!(store.tokens().await.unwrap().is_empty());
    assert!(store.audit(all()).await.unwrap().is_empty());
}

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::model::samples::{shop, state};

fn proposal(apply_id: &str, state: DesiredState) -> Proposal {
    Proposal {
        author: "ada".to_owned(),
        message: format!("because of {apply_id}"),
        time: prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 5,
        },
        apply_id: apply_id.to_owned(),
        allow_mass_removal: false,
        audit: v1::AuditEntry::default(),
        state,
    }
}

/// A state with one resource, whose content is the port.
fn port(port: u16) -> DesiredState {
    let address = format!("127.0.0.1:{port}");
    state(&[json!({"name": "e", "endpoints": {"endpoints": [{"address": address}]}})])
}

async fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(directory.path().join("store"))
        .await
        .unwrap()
}

/// Commits a state for each port from 1, one revision each.
async fn commit_ports(store: &SqliteStore, count: u16) {
    for revision in 1..=count {
        let expected = u64::from(revision) - 1;
        let proposal = proposal(&format!("id-{revision}"), port(revision));
        store.commit(expected, proposal).await.unwrap();
    }
}

async fn blobs(store: &SqliteStore) -> i64 {
    let query = sqlx::query_scalar("SELECT count(*) FROM blobs");
    query.fetch_one(&store.readers).await.unwrap()
}

#[tokio::test]
async fn a_new_store_is_empty_and_its_directory_private() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let head = store.head().await.unwrap();

    assert_eq!(head.revision, v1::Revision::default());
    assert!(head.state.is_empty());
    assert_eq!(store.removal_grant().await.unwrap(), 0);
    assert_eq!(store.at(0).await.unwrap(), None);
    let mode = std::fs::metadata(directory.path().join("store"));
    assert_eq!(mode.unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let committed = store.commit(0, proposal("one", shop())).await.unwrap();
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(store.head().await.unwrap(), committed);
    assert_eq!(committed.revision.revision, 1);
    assert_eq!(committed.revision.changes.len(), shop().len());
    assert_eq!(committed.state, shop());
}

#[tokio::test]
async fn a_commit_whose_caller_goes_away_happens_all_the_same() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    {
        let commit = store.commit(0, proposal("one", port(1)));
        tokio::pin!(commit);
        let waited = tokio::time::timeout(Duration::ZERO, &mut commit).await;
        assert!(waited.is_err(), "the commit took no time at all");
    }
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(store.head().await.unwrap().revision.revision, 1);
    assert_eq!(store.at(1).await.unwrap(), Some(port(1)));
}

#[tokio::test]
async fn a_transaction_that_was_not_finished_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    commit_ports(&store, 1).await;
    let path = Arc::clone(&store.path);
    store.close().await;

    let mut connection = open::writer(&path).await.unwrap();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for table in ["DELETE FROM entries", "DELETE FROM revisions"] {
        sqlx::raw_sql(table)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    drop(transaction);
    drop(connection);

    let store = open(&directory).await;
    assert_eq!(store.head().await.unwrap().state, port(1));
}

#[tokio::test]
async fn a_stale_commit_is_a_conflict_that_names_the_present_revision() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    commit_ports(&store, 2).await;

    let refused = store.commit(1, proposal("late", port(9))).await;
    assert!(matches!(refused, Err(CommitError::Conflict { current: 2 })));
    assert_eq!(store.head().await.unwrap().state, port(2));
}

#[tokio::test]
async fn of_many_racers_exactly_one_wins() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(open(&directory).await);
    let mut racers = tokio::task::JoinSet::new();
    for racer in 1..=8 {
        let store = Arc::clone(&store);
        racers.spawn(async move {
            let proposal = proposal(&format!("racer-{racer}"), port(racer));
            store.commit(0, proposal).await.is_ok()
        });
    }
    let won = racers.join_all().await;

    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.head().await.unwrap().revision.revision, 1);
}

#[tokio::test]
async fn the_same_apply_id_answers_with_the_first_result() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    commit_ports(&store, 2).await;

    let refused = store.commit(2, proposal("id-1", port(9))).await;
    let Err(CommitError::AlreadyApplied(first)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(first.revision, 1);
    assert_eq!(store.by_apply_id("id-1").await.unwrap(), Some(*first));
    assert_eq!(store.by_apply_id("other").await.unwrap(), None);
    assert_eq!(store.head().await.unwrap().revision.revision, 2);
}

#[tokio::test]
async fn changes_without_an_apply_id_do_not_collide() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    store.commit(0, proposal("", port(1))).await.unwrap();
    store.commit(1, proposal("", port(2))).await.unwrap();

    assert_eq!(store.head().await.unwrap().revision.apply_id, "");
}

#[tokio::test]
async fn every_kept_revision_can_be_read_and_equal_contents_are_stored_once() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let states = [port(1), shop(), port(1), DesiredState::new(), port(2)];
    for (revision, state) in (0_u64..).zip(&states) {
        store
            .commit(revision, proposal("", state.clone()))
            .await
            .unwrap();
    }

    for (revision, state) in (1_u64..).zip(states) {
        assert_eq!(store.at(revision).await.unwrap(), Some(state));
    }
    assert_eq!(store.at(6).await.unwrap(), None);
    let contents = i64::try_from(shop().len() + 2).unwrap();
    assert_eq!(blobs(&store).await, contents);
}

#[tokio::test]
async fn history_is_newest_first_and_can_be_narrowed() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    commit_ports(&store, 2).await;
    let mut both = port(2);
    both.extend(shop());
    store
        .commit(2, proposal("three", both.clone()))
        .await
        .unwrap();
    both.remove(&ResourceKey::new(v1::Kind::Endpoints, "e"));
    store.commit(3, proposal("four", both)).await.unwrap();

    let numbers = |revisions: Vec<v1::Revision>| -> Vec<u64> {
        revisions.iter().map(|one| one.revision).collect()
    };
    let key = ResourceKey::new(v1::Kind::Endpoints, "e");
    let all = store.history(10, 0, None).await.unwrap();
    assert_eq!(all[0].message, "because of four");
    assert_eq!(all[0].parent, 3);
    assert_eq!(all[0].changes[0].action(), v1::ChangeAction::Deleted);
    assert_eq!(numbers(all), [4, 3, 2, 1]);
    assert_eq!(numbers(store.history(2, 4, None).await.unwrap()), [3, 2]);
    let of_key = store.history(10, 0, Some(&key)).await.unwrap();
    assert_eq!(numbers(of_key), [4, 2, 1]);
}

#[tokio::test]
async fn the_newest_confirmed_removal_is_remembered() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let mut confirmed = proposal("confirmed", port(1));
    confirmed.allow_mass_removal = true;
    store.commit(0, confirmed).await.unwrap();
    store.commit(1, proposal("next", port(2))).await.unwrap();

    assert_eq!(store.removal_grant().await.unwrap(), 1);
    assert!(!store.head().await.unwrap().allow_mass_removal);
}

#[tokio::test]
async fn old_revisions_go_with_what_only_they_hold() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open_keeping(directory.path(), 3)
        .await
        .unwrap();
    commit_ports(&store, 5).await;

    assert_eq!(store.history(10, 0, None).await.unwrap().len(), 3);
    assert_eq!(store.at(2).await.unwrap(), None);
    assert_eq!(store.at(3).await.unwrap(), Some(port(3)));
    assert_eq!(blobs(&store).await, 3);

    let pruned = store.prune(1).await.unwrap();
    assert_eq!(
        pruned,
        Pruned {
            revisions: 2,
            blobs: 2
        }
    );
    assert_eq!(store.head().await.unwrap().state, port(5));
    store.commit(5, proposal("on", port(6))).await.unwrap();
}

#[tokio::test]
async fn a_directory_belongs_to_one_store() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;

    let second = SqliteStore::open(directory.path().join("store")).await;
    let fault = second.unwrap_err();
    assert!(matches!(fault, StoreError::InUse { .. }), "{fault}");

    store.close().await;
    open(&directory).await;
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let path = Arc::clone(&store.path);
    store.close().await;
    let mut connection = open::writer(&path).await.unwrap();
    let newer = sqlx::raw_sql("PRAGMA user_version = 99");
    newer.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let fault = SqliteStore::open(directory.path().join("store"))
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("schema version 99"), "{fault}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_a_way_out() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    store.commit(0, proposal("one", shop())).await.unwrap();
    let path = Arc::clone(&store.path);
    store.close().await;

    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn[8192..12_288].fill(0xa5);
    for damaged in [torn, b"this is not a database, but long enough".repeat(9)] {
        std::fs::write(&path, damaged).unwrap();
        let fault = SqliteStore::open(directory.path().join("store"))
            .await
            .unwrap_err();
        assert!(matches!(fault, StoreError::Corrupt { .. }), "{fault}");
        assert!(fault.to_string().contains("restore it from a backup"));
    }
}

#[tokio::test]
async fn a_content_that_was_changed_behind_our_back_is_noticed() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    commit_ports(&store, 1).await;
    let path = Arc::clone(&store.path);
    store.close().await;
    let mut connection = open::writer(&path).await.unwrap();
    let flip = sqlx::raw_sql("UPDATE blobs SET content = x'0a0165'");
    flip.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let fault = open(&directory).await.head().await.unwrap_err();
    assert!(matches!(fault, StoreError::Corrupt { .. }), "{fault}");
}

mod access;

#[tokio::test]
async fn its_files_are_for_their_owner_also_where_others_can_look() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(&directory).await;
    commit_ports(&store, 1).await;
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", entry.path());
    }
}

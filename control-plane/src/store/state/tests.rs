use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::samples::{resource, state, states};
use crate::store::diff::diff;

fn endpoints(name: &str, address: &str) -> v1::Resource {
    resource(&json!({"name": name, "endpoints": {"endpoints": [{"address": address}]}}))
}

fn key(name: &str) -> ResourceKey {
    ResourceKey::new(v1::Kind::Endpoints, name)
}

#[test]
fn changes_say_what_became_of_each_resource_ordered_by_kind_and_name() {
    let before = state(&[
        json!({"name": "b", "endpoints": {"endpoints": [{"address": "127.0.0.1:1"}]}}),
        json!({"name": "c", "endpoints": {}}),
        json!({"name": "d", "endpoints": {}}),
        json!({"name": "untouched", "endpoints": {}}),
    ]);
    let given = vec![
        endpoints("c", "127.0.0.1:2"),
        endpoints("b", "127.0.0.1:1"),
        endpoints("a", "127.0.0.1:1"),
    ];
    let (after, changes) = apply(&before, given, &[key("d")]).unwrap();

    let told: Vec<(String, v1::ChangeAction)> = changes
        .iter()
        .map(|change| (change.id.clone().unwrap().name, change.action()))
        .collect();
    assert_eq!(
        told,
        [
            ("a".to_owned(), v1::ChangeAction::Created),
            ("b".to_owned(), v1::ChangeAction::Unchanged),
            ("c".to_owned(), v1::ChangeAction::Configured),
            ("d".to_owned(), v1::ChangeAction::Deleted),
        ]
    );
    assert_eq!(changes[2].before.as_ref(), before.get(&key("c")));
    assert_eq!(changes[2].after.as_ref(), after.get(&key("c")));
    assert!(after.contains_key(&key("untouched")) && !after.contains_key(&key("d")));
}

#[test]
fn every_fault_of_a_change_is_told() {
    let unspecified = v1::Resource {
        name: "x".to_owned(),
        spec: None,
    };
    let given = vec![
        unspecified,
        endpoints("a", "127.0.0.1:1"),
        endpoints("a", "127.0.0.1:2"),
    ];
    let faults = apply(&DesiredState::new(), given, &[key("a"), key("absent")]).unwrap_err();

    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "Resource/x: has no `spec`, which tells its kind",
            "Endpoints/a: is given twice",
            "Endpoints/a: is to be deleted, and is given or deleted already",
            "Endpoints/absent: cannot be deleted: it does not exist",
        ]
    );
}

proptest! {
    #[test]
    fn applying_a_difference_leads_to_the_other_state(a in states(), b in states()) {
        let difference = diff(&a, &b);
        let given: Vec<v1::Resource> =
            difference.iter().filter_map(|change| change.after.clone()).collect();
        let deletions: Vec<ResourceKey> = difference
            .iter()
            .filter(|change| change.action() == v1::ChangeAction::Deleted)
            .filter_map(|change| change.id.as_ref().map(ResourceKey::from))
            .collect();
        let (after, changes) = apply(&a, given, &deletions).unwrap();

        prop_assert_eq!(after, b);
        prop_assert_eq!(changes, difference);
    }
}

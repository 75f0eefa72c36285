use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::model::samples::{resource, state};
use crate::store::ResourceKey;

const CANARY: &str = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n";

fn seal(byte: u8) -> Seal {
    Seal::new(&[byte; KEY]).unwrap()
}

#[test]
fn a_sealed_text_opens_to_the_text_and_shows_nothing_of_it() {
    let seal = seal(1);
    for text in ["", "x", CANARY, &"long ".repeat(10_000)] {
        let sealed = seal.seal(text).unwrap();
        assert!(is_sealed(&sealed), "{sealed}");
        assert!(!sealed.contains("canary") && !sealed.contains("PRIVATE"));
        assert_eq!(seal.open(&sealed).unwrap().expose(), text.as_bytes());
    }
    assert_eq!(format!("{seal:?}"), "Seal { .. }");
}

#[test]
fn the_same_text_seals_to_the_same_and_another_to_another() {
    let (one, other) = (seal(1), seal(2));
    let sealed = one.seal(CANARY).unwrap();

    assert_eq!(sealed, one.seal(CANARY).unwrap());
    assert_ne!(sealed, one.seal("x").unwrap());
    assert_ne!(sealed, other.seal(CANARY).unwrap());
    assert_eq!(shown(&sealed).len(), "redacted:sha256:".len() + 16);
    assert_eq!(shown(&sealed), shown(&one.seal(CANARY).unwrap()));
    assert_ne!(shown(&sealed), shown(&other.seal(CANARY).unwrap()));
}

#[test]
fn another_key_and_every_damage_is_noticed() {
    let sealed = seal(1).seal(CANARY).unwrap();
    let fault = seal(2).open(&sealed).unwrap_err();
    assert!(matches!(fault, SealFault::Closed), "{fault:?}");

    let body = sealed.strip_prefix(SEALED).unwrap();
    let bytes = STANDARD.decode(body).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let text = format!("{SEALED}{}", STANDARD.encode(damaged));
        assert!(seal(1).open(&text).is_err(), "{at}");
    }
    for bad in [
        "",
        SEALED,
        CANARY,
        "evenkeel-sealed:v1:AAAA",
        "evenkeel-sealed:v1:?",
    ] {
        assert!(seal(1).open(bad).is_err(), "{bad}");
        assert!(!is_sealed(bad), "{bad}");
        assert_eq!(shown(bad), "redacted:sha256:", "{bad}");
    }
}

#[test]
fn the_key_is_made_once_and_only_its_owner_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let sealed = Seal::of(directory.path(), false).unwrap().seal(CANARY);
    let again = Seal::of(directory.path(), true).unwrap();
    assert_eq!(
        again.open(&sealed.unwrap()).unwrap().expose(),
        CANARY.as_bytes()
    );

    let path = directory.path().join("seal.key");
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(found.len(), 32);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    let other = tempfile::tempdir().unwrap();
    Seal::of(other.path(), false).unwrap();
    let key = |directory: &tempfile::TempDir| std::fs::read(directory.path().join("seal.key"));
    assert_ne!(key(&directory).unwrap(), key(&other).unwrap());
}

#[test]
fn half_a_key_of_an_earlier_start_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("seal.key.new"), b"half").unwrap();
    Seal::of(directory.path(), false).unwrap();
    assert!(!directory.path().join("seal.key.new").exists());
}

#[test]
fn a_key_that_is_missed_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let fault = Seal::of(directory.path(), true).unwrap_err().to_string();
    assert!(fault.contains("seal.key is missing"), "{fault}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    std::fs::write(directory.path().join("seal.key"), b"short").unwrap();
    let fault = Seal::of(directory.path(), false).unwrap_err().to_string();
    assert!(fault.contains("is not a key"), "{fault}");
}

#[test]
fn what_is_shown_for_a_stored_text_means_that_text_in_its_place_only() {
    let seal = seal(1);
    let pair = |chain: &str, key: &str| {
        json!({"name": "s", "secret": {"certificate": {
            "chain": {"inline": chain}, "privateKey": {"inline": key}}}})
    };
    let admit = |value| seal.admit(vec![resource(&value)]).unwrap();
    let stored = admit(pair("chain", CANARY)).settle(&state(&[]));
    assert!(!format!("{stored:?}").contains("canary"));
    let state = [(ResourceKey::of(&stored[0]), stored[0].clone())].into();

    let mut seen = stored[0].clone();
    redact(&mut seen);
    let (chain, key) = (
        shown(&seal.seal("chain").unwrap()),
        shown(&seal.seal(CANARY).unwrap()),
    );
    assert_eq!(seen, resource(&pair(&chain, &key)));

    let again = seal.admit(vec![seen]).unwrap().settle(&state);
    assert_eq!(again, stored);
    let swapped = admit(pair(&key, &chain)).settle(&state);
    assert_eq!(swapped, [resource(&pair(&key, &chain))]);
}

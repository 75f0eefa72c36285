use std::os::unix::fs::PermissionsExt;

use evenkeel_shared::ir;
use evenkeel_shared::xds::{Resource, encode};

use super::*;
use crate::xds::sample::cluster;

fn held(names: &[&str]) -> Held {
    let mut held = Held::default();
    for name in names {
        let resource = Resource::Cluster(cluster(name));
        let accepted = Accepted {
            version: "v".into(),
            encoded: encode(&resource).value.into(),
            ignored: Arc::default(),
            value: resource.into(),
        };
        held.insert(&Key::new(ResourceType::Cluster, *name), accepted);
    }
    held
}

fn names(image: &Image) -> Vec<&str> {
    let keys = image.resources.iter().map(|(key, _)| key.name.as_ref());
    keys.collect()
}

#[test]
fn what_was_written_is_read() {
    let content = render("edge-1", "7", 1_700_000_000, &held(&["a", "b"]));
    let image = parse(&content, "edge-1").unwrap();
    assert_eq!(image.version, "7");
    assert_eq!(image.written_at, 1_700_000_000);
    assert_eq!(names(&image), ["a", "b"]);
    assert!(matches!(
        parse(&content, "edge-2"),
        Err(Unusable::OtherNode(_))
    ));
}

#[test]
fn a_file_cut_or_changed_at_any_byte_is_not_used() {
    let content = render("n", "7", 0, &held(&["a"]));
    for length in 0..content.len() {
        assert!(parse(&content[..length], "n").is_err(), "cut at {length}");
    }
    for place in 0..content.len() {
        let mut changed = content.clone();
        changed[place] ^= 0x40;
        assert!(parse(&changed, "n").is_err(), "changed at {place}");
    }
}

#[test]
fn lengths_that_lie_are_found_even_under_a_right_digest() {
    let content = render("n", "7", 0, &held(&["a"]));
    let body = &content[..content.len() - DIGEST_BYTES];
    for place in MAGIC.len()..body.len() {
        let mut changed = body.to_vec();
        changed[place] ^= 0x80;
        let digest = Sha256::digest(&changed);
        changed.extend_from_slice(&digest);
        // Any answer is right; that there is one is what counts.
        let _ = parse(&changed, "n");
    }
}

#[test]
fn a_damaged_file_gives_way_to_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &render("n", "1", 0, &held(&["a"]))).unwrap();
    let newest = render("n", "2", 0, &held(&["a", "b"]));
    write(directory.path(), &newest).unwrap();
    assert_eq!(load(directory.path(), "n").unwrap().version, "2");

    let current = directory.path().join(CURRENT);
    for length in (0..newest.len()).step_by(7) {
        fs::write(&current, &newest[..length]).unwrap();
        assert_eq!(load(directory.path(), "n").unwrap().version, "1");
    }
    fs::remove_file(&current).unwrap();
    assert_eq!(load(directory.path(), "n").unwrap().version, "1");
}

#[test]
fn only_the_owner_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &render("n", "1", 0, &held(&["a"]))).unwrap();
    let found = fs::metadata(directory.path().join(CURRENT)).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_write_that_was_cut_short_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(UNFINISHED), "half").unwrap();
    write(directory.path(), &render("n", "1", 0, &held(&["a"]))).unwrap();
    assert_eq!(load(directory.path(), "n").unwrap().version, "1");
}

#[test]
fn the_last_draft_is_written_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let status = Arc::new(Status::default());
    let writer = Writer::start(directory.path().join("state"), Arc::clone(&status)).unwrap();
    for revision in 1..=50 {
        writer.save("n", revision.to_string().into(), held(&["a"]));
    }
    writer.finish();
    let image = load(&directory.path().join("state"), "n").unwrap();
    assert_eq!(image.version, "50");
    assert_ne!(status.saved_at.load(Ordering::Relaxed), 0);
}

#[test]
fn no_key_and_no_certificate_is_written_and_names_of_files_are() {
    use crate::tls::sample::{Authority, file_pair, inline_pair};

    let mut held = held(&["a"]);
    let pair = Authority::new().pair("shop.test");
    let paths = (PathBuf::from("/tls/web.pem"), PathBuf::from("/tls/web.key"));
    let mut mixed = inline_pair("mixed", &pair);
    if let ir::SecretContent::Certificate(source) = &mut mixed.content {
        source.chain = ir::DataSource::File("/tls/web.pem".to_owned());
    }
    for secret in [
        inline_pair("inline", &pair),
        file_pair("file", &paths),
        mixed,
    ] {
        let key = Key::new(ResourceType::Secret, secret.name.as_str());
        let accepted = Accepted {
            version: "v".into(),
            encoded: Arc::default(),
            ignored: Arc::default(),
            value: Resource::Secret(secret).into(),
        };
        held.insert(&key, accepted);
    }
    let content = render("n", "7", 0, &held);
    let text = String::from_utf8_lossy(&content);
    for line in pair.key.lines().chain(pair.chain.lines()) {
        assert!(!text.contains(line), "{line}");
    }
    let image = parse(&content, "n").unwrap();
    assert_eq!(names(&image), ["a", "file"]);
    let Value::Secret(file) = &image.resources[1].1.value else {
        panic!("{image:?}");
    };
    assert_eq!(**file, file_pair("file", &paths));
}

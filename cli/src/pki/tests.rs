//! Authorities and certificates in a directory, as a user makes them.

use std::os::unix::fs::PermissionsExt;

use clap::Parser;
use evenkeel_shared::tls::{Identity, Pair};
use jiff::SignedDuration;

use super::*;
use crate::render::testing::captured;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: PkiArgs,
}

/// A directory for an authority.
struct Desk(tempfile::TempDir);

impl Desk {
    /// With an authority in it.
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.run("init --dir DIR").unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("pki").join(name)
    }

    /// Runs a command line; `DIR` stands for the directory. Both outputs.
    fn run(&self, line: &str) -> Result<(String, String), Failure> {
        let directory = self.path("").display().to_string();
        let directory = directory.trim_end_matches('/');
        let words = line.split(' ').map(|word| word.replace("DIR", directory));
        let words = std::iter::once("pki".to_owned()).chain(words);
        let args = Line::try_parse_from(words).unwrap().args;
        let (mut terminal, memory) = captured();
        run(&args, &mut terminal)?;
        Ok((memory.out(), memory.err()))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn identity(&self, name: &str) -> Identity {
        let chain = self.read(&format!("{name}.crt"));
        let key = self.read(&format!("{name}.key"));
        Pair::read(&chain, &key).unwrap().identity
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = std::fs::metadata(self.path(name)).unwrap();
        metadata.permissions().mode() & 0o777
    }
}

#[test]
fn an_authority_is_for_its_owner_and_is_never_overwritten() {
    let desk = Desk::new();
    let modes = ["", "ca.key", "ca.crt"].map(|name| desk.mode(name));
    assert_eq!(modes, [0o700, 0o600, 0o644]);
    let before = desk.read("ca.key");
    let failure = desk.run("init --dir DIR").unwrap_err();
    assert!(failure.to_string().contains("not overwritten"), "{failure}");
    assert_eq!(desk.read("ca.key"), before);
    let years = SignedDuration::from_secs(desk.identity("ca").not_after).as_hours() / 24 / 365;
    assert!(years > 60, "{years}");
}

#[test]
fn the_limits_are_told() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let (out, err) = desk.run("init --dir DIR").unwrap();
    assert_eq!(out.lines().count(), 2, "{out}");
    for limit in ["unencrypted", "revoked", "small set-ups"] {
        assert!(err.contains(limit), "{err}");
    }
}

#[test]
fn certificates_carry_the_names_of_what_they_are_for() {
    let desk = Desk::new();
    for line in [
        "control-plane cp --dns control.example.internal --ip 10.0.0.5",
        "proxy edge-1 --group edge --group shop",
        "admin alice",
        "user bob",
        "server shop --dns shop.example.com --dns *.shop.example.com",
    ] {
        desk.run(&format!("issue {line} --dir DIR")).unwrap();
    }
    let names = |name: &str| desk.identity(name).names();
    assert_eq!(
        names("cp"),
        [
            "localhost",
            "control.example.internal",
            "127.0.0.1",
            "::1",
            "10.0.0.5",
            "spiffe://evenkeel/control-plane/cp"
        ]
    );
    assert_eq!(
        names("edge-1"),
        [
            "spiffe://evenkeel/proxy/edge-1",
            "spiffe://evenkeel/group/edge",
            "spiffe://evenkeel/group/shop"
        ]
    );
    assert_eq!(names("alice"), ["spiffe://evenkeel/admin/alice"]);
    assert_eq!(names("bob"), ["spiffe://evenkeel/user/bob"]);
    assert_eq!(names("shop"), ["shop.example.com", "*.shop.example.com"]);
    assert_eq!((desk.mode("cp.key"), desk.mode("cp.crt")), (0o600, 0o644));
    let chain = String::from_utf8(desk.read("cp.crt")).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "{chain}");
}

#[test]
fn everything_that_is_wrong_with_an_order_is_said_at_once() {
    let desk = Desk::new();
    let failure = desk
        .run("issue admin ../alice --dns x --group g --dir DIR")
        .unwrap_err();
    assert_eq!(failure.exit_code(), 2);
    let said = failure.to_string();
    for fault in [
        "NAME `../alice`",
        "--dns and --ip",
        "--group is for proxy and group",
    ] {
        assert!(said.contains(fault), "{said}");
    }
    for line in [
        "server shop",
        "server shop --dns bad_name!",
        "proxy edge-1 --group a/b",
        "user CA",
    ] {
        let failure = desk.run(&format!("issue {line} --dir DIR")).unwrap_err();
        assert_eq!(failure.exit_code(), 2, "{line}: {failure}");
    }
}

#[test]
fn no_certificate_outlives_its_authority() {
    let desk = Desk(tempfile::tempdir().unwrap());
    desk.run("init --dir DIR --lifetime 30d").unwrap();
    let (_, err) = desk.run("issue user bob --dir DIR").unwrap();
    assert!(err.contains("its authority ends then"), "{err}");
    assert_eq!(
        desk.identity("bob").not_after,
        desk.identity("ca").not_after
    );
    let (_, err) = desk.run("issue user eve --lifetime 1d --dir DIR").unwrap();
    assert_eq!(err, "");
    let later = Timestamp::now() + SignedDuration::from_hours(31 * 24);
    let ended = Authority::load(&desk.path(""), later).err().unwrap();
    assert!(ended.to_string().contains("it ended at"), "{ended}");
}

#[test]
fn a_clock_that_is_five_minutes_behind_takes_a_new_certificate() {
    let desk = Desk::new();
    desk.run("issue user bob --dir DIR").unwrap();
    let now = Timestamp::now().as_second();
    let age = now - desk.identity("bob").not_before;
    assert!((300..400).contains(&age), "{age}");
}

#[test]
fn a_certificate_is_renewed_only_on_demand() {
    let desk = Desk::new();
    desk.run("issue user bob --dir DIR").unwrap();
    let before = desk.identity("bob").fingerprint;
    let failure = desk.run("issue user bob --dir DIR").unwrap_err();
    assert!(failure.to_string().contains("bob.crt"), "{failure}");
    desk.run("issue user bob --dir DIR --replace").unwrap();
    assert_ne!(desk.identity("bob").fingerprint, before);
}

#[test]
fn an_authority_whose_key_is_not_its_own_cannot_sign() {
    let (desk, other) = (Desk::new(), Desk::new());
    std::fs::write(desk.path("ca.key"), other.read("ca.key")).unwrap();
    let failure = desk.run("issue user bob --dir DIR").unwrap_err();
    assert!(
        failure.to_string().contains("not that of the certificate"),
        "{failure}"
    );
    let nowhere = desk.run("issue user bob --dir DIR/none").unwrap_err();
    assert!(nowhere.to_string().contains("pki init"), "{nowhere}");
}

#[test]
fn what_stands_in_a_certificate_is_shown_and_no_key() {
    let desk = Desk::new();
    desk.run("issue proxy edge-1 --group edge --dir DIR")
        .unwrap();
    let (out, _) = desk.run("show DIR/edge-1.crt").unwrap();
    for part in [
        "CN=edge-1",
        "spiffe://evenkeel/group/edge",
        " days left)",
        "edge-1.key fits",
        "CN=Evenkeel authority of evenkeel",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (out, _) = desk.run("show DIR/edge-1.crt DIR/ca.crt -o json").unwrap();
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value[0]["key"]["fits"], true);
    assert_eq!(value[0]["certificates"][0]["valid"], true);
    assert_eq!(value[1]["certificates"][0]["uris"][0], "spiffe://evenkeel");
    let failure = desk.run("show DIR/edge-1.key").unwrap_err();
    assert!(failure.to_string().contains("no certificate"), "{failure}");
}

#[test]
fn one_run_makes_everything_and_a_second_one_changes_nothing() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let line = "init --dir DIR --if-absent --issue control-plane/cp,dns=cp.internal,ip=10.0.0.5 \
                --issue group/edge --issue admin/root";
    let (out, _) = desk.run(line).unwrap();
    assert_eq!(out.lines().count(), 8, "{out}");
    assert_eq!(
        desk.identity("edge").names(),
        ["spiffe://evenkeel/group/edge"]
    );
    let before = desk.identity("cp").fingerprint;
    let (out, err) = desk.run(line).unwrap();
    assert_eq!(out, "");
    assert!(err.contains("cp is there and holds"), "{err}");
    assert_eq!(desk.identity("cp").fingerprint, before);
    let other = line.replace("cp.internal", "cp.example");
    assert_eq!(desk.run(&other).unwrap().0.lines().count(), 2);
    assert!(
        desk.identity("cp")
            .names()
            .contains(&"cp.example".to_owned())
    );
}

#[test]
fn a_run_makes_again_what_ends_soon_or_lost_its_key() {
    let desk = Desk::new();
    let line = "init --dir DIR --if-absent --issue user/bob";
    desk.run(line).unwrap();
    let before = desk.identity("bob").fingerprint;
    let at = |days: i64| {
        let wanted = ["user/bob".parse().unwrap()];
        let ready = batch::check(&wanted, Duration::from_hours(90 * 24)).unwrap();
        let now = Timestamp::now() + SignedDuration::from_hours(days * 24);
        batch::issue(&desk.path(""), ready, &mut captured().0, now).unwrap();
        desk.identity("bob").fingerprint
    };
    assert_eq!(at(59), before);
    let renewed = at(61);
    assert_ne!(renewed, before);
    std::fs::remove_file(desk.path("bob.key")).unwrap();
    desk.run(line).unwrap();
    assert_ne!(desk.identity("bob").fingerprint, renewed);
}

#[test]
fn nothing_is_made_if_anything_wanted_is_wrong() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let failure = desk
        .run("init --dir DIR --issue server/shop --issue user/bob,group=a --issue user/Bob")
        .unwrap_err();
    assert_eq!(failure.exit_code(), 2);
    for fault in ["`shop`", "`bob`", "given twice"] {
        assert!(failure.to_string().contains(fault), "{failure}");
    }
    assert!(!desk.path("ca.crt").exists());
    for bad in ["bob", "nobody/bob", "user/bob,x=y", "server/shop,ip=a"] {
        assert!(bad.parse::<Wanted>().is_err(), "{bad}");
    }
    desk.run("init --dir DIR").unwrap();
    let failure = desk
        .run("init --dir DIR --if-absent --trust-domain other")
        .unwrap_err();
    assert!(failure.to_string().contains("trust-domain"), "{failure}");
}

use evenkeel_shared::tls::Identity;

use super::*;

fn identity(not_before: i64, not_after: i64) -> Identity {
    Identity {
        uris: Vec::new(),
        dns: Vec::new(),
        addresses: Vec::new(),
        subject: String::new(),
        fingerprint: String::new(),
        not_before,
        not_after,
    }
}

#[test]
fn soon_is_two_weeks_or_a_third_of_a_short_life() {
    let long = identity(0, 90 * DAY);
    assert!(!is_ending(&long, 75 * DAY));
    assert!(is_ending(&long, 77 * DAY));
    assert!(is_ending(&long, 91 * DAY));
    let short = identity(0, DAY);
    assert!(!is_ending(&short, 15 * HOUR));
    assert!(is_ending(&short, 17 * HOUR));
}

#[test]
fn spans_are_hours_until_two_days() {
    assert_eq!(span(47 * HOUR), "47 hours");
    assert_eq!(span(49 * HOUR), "2 days");
}

//! What is wrong with certificates although the configuration was accepted. Pure.

use super::shown::{Overview, Shown, date};

/// A certificate that ends sooner is a problem, in seconds: two weeks.
const ENDS_SOON: i64 = 14 * DAY;
/// A day in seconds.
const DAY: i64 = 86_400;
/// Most problems that are told; the rest is counted.
const MOST: usize = 50;

/// What people should see to, in words. `now` is in seconds since 1970.
pub fn problems(found: &Overview, now: i64) -> Vec<String> {
    let errors = || found.places.iter().filter_map(|shown| shown.error.as_ref());
    let places = found.places.iter().flat_map(|shown| {
        let refused = shown.error.as_ref().map(|error| {
            if shown.certificates.is_empty() {
                error.to_string()
            } else {
                format!("{error}; the one before stays in use")
            }
        });
        refused.into_iter().chain(ending(shown, now))
    });
    let refusing = found.refusing.iter().filter_map(|(who, reason)| {
        let told = errors().any(|error| error == reason);
        (!told).then(|| format!("{who} refuses every handshake: {reason}"))
    });
    let mut all: Vec<String> = places.chain(refusing).collect();
    let rest = all.len().saturating_sub(MOST);
    if rest > 0 {
        all.truncate(MOST);
        all.push(format!("and {rest} more"));
    }
    all
}

fn ending(shown: &Shown, now: i64) -> Option<String> {
    let place = &shown.place;
    let what = if shown.trusted {
        "the last trusted certificate"
    } else {
        "the certificate"
    };
    let end = shown.not_after()?;
    let left = end.saturating_sub(now);
    if left > ENDS_SOON {
        return None;
    }
    let on = date(end);
    Some(match left {
        ..=0 => format!("{place}: {what} ended on {on}"),
        _ if left < DAY => format!("{place}: {what} ends on {on}, within a day"),
        _ => format!("{place}: {what} ends on {on}, in {} days", left / DAY),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_shared::tls::Identity;

    use super::*;
    use crate::tls::Place;

    fn shown(name: &str, ends: &[i64], error: Option<&str>) -> Shown {
        let identity = |end: &i64| Identity {
            uris: Vec::new(),
            dns: Vec::new(),
            addresses: Vec::new(),
            subject: String::new(),
            fingerprint: String::new(),
            not_before: 0,
            not_after: *end,
        };
        Shown {
            place: Place::Secret(name.into()),
            source: None,
            trusted: ends.len() > 1,
            certificates: ends.iter().map(identity).collect(),
            error: error.map(Arc::from),
        }
    }

    fn of(places: Vec<Shown>, refusing: Vec<(String, Arc<str>)>, now: i64) -> Vec<String> {
        problems(&Overview { places, refusing }, now)
    }

    #[test]
    fn a_certificate_is_a_problem_in_its_last_two_weeks_and_after() {
        let at = |now| of(vec![shown("web", &[100 * DAY], None)], Vec::new(), now);
        assert_eq!(at(85 * DAY), Vec::<String>::new());
        assert_eq!(
            at(90 * DAY),
            ["secret \"web\": the certificate ends on 1970-04-11T00:00:00Z, in 10 days"]
        );
        assert!(at(100 * DAY - 1)[0].ends_with("within a day"));
        assert!(at(100 * DAY)[0].contains("ended on"));
    }

    #[test]
    fn an_old_authority_beside_a_new_one_is_no_problem() {
        let bundle = |ends: &[i64]| of(vec![shown("ca", ends, None)], Vec::new(), 50 * DAY);
        assert!(bundle(&[DAY, 100 * DAY]).is_empty());
        assert!(bundle(&[DAY, 51 * DAY])[0].contains("the last trusted certificate"));
    }

    #[test]
    fn what_is_refused_is_told_once_and_with_what_is_used_instead() {
        let gone = "secret \"gone\" is missing";
        let places = vec![
            shown("gone", &[], Some(gone)),
            shown("web", &[100 * DAY], Some("bad")),
        ];
        let refusing = vec![
            ("listener \"a\"".to_owned(), Arc::from(gone)),
            ("cluster \"b\"".to_owned(), Arc::from("no name")),
        ];
        assert_eq!(
            of(places, refusing, 0),
            [
                gone,
                "bad; the one before stays in use",
                "cluster \"b\" refuses every handshake: no name"
            ]
        );
    }

    #[test]
    fn a_flood_is_cut() {
        let places = (0..80).map(|_| shown("web", &[], Some("bad"))).collect();
        let told = of(places, Vec::new(), 0);
        assert_eq!(told.len(), 51);
        assert_eq!(told[50], "and 30 more");
    }
}

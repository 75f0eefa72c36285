use std::net::Ipv4Addr;

use super::*;
use crate::xds::sample::dns_target;

fn at(millis: u64) -> Tick {
    Tick(0).plus(Duration::from_millis(millis))
}

fn answer(last_bytes: &[u8]) -> Answer {
    let address = |last: &u8| IpAddr::V4(Ipv4Addr::new(127, 0, 0, *last));
    Answer {
        addresses: last_bytes.iter().map(address).collect(),
        ttl: Duration::from_mins(10),
    }
}

fn wanting(target: &DnsTarget) -> Names {
    let mut names = Names::default();
    names.settle(&BTreeSet::from([target.clone()]), at(0));
    names
}

/// The addresses that the configuration side is told of the only name.
fn told(names: &mut Names, known: &Found, now: Tick) -> Option<Vec<String>> {
    let mut news = names.news(known, now);
    let (_, endpoints) = news.pop()?;
    let endpoints = endpoints.map(|found| found.endpoints.clone());
    let addresses = endpoints.unwrap_or_default().into_iter();
    Some(addresses.map(|found| found.address.to_string()).collect())
}

#[test]
fn an_answer_becomes_endpoints_in_order_and_once() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    names.answered(&target, Ok(answer(&[3, 1, 3])), at(10), 0);
    assert_eq!(
        told(&mut names, &Found::new(), at(10)).unwrap(),
        ["127.0.0.1:80", "127.0.0.3:80"]
    );
}

#[test]
fn a_failure_and_an_empty_answer_keep_the_last_endpoints() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    names.answered(&target, Ok(answer(&[1])), at(10), 0);
    let known: Found = names.news(&Found::new(), at(10)).into_iter().collect();
    names.answered(&target, Err("no such name".to_owned()), at(600), 0);
    names.answered(&target, Ok(answer(&[])), at(1_200), 0);
    assert_eq!(told(&mut names, &known, at(60_000)), None);
    let seen = &names.shown()[&target];
    assert_eq!((seen.failures, seen.answered), (2, Some(at(10))));
    assert_eq!(seen.failing.as_ref().unwrap().0, at(600));
    names.answered(&target, Ok(answer(&[1])), at(1_800), 0);
    assert_eq!(names.shown()[&target].failing, None);
    assert_eq!(told(&mut names, &known, at(60_000)), None);
}

#[test]
fn a_cluster_waits_five_seconds_for_its_first_answer() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    assert_eq!(told(&mut names, &Found::new(), at(4_999)), None);
    assert_eq!(told(&mut names, &Found::new(), at(5_000)), Some(Vec::new()));
    let known = Found::from([(target.clone(), None)]);
    assert_eq!(told(&mut names, &known, at(9_000)), None);
    names.answered(&target, Ok(answer(&[1])), at(9_000), 0);
    assert_eq!(told(&mut names, &known, at(9_000)).unwrap().len(), 1);
}

#[test]
fn what_was_not_heard_is_told_again() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    names.answered(&target, Ok(answer(&[1])), at(0), 0);
    assert!(told(&mut names, &Found::new(), at(0)).is_some());
    assert_eq!(told(&mut names, &Found::new(), at(999)), None);
    assert!(told(&mut names, &Found::new(), at(1_000)).is_some());
}

#[test]
fn a_name_is_asked_for_at_its_pace_whatever_the_answer_says() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    assert_eq!(names.due(9, at(0)).len(), 1);
    assert_eq!(names.due(9, at(0)), []);
    names.answered(&target, Ok(answer(&[1])), at(0), 0);
    assert_eq!(names.due(9, at(499)), []);
    assert_eq!(names.due(9, at(500)).len(), 1);
    names.answered(&target, Err("late".to_owned()), at(1_000), u64::MAX);
    assert_eq!(names.due(9, at(1_499)), []);
    assert_eq!(names.due(9, at(1_550)), [target]);
}

#[test]
fn an_answer_is_kept_for_its_life_if_that_is_wanted() {
    let mut target = dns_target("cart", 80);
    target.respect_ttl = true;
    let life = |ttl| pause(&target, Duration::from_secs(ttl));
    assert_eq!(life(0), target.refresh);
    assert_eq!(life(60), Duration::from_mins(1));
    assert_eq!(life(86_400), LONGEST_LIFE);
}

#[test]
fn a_lookup_that_never_ends_is_made_again() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    assert_eq!(names.due(9, at(0)).len(), 1);
    assert_eq!(names.due(9, at(29_999)).len(), 0);
    assert_eq!(names.due(9, at(30_000)).len(), 1);
}

#[test]
fn only_so_many_addresses_become_endpoints_and_the_rest_is_counted() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    let address = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0001 + number));
    let many = Answer {
        addresses: (0..1_250).map(address).collect(),
        ttl: Duration::ZERO,
    };
    names.answered(&target, Ok(many), at(0), 0);
    assert_eq!(told(&mut names, &Found::new(), at(0)).unwrap().len(), 1_000);
    assert_eq!(names.shown()[&target].left_out, 250);
}

#[test]
fn an_address_that_would_lead_to_this_host_is_none() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    let sinkhole = Answer {
        addresses: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        ttl: Duration::ZERO,
    };
    names.answered(&target, Ok(sinkhole), at(0), 0);
    assert_eq!(told(&mut names, &Found::new(), at(0)), None);
    assert_eq!(names.shown()[&target].failures, 1);
}

#[test]
fn a_name_that_nobody_wants_is_forgotten() {
    let target = dns_target("cart", 80);
    let mut names = wanting(&target);
    names.answered(&target, Ok(answer(&[1])), at(0), 0);
    names.settle(&BTreeSet::new(), at(1));
    assert!(names.shown().is_empty());
    assert_eq!(told(&mut names, &Found::new(), at(9_000)), None);
}

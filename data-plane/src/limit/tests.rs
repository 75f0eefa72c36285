use std::collections::HashMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

/// A request with at most one field, `x-key`.
struct Request(Option<&'static str>);

impl Head for Request {
    fn method(&self) -> &'static str {
        "GET"
    }
    fn authority(&self) -> &'static str {
        "shop.example"
    }
    fn target(&self) -> &'static str {
        "/"
    }
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.first_value(name).into_iter().for_each(each);
    }
    fn first_value(&self, name: &str) -> Option<&[u8]> {
        self.0.filter(|_| name == "x-key").map(str::as_bytes)
    }
}

const PLAIN: Request = Request(None);
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn limit(tokens: u32, per: Duration, burst: u32) -> ir::RateLimit {
    ir::RateLimit {
        tokens,
        per,
        burst,
        key: None,
    }
}

fn millis(millis: u64) -> Tick {
    Tick(0).plus(Duration::from_millis(millis))
}

#[test]
fn a_bucket_begins_full_and_fills_in_fractions() {
    let limiter = Limiter::new(&limit(10, Duration::from_secs(1), 3), 0);
    let take = |now| limiter.take(&PLAIN, CLIENT, millis(now)).allowed;
    assert_eq!(
        [take(0), take(0), take(0), take(0)],
        [true, true, true, false]
    );
    assert_eq!([take(99), take(100), take(100)], [false, true, false]);
    assert_eq!([take(150), take(200)], [false, true]);
}

#[test]
fn a_verdict_tells_what_is_left_and_when_to_come_back() {
    let limiter = Limiter::new(&limit(10, Duration::from_secs(1), 2), 0);
    let take = |now| limiter.take(&PLAIN, CLIENT, millis(now));
    let first = Verdict {
        allowed: true,
        limit: 10,
        remaining: 1,
        reset: Duration::from_millis(100),
        retry_after: Duration::ZERO,
    };
    assert_eq!(take(0), first);
    let second = Verdict {
        remaining: 0,
        retry_after: Duration::from_millis(100),
        ..first
    };
    assert_eq!(take(0), second);
    let refused = Verdict {
        allowed: false,
        reset: Duration::from_millis(70),
        retry_after: Duration::from_millis(70),
        ..second
    };
    assert_eq!(take(30), refused);
    assert!(take(100).allowed);
}

#[test]
fn clients_do_not_share_a_bucket_but_two_forms_of_an_address_do() {
    let keyed = ir::RateLimit {
        key: Some(ir::RateLimitKey::ClientAddress),
        ..limit(1, Duration::from_secs(1), 1)
    };
    let limiter = Limiter::new(&keyed, 9);
    let take = |text: &str| {
        let client = text.parse().unwrap();
        limiter.take(&PLAIN, client, Tick(0)).allowed
    };
    assert!(take("192.0.2.1"));
    assert!(take("192.0.2.2"));
    assert!(!take("192.0.2.1"));
    assert!(!take("::ffff:192.0.2.2"));
    assert!(take("2001:db8::1"));
}

#[test]
fn requests_without_the_field_share_a_bucket() {
    let keyed = ir::RateLimit {
        key: Some(ir::RateLimitKey::Header("x-key".to_owned())),
        ..limit(1, Duration::from_secs(1), 1)
    };
    let limiter = Limiter::new(&keyed, 9);
    let take = |request: Request| limiter.take(&request, CLIENT, Tick(0)).allowed;
    assert!(take(Request(Some("a"))));
    assert!(take(Request(Some("b"))));
    assert!(!take(Request(Some("a"))));
    assert!(take(Request(None)));
    assert!(!take(Request(None)));
}

#[test]
fn workers_together_take_no_more_than_there_is() {
    let limiter = Limiter::new(&limit(1, Duration::from_hours(1), 100), 0);
    let granted: usize = std::thread::scope(|scope| {
        let take = || limiter.take(&PLAIN, CLIENT, Tick(0)).allowed;
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(move || (0..100).filter(|_| take()).count()))
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    assert_eq!(granted, 100);
}

#[test]
fn extreme_limits_hold() {
    for (tokens, per, burst) in [
        (u32::MAX, Duration::from_nanos(1), u32::MAX),
        (1, Duration::MAX, u32::MAX),
        (1, Duration::MAX, 1),
        (0, Duration::ZERO, 0),
    ] {
        let limiter = Limiter::new(&limit(tokens, per, burst), 0);
        assert!(limiter.take(&PLAIN, CLIENT, Tick(0)).allowed);
        limiter.take(&PLAIN, CLIENT, Tick(u64::MAX));
    }
}

proptest! {
    /// In every window, each key gets at most what flows in plus one burst, and
    /// no less than that when it always asks.
    #[test]
    fn no_window_grants_more_than_rate_and_burst(
        tokens in 1_u32..200,
        per_millis in 1_u64..5_000,
        burst in 1_u32..20,
        requests in prop::collection::vec((0_u64..40_000_000, 0_u8..3), 1..150),
    ) {
        let keyed = ir::RateLimit {
            key: Some(ir::RateLimitKey::ClientAddress),
            ..limit(tokens, Duration::from_millis(per_millis), burst)
        };
        let limiter = Limiter::new(&keyed, 77);
        let mut granted: HashMap<u8, Vec<u64>> = HashMap::new();
        let mut now = Tick(0);
        for (passed, client) in requests {
            now = now.plus(Duration::from_nanos(passed));
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, client));
            if limiter.take(&PLAIN, address, now).allowed {
                granted.entry(client).or_default().push(now.0);
            }
        }
        for times in granted.values() {
            for (first, start) in times.iter().enumerate() {
                for (count, end) in (1_u128..).zip(&times[first..]) {
                    let flowed = u128::from(end - start) * u128::from(tokens);
                    let per = u128::from(per_millis) * 1_000_000;
                    prop_assert!((count - u128::from(burst).min(count)) * per <= flowed);
                }
            }
        }
    }

    #[test]
    fn whoever_waits_as_told_is_let_in(
        tokens in 1_u32..1_000,
        per_millis in 1_u64..100_000,
        burst in 1_u32..5,
    ) {
        let limiter = Limiter::new(&limit(tokens, Duration::from_millis(per_millis), burst), 0);
        let mut now = Tick(0);
        for _ in 0..20 {
            let verdict = limiter.take(&PLAIN, CLIENT, now);
            if !verdict.allowed {
                now = now.plus(verdict.retry_after);
                prop_assert!(limiter.take(&PLAIN, CLIENT, now).allowed);
            }
        }
    }
}

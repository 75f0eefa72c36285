use std::time::Duration;

use evenkeel_shared::ir::{
    Domain, HeaderMatch, HeaderTest, PathMatch, QueryMatch, QueryTest, RouteMatch, StringMatch,
    VirtualHost,
};
use proptest::prelude::*;

use super::*;

struct Request {
    method: &'static str,
    authority: String,
    target: String,
    fields: Vec<(&'static str, &'static str)>,
}

impl Head for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn authority(&self) -> &str {
        &self.authority
    }
    fn target(&self) -> &str {
        &self.target
    }
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let values = self.fields.iter().filter(|(field, _)| *field == name);
        values.for_each(|(_, value)| each(value.as_bytes()));
    }
    fn first_value(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.fields.iter().filter(|(field, _)| *field == name);
        values.next().map(|(_, value)| value.as_bytes())
    }
}

fn get(target: &str) -> Request {
    Request {
        method: "GET",
        authority: "shop.example".to_owned(),
        target: target.to_owned(),
        fields: Vec::new(),
    }
}

fn path(path: PathMatch) -> RouteMatch {
    RouteMatch {
        path,
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn prefix(text: &str) -> RouteMatch {
    path(PathMatch::Prefix(text.to_owned()))
}

fn route(name: usize, matches: RouteMatch) -> ir::Route {
    ir::Route {
        name: name.to_string(),
        matches,
        action: ir::Action::Respond(ir::Respond {
            status: 200,
            body: String::new(),
        }),
        request_headers: ir::HeaderEdits::default(),
        response_headers: ir::HeaderEdits::default(),
        rate_limit: None,
    }
}

fn host(domain: Domain, routes: Vec<RouteMatch>) -> VirtualHost {
    VirtualHost {
        name: format!("{domain:?}"),
        domains: vec![domain],
        routes: (0..).zip(routes).map(|(i, m)| route(i, m)).collect(),
    }
}

/// A table of one host for all names, whose routes carry their place.
fn table(routes: Vec<RouteMatch>) -> Table<usize> {
    build(vec![host(Domain::Any, routes)]).unwrap()
}

fn build(hosts: Vec<VirtualHost>) -> Result<Table<usize>, Vec<Invalid>> {
    let table = ir::RouteTable {
        name: "table".into(),
        hosts,
        ignore_port: true,
    };
    Table::build(&table, |route| route.name.parse().unwrap())
}

fn found(table: &Table<usize>, request: &Request) -> Option<(usize, usize)> {
    table
        .find(request)
        .map(|found| (*found.route, found.matched))
}

#[test]
fn the_first_route_that_matches_is_taken_whatever_its_kind() {
    let table = table(vec![
        path(PathMatch::Exact("/api/x".to_owned())),
        prefix("/api/x/y"),
        path(PathMatch::Regex("/api/[a-z]+".to_owned())),
        path(PathMatch::Segments("/api".to_owned())),
        prefix("/"),
    ]);
    assert_eq!(found(&table, &get("/api/x?q")), Some((0, 6)));
    assert_eq!(found(&table, &get("/api/x/yz")), Some((1, 8)));
    assert_eq!(found(&table, &get("/api/z")), Some((2, 6)));
    assert_eq!(found(&table, &get("/api/1")), Some((3, 4)));
    assert_eq!(found(&table, &get("/api")), Some((3, 4)));
    assert_eq!(found(&table, &get("/apis")), Some((4, 1)));
    assert_eq!(found(&table, &get("*")), None);
}

#[test]
fn a_host_without_a_matching_route_does_not_fall_back_to_another() {
    let table = build(vec![
        host(Domain::Any, vec![prefix("/")]),
        host(
            Domain::Exact("shop.example".to_owned()),
            vec![prefix("/shop")],
        ),
    ])
    .unwrap();
    assert_eq!(found(&table, &get("/other")), None);
    let elsewhere = Request {
        authority: "other.example".to_owned(),
        ..get("/other")
    };
    assert!(table.find(&elsewhere).is_some());
    assert_eq!(table.iter().count(), 2);
}

#[test]
fn methods_are_compared_as_they_stand() {
    let table = table(vec![RouteMatch {
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        ..prefix("/")
    }]);
    let with = |method| Request { method, ..get("/") };
    assert!(table.find(&with("HEAD")).is_some());
    assert!(table.find(&with("POST")).is_none());
    assert!(table.find(&with("get")).is_none());
}

/// Whether a condition on `x-a` holds for the fields.
fn header_holds(test: HeaderTest, invert: bool, fields: &[(&'static str, &'static str)]) -> bool {
    let name = "x-a".to_owned();
    let table = table(vec![RouteMatch {
        headers: vec![HeaderMatch { name, test, invert }],
        ..prefix("/")
    }]);
    let request = Request {
        fields: fields.to_vec(),
        ..get("/")
    };
    table.find(&request).is_some()
}

#[test]
fn header_conditions_hold_as_they_do_in_envoy() {
    let one = || HeaderTest::Value(StringMatch::Exact("1".to_owned()));
    assert!(header_holds(one(), false, &[("x-a", "1")]));
    assert!(!header_holds(one(), true, &[("x-a", "1")]));
    assert!(header_holds(one(), true, &[("x-a", "2")]));
    assert!(!header_holds(one(), false, &[]));
    assert!(
        !header_holds(one(), true, &[]),
        "a missing field fails both"
    );
    let joined = HeaderTest::Value(StringMatch::Exact("1,2".to_owned()));
    assert!(header_holds(joined, false, &[("x-a", "1"), ("x-a", "2")]));
    assert!(header_holds(
        HeaderTest::Present(true),
        false,
        &[("x-a", "")]
    ));
    assert!(header_holds(HeaderTest::Present(false), false, &[]));
    assert!(header_holds(HeaderTest::Present(true), true, &[]));
}

#[test]
fn query_conditions_look_at_the_first_of_a_name() {
    let holds = |test, target| {
        let name = "q".to_owned();
        let query = vec![QueryMatch { name, test }];
        let table = table(vec![RouteMatch {
            query,
            ..prefix("/")
        }]);
        table.find(&get(target)).is_some()
    };
    let one = || QueryTest::Value(StringMatch::Exact("1".to_owned()));
    assert!(holds(one(), "/?a=2&q=1&q=2"));
    assert!(!holds(one(), "/?q=2&q=1"));
    assert!(!holds(one(), "/?qq=1"));
    assert!(!holds(one(), "/"));
    assert!(holds(QueryTest::Present(true), "/?q"));
    assert!(holds(QueryTest::Present(false), "/?"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let bad = || StringMatch::Regex("(".to_owned());
    let wrong = RouteMatch {
        path: PathMatch::Regex("[".to_owned()),
        headers: vec![HeaderMatch {
            name: "x-a".to_owned(),
            test: HeaderTest::Value(bad()),
            invert: false,
        }],
        query: vec![QueryMatch {
            name: "q".to_owned(),
            test: QueryTest::Value(bad()),
        }],
        ..prefix("/")
    };
    let faults = build(vec![
        host(Domain::Any, vec![prefix("/"), wrong]),
        host(Domain::Any, Vec::new()),
    ])
    .unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "hosts[0].routes[1].matches.path",
            "hosts[0].routes[1].matches.headers[0]",
            "hosts[0].routes[1].matches.query[0]",
            "hosts[1].domains[0]",
        ]
    );
}

#[test]
fn a_hundred_thousand_routes_are_not_tried_one_by_one() {
    let routes = (0..100_000).map(|i| match i % 3 {
        0 => path(PathMatch::Exact(format!("/e/{i}"))),
        1 => prefix(&format!("/p/{i}/")),
        _ => path(PathMatch::Segments(format!("/s/{i}"))),
    });
    let matches: Vec<RouteMatch> = routes.collect();
    let index = PathIndex::build(matches.iter().map(|one| &one.path));
    for target in ["/e/99999", "/p/1/x", "/s/50000/x", "/nothing"] {
        let mut asked = 0;
        index.first(target.as_bytes(), |_| {
            asked += 1;
            false
        });
        assert!(asked <= 6, "{target}: {asked}");
    }
}

fn any_path() -> impl Strategy<Value = PathMatch> {
    let text = "(/[ab]{0,2}){1,3}";
    let segments = "(/[ab]{1,2}){1,2}";
    prop_oneof![
        text.prop_map(PathMatch::Exact),
        "[ab/]{0,3}".prop_map(PathMatch::Prefix),
        text.prop_map(PathMatch::Prefix),
        segments.prop_map(PathMatch::Segments),
        Just(PathMatch::Regex("/[ab]/.*".to_owned())),
    ]
}

fn any_match() -> impl Strategy<Value = RouteMatch> {
    (any_path(), any::<bool>(), any::<bool>()).prop_map(|(one, post, header)| {
        let present = HeaderMatch {
            name: "x-a".to_owned(),
            test: HeaderTest::Present(true),
            invert: false,
        };
        RouteMatch {
            methods: post.then(|| "POST".to_owned()).into_iter().collect(),
            headers: header.then_some(present).into_iter().collect(),
            ..path(one)
        }
    })
}

fn any_domain() -> impl Strategy<Value = Domain> {
    prop_oneof![
        "[ab]{1,2}(\\.[ab]{1,2}){0,2}".prop_map(Domain::Exact),
        "(\\.[ab]{1,2}){1,2}".prop_map(Domain::Suffix),
        "([ab]{1,2}\\.){1,2}".prop_map(Domain::Prefix),
        Just(Domain::Any),
    ]
}

/// How well a pattern fits a host: kind and length.
fn fit(domain: &Domain, host: &str) -> Option<(u8, usize)> {
    match domain {
        Domain::Exact(name) => (name == host).then_some((3, 0)),
        Domain::Suffix(end) => {
            (host.len() > end.len() && host.ends_with(end)).then_some((2, end.len()))
        }
        Domain::Prefix(begin) => {
            (host.len() > begin.len() && host.starts_with(begin)).then_some((1, begin.len()))
        }
        Domain::Any => Some((0, 0)),
    }
}

fn naive_path(path: &PathMatch, text: &str) -> bool {
    match path {
        PathMatch::Exact(whole) => whole == text,
        PathMatch::Prefix(begin) => text.starts_with(begin),
        PathMatch::Segments(begin) => text == begin || text.starts_with(&format!("{begin}/")),
        PathMatch::Regex(_) => text.starts_with("/a/") || text.starts_with("/b/"),
    }
}

fn naive_route(matches: &RouteMatch, request: &Request) -> bool {
    naive_path(&matches.path, request.path())
        && (matches.methods.is_empty() || request.method == "POST")
        && (matches.headers.is_empty() || !request.fields.is_empty())
}

proptest! {
    #[test]
    fn the_index_finds_what_a_linear_search_finds(
        routes in prop::collection::vec(any_match(), 0..30),
        targets in prop::collection::vec("(/[ab]{0,3}){1,4}(\\?a)?", 1..20),
        post: bool,
        header: bool,
    ) {
        let table = table(routes.clone());
        for target in targets {
            let request = Request {
                method: if post { "POST" } else { "GET" },
                fields: header.then_some(("x-a", "1")).into_iter().collect(),
                ..get(&target)
            };
            let expected = routes.iter().position(|one| naive_route(one, &request));
            prop_assert_eq!(table.find(&request).map(|found| *found.route), expected);
        }
    }

    #[test]
    fn the_best_pattern_of_a_host_wins(
        domains in prop::collection::btree_set(any_domain(), 1..12),
        name in "[ab]{1,2}(\\.[ab]{1,2}){0,3}",
        port in prop::option::of(1_u16..),
    ) {
        let hosts = domains.iter().enumerate().map(|(i, domain)| VirtualHost {
            name: i.to_string(),
            domains: vec![domain.clone()],
            routes: vec![route(i, prefix("/"))],
        });
        let table = build(hosts.collect()).unwrap();
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let request = Request {
            authority: format!("{}{port}", name.to_uppercase()),
            ..get("/")
        };
        let best = domains
            .iter()
            .enumerate()
            .filter_map(|(i, domain)| fit(domain, &name).map(|fit| (fit, i)))
            .max()
            .map(|(_, i)| i);
        prop_assert_eq!(table.find(&request).map(|found| *found.route), best);
    }
}

#[test]
fn a_route_may_carry_anything() {
    let one = ir::RouteTable {
        name: "table".into(),
        hosts: vec![host(Domain::Any, vec![prefix("/")])],
        ignore_port: false,
    };
    let table = Table::build(&one, |_| Duration::from_secs(1)).unwrap();
    assert_eq!(
        table.find(&get("/")).map(|found| *found.route),
        Some(Duration::from_secs(1))
    );
    assert!(Table::<u8>::default().find(&get("/")).is_none());
}

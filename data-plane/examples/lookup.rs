//! Asks a table of routes or a balancer of any size the same number of questions,
//! so that their cost can be counted from outside.
//!
//! ```text
//! lookup routes-by-host 100000 1000
//! lookup pick 10000 1000
//! ```
//!
//! Prints the time of a question in nanoseconds. `evenkeel-bench lookup` runs it
//! under valgrind's callgrind, which counts what happens in [`find_all`] and
//! [`pick_all`], and nothing else.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use evenkeel_data_plane::balance::{Balancer, HostIndex, Loads, Pick};
use evenkeel_data_plane::clock::Clock;
use evenkeel_data_plane::head::Head;
use evenkeel_data_plane::route::Table;
use evenkeel_data_plane::tick::Tick;
use evenkeel_shared::ir::{self, Domain, LbPolicy, PathMatch};
use evenkeel_shared::names::RouteTableName;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, size, questions] = arguments.as_slice() else {
        bail!("usage: lookup KIND SIZE QUESTIONS");
    };
    let (size, questions): (u32, u32) = (size.parse()?, questions.parse()?);
    let took = match kind.as_str() {
        "routes-by-host" => routes(&by_host(size), questions, |n| {
            (format!("shop-{}.example.com", n % size), "/".to_owned())
        })?,
        "routes-by-path" => routes(&by_path(size, PathMatch::Exact), questions, |n| {
            ("any.example.com".to_owned(), path(n % size))
        })?,
        "routes-by-prefix" => routes(&by_path(size, PathMatch::Segments), questions, |n| {
            (
                "any.example.com".to_owned(),
                format!("{}/items/7", path(n % size)),
            )
        })?,
        "pick" => picks(size, questions, |_| 1)?,
        "pick-by-weight" => picks(size, questions, |n| 1 + n % 7)?,
        other => bail!("{other}: no such kind"),
    };
    let nanos = took.as_secs_f64() * 1e9 / f64::from(questions);
    writeln!(std::io::stdout(), "{nanos:.1}").context("output")
}

/// A question for a route.
struct Request {
    authority: String,
    target: String,
}

impl Head for Request {
    fn method(&self) -> &'static str {
        "GET"
    }
    fn authority(&self) -> &str {
        &self.authority
    }
    fn target(&self) -> &str {
        &self.target
    }
    fn each_value(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
    fn first_value(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// Paths as an API with many versions and collections has them.
fn path(number: u32) -> String {
    format!("/api/v{}/collection-{number}", number % 10)
}

fn route(path: PathMatch) -> ir::Route {
    ir::Route {
        name: String::new(),
        matches: ir::RouteMatch {
            path,
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: ir::Action::Respond(ir::Respond {
            status: 200,
            body: String::new(),
        }),
        request_headers: ir::HeaderEdits::default(),
        response_headers: ir::HeaderEdits::default(),
        rate_limit: None,
    }
}

fn table(hosts: Vec<ir::VirtualHost>) -> ir::RouteTable {
    ir::RouteTable {
        name: RouteTableName::from("lookup"),
        hosts,
        ignore_port: true,
    }
}

fn by_host(size: u32) -> ir::RouteTable {
    let hosts = (0..size).map(|n| ir::VirtualHost {
        name: n.to_string(),
        domains: vec![Domain::Exact(format!("shop-{n}.example.com"))],
        routes: vec![route(PathMatch::Prefix("/".to_owned()))],
    });
    table(hosts.collect())
}

fn by_path(size: u32, condition: fn(String) -> PathMatch) -> ir::RouteTable {
    table(vec![ir::VirtualHost {
        name: "any".to_owned(),
        domains: vec![Domain::Any],
        routes: (0..size).map(|n| route(condition(path(n)))).collect(),
    }])
}

/// Numbers that jump about.
fn scattered(questions: u32) -> impl Iterator<Item = u32> {
    (0..questions).map(|n| n.wrapping_mul(2_654_435_761) >> 4)
}

fn routes(
    table: &ir::RouteTable,
    questions: u32,
    ask: impl Fn(u32) -> (String, String),
) -> anyhow::Result<Duration> {
    let mut number = 0_u32;
    let built = Table::build(table, |_| {
        number += 1;
        number
    });
    let table = built.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let requests = scattered(questions).map(|n| {
        let (authority, target) = ask(n);
        Request { authority, target }
    });
    let requests: Vec<Request> = requests.collect();
    let clock = Clock::start();
    let began = clock.now();
    let found = find_all(&table, &requests);
    let took = since(&clock, began);
    anyhow::ensure!(found == requests.len(), "{found} found");
    Ok(took)
}

fn since(clock: &Clock, began: Tick) -> Duration {
    Duration::from_nanos(clock.now().0.saturating_sub(began.0))
}

/// What is counted.
#[inline(never)]
fn find_all(table: &Table<u32>, requests: &[Request]) -> usize {
    let found = requests.iter().filter(|request| {
        let found = table.find(*request);
        black_box(found).is_some()
    });
    found.count()
}

/// Endpoints with other loads each.
struct Busy(Vec<u32>);

impl Loads for Busy {
    fn active(&self, host: HostIndex) -> u32 {
        usize::try_from(host.0).map_or(0, |at| self.0.get(at).copied().unwrap_or(0))
    }
}

fn picks(size: u32, questions: u32, weight: fn(u32) -> u32) -> anyhow::Result<Duration> {
    let hosts: Vec<(HostIndex, u32)> = (0..size).map(|n| (HostIndex(n), weight(n))).collect();
    let balancer = Balancer::build(LbPolicy::LeastRequest { choices: 2 }, &hosts, 7);
    let loads = Busy(scattered(size).map(|n| n % 100).collect());
    let entropy: Vec<u64> = scattered(questions)
        .map(|n| u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .collect();
    let clock = Clock::start();
    let began = clock.now();
    let picked = pick_all(&balancer, &loads, &entropy);
    let took = since(&clock, began);
    anyhow::ensure!(picked == entropy.len(), "{picked} picked");
    Ok(took)
}

/// What is counted.
#[inline(never)]
fn pick_all(balancer: &Balancer, loads: &Busy, entropy: &[u64]) -> usize {
    let picked = entropy.iter().filter(|entropy| {
        let pick = Pick {
            now: Tick(0),
            entropy: **entropy,
            affinity: None,
            tried: &[],
        };
        black_box(balancer.pick(loads, &pick)).is_some()
    });
    picked.count()
}

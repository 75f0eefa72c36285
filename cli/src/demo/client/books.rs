//! The customers' books: every request that was begun, and how it ended.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::traffic::Wish;
use super::doors::Taken;

/// Proxies that have a page of their own; those after them share the totals.
const MAX_PROXIES: usize = 64;
/// Losses that are kept with their words.
const MAX_WORDS: usize = 20;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// There was a whole answer.
    Answered(StatusCode),
    /// The connection ended after the request was sent; why.
    Cut(String),
    /// No proxy took it.
    Unreachable,
    /// There was no answer in time.
    TimedOut,
}

/// The books.
#[derive(Debug)]
pub(super) struct Books {
    now: Mutex<Ledger>,
    /// As it was when the last line was printed.
    before: Mutex<Ledger>,
}

/// What is written in the books.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ledger {
    begun: u64,
    served: u64,
    limited: u64,
    refused: u64,
    cut: u64,
    unreachable: u64,
    timed_out: u64,
    orders: u64,
    orders_lost: u64,
    closed: u64,
    proxies: BTreeMap<SocketAddr, Page>,
    words: VecDeque<String>,
}

/// What is written of one proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Page {
    requests: u64,
    lost: u64,
}

impl Ledger {
    fn lost(&self) -> u64 {
        self.refused + self.cut + self.unreachable + self.timed_out
    }

    fn ended(&self) -> u64 {
        self.served + self.limited + self.lost()
    }

    /// Writes down how a request ended; answers whether it was lost.
    fn judge(&mut self, wish: Wish, fate: &Fate) -> bool {
        let count = match fate {
            Fate::Answered(status) if status.is_success() => {
                self.orders += u64::from(wish == Wish::Order);
                self.served += 1;
                return false;
            }
            Fate::Answered(StatusCode::TOO_MANY_REQUESTS) if wish == Wish::Offers => {
                self.limited += 1;
                return false;
            }
            Fate::Answered(_) => &mut self.refused,
            Fate::Cut(_) => &mut self.cut,
            Fate::Unreachable => &mut self.unreachable,
            Fate::TimedOut => &mut self.timed_out,
        };
        *count += 1;
        self.orders_lost += u64::from(wish == Wish::Order);
        true
    }

    fn page(&mut self, taken: Taken) -> Option<&mut Page> {
        let proxy = taken.proxy?;
        if self.proxies.len() >= MAX_PROXIES && !self.proxies.contains_key(&proxy) {
            return None;
        }
        Some(self.proxies.entry(proxy).or_default())
    }
}

impl Books {
    /// Empty ones.
    pub(super) fn new() -> Self {
        Self {
            now: Mutex::default(),
            before: Mutex::default(),
        }
    }

    /// A request begins.
    pub(super) fn begun(&self) {
        self.now.lock().begun += 1;
    }

    /// A request ended.
    pub(super) fn ended(&self, wish: Wish, fate: Fate, taken: &Taken) {
        let mut ledger = self.now.lock();
        ledger.closed += taken.closed;
        let lost = ledger.judge(wish, &fate);
        if let Some(page) = ledger.page(*taken) {
            page.requests += 1;
            page.lost += u64::from(lost);
        }
        if lost {
            if ledger.words.len() >= MAX_WORDS {
                ledger.words.pop_front();
            }
            let (method, path) = wish.request();
            let proxy = taken.proxy;
            let proxy = proxy.map_or("no proxy".to_owned(), |proxy| proxy.to_string());
            let why = match fate {
                Fate::Answered(status) => status.to_string(),
                Fate::Cut(why) => format!("cut: {why}"),
                Fate::Unreachable => "unreachable".to_owned(),
                Fate::TimedOut => "timed out".to_owned(),
            };
            ledger
                .words
                .push_back(format!("{method} {path} through {proxy}: {why}"));
        }
    }

    /// Requests that did not get what they should have.
    pub(super) fn lost(&self) -> u64 {
        self.now.lock().lost()
    }

    /// The line of this second.
    pub(super) fn line(&self, since: Duration) -> String {
        let now = self.now.lock().clone();
        let before = std::mem::replace(&mut *self.before.lock(), now.clone());
        format!(
            "{:>5} s  {:>4} served  {:>2} limited  {:>3} lost  (all: {} of {}, {} under way)",
            since.as_secs(),
            now.served - before.served,
            now.limited - before.limited,
            now.lost() - before.lost(),
            now.lost(),
            now.begun,
            now.begun - now.ended(),
        )
    }

    /// All of it.
    pub(super) fn json(&self) -> Value {
        let ledger = self.now.lock().clone();
        let proxies = ledger.proxies.iter().map(|(address, page)| {
            let page = json!({ "requests": page.requests, "lost": page.lost });
            (address.to_string(), page)
        });
        json!({
            "requests": ledger.begun,
            "underWay": ledger.begun - ledger.ended(),
            "served": ledger.served,
            "limited": ledger.limited,
            "lost": {
                "all": ledger.lost(),
                "refused": ledger.refused,
                "cut": ledger.cut,
                "unreachable": ledger.unreachable,
                "timedOut": ledger.timed_out,
            },
            "orders": { "placed": ledger.orders, "lost": ledger.orders_lost },
            "closedDoors": ledger.closed,
            "proxies": proxies.collect::<serde_json::Map<_, _>>(),
            "newestLosses": ledger.words,
        })
    }

    /// What there is to say at the end.
    pub(super) fn summary(&self) -> String {
        let ledger = self.now.lock().clone();
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} requests: {} served, {} limited, {} lost, {} without an end",
            ledger.begun,
            ledger.served,
            ledger.limited,
            ledger.lost(),
            ledger.begun - ledger.ended()
        );
        let _ = writeln!(
            text,
            "lost: {} answered with an error, {} cut, {} unreachable, {} timed out",
            ledger.refused, ledger.cut, ledger.unreachable, ledger.timed_out
        );
        let _ = writeln!(
            text,
            "orders: {} placed, {} lost; closed doors: {}",
            ledger.orders, ledger.orders_lost, ledger.closed
        );
        for (address, page) in &ledger.proxies {
            let _ = writeln!(
                text,
                "{address}: {} requests, {} lost",
                page.requests, page.lost
            );
        }
        for words in &ledger.words {
            let _ = writeln!(text, "{words}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_that_begins_ends_in_exactly_one_column() {
        let books = Books::new();
        let proxy = Some(SocketAddr::from(([127, 0, 0, 1], 80)));
        let fates = [
            (Wish::Catalogue, Fate::Answered(StatusCode::OK)),
            (Wish::Order, Fate::Answered(StatusCode::OK)),
            (Wish::Offers, Fate::Answered(StatusCode::TOO_MANY_REQUESTS)),
            (Wish::Cart, Fate::Answered(StatusCode::TOO_MANY_REQUESTS)),
            (Wish::Order, Fate::Cut("reset".to_owned())),
            (Wish::Cart, Fate::TimedOut),
            (Wish::Cart, Fate::Unreachable),
        ];
        for (wish, fate) in fates {
            books.begun();
            books.ended(wish, fate, &Taken { proxy, closed: 1 });
        }
        books.begun();
        let told = books.json();
        assert_eq!(
            (&told["requests"], &told["underWay"]),
            (&json!(8), &json!(1))
        );
        assert_eq!((&told["served"], &told["limited"]), (&json!(2), &json!(1)));
        assert_eq!(told["lost"]["all"], 4);
        assert_eq!(told["orders"], json!({ "placed": 1, "lost": 1 }));
        assert_eq!(
            told["proxies"]["127.0.0.1:80"],
            json!({ "requests": 7, "lost": 4 })
        );
        assert_eq!(told["newestLosses"].as_array().unwrap().len(), 4);
        assert!(books.line(Duration::from_secs(1)).contains("2 served"));
        assert!(books.line(Duration::from_secs(2)).contains("0 served"));
    }
}

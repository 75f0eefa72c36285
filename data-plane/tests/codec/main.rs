//! The HTTP/1.1 codec against hyper, byte for byte, over a corpus of proper
//! messages, of known attacks, and of changes of both. `EVENKEEL_CASES` says how
//! many of them are made at random.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what is not there fails the test"
)]

mod corpus;
mod judge;
mod mutate;
mod ours;
mod property;
mod reading;
mod theirs;

use evenkeel_data_plane::message::Method;

use crate::mutate::Draw;
use crate::ours::Side;

/// How many random cases each test makes.
fn cases() -> usize {
    let told = std::env::var("EVENKEEL_CASES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// Every case with all that was found against it.
fn report(objections: &[(Vec<u8>, String)]) {
    let some: Vec<String> = objections
        .iter()
        .take(20)
        .map(|(case, what)| format!("{}\n    {what}", case.escape_ascii()))
        .collect();
    assert!(
        some.is_empty(),
        "{} cases:\n{}",
        objections.len(),
        some.join("\n")
    );
}

/// Proper cases that are changed at every place.
fn bases(all: &[Vec<u8>], beginnings: &[&str]) -> Vec<Vec<u8>> {
    let base = |beginning: &&str| {
        let mut found = all
            .iter()
            .filter(|case| case.starts_with(beginning.as_bytes()));
        found.next().expect("it is in the corpus").clone()
    };
    beginnings.iter().map(base).collect()
}

fn all_requests() -> Vec<Vec<u8>> {
    let mut all = corpus::requests();
    let bases = bases(
        &all,
        &[
            "POST /first HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n",
            "POST /first HTTP/1.0\r\nhost: shop\r\nconnection: keep-alive\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n",
        ],
    );
    let mut draw = Draw(1);
    let random = |_| mutate::random(&all, &mut draw);
    let mut more: Vec<Vec<u8>> = (0..cases()).map(random).collect();
    more.extend(bases.iter().flat_map(|base| mutate::systematic(base)));
    all.append(&mut more);
    all
}

fn all_responses() -> Vec<Vec<u8>> {
    let mut all = corpus::responses();
    let bases = bases(
        &all,
        &[
            "HTTP/1.1 200 OK\r\nserver: a\r\ncontent-length: 5\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello",
        ],
    );
    let mut draw = Draw(2);
    let random = |_| mutate::random(&all, &mut draw);
    let mut more: Vec<Vec<u8>> = (0..cases()).map(random).collect();
    more.extend(bases.iter().flat_map(|base| mutate::systematic(base)));
    all.append(&mut more);
    all
}

#[test]
fn requests_are_read_as_hyper_reads_them() {
    let mut objections = Vec::new();
    for case in all_requests() {
        let bytes = [&case, corpus::NEXT_REQUEST].concat();
        let ours = ours::read(Side::Requests, [bytes.as_slice()]);
        let theirs = theirs::requests(&bytes);
        let objection = judge::objection(Side::Requests, &ours, &theirs);
        objections.extend(objection.map(|what| (bytes, what)));
    }
    report(&objections);
}

#[test]
fn responses_are_read_as_hyper_reads_them() {
    let mut objections = Vec::new();
    for case in all_responses() {
        for method in [Method::Get, Method::Head] {
            let side = Side::Response(method);
            let ours = ours::read(side, [case.as_slice()]);
            let theirs = theirs::response(method, &case);
            let objection = judge::objection(side, &ours, &theirs);
            objections.extend(objection.map(|what| (case.clone(), what)));
        }
    }
    report(&objections);
}

#[test]
fn connections_to_endpoints_are_used_again_only_when_hyper_would() {
    let mut objections = Vec::new();
    for case in all_responses() {
        for method in [Method::Get, Method::Head] {
            // Whoever finds bytes behind the response closes in any case.
            let Some((true, 0)) = ours::after_response(method, &case) else {
                continue;
            };
            if !theirs::is_kept_alive(method, &case) {
                objections.push((case.clone(), "only we use it again".to_owned()));
            }
        }
    }
    report(&objections);
}

#[test]
fn pieces_do_not_matter() {
    for case in all_requests() {
        let bytes = [&case, corpus::NEXT_REQUEST].concat();
        property::pieces_do_not_matter(Side::Requests, &bytes);
    }
    for case in all_responses() {
        property::pieces_do_not_matter(Side::Response(Method::Get), &case);
        property::pieces_do_not_matter(Side::Response(Method::Head), &case);
    }
}

#[test]
fn what_was_read_is_written_so_that_it_is_read_again() {
    for case in all_requests() {
        property::written_requests_are_read(&case);
    }
    for case in all_responses() {
        property::written_responses_are_read(Method::Get, &case);
        property::written_responses_are_read(Method::Head, &case);
        property::written_chunks_are_read(&case);
    }
}

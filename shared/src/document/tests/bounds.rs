//! Whatever the text is, reading ends, soon and without a panic.

use std::fmt::Write;

use proptest::prelude::*;

use super::{complaint, complaints};
use crate::document::read_all;

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{before}]").unwrap();
    }
    assert!(complaint(&text).contains("too much in one text"));
}

#[test]
fn a_long_text_repeated_by_aliases_is_refused() {
    let body = "y".repeat(1 << 20);
    let text = format!("a: &a \"{body}\"\nb: [{}]\n", "*a, ".repeat(100));
    assert!(complaint(&text).contains("too much in one text"));
}

#[test]
fn an_alias_inside_of_what_it_names_is_refused() {
    assert!(!complaints("a: &a [*a]\n").is_empty());
}

#[test]
fn nesting_is_bounded_through_aliases_as_well() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(complaints(&deep).len(), 1);
    let blocks = "- ".repeat(5000);
    assert_eq!(complaints(&blocks).len(), 1);
    let half = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let text = format!("a: &a {half}\nb: {}*a{}\n", "[".repeat(40), "]".repeat(40));
    assert!(complaint(&text).contains("nested too deeply"));
}

#[test]
fn a_text_beyond_the_limit_is_not_even_parsed() {
    let text = "#".repeat((16 << 20) + 1);
    assert!(complaint(&text).contains("a text must have at most 16777216"));
}

#[test]
fn thousands_of_errors_are_cut_and_counted() {
    let mut text = String::from("kind: Endpoints\nname: e\nspec:\n");
    for index in 0..3000 {
        writeln!(text, "  x{index}: 1").unwrap();
    }
    let lines = complaints(&text);
    assert_eq!(lines.len(), 1001);
    assert!(lines[1000].ends_with("2000 more errors are not shown"));
}

#[test]
fn what_comes_from_outside_is_repeated_only_in_part() {
    let text = format!("kind: {}\nname: e\nspec: {{}}\n", "k".repeat(100_000));
    assert!(complaint(&text).len() < 300);
}

/// Texts made of the pieces that documents are made of.
fn almost_documents() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "kind",
        "name",
        "spec",
        "items",
        "List",
        "Route",
        "Cluster",
        "rules",
        "retry",
        "on",
        "endpoints",
        "static",
        "loadBalancer",
        "leastRequest",
        "metadata",
        "selector",
        ": ",
        ":\n",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "---\n",
        "...\n",
        "|\n",
        ">\n",
        "? ",
        "null",
        "~",
        "12",
        "1.5s",
        "true",
        "é",
        "\t",
        "#",
        "%YAML 1.2\n",
        "\u{feff}",
        "\r\n",
        "<<",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

/// Reads a text and checks that every error lies inside of it.
fn read_and_check(text: &str) {
    let errors = read_all("x", text).errors;
    for error in errors {
        let location = &error.location;
        assert!(location.line >= 1 && location.column >= 1);
        let end = location.offset + location.length;
        assert!(
            text.get(location.offset..end).is_some(),
            "{error}: {location:?} in {text:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_string_makes_the_reader_panic(text in any::<String>()) {
        read_and_check(&text);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_and_check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn nothing_that_resembles_a_document_makes_the_reader_panic(text in almost_documents()) {
        read_and_check(&text);
    }
}

//! What a client wrote when it refused a response.

use std::collections::{BTreeMap, BTreeSet};

/// The longest text of a refusal that is kept, in bytes.
const DETAIL_LIMIT: usize = 4096;

/// How much of a refusal is searched for names, in bytes.
const TEXT_LIMIT: usize = 64 * 1024;

/// One refusal, as it is kept until the resource changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The client's words.
    pub detail: String,
    /// When it came, in nanoseconds of the stream's clock.
    pub at: u64,
    /// The revision that was refused.
    pub revision: u64,
    /// Whoever refused named no resource: the names in the response.
    pub suspects: BTreeSet<String>,
}

/// The text by the name of the refused resource. Our own proxies write one line
/// `type/name: path: reason` per fault; other texts are searched for words that
/// are names. Empty if no name can be told.
pub(super) fn by_name(text: &str, known: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let text = cut(text, TEXT_LIMIT);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        let Some((name, fault)) = named(line, &known) else {
            continue;
        };
        let detail = found.entry(name.to_owned()).or_default();
        if !detail.is_empty() {
            detail.push_str("; ");
        }
        detail.push_str(fault);
    }
    if found.is_empty() {
        let words = text
            .split(|c: char| !is_part_of_name(c))
            .map(|word| word.trim_end_matches([':', '.']))
            .filter(|word| !word.is_empty() && known(word));
        found.extend(words.map(|name| (name.to_owned(), text.to_owned())));
    }
    for detail in found.values_mut() {
        *detail = whole(detail);
    }
    found
}

/// The text, as much of it as is kept.
pub(super) fn whole(text: &str) -> String {
    cut(text, DETAIL_LIMIT).to_owned()
}

/// Splits `type/name: fault`. A name may itself contain a colon, so every
/// colon is tried.
fn named(line: &str, known: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let (_, rest) = line.trim().split_once('/')?;
    rest.match_indices(": ")
        .filter_map(|(at, colon)| Some((rest.get(..at)?, rest.get(at + colon.len()..)?)))
        .find(|(name, _)| known(name))
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':')
}

/// As much of the text as fits, cut between characters.
fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(names: &'static [&'static str]) -> impl Fn(&str) -> bool {
        move |name| names.contains(&name)
    }

    #[test]
    fn lines_of_our_proxies_are_told_apart_by_name() {
        let text =
            "Cluster/api: lb: bad policy\nCluster/api: x: worse\nCluster/a:b: y: no\nnonsense";
        let found = by_name(text, sent(&["api", "a:b", "fine"]));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [
                ("a:b".to_owned(), "y: no".to_owned()),
                ("api".to_owned(), "lb: bad policy; x: worse".to_owned())
            ]
        );
    }

    #[test]
    fn a_foreign_text_is_searched_for_whole_names() {
        let text = "Error adding/updating cluster(s) api: no such policy";
        let found = by_name(text, sent(&["api", "ap", "cluster-x"]));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["api"]);
    }

    #[test]
    fn a_text_without_names_belongs_to_nobody() {
        assert!(by_name("out of memory", sent(&["api"])).is_empty());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(5000);
        assert!(whole(&text).len() <= DETAIL_LIMIT);
    }
}

//! The word that was probably meant.

/// Longest word that is compared, in bytes; nobody misspells more than that.
const MAX_WORD: usize = 64;

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.is_empty() || word.len() > MAX_WORD {
        return None;
    }
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let bound = 1 + word.len() / 4;
    candidates
        .into_iter()
        .map(|candidate| {
            let other: Vec<char> = candidate.to_lowercase().chars().collect();
            (distance(&word, &other), candidate)
        })
        .filter(|(distance, candidate)| *distance <= bound && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Advice for a word that is none of `allowed`.
pub(super) fn advice(word: &str, allowed: &[&str]) -> String {
    match nearest(word, allowed.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None if allowed.is_empty() => "nothing is allowed here".to_owned(),
        None => format!("allowed: {}", allowed.join(", ")),
    }
}

/// Number of insertions, deletions, replacements and swaps of neighbours that
/// make one word of the other (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, &a) in left.iter().enumerate() {
        let mut next = Vec::with_capacity(right.len() + 1);
        next.push(i + 1);
        for (j, &b) in right.iter().enumerate() {
            let mut cost = (row[j] + usize::from(a != b))
                .min(row[j + 1] + 1)
                .min(next[j] + 1);
            if i > 0 && j > 0 && a == right[j - 1] && left[i - 1] == b {
                cost = cost.min(before[j - 1] + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_none_when_all_are_far() {
        let words = ["retries", "statusCodes", "backoff", "on"];
        assert_eq!(nearest("retris", words), Some("retries"));
        assert_eq!(nearest("reties", words), Some("retries"));
        assert_eq!(nearest("status_codes", words), Some("statusCodes"));
        assert_eq!(nearest("bakcoff", words), Some("backoff"));
        assert_eq!(nearest("attempts", words), None);
        assert_eq!(nearest("x", ["on"]), None);
        assert_eq!(nearest(&"r".repeat(1000), words), None);
    }

    #[test]
    fn swapped_neighbours_are_one_mistake() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("retrise"), &chars("retries")), 1);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
    }
}

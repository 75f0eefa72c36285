//! What callgrind dumps. Format: valgrind's manual, "Callgrind Format
//! Specification". Only self cost is read: inclusive cost is wrong where counting
//! began in the middle of calls.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::{Context, ensure};

use crate::statistics::float;

/// Instructions by function.
#[derive(Debug)]
pub(super) struct Profile {
    /// All of them.
    pub(super) total: f64,
    /// By function, the largest first.
    functions: Vec<(String, u64)>,
}

impl Profile {
    /// Reads a dump.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut costs: HashMap<&str, u64> = HashMap::new();
        let mut current = "";
        let mut skip = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                current = known(name, &mut names);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                known(name, &mut names);
            } else if line.starts_with("calls=") {
                // The next line is the inclusive cost of the call.
                skip = true;
            } else if line.starts_with(|sign: char| "+-*0123456789".contains(sign)) {
                let cost = line.split(' ').nth(1);
                if !std::mem::take(&mut skip)
                    && let Some(cost) = cost
                {
                    *costs.entry(current).or_default() += cost.parse::<u64>().context("cost")?;
                }
            }
        }
        ensure!(!costs.is_empty(), "callgrind has counted nothing");
        let mut functions: Vec<(String, u64)> = costs
            .into_iter()
            .map(|(id, cost)| (names.get(id).unwrap_or(&id).to_string(), cost))
            .collect();
        functions.sort_by(|(name, cost), (other, more)| more.cmp(cost).then(name.cmp(other)));
        let total: u64 = functions.iter().map(|(_, cost)| cost).sum();
        Ok(Self {
            total: float(usize::try_from(total)?),
            functions,
        })
    }

    /// The functions that need most.
    pub(super) fn table(&self, functions: usize, requests: u64) -> String {
        let requests = float(usize::try_from(requests).unwrap_or(usize::MAX));
        let mut text = String::new();
        for (name, cost) in self.functions.iter().take(functions) {
            let cost = float(usize::try_from(*cost).unwrap_or(usize::MAX));
            let share = cost / self.total * 100.0;
            let _ = writeln!(text, "{:>9.1} {share:>5.1} %  {name}", cost / requests);
        }
        text
    }
}

/// The id of a name such as `(12) main`, which is told once and then left out.
fn known<'a>(text: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    let (id, name) = text.split_once(' ').unwrap_or((text, ""));
    if !name.is_empty() {
        names.insert(id, name);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn self_cost_is_summed_by_function() {
        let dump = "version: 1\nevents: Ir\nfl=(1) a.rs\nfn=(1) main\n16 400\n+1 100\n\
            cfn=(2) parse\ncalls=3 50\n16 900\nfn=(2)\n51 600\n* 50\ntotals: 1150\n";
        let profile = Profile::read(dump).unwrap();
        assert!((profile.total - 1150.0).abs() < 1e-9);
        let expected = [("parse".to_owned(), 650), ("main".to_owned(), 500)];
        assert_eq!(profile.functions, expected);
        assert_eq!(profile.table(1, 10), "     65.0  56.5 %  parse\n");
        assert!(Profile::read("events: Ir\n").is_err());
    }
}

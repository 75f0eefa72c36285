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
    /// Those of the thread that has most.
    pub(super) busiest: f64,
    /// By function, the largest first.
    functions: Vec<(String, u64)>,
}

impl Profile {
    /// Reads the dumps of all threads.
    pub(super) fn read(dumps: &[String]) -> anyhow::Result<Self> {
        let mut costs: HashMap<&str, u64> = HashMap::new();
        let mut busiest = 0;
        for text in dumps {
            let before: u64 = costs.values().sum();
            add(text, &mut costs)?;
            let after: u64 = costs.values().sum();
            busiest = busiest.max(after - before);
        }
        ensure!(!costs.is_empty(), "callgrind has counted nothing");
        let mut functions: Vec<(String, u64)> = costs
            .into_iter()
            .map(|(name, cost)| (name.to_owned(), cost))
            .collect();
        functions.sort_by(|(name, cost), (other, more)| more.cmp(cost).then(name.cmp(other)));
        let total: u64 = functions.iter().map(|(_, cost)| cost).sum();
        Ok(Self {
            total: float(usize::try_from(total)?),
            busiest: float(usize::try_from(busiest)?),
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

/// Adds the self cost of each function in one dump.
fn add<'a>(text: &'a str, costs: &mut HashMap<&'a str, u64>) -> anyhow::Result<()> {
    let mut names: HashMap<&str, &str> = HashMap::new();
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
    Ok(())
}

/// The name behind an id such as `(12) main`, which is told once, and after that only
/// the id.
fn known<'a>(text: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    let (id, name) = text.split_once(' ').unwrap_or((text, ""));
    if !name.is_empty() {
        names.insert(id, name);
    }
    names.get(id).copied().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn self_cost_is_summed_by_function() {
        let dump = "version: 1\nevents: Ir\nfl=(1) a.rs\nfn=(1) main\n16 400\n+1 100\n\
            cfn=(2) parse\ncalls=3 50\n16 900\nfn=(2)\n51 600\n* 50\ntotals: 1150\n";
        let other = "events: Ir\nfn=(7) parse\n3 100\n";
        let profile = Profile::read(&[dump.to_owned(), other.to_owned()]).unwrap();
        assert!((profile.total - 1250.0).abs() < 1e-9);
        assert!((profile.busiest - 1150.0).abs() < 1e-9);
        let expected = [("parse".to_owned(), 750), ("main".to_owned(), 500)];
        assert_eq!(profile.functions, expected);
        assert_eq!(profile.table(1, 10), "     75.0  60.0 %  parse\n");
        assert!(Profile::read(&["events: Ir\n".to_owned()]).is_err());
    }
}

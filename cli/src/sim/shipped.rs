//! The scenarios that come with the program, and those of files.

use std::path::Path;

use evenkeel_shared::document;

use super::scenario::Scenario;
use crate::failure::Failure;
use crate::render::fault::Fault;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Every scenario that comes with the program.
const SHIPPED: [&str; 15] = [
    include_str!("scenarios/s0-baseline.yaml"),
    include_str!("scenarios/s1-slow-replica.yaml"),
    include_str!("scenarios/s2-failing-replica.yaml"),
    include_str!("scenarios/s2b-black-hole.yaml"),
    include_str!("scenarios/s3-crash.yaml"),
    include_str!("scenarios/s3b-freeze.yaml"),
    include_str!("scenarios/s4-gray-failure.yaml"),
    include_str!("scenarios/s5-overload.yaml"),
    include_str!("scenarios/s6-flapping.yaml"),
    include_str!("scenarios/s7-retry-storm.yaml"),
    include_str!("scenarios/s7b-retry-storm-two-tiers.yaml"),
    include_str!("scenarios/s11-cold-endpoint.yaml"),
    include_str!("scenarios/s12-negotiated-rates.yaml"),
    include_str!("scenarios/s13-rolling-replace.yaml"),
    include_str!("scenarios/s15-fleet.yaml"),
];

/// All of them.
///
/// # Errors
/// None, unless one that comes with the program is not valid.
pub(super) fn all() -> Result<Vec<Scenario>, Failure> {
    SHIPPED.iter().map(|text| read("shipped", text)).collect()
}

/// The scenario of this name (or of which this is the first word, as in `s1`), or
/// in this file.
///
/// # Errors
/// There is none; everything that is wrong with the one of a file.
pub(super) fn find(wanted: &str) -> Result<Scenario, Failure> {
    let path = Path::new(wanted);
    let is_file = path
        .extension()
        .is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
    if is_file {
        return read(wanted, &text(path)?);
    }
    let all = all()?;
    let names: Vec<String> = all.iter().map(|scenario| scenario.name.clone()).collect();
    let is_wanted = |name: &str| name == wanted || name.split('-').next() == Some(wanted);
    if let Some(found) = all.into_iter().find(|scenario| is_wanted(&scenario.name)) {
        return Ok(found);
    }
    let names = names.iter().map(String::as_str);
    let hint = document::nearest(wanted, names).map_or_else(
        || "`evenkeel sim list` shows all, and the name of a file ends with .yaml".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    Err(Failure::Usage(format!("no scenario {wanted}; {hint}")))
}

fn text(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let failed =
        |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot read {name}: {error}"));
    let size = std::fs::metadata(path)
        .map_err(|error| failed(&error))?
        .len();
    if size > MAX_FILE {
        return Err(failed(&format!("larger than {MAX_FILE} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}

fn read(name: &str, text: &str) -> Result<Scenario, Failure> {
    let scenario: Scenario = serde_saphyr::from_str(text).map_err(|error| {
        let said = error.without_snippet().to_string();
        Failure::Invalid(vec![Fault::elsewhere(Some(name.to_owned()), "", &said)])
    })?;
    scenario.check().map_err(|faults| {
        let faults = faults.into_iter();
        let faults =
            faults.map(|fault| Fault::elsewhere(Some(name.to_owned()), &fault.path, &fault.reason));
        Failure::Invalid(faults.collect())
    })?;
    Ok(scenario)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sim::settings::Settings;

    #[test]
    fn every_scenario_that_comes_with_the_program_is_valid() {
        let all = all().unwrap();
        let names: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), SHIPPED.len());
        let reference = include_str!("../../../docs/simulator.md");
        for scenario in &all {
            let row = format!("| `{}` | {} |", scenario.name, scenario.about);
            assert!(reference.contains(&row), "{row}");
            Settings::of_policy(&scenario.policy, scenario.endpoints.count).unwrap();
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_told() {
        let failure = find("s1-slow-replicas").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(
            failure
                .to_string()
                .contains("did you mean s1-slow-replica?")
        );
        assert_eq!(find("s2b").unwrap().name, "s2b-black-hole");
        assert_eq!(find("nowhere/mine.yaml").unwrap_err().exit_code(), 1);
    }

    #[test]
    fn everything_that_is_wrong_with_a_file_is_told_with_its_path() {
        let text = "{name: bad, about: bad, duration: 30s, proxies: [], \
                     clients: {rate: 100, customers: 5}, \
                     faults: [{at: 40s, endpoints: [11], what: {fail: {percent: 120}}}]}";
        let Failure::Invalid(faults) = read("bad.yaml", text).unwrap_err() else {
            panic!("it is invalid");
        };
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let paths = [
            "proxies",
            "clients",
            "faults[0].at",
            "faults[0].endpoints[0]",
            "faults[0].what.fail.percent",
        ];
        assert_eq!(told.len(), paths.len(), "{told:#?}");
        for (line, path) in told.iter().zip(paths) {
            assert!(line.starts_with(&format!("bad.yaml: {path}: ")), "{line}");
        }
        let unknown = read("bad.yaml", "{name: x, abuot: y}").unwrap_err();
        let Failure::Invalid(faults) = unknown else {
            panic!("it is invalid");
        };
        assert!(faults[0].to_string().contains("abuot"), "{}", faults[0]);
    }
}

//! Configuration files of the proxies with blanks for ports and paths.

use anyhow::{bail, ensure};

/// Values by the name of their blank.
#[derive(Debug, Default)]
pub(crate) struct Values {
    values: Vec<(&'static str, String)>,
}

impl Values {
    /// Sets the value of `{{name}}`.
    pub(crate) fn set(&mut self, name: &'static str, value: impl std::fmt::Display) {
        self.values.push((name, value.to_string()));
    }

    /// Fills every blank.
    ///
    /// # Errors
    /// If there is a blank without a value.
    pub(crate) fn fill(&self, template: &str) -> anyhow::Result<String> {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                bail!("a blank is not closed: {{{{{}", first_line(after));
            };
            let value = self.values.iter().find(|(known, _)| *known == name);
            ensure!(
                value.is_some(),
                "nothing is known of the blank {{{{{name}}}}}"
            );
            text.push_str(before);
            text.extend(value.map(|(_, value)| value.as_str()));
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Values;

    #[test]
    fn every_blank_is_filled() {
        let mut values = Values::default();
        values.set("port", 80);
        values.set("host", "a");
        assert_eq!(values.fill("{{host}}:{{port}}; {x}").unwrap(), "a:80; {x}");
        let missing = values.fill("{{hosts}}").unwrap_err().to_string();
        assert!(missing.contains("{{hosts}}"), "{missing}");
        assert!(values.fill("{{host").is_err());
    }
}

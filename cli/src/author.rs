//! Who makes changes, unless the command line says so: `alice@laptop`.

use std::fs;

/// Who makes a change: `given`, or the user of this process and its machine.
pub(crate) fn author(given: Option<&str>) -> String {
    if let Some(author) = given {
        return author.to_owned();
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| set("HOSTNAME"))
        .unwrap_or_else(|| "localhost".to_owned());
    format!("{}@{}", user(), host.trim())
}

/// The name of the user; its number if it has no name, as in many containers.
fn user() -> String {
    if let Some(name) = set("USER").or_else(|| set("LOGNAME")) {
        return name;
    }
    let Some(uid) = uid() else {
        return "unknown".to_owned();
    };
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    login(&users, uid).map_or_else(|| format!("uid-{uid}"), str::to_owned)
}

fn set(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

/// The user id: the kernel shows a process's directory as its user's.
fn uid() -> Option<u32> {
    let process = fs::metadata("/proc/self").ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&process))
}

/// The name in passwd(5) that belongs to a user id.
fn login(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\n# odd\nalice:x:1000:1000::/home/alice:\n";
        assert_eq!(login(users, 1000), Some("alice"));
        assert_eq!(login(users, 0), Some("root"));
        assert_eq!(login(users, 7), None);
    }

    #[test]
    fn what_is_given_is_taken_as_it_is() {
        assert_eq!(author(Some("deploy bot")), "deploy bot");
    }
}

//! What a change did, and what it would do: one line per resource, or a diff
//! of the YAML.

use std::borrow::Cow;
use std::io;

use evenkeel_shared::document;
use evenkeel_shared::proto::v1::{Change, ChangeAction, Resource};
use similar::{ChangeTag, TextDiff};

use crate::kind;
use crate::render::{BOLD, CYAN, DIM, GREEN, RED, Terminal, YELLOW, conceal, styled};

/// Lines of context around a difference.
const CONTEXT: usize = 3;

/// Writes `route/shop created` for every change.
pub(crate) fn list(terminal: &mut Terminal, changes: &[Change], dry_run: bool) -> io::Result<()> {
    for change in changes {
        let (word, style) = match change.action() {
            ChangeAction::Unspecified => continue,
            ChangeAction::Created => ("created", GREEN),
            ChangeAction::Configured => ("configured", YELLOW),
            ChangeAction::Unchanged => ("unchanged", DIM),
            ChangeAction::Deleted => ("deleted", RED),
        };
        let note = if dry_run { " (dry run)" } else { "" };
        terminal.line(format_args!(
            "{} {}{note}",
            label(change),
            styled(style, word)
        ))?;
    }
    Ok(())
}

/// `route/shop`.
pub(crate) fn label(change: &Change) -> String {
    change.id.as_ref().map(kind::label).unwrap_or_default()
}

/// Writes a unified diff of every resource that differs; answers how many.
pub(crate) fn diff(terminal: &mut Terminal, changes: &[Change]) -> io::Result<usize> {
    let mut different = 0;
    for change in changes {
        let (before, after) = conceal::sides(change.before.as_ref(), change.after.as_ref());
        let (before, after) = (text(before), text(after));
        if before != after {
            different += 1;
            one(terminal, change, &before, &after)?;
        }
    }
    Ok(different)
}

fn text(resource: Option<Cow<'_, Resource>>) -> String {
    let resource = resource.map(Cow::into_owned);
    resource.map_or_else(String::new, |resource| document::write_yaml(&[resource]))
}

fn one(terminal: &mut Terminal, change: &Change, before: &str, after: &str) -> io::Result<()> {
    let name = label(change);
    let side = |side: Option<&Resource>, prefix: &str| match side {
        Some(_) => format!("{prefix}/{name}"),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (
        side(change.before.as_ref(), "a"),
        side(change.after.as_ref(), "b"),
    );
    terminal.line(styled(BOLD, format_args!("--- {old}")))?;
    terminal.line(styled(BOLD, format_args!("+++ {new}")))?;
    let diff = TextDiff::from_lines(before, after);
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        terminal.line(styled(CYAN, hunk.header()))?;
        for line in hunk.iter_changes() {
            let (sign, style) = match line.tag() {
                ChangeTag::Delete => ('-', RED),
                ChangeTag::Insert => ('+', GREEN),
                ChangeTag::Equal => (' ', anstyle::Style::new()),
            };
            let content = line.value().trim_end_matches('\n');
            terminal.line(styled(style, format_args!("{sign}{content}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::proto::v1::Kind;

    use super::*;
    use crate::render::testing::captured;

    fn cluster(weight: u32) -> Resource {
        let text = format!(
            "kind: Cluster\nname: cart\nspec:\n  endpoints:\n    static:\n    \
             - address: 127.0.0.1:9001\n      weight: {weight}\n"
        );
        document::read("test", &text).unwrap().remove(0).resource
    }

    fn change(action: ChangeAction, before: Option<Resource>, after: Option<Resource>) -> Change {
        Change {
            id: Some(kind::id(Kind::Cluster, "cart")),
            action: action.into(),
            before,
            after,
        }
    }

    #[test]
    fn changes_read_like_kubectl_prints_them() {
        let (mut terminal, memory) = captured();
        let changes = [
            change(ChangeAction::Created, None, Some(cluster(1))),
            change(ChangeAction::Unchanged, Some(cluster(1)), Some(cluster(1))),
        ];
        list(&mut terminal, &changes, false).unwrap();
        assert_eq!(
            memory.out(),
            "cluster/cart created\ncluster/cart unchanged\n"
        );
    }

    #[test]
    fn a_diff_shows_the_lines_that_differ() {
        let (mut terminal, memory) = captured();
        let changes = [change(
            ChangeAction::Configured,
            Some(cluster(2)),
            Some(cluster(5)),
        )];
        assert_eq!(diff(&mut terminal, &changes).unwrap(), 1);
        let shown = memory.out();
        assert!(
            shown.starts_with("--- a/cluster/cart\n+++ b/cluster/cart\n@@ "),
            "{shown}"
        );
        assert!(
            shown.contains("\n-      weight: 2\n+      weight: 5\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_new_resource_is_all_plus_and_an_equal_one_is_silent() {
        let (mut terminal, memory) = captured();
        let changes = [
            change(ChangeAction::Created, None, Some(cluster(2))),
            change(ChangeAction::Unchanged, Some(cluster(2)), Some(cluster(2))),
        ];
        assert_eq!(diff(&mut terminal, &changes).unwrap(), 1);
        assert!(
            memory
                .out()
                .starts_with("--- /dev/null\n+++ b/cluster/cart\n")
        );
        assert!(
            memory
                .out()
                .lines()
                .skip(3)
                .all(|line| line.starts_with('+'))
        );
    }
}

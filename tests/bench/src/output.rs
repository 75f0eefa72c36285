//! Standard output carries results; progress goes to standard error.

use std::io::Write as _;

/// Prints a line of results.
///
/// # Errors
/// If nobody reads them.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Tells what is going on.
pub(crate) fn progress(text: &str) {
    // Whoever closed standard error does not want to know.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

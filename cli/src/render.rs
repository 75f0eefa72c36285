//! What people and scripts read: data on standard output, everything else on
//! standard error. No other file of this package writes to either.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use evenkeel_shared::document;

pub(crate) mod change;
pub(crate) mod conceal;
pub(crate) mod fault;
pub(crate) mod json;
pub(crate) mod resource;
pub(crate) mod table;
pub(crate) mod time;

/// Good news.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// Bad news.
pub(crate) const RED: Style = AnsiColor::Red.on_default();
/// News.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Where one is.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
/// Titles.
pub(crate) const BOLD: Style = Style::new().bold();
/// What is there for completeness.
pub(crate) const DIM: Style = Style::new().dimmed();

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// JSON; a stable interface.
    Json,
    /// YAML.
    Yaml,
    /// Only `kind/name`, one per line.
    Name,
}

/// The two outputs. Colours are written always and taken out again where they
/// are not wanted (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, not a terminal).
pub(crate) struct Terminal {
    out: AutoStream<Box<dyn Write>>,
    err: AutoStream<Box<dyn Write>>,
    watched_out: bool,
    watched_err: bool,
}

impl Terminal {
    /// The process's own outputs.
    pub(crate) fn of_process() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_choice, err_choice) = (AutoStream::choice(&out), AutoStream::choice(&err));
        Self {
            watched_out: out.is_terminal(),
            watched_err: err.is_terminal(),
            out: AutoStream::new(Box::new(out), out_choice),
            err: AutoStream::new(Box::new(err), err_choice),
        }
    }

    /// Outputs that nobody reads.
    pub(crate) fn to_nobody() -> Self {
        Self {
            out: AutoStream::never(Box::new(io::sink())),
            err: AutoStream::never(Box::new(io::sink())),
            watched_out: false,
            watched_err: false,
        }
    }

    /// Writes one line of data.
    pub(crate) fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Writes data that ends its own lines.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        if text.is_empty() || text.ends_with('\n') {
            Ok(())
        } else {
            self.out.write_all(b"\n")
        }
    }

    /// Writes a JSON value, indented.
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        self.text(&document::write_json(value))
    }

    /// Writes a line that is not data. Nobody to read it is no failure.
    pub(crate) fn note(&mut self, line: impl Display) {
        drop(writeln!(self.err, "{line}"));
    }

    /// Replaces the last line that was written by `replace` before; only on a
    /// terminal.
    pub(crate) fn replace(&mut self, line: impl Display) {
        drop(write!(self.err, "\r\x1b[2K{line}"));
        drop(self.err.flush());
    }

    /// Writes to standard output without a line end, and at once: frames of a
    /// live view.
    pub(crate) fn frame(&mut self, frame: &str) -> io::Result<()> {
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    /// Passes on everything that is still buffered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Whether a picture can be drawn: somebody watches standard output, and
    /// the codes that move the cursor get through.
    pub(crate) fn is_live(&self) -> bool {
        self.watched_out && !matches!(self.out.current_choice(), ColorChoice::Never)
    }

    /// Whether somebody watches standard error.
    pub(crate) fn watched_err(&self) -> bool {
        self.watched_err
    }

    /// Whether a line can be rewritten: somebody watches standard error, and
    /// the codes that move the cursor get through.
    pub(crate) fn rewrites(&self) -> bool {
        self.watched_err && self.err_has_colour()
    }

    /// Whether standard error keeps colours.
    pub(crate) fn err_has_colour(&self) -> bool {
        !matches!(self.err.current_choice(), ColorChoice::Never)
    }
}

/// `text` in a style.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text of somebody else on one line: a message or a proxy's words must neither
/// break a table nor move the cursor.
pub(crate) fn one_line(text: &str) -> String {
    let parts = text.split(char::is_control);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

#[cfg(test)]
pub(crate) mod testing {
    //! A terminal whose outputs can be read.

    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Reads what a captured terminal was told.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Captured {
        out: Shared,
        err: Shared,
    }

    impl Captured {
        pub(crate) fn out(&self) -> String {
            String::from_utf8(self.out.0.borrow().clone()).unwrap()
        }

        pub(crate) fn err(&self) -> String {
            String::from_utf8(self.err.0.borrow().clone()).unwrap()
        }
    }

    /// A terminal without colours, and its memory.
    pub(crate) fn captured() -> (Terminal, Captured) {
        let memory = Captured::default();
        let terminal = Terminal {
            out: AutoStream::new(Box::new(memory.out.clone()), ColorChoice::Never),
            err: AutoStream::new(Box::new(memory.err.clone()), ColorChoice::Never),
            watched_out: false,
            watched_err: false,
        };
        (terminal, memory)
    }

    #[test]
    fn colours_are_taken_out_where_nobody_wants_them() {
        let (mut terminal, memory) = captured();
        terminal.line(styled(RED, "gone")).unwrap();
        assert_eq!(memory.out(), "gone\n");
    }

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        assert_eq!(one_line("spring\r\nsale\n"), "spring sale");
        assert_eq!(one_line("\x1b[2Jgone\u{9b}2J"), "[2Jgone 2J");
    }

    #[test]
    fn data_and_notes_go_separate_ways() {
        let (mut terminal, memory) = captured();
        terminal.text("data").unwrap();
        terminal.note("note");
        assert_eq!(memory.out(), "data\n");
        assert_eq!(memory.err(), "note\n");
    }
}

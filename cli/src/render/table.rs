//! Tables as kubectl prints them: columns with air between, nothing else.

use std::io;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::render::{Terminal, one_line};

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Columns {
    table: Table,
    header: Vec<String>,
}

impl Columns {
    /// A table with these columns; names are upper case.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        Self {
            table,
            header: header.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// Adds a row; an empty cell shows as `-`.
    pub(crate) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.table.add_row(cells.into_iter().map(|cell| {
            if cell.is_empty() {
                "-".to_owned()
            } else {
                one_line(&cell)
            }
        }));
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The lines, with the header unless it is not wanted.
    pub(crate) fn render(mut self, with_header: bool) -> String {
        if with_header {
            self.table.set_header(self.header);
        }
        self.table.discover_columns();
        for column in self.table.column_iter_mut() {
            column.set_padding((0, 3));
        }
        let mut text = String::new();
        for line in self.table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Writes the lines as data.
    pub(crate) fn print(self, terminal: &mut Terminal, with_header: bool) -> io::Result<()> {
        let text = self.render(with_header);
        terminal.text(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut columns = Columns::new(&["NAME", "HOSTS"]);
        columns.row(["shop".to_owned(), "2".to_owned()]);
        columns.row(["catalogue-eu".to_owned(), String::new()]);
        assert_eq!(
            columns.render(true),
            "NAME           HOSTS\nshop           2\ncatalogue-eu   -\n"
        );
    }

    #[test]
    fn a_row_is_one_line() {
        let mut columns = Columns::new(&["MESSAGE"]);
        columns.row(["two\nlines".to_owned()]);
        assert_eq!(columns.render(false), "two lines\n");
    }

    #[test]
    fn a_table_can_do_without_its_header() {
        let mut columns = Columns::new(&["NAME"]);
        columns.row(["shop".to_owned()]);
        assert_eq!(columns.render(false), "shop\n");
    }
}

//! Rows as an aligned table, as CSV, or (by the caller) as JSON.

use crate::colour::{Colour, Tone};
use crate::out::printable;

/// How a read command prints its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns or lines for people.
    #[default]
    #[value(alias = "text")]
    Table,
    /// The hub's document, indented.
    Json,
    /// Comma-separated values with a header (RFC 4180), the same columns as the table.
    Csv,
}

/// What stands in an empty cell of a table; CSV leaves it empty.
const EMPTY: &str = "-";

/// Rows under named columns.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows; column names are `lower_case` and become the CSV header.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; a row that is too short is filled with empty cells.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Aligned columns under upper-case headings; nothing at all when there are no rows.
    pub(crate) fn text(&self) -> String {
        self.painted(Colour::Off)
    }

    /// The same with states in their colours.
    pub(crate) fn painted(&self, colour: Colour) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let heading = self.columns.iter().map(|c| c.replace('_', "-").to_uppercase()).collect();
        let body = self.rows.iter().map(|row| {
            let cell = |column: usize| match row.get(column).map(|cell| printable(cell)) {
                Some(cell) if !cell.is_empty() => cell,
                Some(_) | None => EMPTY.to_owned(),
            };
            (0..self.columns.len()).map(cell).collect()
        });
        let lines: Vec<Vec<String>> = std::iter::once(heading).chain(body).collect();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            let paint = |column: &str, cell: &str| match number {
                0 => colour.bold(cell),
                _ => colour.paint(Tone::of(column, cell), cell),
            };
            text.push_str(&self.line(line, &widths, paint));
            text.push('\n');
        }
        text
    }

    /// One line; spaces between columns are never painted, and none stand at its end.
    fn line(
        &self,
        cells: &[String],
        widths: &[usize],
        paint: impl Fn(&str, &str) -> String,
    ) -> String {
        let mut line = String::new();
        let mut owed = 0_usize;
        for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
            line.push_str(&" ".repeat(owed));
            line.push_str(&paint(column, cell));
            owed = width.saturating_sub(cell.chars().count()) + 2;
        }
        line
    }

    /// CSV with a header line, also when there are no rows.
    pub(crate) fn csv(&self) -> String {
        let mut text = self.columns.join(",") + "\r\n";
        for row in &self.rows {
            let cell =
                |column: usize| row.get(column).map_or_else(String::new, |cell| csv_cell(cell));
            let cells: Vec<String> = (0..self.columns.len()).map(cell).collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// One CSV field, quoted only when it must be.
fn csv_cell(value: &str) -> String {
    if value.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// An optional value as a cell.
pub(crate) fn cell<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["name", "why_not"]);
        table.row(vec!["north".into(), "lag 2,100 ms \"worst\"".into()]);
        table.row(vec!["a-long-name".into()]);
        table
    }

    #[test]
    fn columns_align_and_empty_cells_show() {
        insta::assert_snapshot!(sample().text(), @r#"
        NAME         WHY-NOT
        north        lag 2,100 ms "worst"
        a-long-name  -
        "#);
    }

    #[test]
    fn csv_quotes_commas_and_quotes() {
        let expected = "name,why_not\r\nnorth,\"lag 2,100 ms \"\"worst\"\"\"\r\na-long-name,\r\n";
        assert_eq!(sample().csv(), expected);
    }

    #[test]
    fn no_rows_is_an_empty_table_and_a_csv_header() {
        let table = Table::new(&["name"]);
        assert_eq!((table.text().as_str(), table.csv().as_str()), ("", "name\r\n"));
    }
}

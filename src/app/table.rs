//! Aligned tables for people. A Chinese character is two columns wide: the one file, with `ask`, that knows `console`.

use console::measure_text_width;

/// Rows under a header, each column as wide as its widest cell.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_uppercase).to_vec()] }
    }

    /// Adds a row of as many cells as the header has.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    /// Whether it has no row below its header.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The table as text; `nothing` where it has no row.
    pub fn text(&self, nothing: &str) -> String {
        if self.is_empty() {
            return format!("{nothing}\n");
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let width = |column| cells(column).map(|cell| measure_text_width(cell)).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }

    pub fn print(&self, nothing: &str) {
        super::say(&self.text(nothing));
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let blanks = width.saturating_sub(measure_text_width(cell)) + 2;
        line.push_str(cell);
        line.extend(core::iter::repeat_n(' ', blanks));
    }
    format!("{}\n", line.trim_end())
}

/// What a caller or a customer's note says must not move the terminal's cursor.
fn one_line(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_with_chinese_in_them() {
        let mut table = Table::new(["name", "city"]);
        table.row(["白雪".into(), "北京".into()]);
        table.row(["Anna\nLee".into(), String::new()]);
        assert_eq!(table.text(""), "NAME      CITY\n白雪      北京\nAnna Lee\n");
        assert_eq!(Table::new(["name"]).text("nobody"), "nobody\n");
    }
}

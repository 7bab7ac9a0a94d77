//! What a command prints: tables for people, JSON for programs.
//!
//! In come JSON values that others wrote, servers and agents among them; out goes text that cannot colour, move or
//! overwrite anything on a terminal.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use clap::ValueEnum;
use serde_json::Value;

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Prints to standard output; a reader that is gone is no reason to fail.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
}

/// Prints a part of something long, as it is.
pub(super) fn print_part(part: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(part).and_then(|()| out.flush());
}

/// Prints to standard error, beside the result.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints a value, as it is or as the table made of it.
pub(super) fn show(format: Format, value: &Value, table: impl FnOnce(&Value) -> String) {
    match format {
        Format::Json => print(&pretty(value)),
        Format::Table => print(&table(value)),
    }
}

/// JSON on several lines.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What stands at a JSON pointer, as a cell: `-` for nothing, a list with commas.
pub(super) fn cell(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map_or_else(|| "-".into(), words)
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => escape(text),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(","),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// The text at a pointer as it is; empty for anything else. Not for a terminal.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A table of JSON objects: a heading and a pointer for each column.
pub(super) fn table(items: &Value, columns: &[(&str, &str)]) -> String {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let heading = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let rows = items.iter().map(|item| columns.iter().map(|(_, pointer)| cell(item, pointer)).collect());
    grid(&std::iter::once(heading).chain(rows).collect::<Vec<Vec<String>>>())
}

/// One object, a line for each pointer.
pub(super) fn sheet(item: &Value, lines: &[(&str, &str)]) -> String {
    let rows: Vec<Vec<String>> =
        lines.iter().map(|(name, pointer)| vec![(*name).to_owned(), cell(item, pointer)]).collect();
    grid(&rows)
}

/// Rows in columns that are as wide as their widest cell; the last one is not padded.
pub(super) fn grid(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text with everything written out that a terminal or an eye would take for something else.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "{}", c.escape_unicode());
        }
    }
    escaped
}

/// A new line is for the eye to see.
fn is_harmless(c: char) -> bool {
    c == '\n' || crate::is_plain(c)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let items = json!([{ "n": "a", "t": ["x", "y"] }, { "n": "longer", "t": [] }, { "n": null, "t": 3 }]);
        assert_eq!(
            table(&items, &[("NAME", "/n"), ("TAGS", "/t")]),
            "NAME    TAGS\na       x,y\nlonger  -\n-       3\n"
        );
    }

    #[test]
    fn a_sheet_has_a_line_for_each_field() {
        let item = json!({ "name": "calc", "on": true, "deep": { "x": "" } });
        let lines = [("name", "/name"), ("enabled", "/on"), ("reason", "/deep/x"), ("gone", "/nope")];
        assert_eq!(sheet(&item, &lines), "name     calc\nenabled  yes\nreason   -\ngone     -\n");
    }

    #[test]
    fn nothing_can_colour_the_terminal_or_hide_in_it() {
        assert_eq!(escape("a\u{1b}[31mb\rc\td"), "a\\u{1b}[31mb\\u{d}c\\u{9}d");
        assert_eq!(escape("pay\u{202e}lla\u{200b}"), "pay\\u{202e}lla\\u{200b}");
        assert_eq!(escape("Grüße, 漢字 🎉\nnext"), "Grüße, 漢字 🎉\nnext");
    }
}

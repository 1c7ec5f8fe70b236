//! A tree of settings in which every value knows its line, variable or address. Files, the environment and the command
//! line become such trees, so `check` judges them alike.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Origin, Problems};
use crate::bounded_read::{Accept, Bounds, ReadError, read_file_blocking};

/// A larger file is not a configuration; the path is wrong.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// A program at the other end of a pipe may first contact a key service.
const READ_LIMIT: Duration = Duration::from_secs(15);
/// Deeper than any table of the schema.
const MAX_DEPTH: usize = 32;
/// A value and where it comes from. Not `Debug`: it may hold a password.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) data: Data,
}

#[derive(Clone)]
pub(super) enum Data {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    /// In the order of the keys.
    Table(Vec<(String, Node)>),
    /// The name of a type that no setting can have.
    Other(&'static str),
}

impl Node {
    pub(super) fn table(origin: Origin) -> Self {
        Self { origin, data: Data::Table(Vec::new()) }
    }

    /// The entries of a table; empty for any other value.
    pub(super) fn entries(&self) -> &[(String, Node)] {
        match &self.data {
            Data::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for any other value.
    pub(super) fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.entries().iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    /// Removes an entry from a table and returns it.
    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let Data::Table(entries) = &mut self.data else { return None };
        let position = entries.iter().position(|(key, _)| key == name)?;
        Some(entries.remove(position).1)
    }

    /// The type's name for a message; never the value.
    pub(super) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Text(_) => "a string",
            Data::Integer(_) => "a whole number",
            Data::Boolean(_) => "a boolean",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
            Data::Other(what) => what,
        }
    }
}

/// The settings as a value of the `config` crate, which merges the layers; serde reads the result.
impl From<&Node> for config::Value {
    fn from(node: &Node) -> Self {
        let kind = match &node.data {
            Data::Text(text) => config::ValueKind::String(text.clone()),
            Data::Integer(number) => config::ValueKind::I64(*number),
            Data::Boolean(value) => config::ValueKind::Boolean(*value),
            Data::List(items) => config::ValueKind::Array(items.iter().map(Self::from).collect()),
            Data::Table(entries) => {
                config::ValueKind::Table(entries.iter().map(|(key, node)| (key.clone(), Self::from(node))).collect())
            }
            Data::Other(_) => config::ValueKind::Nil,
        };
        Self::new(None, kind)
    }
}

/// Reads a file. If it cannot be read or is not TOML, that is a problem, and there is no tree.
pub(super) fn read(path: &Path, accept: Accept, problems: &mut Problems) -> Option<Node> {
    let file: Arc<str> = path.display().to_string().into();
    let whole = Origin::File { file: Arc::clone(&file), line: 0, column: 0 };
    match read_file_blocking(path, Bounds { bytes: MAX_BYTES, within: READ_LIMIT, accept }) {
        Ok(bytes) => return parse(&bytes, &file, problems),
        Err(ReadError::TooLarge(_)) => {
            problems.push(&whole, "", format!("larger than {} MiB, which is not a configuration", MAX_BYTES >> 20));
        }
        Err(error) => problems.push(&whole, "", format!("cannot be read: {error}")),
    }
    None
}

/// Reads the bytes of a file.
pub(super) fn parse(bytes: &[u8], file: &Arc<str>, problems: &mut Problems) -> Option<Node> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let lines = Lines::new(bytes, file);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = lines.at(error.valid_up_to());
            problems.push(&at, "", format!("not UTF-8: invalid byte at offset {}", error.valid_up_to()));
            return None;
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(lines.table(document.get_ref(), lines.at(0), 0));
    }
    for error in errors {
        // Only the message: the error's own Display repeats the line, which may hold a password.
        let at = lines.place(error.span().map_or(0, |span| span.start));
        problems.push(&at, "", format!("not TOML: {}", error.message()));
    }
    None
}

/// The offsets at which the lines of a file begin.
struct Lines<'a> {
    file: &'a Arc<str>,
    bytes: &'a [u8],
    breaks: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8], file: &'a Arc<str>) -> Self {
        let breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index).collect();
        Self { file, bytes, breaks }
    }

    /// The line of an offset.
    fn at(&self, offset: usize) -> Origin {
        let line = self.breaks.partition_point(|position| *position < offset) + 1;
        Origin::File { file: Arc::clone(self.file), line, column: 0 }
    }

    /// The line and the column (in characters) of an offset.
    fn place(&self, offset: usize) -> Origin {
        let line = self.breaks.partition_point(|position| *position < offset);
        let start = line.checked_sub(1).and_then(|line| self.breaks.get(line)).map_or(0, |position| position + 1);
        let before = self.bytes.get(start..offset).unwrap_or_default();
        let column = String::from_utf8_lossy(before).chars().count() + 1;
        Origin::File { file: Arc::clone(self.file), line: line + 1, column }
    }

    fn table(&self, table: &DeTable<'_>, origin: Origin, depth: usize) -> Node {
        if depth > MAX_DEPTH {
            return Node { origin, data: Data::Other("a table nested too deeply") };
        }
        let entries = table.iter().map(|(key, value)| {
            // The key's place, not the value's: a value may begin on a later line than its key.
            (key.get_ref().to_string(), self.value(value, self.at(key.span().start), depth))
        });
        Node { origin, data: Data::Table(entries.collect()) }
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, origin: Origin, depth: usize) -> Node {
        let data = match value.get_ref() {
            DeValue::Table(table) => return self.table(table, origin, depth + 1),
            DeValue::Array(_) if depth > MAX_DEPTH => Data::Other("a list nested too deeply"),
            DeValue::Array(items) => {
                Data::List(items.iter().map(|item| self.value(item, self.at(item.span().start), depth + 1)).collect())
            }
            DeValue::String(text) => Data::Text(text.to_string()),
            DeValue::Boolean(value) => Data::Boolean(*value),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Data::Other("a number with too many digits"), Data::Integer),
            DeValue::Float(_) => Data::Other("a fraction"),
            DeValue::Datetime(_) => Data::Other("a date or time"),
        };
        Node { origin, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        let mut problems = Problems::default();
        parse(bytes, &"f.toml".into(), &mut problems);
        problems.or(()).unwrap_err().to_string()
    }

    fn tree(text: &str) -> Node {
        parse(text.as_bytes(), &"f.toml".into(), &mut Problems::default()).unwrap()
    }

    #[test]
    fn every_value_knows_its_line() {
        let tree = tree("a = 1\n\n[[target]]\nurl = '''\nx'''\n[target.heartbeat]\nrow = 1\n[[target]]\n");
        let line = |node: &Node| node.origin.to_string();
        let targets = tree.get("target").unwrap().items();
        assert_eq!(line(&targets[0]), "f.toml:3");
        assert_eq!(line(targets[0].get("url").unwrap()), "f.toml:4");
        assert_eq!(line(targets[0].get("heartbeat").unwrap()), "f.toml:6");
        assert_eq!(line(&targets[1]), "f.toml:8");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_found_by_line_and_offset() {
        assert_eq!(problem(b"a = 1\nb = \"\xff\""), "f.toml:2: not UTF-8: invalid byte at offset 11");
        assert_eq!(problem(b"\xff\xfea\0"), "f.toml:1: not UTF-8: invalid byte at offset 0");
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_key() {
        assert!(tree("\u{feff}a = 1").get("a").is_some());
    }

    #[test]
    fn a_syntax_error_names_line_and_column_and_quotes_nothing() {
        let message = problem(b"[[target]]\npassword = \"hunter2\nname = 'x'\n");
        assert!(message.starts_with("f.toml:2:20: not TOML: "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn endless_nesting_is_refused_without_exhausting_the_stack() {
        for deep in ["a.".repeat(100_000), "x = [".repeat(100_000), "x = {a=".repeat(100_000), "[a.".repeat(100_000)] {
            assert!(problem(deep.as_bytes()).contains("not TOML: "));
        }
        let deepest = format!("a = {}1{}", "[".repeat(60), "]".repeat(60));
        assert_eq!(tree(&deepest).entries().len(), 1);
    }
}

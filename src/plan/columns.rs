//! Judges the columns of an existing heartbeat table: which of them stop a beat. Each driver calls it after a refused
//! beat, in its check and in its plan, so that all three agree.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::heartbeat::{ErrorKind, Failure};
use crate::remedy::Remedy;

/// What a column's type can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// Integers.
    Number,
    /// Times.
    Time,
    /// Neither.
    Other,
}

/// A column in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name; in lower case where the database ignores case.
    pub name: String,
    /// Its type, in the server's words.
    pub kind: String,
    /// What the type can hold.
    pub holds: Holds,
    /// Whether the server computes its value, so that a beat cannot set it.
    pub generated: bool,
}

/// What is wrong with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The column is missing.
    Missing,
    /// Its type, which cannot hold integers.
    NoNumber(String),
    /// Its type, which cannot hold times.
    NoTime(String),
    /// The server computes it.
    Generated,
}

/// One column that stops a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFault {
    /// Its name.
    pub column: &'static str,
    /// What is wrong with it.
    pub lack: Lack,
}

/// The faults of a table's columns. Only an insert needs `text`: `for_insert` includes it.
#[must_use]
pub fn judge(columns: &[Column], for_insert: bool) -> Vec<ColumnFault> {
    let named = |wanted: &str| columns.iter().find(|column| column.name == wanted);
    let id = match named("id") {
        None => Some(Lack::Missing),
        Some(found) => (found.holds != Holds::Number).then(|| Lack::NoNumber(found.kind.clone())),
    };
    let last_update = match named("last_update") {
        None => Some(Lack::Missing),
        Some(found) if found.generated => Some(Lack::Generated),
        Some(found) => (found.holds != Holds::Time).then(|| Lack::NoTime(found.kind.clone())),
    };
    let text = (for_insert && named("text").is_none()).then_some(Lack::Missing);
    let all = [("id", id), ("last_update", last_update), ("text", text)];
    all.into_iter().filter_map(|(column, lack)| Some(ColumnFault { column, lack: lack? })).collect()
}

/// All faults in one sentence.
#[must_use]
pub fn words(faults: &[ColumnFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Explains a refused beat by these faults of its table, with the remedy for them.
#[must_use]
pub fn explain(failure: Failure, faults: &[ColumnFault], remedy: impl Into<Remedy>) -> Failure {
    let Some(first) = faults.first() else { return failure };
    let explained = match failure.code() {
        Some(code) => Failure::new(first.kind(), format!("{}: {}", failure.message(), words(faults))).with_code(code),
        None => Failure::new(first.kind(), words(faults)),
    };
    explained.with_remedy(remedy).with_source(failure)
}

/// A free name for the old column, which is kept beside its replacement.
#[must_use]
pub fn name_aside(column: &str, columns: &[Column]) -> String {
    let taken = |name: &str| columns.iter().any(|column| column.name == name);
    let first = format!("{column}_old");
    let others = (2..).map(|number| format!("{column}_old{number}"));
    std::iter::once(first).chain(others).find(|name| !taken(name)).unwrap_or_default()
}

impl ColumnFault {
    /// The kind of the beat's failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.lack {
            Lack::Missing => ErrorKind::MissingColumn,
            Lack::NoNumber(_) | Lack::NoTime(_) | Lack::Generated => ErrorKind::ColumnType,
        }
    }

    /// Whether a column of that name exists; its values are kept.
    #[must_use]
    pub fn is_in_the_way(&self) -> bool {
        self.lack != Lack::Missing
    }
}

impl fmt::Display for ColumnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, lack } = self;
        match lack {
            Lack::Missing => write!(f, "without {column}"),
            Lack::NoNumber(kind) => write!(f, "{column} is of type {kind}, which holds no whole number"),
            Lack::NoTime(kind) => write!(f, "{column} is of type {kind}, which holds no time"),
            Lack::Generated => write!(f, "{column} is a generated column, which cannot be set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, holds: Holds) -> Column {
        Column { name: name.to_owned(), kind: kind.to_owned(), holds, generated: false }
    }

    fn right() -> Vec<Column> {
        vec![
            column("id", "integer", Holds::Number),
            column("text", "text", Holds::Other),
            column("last_update", "timestamp", Holds::Time),
        ]
    }

    #[test]
    fn each_column_is_judged_by_itself_and_the_text_only_for_a_new_row() {
        assert_eq!(judge(&right(), true), []);
        let mut columns = right();
        columns.remove(1);
        assert_eq!(judge(&columns, false), []);
        assert_eq!(words(&judge(&columns, true)), "without text");
        columns[0] = column("id", "uuid", Holds::Other);
        assert_eq!(words(&judge(&columns, false)), "id is of type uuid, which holds no whole number");
        columns[1].generated = true;
        assert_eq!(
            words(&judge(&columns, false)),
            "id is of type uuid, which holds no whole number; last_update is a generated column, which cannot be set"
        );
        assert_eq!(words(&judge(&[], false)), "without id; without last_update");
    }

    #[test]
    fn the_cause_replaces_the_kind_of_the_number() {
        let refused = || Failure::new(ErrorKind::Rejected, "no").with_code("428C9");
        assert_eq!(explain(refused(), &[], "").kind(), ErrorKind::Rejected);
        let faults = [ColumnFault { column: "last_update", lack: Lack::Generated }];
        let explained = explain(refused(), &faults, "mend");
        assert_eq!(explained.kind(), ErrorKind::ColumnType);
        assert_eq!(explained.to_string(), "no: last_update is a generated column, which cannot be set (428C9)");
        assert_eq!(explained.remedy(), Some(&Remedy::advice("mend")));
    }

    #[test]
    fn a_column_is_set_aside_under_a_name_that_is_free() {
        let mut columns = right();
        assert_eq!(name_aside("id", &columns), "id_old");
        columns.push(column("id_old", "text", Holds::Other));
        assert_eq!(name_aside("id", &columns), "id_old2");
    }
}

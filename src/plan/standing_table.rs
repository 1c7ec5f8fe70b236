//! A heartbeat table that stands already, made by whomever: what a beat would lack in it, and whether its row is to be
//! made. Asked by each driver's `plan`.

use super::Plan;
use crate::heartbeat::ErrorKind;

/// The rows of the table, as far as the session sees them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rows {
    /// The ids of the first two rows, the configured one first.
    Ids(Vec<i64>),
    /// The session cannot see them all.
    #[default]
    Hidden,
}

/// What a driver found.
#[derive(Debug, Clone, Copy)]
pub struct StandingTable<'a> {
    /// The table, quoted.
    pub name: &'a str,
    /// Its columns, in small letters.
    pub columns: &'a [String],
    /// The type of `last_update`, where that holds no time.
    pub no_time: Option<&'a str>,
    /// Its rows.
    pub rows: &'a Rows,
    /// Who looked, quoted, and what would let them see the rows.
    pub seen_by: (&'a str, &'a str),
}

/// What is to be done about the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowNeed {
    /// It is missing, and the table can take it.
    Insert,
    /// It is there.
    Nothing,
    /// Something stands in the way, and the plan says what.
    Obstructed,
}

impl StandingTable<'_> {
    /// Judges the table for the configured row; what no step can mend goes into `plan`. A second row is never made.
    pub fn judge(&self, row: i64, plan: &mut Plan) -> RowNeed {
        let (whole, name) = (self.judge_columns(plan), self.name);
        match self.rows {
            Rows::Ids(ids) => match ids.first() {
                None if whole => RowNeed::Insert,
                None => RowNeed::Obstructed,
                Some(id) if *id == row => RowNeed::Nothing,
                Some(id) => {
                    let message = format!("the table {name} holds row {id} and not row {row}");
                    let remedy =
                        format!("set row = {id} under [target.heartbeat] to adopt it; a second row is never made");
                    plan.fail(ErrorKind::MissingRow, message, Some(remedy));
                    RowNeed::Obstructed
                }
            },
            Rows::Hidden if whole => {
                let (user, remedy) = self.seen_by;
                let message = format!(
                    "{user} cannot see the rows of {name}, so that none is made: whether row {row} exists is unknown"
                );
                plan.fail(ErrorKind::Privilege, message, Some(remedy.to_owned()));
                RowNeed::Obstructed
            }
            Rows::Hidden => RowNeed::Obstructed,
        }
    }

    /// Whether every column is there that a beat, or a new row, needs.
    fn judge_columns(&self, plan: &mut Plan) -> bool {
        let mut whole = true;
        let empty = matches!(self.rows, Rows::Ids(ids) if ids.is_empty());
        for wanted in ["id", "last_update", "text"] {
            // Only a new row needs its text.
            if !self.columns.iter().any(|column| column == wanted) && (wanted != "text" || empty) {
                let message = format!("the table {} has no column {wanted}", self.name);
                plan.fail(ErrorKind::MissingColumn, message, None);
                whole = false;
            }
        }
        if let Some(found) = self.no_time {
            let message = format!("the column last_update of {} is of type {found}, which holds no time", self.name);
            plan.fail(ErrorKind::ColumnType, message, None);
            whole = false;
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 3] = ["id", "text", "last_update"];

    /// The need, and what the plan tells, a line each.
    fn judge(columns: &[&str], no_time: Option<&str>, rows: &Rows) -> (RowNeed, String) {
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        let seen_by = ("\"heartbeat\"", "GRANT SELECT ON TABLE t TO \"heartbeat\";");
        let table = StandingTable { name: "t", columns: &columns, no_time, rows, seen_by };
        let mut plan = Plan::default();
        let need = table.judge(1, &mut plan);
        assert!(plan.steps.is_empty() && plan.notices.is_empty());
        (need, plan.failures.iter().map(|failure| format!("{failure}\n")).collect())
    }

    fn ids(ids: &[i64]) -> Rows {
        Rows::Ids(ids.to_vec())
    }

    #[test]
    fn a_whole_table_needs_its_row_or_nothing() {
        assert_eq!(judge(&COLUMNS, None, &ids(&[])), (RowNeed::Insert, String::new()));
        assert_eq!(judge(&COLUMNS, None, &ids(&[1])), (RowNeed::Nothing, String::new()));
        assert_eq!(judge(&COLUMNS, None, &ids(&[1, 2])), (RowNeed::Nothing, String::new()));
    }

    #[test]
    fn a_row_that_stands_needs_no_text() {
        assert_eq!(judge(&["id", "last_update"], None, &ids(&[1])), (RowNeed::Nothing, String::new()));
        let (need, told) = judge(&["id", "last_update"], None, &ids(&[]));
        assert_eq!(need, RowNeed::Obstructed);
        assert!(told.contains("no column text"), "{told}");
    }

    #[test]
    fn a_table_that_holds_another_row_is_never_given_a_second() {
        let (need, told) = judge(&COLUMNS, None, &ids(&[7]));
        assert_eq!(need, RowNeed::Obstructed);
        assert!(told.contains("holds row 7 and not row 1"), "{told}");
    }

    #[test]
    fn rows_that_are_hidden_are_not_taken_for_missing() {
        let (need, told) = judge(&COLUMNS, None, &Rows::Hidden);
        assert_eq!(need, RowNeed::Obstructed);
        assert!(told.contains("\"heartbeat\" cannot see the rows of t"), "{told}");
    }

    #[test]
    fn every_fault_of_the_columns_is_told_at_once() {
        let (need, told) = judge(&["id"], Some("bigint"), &ids(&[]));
        assert_eq!(need, RowNeed::Obstructed);
        assert_eq!(told.lines().count(), 3, "{told}");
        // What is wrong with the table stands in the way already.
        let (need, told) = judge(&["id"], None, &Rows::Hidden);
        assert_eq!((need, told.lines().count()), (RowNeed::Obstructed, 1), "{told}");
    }
}

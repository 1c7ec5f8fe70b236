//! Judges an existing heartbeat table: what a beat would lack, and whether to insert the row. Each driver's `plan`
//! calls it.

use super::Plan;
use super::columns::{ColumnFault, words};
use crate::heartbeat::ErrorKind;
use crate::remedy::Remedy;

/// The rows of the table that the session sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rows {
    /// The ids of the first two rows, the configured one first.
    Ids(Vec<i64>),
    /// Some rows may be hidden from the session.
    #[default]
    Hidden,
}

/// What a driver found.
#[derive(Debug, Clone, Copy)]
pub struct ExistingTable<'a> {
    /// The table, quoted.
    pub name: &'a str,
    /// The faults of its columns, including `text` if [`Rows::are_none`].
    pub faults: &'a [ColumnFault],
    /// The repair of these faults.
    pub mend: &'a Remedy,
    /// Its rows.
    pub rows: &'a Rows,
    /// The session's user, quoted, and the grant that would show it the rows.
    pub seen_by: (&'a str, &'a Remedy),
}

/// What to do about the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowNeed {
    /// Insert it.
    Insert,
    /// Nothing: it exists.
    Nothing,
    /// No row is needed: the plan says what prevents it.
    Obstructed,
}

impl Rows {
    /// Whether the table is visibly empty, so that the plan inserts a row.
    #[must_use]
    pub fn are_none(&self) -> bool {
        matches!(self, Self::Ids(ids) if ids.is_empty())
    }
}

impl ExistingTable<'_> {
    /// Judges the table for the configured row. What no step can repair goes into `plan`. Never inserts a second row.
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
                    plan.fail(ErrorKind::MissingRow, message, Some(remedy.into()));
                    RowNeed::Obstructed
                }
            },
            Rows::Hidden if whole => {
                let (user, remedy) = self.seen_by;
                let message = format!(
                    "{user} cannot see the rows of {name}, so that none is made: whether row {row} exists is unknown"
                );
                plan.fail(ErrorKind::Privilege, message, Some(remedy.clone()));
                RowNeed::Obstructed
            }
            Rows::Hidden => RowNeed::Obstructed,
        }
    }

    /// Whether every column that a beat or a new row needs exists and has the right type.
    fn judge_columns(&self, plan: &mut Plan) -> bool {
        let Some(first) = self.faults.first() else { return true };
        let message = format!("the table {} cannot take a beat: {}", self.name, words(self.faults));
        plan.fail(first.kind(), message, Some(self.mend.clone()));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Lack;
    use super::*;

    const MISSING: ColumnFault = ColumnFault { column: "text", lack: Lack::Missing };

    /// The need, and the plan's lines.
    fn judge(faults: &[ColumnFault], rows: &Rows) -> (RowNeed, String) {
        let (grant, mend) = (Remedy::sql("GRANT SELECT ON TABLE t TO \"heartbeat\";"), Remedy::advice("add it"));
        let table = ExistingTable { name: "t", faults, mend: &mend, rows, seen_by: ("\"heartbeat\"", &grant) };
        let mut plan = Plan::default();
        let need = table.judge(1, &mut plan);
        assert!(plan.steps.is_empty() && plan.notices.is_empty());
        let reported = plan.failures.iter().map(|failure| format!("{failure} {}\n", failure.remedy().unwrap()));
        (need, reported.collect())
    }

    fn ids(ids: &[i64]) -> Rows {
        Rows::Ids(ids.to_vec())
    }

    #[test]
    fn a_complete_table_needs_at_most_its_row() {
        assert_eq!(judge(&[], &ids(&[])), (RowNeed::Insert, String::new()));
        assert_eq!(judge(&[], &ids(&[1])), (RowNeed::Nothing, String::new()));
        assert_eq!(judge(&[], &ids(&[1, 2])), (RowNeed::Nothing, String::new()));
    }

    #[test]
    fn a_table_that_holds_another_row_is_never_given_a_second() {
        let (need, reported) = judge(&[], &ids(&[7]));
        assert_eq!(need, RowNeed::Obstructed);
        assert!(reported.contains("holds row 7 and not row 1"), "{reported}");
    }

    #[test]
    fn rows_that_are_hidden_are_not_taken_for_missing() {
        let (need, reported) = judge(&[], &Rows::Hidden);
        assert_eq!(need, RowNeed::Obstructed);
        assert!(reported.contains("\"heartbeat\" cannot see the rows of t"), "{reported}");
    }

    #[test]
    fn a_fault_of_the_columns_is_reported_once_with_its_repair() {
        for rows in [ids(&[]), Rows::Hidden] {
            let (need, reported) = judge(&[MISSING], &rows);
            assert_eq!(need, RowNeed::Obstructed);
            assert_eq!(reported, "the table t cannot take a beat: without text add it\n");
        }
    }
}

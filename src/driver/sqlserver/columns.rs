//! The heartbeat table's columns in the form in which every database's are judged, and the remedy for their faults. The
//! checks, `beat` and `provision` call it.

use super::connect::Column as TimeColumn;
use super::facts::{ColumnFacts, TableFacts};
use super::remedies::as_owner;
use crate::plan::columns::{self, Column, ColumnFault, Holds, name_aside};
use crate::remedy::Remedy;
use crate::target::Target;

/// The faults of a table's columns. Only an insert needs `text`: `for_insert` includes it.
pub(super) fn faults(table: &TableFacts, for_insert: bool) -> Vec<ColumnFault> {
    columns::judge(&all(table), for_insert)
}

fn all(table: &TableFacts) -> Vec<Column> {
    table.columns.iter().map(column).collect()
}

fn column(found: &ColumnFacts) -> Column {
    let holds = match found.kind.as_str() {
        "int" | "bigint" | "smallint" | "tinyint" | "decimal" | "numeric" => Holds::Number,
        kind if matches!(TimeColumn::from_type(kind, found.scale), TimeColumn::Other(_)) => Holds::Other,
        _ => Holds::Time,
    };
    Column { name: found.name.to_ascii_lowercase(), kind: found.kind.clone(), holds, generated: found.computed }
}

/// Adds the missing columns. A column with the wrong type is kept under another name. `table` is quoted.
pub(super) fn mend(target: &Target, table: &str, found: &TableFacts, faults: &[ColumnFault]) -> Remedy {
    let mut steps = Vec::new();
    for fault in faults {
        if fault.is_in_the_way() {
            let aside = name_aside(fault.column, &all(found));
            let name = format!("{table}.{}", fault.column).replace('\'', "''");
            steps.push(format!("EXEC sp_rename N'{name}', N'{aside}', N'COLUMN';"));
        }
        let kind = match fault.column {
            "id" => "INT NOT NULL DEFAULT 1",
            "text" => "NVARCHAR(MAX)",
            _ => "DATETIME2 DEFAULT SYSUTCDATETIME()",
        };
        steps.push(format!("ALTER TABLE {table} ADD {} {kind};", fault.column));
    }
    as_owner(target, steps.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::columns::words;
    use crate::target::Endpoint;

    fn table(columns: &[(&str, &str)]) -> TableFacts {
        let column = |(name, kind): &(&str, &str)| ColumnFacts {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            ..ColumnFacts::default()
        };
        TableFacts { columns: columns.iter().map(column).collect(), ..TableFacts::default() }
    }

    #[test]
    fn types_that_can_hold_a_beat_are_distinguished_from_those_that_cannot() {
        for kind in ["datetime2", "datetime", "datetimeoffset"] {
            assert_eq!(faults(&table(&[("ID", "bigint"), ("Last_Update", kind)]), false), [], "{kind}");
        }
        let odd = table(&[("id", "uniqueidentifier"), ("last_update", "smalldatetime")]);
        let found = faults(&odd, true);
        assert_eq!(
            words(&found),
            "id is of type uniqueidentifier, which holds no whole number; last_update is of type smalldatetime, which \
             holds no time; without text"
        );
        let target = Target::new("orders", Endpoint::parse("mssql://hb@db/orders").unwrap());
        insta::assert_snapshot!(mend(&target, "[s].[t]", &odd, &found), @"EXEC sp_rename N'[s].[t].id', N'id_old', N'COLUMN'; ALTER TABLE [s].[t] ADD id INT NOT NULL DEFAULT 1; EXEC sp_rename N'[s].[t].last_update', N'last_update_old', N'COLUMN'; ALTER TABLE [s].[t] ADD last_update DATETIME2 DEFAULT SYSUTCDATETIME(); ALTER TABLE [s].[t] ADD text NVARCHAR(MAX); -- on the source: in the database [orders]; as a member of db_owner");
    }
}

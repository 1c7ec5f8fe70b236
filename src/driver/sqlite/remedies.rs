//! The next step for a failure, with this target's names: a sentence, a command of the shell, or SQL that is ready to
//! run. The driver's `remedy` calls it. People read it on a page, in a log or in a report.

use super::identifier::{literal, quote};
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan;
use crate::remedy::Remedy;
use crate::target::Target;

/// The next step, if one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<Remedy> {
    let file = target.endpoint.url.database();
    let table = &target.heartbeat.table;
    Some(match failure.kind() {
        ErrorKind::MissingFile => plan::command(target).note("creates the file with its table and row"),
        ErrorKind::MissingTable | ErrorKind::MissingRow => plan::command(target),
        ErrorKind::MissingColumn | ErrorKind::ColumnType => {
            Remedy::shell(format!("heartbeatd check --target {} --only table-columns", plan::shell_word(&target.name)))
                .note("it says which column is wrong, and how to mend it without losing a value")
        }
        ErrorKind::Privilege => {
            format!("make {file} and its directory writable for the user that runs heartbeatd").into()
        }
        ErrorKind::ReadOnlySetting => "remove mode=ro from the address, or set write = \"never\"".into(),
        ErrorKind::Lock => Remedy::shell(format!("fuser {}", plan::shell_word(file)))
            .note("names the program that holds the file locked: end its transaction"),
        ErrorKind::DiskFull => format!("free space on the file system of {file}").into(),
        ErrorKind::Storage => Remedy::advice(format!("look at the disk under {file}"))
            .then_run(Remedy::sql("PRAGMA integrity_check;").note("shows the damage")),
        ErrorKind::Protocol => format!("name another file: {file} is no SQLite database").into(),
        ErrorKind::Rejected | ErrorKind::RowNotUpdatable => {
            Remedy::sql(format!("SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = {};", literal(table)))
                .note("shows the table's constraints and triggers: let them accept the update")
        }
        ErrorKind::DuplicateRows => {
            Remedy::sql(format!("SELECT rowid, * FROM {} WHERE id = {};", quote(table), target.heartbeat.row_number()))
                .note("shows the rows: keep the one that is needed, and make id unique")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

    use super::super::errors::{self, CODES};
    use super::*;
    use crate::target::Endpoint;

    fn target() -> Target {
        let mut target = Target::new("till 1", Endpoint::parse("sqlite:/var/lib/shop/it's till.db").unwrap());
        target.heartbeat.table = "heart\"beat".to_owned();
        target
    }

    #[test]
    fn each_code_has_its_kind_and_its_remedy() {
        let target = target();
        let mut page = String::new();
        for (name, code) in CODES {
            let failure = Failure::new(errors::kind_of(*code), "what SQLite said").with_code(code.to_string());
            let remedy = remedy(&failure, &target).map_or_else(|| "none".to_owned(), |remedy| remedy.to_string());
            writeln!(page, "{code} {name}: {failure}\n    {remedy}").unwrap();
        }
        insta::assert_snapshot!("remedies", page);
    }

    #[tokio::test]
    async fn every_script_for_sqlite_runs_as_it_is_pasted() {
        let target = target();
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let table =
            format!("CREATE TABLE {} (id INTEGER, text TEXT, last_update TEXT);", quote(&target.heartbeat.table));
        sqlx::raw_sql(AssertSqlSafe(table)).execute(&mut connection).await.unwrap();
        let mut pasted = 0;
        for kind in ErrorKind::ALL {
            let remedy = remedy(&Failure::new(*kind, "x"), &target);
            let Some(sql) = remedy.as_ref().and_then(Remedy::script).filter(|script| script.is_sql()) else { continue };
            sqlx::raw_sql(AssertSqlSafe(sql.text().to_owned())).execute(&mut connection).await.unwrap();
            pasted += 1;
        }
        assert_eq!(pasted, 4);
    }
}

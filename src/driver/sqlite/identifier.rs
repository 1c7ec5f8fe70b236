//! Quotes names and text for SQLite's SQL. No other code does.

/// A name as an identifier: in double quotes, a double quote inside doubled.
///
/// A statement cannot contain a NUL; configuration refuses it, and this function leaves it out.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// Text as a literal: in single quotes, a single quote inside doubled.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn sqlite_reads_back_the_very_name_and_text(name in "[^\0]{1,40}") {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (column, value) = runtime.block_on(async {
                let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
                let sql = format!(
                    "CREATE TABLE {0} (x); SELECT {1} AS same, name FROM sqlite_schema;",
                    quote(&format!("t{name}")),
                    literal(&name),
                );
                let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
                (row.get::<String, _>("name"), row.get::<String, _>("same"))
            });
            proptest::prop_assert_eq!(column, format!("t{name}"));
            proptest::prop_assert_eq!(value, name);
        }
    }
}

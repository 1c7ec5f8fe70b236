//! Names and text of any characters, quoted as the server itself reads them.

use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::target::HeartbeatTable;

use super::provisioned;
use crate::bench::Flavour;
use crate::bench::driver::{at, beat};

#[tokio::test]
async fn names_of_any_characters_work_in_any_sql_mode() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let target = at(&server.admin_url(), &target);
        for mode in ["''", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", "'ANSI,STRICT_ALL_TABLES,PIPES_AS_CONCAT'"] {
            server.set_global("sql_mode", mode).await;
            for name in
                ["a`b", "it's", "back\\slash", "\"double\"", "ü ä", "-- x", "; DROP TABLE y", "100%_", "`", "select"]
            {
                let quoted = format!("`{}`", name.replace('`', "``"));
                server.execute(&format!("CREATE DATABASE {quoted}")).await;
                server.execute(&format!("CREATE TABLE {quoted}.{quoted} LIKE {}", super::TABLE)).await;
                server.execute(&format!("INSERT INTO {quoted}.{quoted} (id) VALUES (3)")).await;
                let mut target = target.clone();
                target.heartbeat = HeartbeatTable { schema: name.to_owned(), table: name.to_owned(), row: 3.into() };
                let outcome = beat(&target, Writing::Always).await.map(|beat| beat.outcome);
                assert_eq!(outcome.map_err(|e| e.to_string()), Ok(BeatOutcome::Written), "{flavour:?} {mode} {name}");
                // The query for the column's type uses the names as text.
                server.execute(&format!("ALTER TABLE {quoted}.{quoted} MODIFY last_update TEXT")).await;
                let failed = beat(&target, Writing::Always).await.unwrap_err();
                assert_eq!(failed.kind(), ErrorKind::ColumnType, "{flavour:?} {mode} {name}: {failed}");
                server.execute(&format!("DROP DATABASE {quoted}")).await;
            }
        }
    }
}

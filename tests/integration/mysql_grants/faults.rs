//! One fault after another on a healthy server. Each is found, and its pasted remedy repairs it.

use super::{BEAT, ROWS, Stage};
use crate::bench::Flavour;
use crate::bench::seeded_faults::{Fault, Mend, fault, try_all};

/// The flavours that have roles.
const WITH_ROLES: &[Flavour] = &[Flavour::Mariadb, Flavour::Mysql];

/// What `heartbeatd provision` creates after the wrong table was renamed.
const PROVISIONED: &str = "CREATE TABLE T (id INT AUTO_INCREMENT PRIMARY KEY, text TEXT, last_update TIMESTAMP NULL DEFAULT \
    CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP); INSERT INTO T (id, text) VALUES (1, 'test_heartbeat'); \
    DROP TABLE streamkap.not_the_heartbeat";

/// A table without its own primary key, on a server that generates one.
const GENERATED_KEY: &str = "RENAME TABLE T TO streamkap.kept; SET SESSION sql_generate_invisible_primary_key = ON; \
    CREATE TABLE T (id INT NOT NULL, text TEXT, last_update TIMESTAMP NULL); \
    INSERT INTO T (id, text, last_update) VALUES (1, 'test_heartbeat', NOW())";
const HIDDEN_KEY: &str = "SET GLOBAL show_gipk_in_create_table_and_information_schema = OFF; \
    RENAME TABLE T TO streamkap.kept; SET SESSION sql_generate_invisible_primary_key = ON; \
    CREATE TABLE T (id INT NOT NULL, text TEXT, last_update TIMESTAMP NULL); \
    INSERT INTO T (id, text, last_update) VALUES (1, 'test_heartbeat', NOW())";

/// The list; `T` is the heartbeat table.
fn faults() -> Vec<Fault> {
    use Mend::{Remedy, RemedyAnd, Sql};
    vec![
        // --- the table
        fault(
            "schema-exists",
            "no schema of that name",
            "GRANT SELECT, INSERT, UPDATE ON gone.* TO hb@'%'",
            Sql("CREATE DATABASE gone; CREATE TABLE gone.streamkap_heartbeat LIKE T; \
                 INSERT INTO gone.streamkap_heartbeat SELECT * FROM T; \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON gone.* TO cdc@'%'"),
        )
        .with(|target| target.heartbeat.schema = "gone".to_owned())
        .after("DROP DATABASE gone; REVOKE SELECT, INSERT, UPDATE ON gone.* FROM hb@'%'; \
                REVOKE SELECT, INSERT, UPDATE, DELETE ON gone.* FROM cdc@'%'"),
        fault("table-exists", "no table of that name", "RENAME TABLE T TO streamkap.gone", Sql("RENAME TABLE streamkap.gone TO T")),
        fault(
            "table-exists",
            "another place: `other`.`streamkap_heartbeat`",
            "GRANT SELECT ON other.* TO hb@'%'; RENAME TABLE T TO other.streamkap_heartbeat",
            Sql("RENAME TABLE other.streamkap_heartbeat TO T"),
        )
        .after("REVOKE SELECT ON other.* FROM hb@'%'"),
        fault(
            "table-kind",
            "a view",
            "RENAME TABLE T TO streamkap.real_one; CREATE VIEW T AS SELECT * FROM streamkap.real_one",
            RemedyAnd("DROP VIEW streamkap.not_the_heartbeat; RENAME TABLE streamkap.real_one TO T"),
        ),
        fault("table-engine", "MyISAM, which has no transactions", "ALTER TABLE T ENGINE = MyISAM", Remedy).warns(),
        fault(
            "table-engine",
            "MEMORY, which is empty after every restart",
            "ALTER TABLE T DROP COLUMN text, ENGINE = MEMORY",
            Remedy,
        )
        .after("ALTER TABLE T ADD COLUMN text TEXT"),
        fault(
            "table-columns",
            "last_update is of type varchar",
            "ALTER TABLE T MODIFY COLUMN last_update VARCHAR(40)",
            RemedyAnd(PROVISIONED),
        ),
        fault("table-columns", "without last_update", "ALTER TABLE T DROP COLUMN last_update", Remedy),
        fault("table-columns", "without id", "ALTER TABLE T DROP COLUMN id", Remedy),
        fault(
            "table-columns",
            "id is of type varchar",
            "ALTER TABLE T MODIFY COLUMN id VARCHAR(9) NOT NULL",
            RemedyAnd(PROVISIONED),
        ),
        fault("table-primary-key", "none", "ALTER TABLE T MODIFY COLUMN id INT NOT NULL, DROP PRIMARY KEY", Remedy)
            .warns()
            .after("ALTER TABLE T MODIFY COLUMN id INT AUTO_INCREMENT"),
        fault(
            "table-primary-key",
            "text",
            "ALTER TABLE T MODIFY COLUMN id INT NOT NULL, DROP PRIMARY KEY, MODIFY COLUMN text VARCHAR(20) NOT NULL, \
             ADD PRIMARY KEY (text)",
            Remedy,
        )
        .warns()
        .after("ALTER TABLE T DROP PRIMARY KEY, MODIFY COLUMN text TEXT, ADD PRIMARY KEY (id)"),
        // A generated key may be visible or hidden. In both cases the server accepts no second one.
        fault("table-primary-key", "my_row_id", GENERATED_KEY, Remedy)
            .warns()
            .after("DROP TABLE T; ALTER TABLE streamkap.kept RENAME T")
            .only(&[Flavour::Mysql]),
        fault("table-primary-key", "my_row_id", HIDDEN_KEY, Remedy)
            .warns()
            .after(
                "SET GLOBAL show_gipk_in_create_table_and_information_schema = ON; DROP TABLE T; \
                 ALTER TABLE streamkap.kept RENAME T",
            )
            .only(&[Flavour::Mysql]),
        // --- the row
        fault("row-exists", "the table is empty", "DELETE FROM T", Sql("INSERT INTO T (id, text) VALUES (1, 'test_heartbeat')")),
        fault("row-exists", "row 7 and not row 1", "UPDATE T SET id = 7", Sql("UPDATE T SET id = 1")),
        fault(
            "row-exists",
            "row 7 and not row 1",
            "UPDATE T SET id = 7; INSERT INTO T (id) VALUES (8)",
            Sql("DELETE FROM T WHERE id = 8; UPDATE T SET id = 1"),
        ),
        fault("row-single", "3 rows", "INSERT INTO T (id) VALUES (2), (3)", Sql("DELETE FROM T WHERE id > 1")).warns(),
        fault("row-fresh", "old", "UPDATE T SET last_update = '2020-02-02 02:02:02'", Sql(BEAT)).warns(),
        // --- this user
        fault("writer-select", "1142", "REVOKE SELECT ON T FROM hb@'%'", Remedy).hides(ROWS),
        fault("writer-update", "1142", "REVOKE UPDATE ON T FROM hb@'%'", Remedy),
        fault(
            "writer-update",
            "1143",
            "REVOKE UPDATE ON T FROM hb@'%'; GRANT UPDATE (text) ON T TO hb@'%'",
            Remedy,
        )
        .after("REVOKE UPDATE (text) ON T FROM hb@'%'"),
        fault("writer-insert", "1142", "REVOKE INSERT ON T FROM hb@'%'", Remedy).informs(),
        fault(
            "writer-roles",
            "SELECT comes with the role `writer`",
            "REVOKE SELECT, INSERT, UPDATE ON T FROM hb@'%'; CREATE ROLE writer; \
             GRANT SELECT, INSERT, UPDATE ON T TO writer; GRANT writer TO hb@'%'",
            Remedy,
        )
        .hides(&["schema-exists"])
        .after("DROP ROLE writer; GRANT SELECT, INSERT, UPDATE ON T TO hb@'%'")
        .only(WITH_ROLES),
        fault("writer-read-only", "it holds SUPER", "GRANT SUPER ON *.* TO hb@'%'", Sql("REVOKE SUPER ON *.* FROM hb@'%'"))
            .informs()
            .after("DROP USER heartbeat@'%'"),
        fault("writer-read-only", "CONNECTION_ADMIN", "GRANT CONNECTION_ADMIN ON *.* TO hb@'%'", Sql("REVOKE CONNECTION_ADMIN ON *.* FROM hb@'%'"))
            .informs()
            .after("DROP USER heartbeat@'%'")
            .only(&[Flavour::Mysql]),
        fault("writer-expiry", "expires in", "ALTER USER hb@'%' PASSWORD EXPIRE INTERVAL 3 DAY", Remedy).warns(),
        // --- the connector
        fault("connector-role", "no such account", "DROP USER cdc@'%'", RemedyAnd(
            "ALTER USER cdc@'%' IDENTIFIED BY 'cdc-password' ACCOUNT UNLOCK; \
             GRANT REPLICATION SLAVE, REPLICATION CLIENT, RELOAD, SHOW DATABASES ON *.* TO cdc@'%'; \
             GRANT SELECT ON streamkap.* TO cdc@'%'; GRANT INSERT, UPDATE, DELETE ON T TO cdc@'%'",
        )),
        fault("connector-login", "locked", "ALTER USER cdc@'%' ACCOUNT LOCK", Remedy),
        fault("connector-expiry", "declared expired", "ALTER USER cdc@'%' PASSWORD EXPIRE", Remedy),
        fault("connector-replication", "no REPLICATION SLAVE on *.*", "REVOKE REPLICATION SLAVE ON *.* FROM cdc@'%'", Remedy),
        fault("connector-replication", "no REPLICATION CLIENT", "REVOKE REPLICATION CLIENT ON *.* FROM cdc@'%'", Remedy),
        fault("connector-reload", "no RELOAD", "REVOKE RELOAD ON *.* FROM cdc@'%'", Remedy).warns(),
        fault("connector-show-databases", "no SHOW DATABASES", "REVOKE SHOW DATABASES ON *.* FROM cdc@'%'", Remedy).informs(),
        fault("connector-select", "no SELECT", "REVOKE SELECT ON streamkap.* FROM cdc@'%'", Remedy)
            .after("REVOKE SELECT ON T FROM cdc@'%'; GRANT SELECT ON streamkap.* TO cdc@'%'"),
        // With the backslash it is a database called "str_amkap".
        fault(
            "connector-select",
            "no SELECT",
            r"REVOKE SELECT ON streamkap.* FROM cdc@'%'; GRANT SELECT ON `str\_amkap`.* TO cdc@'%'",
            Remedy,
        )
        .after(r"REVOKE SELECT ON `str\_amkap`.* FROM cdc@'%'; REVOKE SELECT ON T FROM cdc@'%'; GRANT SELECT ON streamkap.* TO cdc@'%'"),
        fault(
            "connector-select",
            "for these columns only: id",
            "REVOKE SELECT ON streamkap.* FROM cdc@'%'; GRANT SELECT (id) ON T TO cdc@'%'",
            Remedy,
        )
        .after("REVOKE SELECT, SELECT (id) ON T FROM cdc@'%'; GRANT SELECT ON streamkap.* TO cdc@'%'"),
        fault("connector-insert", "no INSERT", "REVOKE INSERT ON T FROM cdc@'%'", Remedy),
        fault("connector-update", "no UPDATE", "REVOKE UPDATE ON T FROM cdc@'%'", Remedy),
        fault("connector-delete", "no DELETE", "REVOKE DELETE ON T FROM cdc@'%'", Remedy).warns(),
        fault(
            "connector-roles",
            "REPLICATION SLAVE comes with the role `reader`",
            "REVOKE REPLICATION SLAVE ON *.* FROM cdc@'%'; CREATE ROLE reader; GRANT REPLICATION SLAVE ON *.* TO reader; \
             GRANT reader TO cdc@'%'",
            Remedy,
        )
        .after("DROP ROLE reader; GRANT REPLICATION SLAVE ON *.* TO cdc@'%'")
        .only(WITH_ROLES),
    ]
}

#[tokio::test]
async fn each_fault_of_table_row_or_account_on_mariadb_is_found_and_its_remedy_repairs_it() {
    try_on(Flavour::Mariadb).await;
}

#[tokio::test]
async fn each_fault_of_table_row_or_account_on_mysql_is_found_and_its_remedy_repairs_it() {
    try_on(Flavour::Mysql).await;
}

#[tokio::test]
async fn each_fault_of_table_row_or_account_on_an_old_mysql_is_found_and_its_remedy_repairs_it() {
    try_on(Flavour::Mysql57).await;
}

async fn try_on(flavour: Flavour) {
    try_all(&Stage::set(flavour).await, faults()).await;
}

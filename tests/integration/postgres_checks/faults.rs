//! One fault after another on a healthy server: exactly that finding fails, and its remedy repairs it.

use heartbeatd::target::ProvisionMode;

use super::stage::{BEAT, Paste, Stage, options};
use crate::bench::seeded_faults::{Fault, Mend, fault, try_all};

const ROWS: &[&str] = &["row-exists", "row-single", "row-fresh", "row-moves"];
/// Under row-level security only the owner knows how many rows there are.
const OWNERS_ONLY: &[&str] = &["row-single"];

/// The list; `T` is the heartbeat table.
fn faults() -> Vec<Fault> {
    use Mend::{Remedy, RemedyAnd, Sql};
    vec![
        // --- the server
        fault("server-writable", "from: user", "ALTER ROLE hb SET default_transaction_read_only = on", Remedy),
        fault(
            "server-writable",
            "from: database",
            "ALTER DATABASE postgres SET default_transaction_read_only = on",
            Remedy,
        ),
        // --- the table
        fault(
            "schema-exists",
            "no schema",
            "ALTER SCHEMA streamkap RENAME TO gone",
            Sql("ALTER SCHEMA gone RENAME TO streamkap"),
        ),
        fault(
            "table-exists",
            "another place: public.streamkap_heartbeat",
            "ALTER TABLE T SET SCHEMA public",
            Sql("ALTER TABLE public.streamkap_heartbeat SET SCHEMA streamkap"),
        ),
        fault(
            "table-kind",
            "a view",
            "ALTER TABLE T RENAME TO real; CREATE VIEW T AS SELECT * FROM streamkap.real; GRANT ALL ON T TO hb, cdc",
            RemedyAnd(
                "DROP VIEW streamkap.not_the_heartbeat; ALTER TABLE streamkap.real RENAME TO streamkap_heartbeat",
            ),
        ),
        fault(
            "table-logged",
            "unlogged",
            "ALTER PUBLICATION pub DROP TABLE T; ALTER TABLE T SET UNLOGGED",
            RemedyAnd("ALTER PUBLICATION pub ADD TABLE T"),
        ),
        fault(
            "table-columns",
            "last_update is of type text",
            "ALTER TABLE T ALTER last_update DROP DEFAULT, ALTER last_update TYPE text",
            RemedyAnd(BEAT),
        ),
        fault("table-columns", "without last_update", "ALTER TABLE T DROP COLUMN last_update", RemedyAnd(BEAT)),
        fault(
            "table-primary-key",
            "none",
            "ALTER TABLE T REPLICA IDENTITY FULL, DROP CONSTRAINT streamkap_heartbeat_pkey",
            Remedy,
        )
        .warns()
        .after("ALTER TABLE T REPLICA IDENTITY DEFAULT"),
        fault(
            "table-primary-key",
            "text, id",
            "ALTER TABLE T REPLICA IDENTITY FULL, ALTER text SET NOT NULL, DROP CONSTRAINT streamkap_heartbeat_pkey, ADD PRIMARY \
             KEY (text, id)",
            Remedy,
        )
        .warns()
        .after(
            "ALTER TABLE T DROP CONSTRAINT streamkap_heartbeat_pkey, DROP CONSTRAINT streamkap_heartbeat_id_key, ALTER text \
             DROP NOT NULL, ADD PRIMARY KEY (id), REPLICA IDENTITY DEFAULT",
        ),
        fault("last-update-index", "streamkap.i", "CREATE INDEX i ON T (last_update)", Remedy).informs(),
        // --- the row
        fault("row-exists", "row 7 and not row 1", "UPDATE T SET id = 7", Sql("UPDATE T SET id = 1")),
        fault(
            "row-exists",
            "row 7 and not row 1",
            "UPDATE T SET id = 7; INSERT INTO T (id) VALUES (8)",
            Sql("DELETE FROM T WHERE id = 8; UPDATE T SET id = 1"),
        ),
        fault("row-exists", "empty", "DELETE FROM T", Remedy),
        fault("row-single", "2 rows", "INSERT INTO T (id) VALUES (2)", RemedyAnd("DELETE FROM T WHERE id = 2")).warns(),
        fault("row-fresh", "1h 7m", "UPDATE T SET last_update = last_update - interval '67 minutes'", Sql(BEAT))
            .warns(),
        fault("row-fresh", "in the future", "UPDATE T SET last_update = last_update + interval '7 minutes'", Sql(BEAT))
            .warns(),
        fault("row-fresh", "zone offset", "UPDATE T SET last_update = last_update + interval '2 hours'", Sql(BEAT))
            .warns(),
        fault("row-fresh", "never written", "UPDATE T SET last_update = NULL", Sql(BEAT)).warns(),
        fault("row-level-security", "no policy lets", "ALTER TABLE T ENABLE ROW LEVEL SECURITY", Remedy)
            .hides(&["row-exists", "row-single"])
            .leaves(OWNERS_ONLY)
            .after("DROP POLICY heartbeatd ON T; ALTER TABLE T DISABLE ROW LEVEL SECURITY"),
        fault(
            "row-level-security",
            "for UPDATE",
            "ALTER TABLE T ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON T FOR SELECT USING (true)",
            Remedy,
        )
        .hides(&["row-single"])
        .leaves(OWNERS_ONLY)
        .after("DROP POLICY heartbeatd ON T; DROP POLICY p ON T; ALTER TABLE T DISABLE ROW LEVEL SECURITY"),
        // --- our own user
        fault("schema-usage", "not granted", "REVOKE USAGE ON SCHEMA streamkap FROM hb", Remedy).hides(ROWS),
        fault("writer-select", "permission denied", "REVOKE SELECT ON T FROM hb", Remedy).hides(ROWS),
        fault("writer-update", "permission denied", "REVOKE UPDATE ON T FROM hb", Remedy),
        fault("writer-insert", "permission denied", "REVOKE INSERT ON T FROM hb", Remedy)
            .informs()
            .with(|target| target.provision = ProvisionMode::Auto),
        fault(
            "writer-expiry",
            "2days",
            "DO $$BEGIN EXECUTE format('ALTER ROLE hb VALID UNTIL %L', now() + interval '3 days'); END$$",
            Remedy,
        )
        .warns(),
        // --- the connector's role
        fault(
            "connector-role",
            "no such role",
            "ALTER ROLE cdc RENAME TO gone",
            RemedyAnd("DROP ROLE cdc; ALTER ROLE gone RENAME TO cdc"),
        ),
        fault("connector-login", "NOLOGIN", "ALTER ROLE cdc NOLOGIN", Remedy),
        fault(
            "connector-connect",
            "no CONNECT",
            "REVOKE CONNECT ON DATABASE postgres FROM public; GRANT CONNECT ON DATABASE postgres TO hb",
            Remedy,
        )
        .after("GRANT CONNECT ON DATABASE postgres TO public"),
        fault("connector-replication", "NOREPLICATION", "ALTER ROLE cdc NOREPLICATION", Remedy),
        fault("connector-expiry", "it expired", "ALTER ROLE cdc VALID UNTIL '2020-01-01'", Remedy),
        fault("connector-usage", "no USAGE", "REVOKE USAGE ON SCHEMA streamkap FROM cdc", Remedy),
        fault("connector-select", "no SELECT", "REVOKE SELECT ON T FROM cdc", Remedy),
        fault("connector-insert", "no INSERT", "REVOKE INSERT ON T FROM cdc", Remedy),
        fault("connector-update", "no UPDATE", "REVOKE UPDATE ON T FROM cdc", Remedy),
        fault("connector-delete", "no DELETE", "REVOKE DELETE ON T FROM cdc", Remedy).warns(),
        fault(
            "connector-sequence",
            "no USAGE",
            "REVOKE USAGE ON SEQUENCE streamkap.streamkap_heartbeat_id_seq FROM cdc",
            Remedy,
        )
        .informs(),
        // --- the publication
        fault(
            "publication-exists",
            "no publication",
            "DROP PUBLICATION pub",
            RemedyAnd("ALTER PUBLICATION pub ADD TABLE other"),
        ),
        fault("publication-membership", "not in it", "ALTER PUBLICATION pub DROP TABLE T", Remedy),
        fault("publication-updates", "only insert", "ALTER PUBLICATION pub SET (publish = 'insert')", Remedy),
        fault("publication-row-filter", "(id > 5)", "ALTER PUBLICATION pub SET TABLE other, T WHERE (id > 5)", Remedy),
        fault(
            "publication-columns",
            "without last_update",
            "ALTER PUBLICATION pub SET TABLE other, T (id, text)",
            Remedy,
        ),
        fault(
            "publication-columns",
            "without id",
            "ALTER PUBLICATION pub SET TABLE other, T (text, last_update)",
            Remedy,
        ),
        fault(
            "publication-tables",
            "the only table in it",
            "ALTER PUBLICATION pub DROP TABLE other",
            Sql("ALTER PUBLICATION pub ADD TABLE other"),
        )
        .warns(),
        fault(
            "publication-identity",
            "its row filter names last_update",
            "CREATE PUBLICATION audit FOR TABLE T WHERE (last_update > '2020-01-01')",
            RemedyAnd(BEAT),
        )
        .after("DROP PUBLICATION audit; ALTER TABLE T REPLICA IDENTITY DEFAULT"),
        fault(
            "publication-identity",
            "its column list lacks id",
            "CREATE PUBLICATION audit FOR TABLE other, T (text, last_update) WHERE (id > 0)",
            RemedyAnd(BEAT),
        )
        .after("DROP PUBLICATION audit"),
        fault(
            "publication-identity",
            "its row filter names text",
            "CREATE PUBLICATION audit FOR TABLE other, T (id, text) WHERE (text <> '')",
            RemedyAnd(BEAT),
        )
        .after("DROP PUBLICATION audit"),
        fault(
            "publication-identity",
            "the replica identity is the whole row",
            "ALTER TABLE T REPLICA IDENTITY FULL; CREATE PUBLICATION audit FOR TABLE other, T (id, text)",
            RemedyAnd(BEAT),
        )
        .after("DROP PUBLICATION audit; ALTER TABLE T REPLICA IDENTITY DEFAULT"),
        fault("replica-identity", "nothing", "ALTER TABLE T REPLICA IDENTITY NOTHING", Remedy),
        // --- settings and sessions
        fault("max-slot-wal-keep-size", "-1", "ALTER SYSTEM SET max_slot_wal_keep_size = -1", Remedy).warns(),
        fault("max-slot-wal-keep-size", "0:", "ALTER SYSTEM SET max_slot_wal_keep_size = 0", Remedy),
        fault("max-slot-wal-keep-size", "512 MiB", "ALTER SYSTEM SET max_slot_wal_keep_size = '512MB'", Remedy).warns(),
        fault("wal-sender-timeout", "1m", "ALTER SYSTEM SET wal_sender_timeout = '60s'", Remedy).informs(),
        fault("archive-timeout", "22.5 GiB a day", "ALTER SYSTEM SET archive_timeout = 60", Remedy).warns(),
        fault("synchronous-standby", "0 of 1", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", Remedy).warns(),
        fault(
            "slots-free",
            "10 of 10",
            "SELECT pg_create_physical_replication_slot('full_' || i) FROM generate_series(1, 9) AS i",
            RemedyAnd("SELECT pg_drop_replication_slot('full_' || i) FROM generate_series(1, 9) AS i"),
        )
        .warns()
        .with(|target| {
            target.connector.needs.remove("slot");
        }),
    ]
}

#[tokio::test]
async fn each_fault_is_found_and_its_remedy_repairs_it() {
    try_all(&Stage::set().await, faults()).await;
}

#[tokio::test]
async fn each_fault_is_found_and_repaired_on_a_newer_major_version_too() {
    let mut stage = Stage::on(options().seventeen().start().await).await;
    stage.how = Paste::AsOneMessage;
    try_all(&stage, faults()).await;
}

//! Faults of the objects, each with its kind, and each heals by itself.

use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};

use super::{TABLE, provisioned};
use crate::bench::driver::{at, beat, failure, report, session};
use crate::bench::secs;
use crate::bench::session::{execute, rows};

#[tokio::test]
async fn each_fault_of_the_objects_has_its_kind_and_heals() {
    let (server, target) = provisioned().await;
    let trigger = |body: &str| {
        format!(
            "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; END$$; \
             CREATE TRIGGER t BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION public.f()"
        )
    };
    let no_trigger = "DROP FUNCTION public.f() CASCADE";
    let faults: &[(&str, &str, ErrorKind)] = &[
        (&format!("REVOKE UPDATE ON {TABLE} FROM hb"), &format!("GRANT UPDATE ON {TABLE} TO hb"), ErrorKind::Privilege),
        ("REVOKE USAGE ON SCHEMA streamkap FROM hb", "GRANT USAGE ON SCHEMA streamkap TO hb", ErrorKind::Privilege),
        (
            "REVOKE CONNECT ON DATABASE postgres FROM public",
            "GRANT CONNECT ON DATABASE postgres TO public",
            ErrorKind::Privilege,
        ),
        (
            &format!("ALTER TABLE {TABLE} RENAME TO gone"),
            "ALTER TABLE streamkap.gone RENAME TO streamkap_heartbeat",
            ErrorKind::MissingTable,
        ),
        (
            &format!("ALTER TABLE {TABLE} RENAME last_update TO gone"),
            &format!("ALTER TABLE {TABLE} RENAME gone TO last_update"),
            ErrorKind::MissingColumn,
        ),
        (
            &format!("ALTER TABLE {TABLE} ALTER last_update DROP DEFAULT, ALTER last_update TYPE text"),
            &format!("ALTER TABLE {TABLE} ALTER last_update TYPE timestamp USING NULL"),
            ErrorKind::ColumnType,
        ),
        (&format!("UPDATE {TABLE} SET id = 7"), &format!("UPDATE {TABLE} SET id = 1"), ErrorKind::MissingRow),
        (
            &format!("ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY"),
            &format!("ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY"),
            ErrorKind::MissingRow,
        ),
        (
            &format!(
                "ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {TABLE} FOR SELECT USING (true)"
            ),
            &format!("DROP POLICY p ON {TABLE}; ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY"),
            ErrorKind::RowNotUpdatable,
        ),
        (&trigger("RETURN NULL"), no_trigger, ErrorKind::RowNotUpdatable),
        (&trigger("NEW.last_update := OLD.last_update; RETURN NEW"), no_trigger, ErrorKind::RowNotUpdatable),
        (&trigger("RAISE EXCEPTION 'no'"), no_trigger, ErrorKind::Rejected),
        (
            &format!("ALTER TABLE {TABLE} REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE {TABLE}"),
            &format!("DROP PUBLICATION p; ALTER TABLE {TABLE} REPLICA IDENTITY DEFAULT"),
            ErrorKind::Rejected,
        ),
        (
            &format!(
                "ALTER TABLE {TABLE} DROP CONSTRAINT streamkap_heartbeat_pkey; INSERT INTO {TABLE} (id) VALUES (1)"
            ),
            &format!(
                "DELETE FROM {TABLE} WHERE ctid <> (SELECT min(ctid) FROM {TABLE}); ALTER TABLE {TABLE} ADD PRIMARY KEY (id)"
            ),
            ErrorKind::DuplicateRows,
        ),
        ("ALTER ROLE hb CONNECTION LIMIT 0", "ALTER ROLE hb CONNECTION LIMIT -1", ErrorKind::TooManyConnections),
        ("ALTER ROLE hb NOLOGIN", "ALTER ROLE hb LOGIN", ErrorKind::Auth),
        ("ALTER ROLE hb PASSWORD 'other'", "ALTER ROLE hb PASSWORD 'hb-password'", ErrorKind::Auth),
    ];
    for (fault, cure, kind) in faults {
        server.execute(fault).await;
        assert_eq!(failure(&target).await, *kind, "{fault}");
        server.execute(cure).await;
        let healed = beat(&target, Writing::Always).await;
        assert_eq!(healed.map(|beat| beat.outcome).map_err(|e| e.to_string()), Ok(BeatOutcome::Written), "{cure}");
    }
    assert_eq!(failure(&at(&server.url("hb", "wrong"), &target)).await, ErrorKind::Auth);
    let nowhere = format!("postgres://hb:hb-password@127.0.0.1:{}/nowhere", server.port());
    assert_eq!(failure(&at(&nowhere, &target)).await, ErrorKind::MissingDatabase);
    assert_eq!(failure(&at("postgres://hb@no-such-host.invalid/x", &target)).await, ErrorKind::Name);
    assert_eq!(failure(&at("postgres://hb@%2Fnonexistent/x", &target)).await, ErrorKind::Refused);
}

#[tokio::test]
async fn a_commit_that_fails_is_no_success() {
    let (server, target) = provisioned().await;
    server
        .execute(&format!(
            "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'late'; END$$; \
             CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON {TABLE} DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION public.f()"
        ))
        .await;
    assert_eq!(failure(&target).await, ErrorKind::Rejected);
}

#[tokio::test]
async fn a_held_lock_ends_the_beat_on_the_server_before_its_caller_gives_up() {
    let (server, target) = provisioned().await;
    let mut holder = server.connect().await;
    for lock in [format!("UPDATE {TABLE} SET text = 'held'"), format!("LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")] {
        let mut session = session(&target).await;
        execute(&mut holder, &format!("BEGIN; {lock}")).await;
        let failed = report(session.as_mut(), Writing::Always, secs(5)).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Lock, "{failed}");
        let waiting = rows(&mut holder, "SELECT pid FROM pg_locks WHERE NOT granted").await.unwrap();
        assert!(waiting.is_empty(), "left behind: {waiting:?}");
        execute(&mut holder, "ROLLBACK").await;
    }
}

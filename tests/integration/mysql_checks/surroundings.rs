//! Sessions, events and filters around the heartbeat.

use heartbeatd::finding::{Inspection, Look, Severity, Status};
use heartbeatd::heartbeat::Writing;
use heartbeatd::target::WriteMode;

use super::stage::{BEAT, Stage, TABLE, ids, judge, look, options, shown, wrong};
use crate::bench::driver::beat;
use crate::bench::mysql::session::execute;
use crate::bench::mysql::{ADMIN_PASSWORD, Flavour};
use crate::bench::{eventually, secs};

const ALL: [Flavour; 3] = [Flavour::Mariadb, Flavour::Mysql, Flavour::Mysql57];

#[tokio::test]
async fn what_the_least_user_may_not_see_is_unknown_and_names_the_grant() {
    for flavour in ALL {
        let stage = Stage::set(flavour).await;
        for statement in [
            "REVOKE ALL PRIVILEGES, GRANT OPTION FROM hb@'%'",
            "GRANT SELECT, INSERT, UPDATE ON streamkap.streamkap_heartbeat TO hb@'%'",
        ] {
            stage.server.execute(statement).await;
        }
        let findings = stage.findings(&stage.target).await;
        assert_eq!(ids(&findings, Status::Failed), [""; 0], "{flavour:?}: {}", shown(&wrong(&findings)));
        let unknown = ids(&findings, Status::Unknown);
        for id in ["binlog-filters", "connector-connected", "long-transactions", "table-count", "native-scheduler"] {
            assert!(unknown.contains(&id), "{flavour:?}: {id} is not in {unknown:?}");
            let finding = findings.iter().find(|finding| finding.id == id).unwrap();
            let (_, grant) = finding.observed.split_once("; requires ").unwrap();
            stage.server.execute(grant).await;
        }
        stage.server.execute("GRANT SELECT ON mysql.* TO hb@'%'").await;
        stage.all_is_well(&stage.target, "the grants").await;
    }
}

#[tokio::test]
async fn an_inspection_changes_nothing_and_takes_few_messages() {
    for flavour in ALL {
        let stage = Stage::on(options(flavour).general_log().start().await).await;
        let row = "SELECT last_update FROM streamkap.streamkap_heartbeat";
        let log = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'hb'";
        let before = stage.server.rows(row).await;
        look(&stage.target).await;
        assert_eq!(stage.server.rows(row).await, before);
        eventually(secs(5), "the session to be gone", async || {
            if stage.server.number(log).await == 0 { Ok(()) } else { Err("it is there") }
        })
        .await;
        let said = stage.server.statements_of("hb");
        let probes = said.iter().filter(|statement| statement.contains("WHERE 1 = 0")).count();
        assert_eq!(probes, 3);
        // Three of them belong to the connection itself.
        assert!(said.len() - probes <= 26, "{} messages:\n{}", said.len(), said.join("\n"));
    }
}

#[tokio::test]
async fn no_password_no_hash_and_no_statement_is_in_the_facts() {
    for flavour in ALL {
        let stage = Stage::set(flavour).await;
        stage
            .server
            .execute(
                "CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DO UPDATE streamkap.streamkap_heartbeat SET \
                 last_update = CURRENT_TIMESTAMP, text = 'somebody else''s secret' WHERE id = 1",
            )
            .await;
        let mut other = stage.server.connect().await;
        execute(&mut other, "BEGIN").await;
        execute(&mut other, "UPDATE streamkap.streamkap_heartbeat SET text = 'somebody else''s secret'").await;
        let facts = format!("{:?}", look(&stage.as_admin()).await);
        assert!(facts.contains("\"beat\""), "{facts}");
        // A hash of mysql_native_password begins with an asterisk and forty hexadecimal digits.
        let hash =
            facts.split('*').any(|part| part.len() >= 40 && part.chars().take(40).all(|c| c.is_ascii_hexdigit()));
        assert!(!hash && !facts.contains("$A$005$"), "{facts}");
        for secret in ["somebody else", ADMIN_PASSWORD] {
            assert!(!facts.contains(secret), "{secret} is in {facts}");
        }
    }
}

#[tokio::test]
async fn a_transaction_that_is_open_for_long_is_found_in_whatever_zone_the_server_is() {
    for flavour in ALL {
        let mut stage = Stage::on(options(flavour).system_time_zone("Asia/Tokyo").start().await).await;
        stage.target.checks.thresholds.long_transaction = secs(2);
        let mut other = stage.server.connect().await;
        execute(&mut other, "BEGIN").await;
        execute(&mut other, "UPDATE streamkap.streamkap_heartbeat SET text = 'held' WHERE id = 2 OR text = 'x'").await;
        let remedy = eventually(secs(30), format!("{flavour:?}: the transaction to be found"), async || {
            let findings = wrong(&stage.findings(&stage.target).await);
            match findings.as_slice() {
                [only] if only.id == "long-transactions" => Ok((only.observed.clone(), only.remedy.clone().unwrap())),
                _ => Err(shown(&findings)),
            }
        })
        .await;
        assert!(remedy.0.contains("of admin has had a transaction open for"), "{}", remedy.0);
        assert!(!remedy.0.contains("9h"), "{}", remedy.0);
        stage.paste(&remedy.1).await;
        stage.all_is_well(&stage.target, "the remedy").await;
    }
}

#[tokio::test]
async fn the_last_run_of_an_event_is_read_in_whatever_zone_the_server_is() {
    for flavour in ALL {
        let mut stage = Stage::on(options(flavour).system_time_zone("Asia/Tokyo").start().await).await;
        stage.target.write = WriteMode::Never;
        stage.target.timeout = secs(2);
        stage.server.set_global("event_scheduler", "ON").await;
        stage
            .server
            .execute(
                "CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 SECOND DO UPDATE streamkap.streamkap_heartbeat SET \
                 last_update = CURRENT_TIMESTAMP WHERE id = 1",
            )
            .await;
        let run = |look: Inspection| {
            let Look::Facts(facts) = look.source else { unreachable!() };
            (facts["events"]["seen"][0]["last_run"].as_i64(), facts["server"]["time"].as_i64().unwrap())
        };
        let (last, now) = eventually(secs(30), "the event to run", async || match run(look(&stage.target).await) {
            (Some(last), now) => Ok((last, now)),
            (None, _) => Err("not yet"),
        })
        .await;
        // Another zone would be hours away. A run is in whole seconds, and this machine may be slow.
        assert!((now - last).abs() < 60_000_000, "{flavour:?}: {last} {now}");
        stage.all_is_well(&stage.target, "the event ran").await;
    }
}

#[tokio::test]
async fn a_table_that_keeps_its_history_counts_as_one() {
    let stage = Stage::set(Flavour::Mariadb).await;
    let counted = async || {
        let Look::Facts(facts) = look(&stage.target).await.source else { unreachable!() };
        facts["tables"]["seen"].as_i64().unwrap()
    };
    let before = counted().await;
    stage.server.execute("CREATE TABLE streamkap.kept (id INT) WITH SYSTEM VERSIONING").await;
    assert_eq!(counted().await, before + 1);

    // The heartbeat's own history: each beat would add an old row.
    let kept =
        async || stage.server.number("SELECT COUNT(*) FROM streamkap.streamkap_heartbeat FOR SYSTEM_TIME ALL").await;
    stage.server.execute(&format!("ALTER TABLE {TABLE} ADD SYSTEM VERSIONING")).await;
    stage.server.execute(BEAT).await;
    let before = kept().await;
    assert!(before > 1, "{before}");
    let wrong = wrong(&stage.findings(&stage.target).await);
    let [only] = wrong.as_slice() else { panic!("{}", shown(&wrong)) };
    assert_eq!((only.id.as_str(), only.severity), ("table-kind", Severity::Warning), "{only:?}");
    stage.paste(only.remedy.as_ref().unwrap()).await;
    stage.all_is_well(&stage.target, "the remedy").await;
    beat(&stage.target, Writing::Always).await.unwrap();
    assert_eq!(kept().await, before, "and what was kept is still there");
}

#[tokio::test]
async fn an_event_that_updates_other_tables_too_is_judged_by_its_update_of_the_heartbeat() {
    for flavour in ALL {
        let stage = Stage::set(flavour).await;
        for statement in [
            "CREATE TABLE streamkap.orders (id INT)",
            "CREATE EVENT streamkap.both ON SCHEDULE EVERY 1 MINUTE DO BEGIN UPDATE streamkap.orders SET id = 5 WHERE id = 5; \
             INSERT INTO streamkap.orders SELECT id FROM streamkap_heartbeat WHERE id = 1; END",
        ] {
            let mut session = stage.server.connect().await;
            execute(&mut session, statement).await;
        }
        stage.all_is_well(&stage.target, "an event that only reads").await;
    }
}

#[tokio::test]
async fn a_connector_that_is_stopped_is_found() {
    for flavour in ALL {
        let mut stage = Stage::set(flavour).await;
        let earlier = look(&stage.target).await;
        stage.disconnect_reader().await;
        let findings = stage.findings(&stage.target).await;
        assert_eq!(ids(&findings, Status::Failed), ["connector-connected"], "{}", shown(&wrong(&findings)));
        let now = look(&stage.target).await;
        assert!(wrong(&judge(&stage.target, &now, Some(&earlier))).iter().all(|f| f.id != "connector-connected"));
        stage.connect_reader().await;
        stage.all_is_well(&stage.target, "the connector came back").await;
    }
}

#[tokio::test]
async fn a_server_whose_binary_log_leaves_the_schema_out_or_is_off_is_found() {
    for flavour in ALL {
        let stage = Stage::unread(options(flavour).conf("binlog_do_db = app").start().await).await;
        let findings = stage.findings(&stage.target).await;
        assert_eq!(ids(&findings, Status::Failed), ["binlog-filters", "connector-connected"], "{flavour:?}");
        let stage = Stage::unread(options(flavour).conf("skip_log_bin").start().await).await;
        let findings = stage.findings(&stage.target).await;
        assert_eq!(ids(&findings, Status::Failed), ["binlog-enabled", "connector-connected"], "{flavour:?}");
        assert_eq!(ids(&findings, Status::Unknown), [""; 0], "{}", shown(&wrong(&findings)));
    }
}

#[tokio::test]
async fn a_row_that_is_written_past_the_binary_log_is_found_by_two_inspections() {
    for flavour in ALL {
        let stage = Stage::set(flavour).await;
        let says = |now: &Inspection, earlier: &Inspection| {
            let findings = judge(&stage.target, now, Some(earlier));
            let moves = findings.into_iter().find(|finding| finding.id == "binlog-moves").unwrap();
            (moves.status, moves.severity)
        };
        let beat = |value: &str| BEAT.replace("CURRENT_TIMESTAMP", value);
        let first = look(&stage.target).await;
        stage.server.execute(&beat("CURRENT_TIMESTAMP - INTERVAL 5 SECOND")).await;
        let second = look(&stage.target).await;
        assert_eq!(says(&second, &first).0, Status::Ok, "{flavour:?}");
        let mut session = stage.server.connect().await;
        execute(&mut session, "SET sql_log_bin = 0").await;
        execute(&mut session, &beat("CURRENT_TIMESTAMP - INTERVAL 4 SECOND")).await;
        let third = look(&stage.target).await;
        assert_eq!(says(&third, &second), (Status::Failed, Severity::Error), "{flavour:?}");
    }
}

#[tokio::test]
async fn a_server_starts_with_the_option_file_that_a_remedy_writes() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql57] {
        let mut stage = Stage::set(flavour).await;
        let name = if flavour == Flavour::Mariadb { "tx_read_only" } else { "transaction_read_only" };
        stage.disconnect_reader().await;
        stage.server.execute("SET GLOBAL read_only = ON").await;
        stage.server.execute(&format!("SET GLOBAL {name} = ON")).await;
        let findings = stage.findings(&stage.target).await;
        let writable = findings.iter().find(|finding| finding.id == "server-writable").unwrap();
        let note = writable.remedy.as_ref().unwrap().script().unwrap().note().unwrap();
        let lines = note.strip_prefix("also write ").unwrap();
        let (lines, _) = lines.split_once(" under [mysqld]").unwrap();
        assert_eq!(lines.split(" and ").count(), 2, "{lines}");
        let options = lines.split(" and ").fold(options(flavour), crate::bench::mysql::MysqlOptions::conf);
        let server = options.start().await;
        assert_eq!(server.number(&format!("SELECT @@global.read_only + @@global.{name}")).await, 0, "{flavour:?}");
    }
}

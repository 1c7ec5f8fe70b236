//! Settings of an administrator for every session of the server. They do not change the meaning of heartbeatd's
//! statements.

use heartbeatd::driver::Purpose;
use heartbeatd::finding::Status;
use heartbeatd::heartbeat::{BeatOutcome, Writing};

use super::stage::{BEAT, Stage, ids, options, shown, wrong};
use crate::bench::driver::{beat, in_time, open_over};
use crate::bench::mysql::Flavour;
use crate::bench::mysql::session::execute;

/// Settings of the whole server, each with its usual value for afterwards.
fn settings(flavour: Flavour) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("sql_mode", "'ANSI_QUOTES,PIPES_AS_CONCAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,NO_BACKSLASH_ESCAPES'"),
        ("sql_mode", "'NO_UNSIGNED_SUBTRACTION,REAL_AS_FLOAT,ONLY_FULL_GROUP_BY,NO_AUTO_VALUE_ON_ZERO'"),
        ("sql_mode", "'PAD_CHAR_TO_FULL_LENGTH'"),
        ("sql_mode", "''"),
        ("sql_select_limit", "1"),
        ("sql_select_limit", "0"),
        ("sql_safe_updates", "1"),
        ("sql_auto_is_null", "1"),
        ("max_join_size", "1"),
        ("sql_big_selects", "0"),
        ("completion_type", "2"),
        ("autocommit", "0"),
        ("time_zone", "'-11:30'"),
        ("div_precision_increment", "0"),
        ("group_concat_max_len", "4"),
        ("character_set_results", "latin1"),
        ("character_set_client", "latin1"),
    ];
    match flavour {
        Flavour::Mariadb => settings.extend([
            ("sql_mode", "'ORACLE'"),
            ("sql_mode", "'MSSQL'"),
            ("sql_mode", "'EMPTY_STRING_IS_NULL'"),
            ("tx_isolation", "'SERIALIZABLE'"),
        ]),
        Flavour::Mysql => settings.extend([
            ("sql_mode", "'TIME_TRUNCATE_FRACTIONAL'"),
            ("transaction_isolation", "'SERIALIZABLE'"),
            ("sql_generate_invisible_primary_key", "1"),
        ]),
        Flavour::Mysql57 => settings.push(("tx_isolation", "'SERIALIZABLE'")),
    }
    settings
}

#[tokio::test]
async fn no_setting_for_all_sessions_changes_beats_checks_or_plans() {
    let mut found = Vec::new();
    for flavour in Flavour::ALL {
        let stage = Stage::on(options(flavour).start().await).await;
        // This session keeps the settings from before, so it can always restore them.
        let (admin_url, mut admin) = (stage.server.admin_url(), stage.server.connect().await);
        for (name, value) in settings(flavour) {
            let before = stage.server.value(&format!("SELECT @@global.{name}")).await.unwrap();
            let before = if before.parse::<u64>().is_ok() { before } else { format!("'{before}'") };
            set(&mut admin, name, value).await;
            // Several beats within one second each add a second, so they run ahead of the clock.
            execute(&mut admin, BEAT).await;
            let what = format!("{flavour:?}, {name} = {value}");
            match beat(&stage.target, Writing::Always).await {
                Ok(beat) if beat.outcome == BeatOutcome::Written => {}
                other => found.push(format!("{what}: beat: {other:?}")),
            }
            let findings = wrong(&stage.findings(&stage.target).await);
            if !ids(&findings, Status::Failed).is_empty() || !ids(&findings, Status::Unknown).is_empty() {
                found.push(format!("{what}: checks:\n{}", shown(&findings)));
            }
            let mut session = open_over(&admin_url, &stage.target, Purpose::Plan).await;
            match session.plan(in_time()).await {
                Ok(plan) if plan.steps.is_empty() && plan.failures.is_empty() => {}
                other => found.push(format!("{what}: plan: {other:?}")),
            }
            session.close().await;
            set(&mut admin, name, &before).await;
        }
    }
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

async fn set(admin: &mut sqlx::mysql::MySqlConnection, name: &str, value: &str) {
    execute(admin, &format!("SET GLOBAL {name} = {value}")).await;
}

/// If the server ignores the client's character set, heartbeatd still reads names and text correctly.
#[tokio::test]
async fn a_server_that_ignores_the_clients_character_set_gets_questions_in_ours() {
    let options =
        options(Flavour::Mariadb).conf("skip_character_set_client_handshake").conf("character_set_server = latin1");
    let mut stage = Stage::on(options.start().await).await;
    for statement in [
        "SET NAMES utf8mb4; RENAME TABLE streamkap.streamkap_heartbeat TO streamkap.`Überwachung`",
        "SET NAMES utf8mb4; GRANT SELECT, INSERT, UPDATE ON streamkap.`Überwachung` TO hb@'%'",
        "SET NAMES utf8mb4; GRANT SELECT, INSERT, UPDATE, DELETE ON streamkap.`Überwachung` TO cdc@'%'",
    ] {
        stage.server.execute(statement).await;
    }
    stage.target.heartbeat.table = "Überwachung".to_owned();
    let written = beat(&stage.target, Writing::Always).await.unwrap();
    assert_eq!(written.outcome, BeatOutcome::Written);
    stage.all_is_well(&stage.target, "the name").await;
}

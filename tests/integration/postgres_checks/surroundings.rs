//! Around the heartbeat: settings that need a restart, other sessions, pg_cron.

use std::time::Duration;

use heartbeatd::finding::{Finding, Severity, Status};
use heartbeatd::target::WriteMode;

use super::stage::{BEAT, Stage, ids, options, shown, wrong};
use crate::bench::session::execute;
use crate::bench::{eventually, secs};

fn the<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.id == id).unwrap()
}

#[tokio::test]
async fn settings_that_need_a_restart_are_repaired_by_the_remedy_and_a_restart() {
    let mut stage = Stage::on(options().conf("max_wal_senders = 1").start().await).await;
    // Another connector uses the last sender.
    stage.target.connector.needs.remove("slot");
    let findings = stage.findings(&stage.target).await;
    assert_eq!(ids(&findings, Status::Failed), ["senders-free"], "{}", shown(&wrong(&findings)));
    stage.paste(the(&findings, "senders-free").remedy.as_ref().unwrap()).await;
    stage.disconnect_reader().await;
    stage.server.restart().await;
    stage.connect_reader().await;
    stage.all_is_well(&stage.target, "a restart with more senders").await;

    stage.disconnect_reader().await;
    stage.server.execute("SELECT pg_drop_replication_slot('cdc_slot')").await;
    stage.server.execute("ALTER SYSTEM SET wal_level = replica").await;
    stage.server.restart().await;
    let findings = stage.findings(&stage.target).await;
    assert_eq!(ids(&findings, Status::Failed), ["wal-level"], "{}", shown(&wrong(&findings)));
    stage.paste(the(&findings, "wal-level").remedy.as_ref().unwrap()).await;
    stage.server.execute("SELECT pg_reload_conf()").await;
    eventually(secs(10), "the change to wait for a restart", async || {
        let findings = stage.findings(&stage.target).await;
        let level = the(&findings, "wal-level");
        if level.observed.contains("waits for a restart") { Ok(()) } else { Err(level.observed.clone()) }
    })
    .await;
    stage.server.restart().await;
    stage.all_is_well(&stage.target, "a restart with wal_level = logical").await;
}

#[tokio::test]
async fn a_transaction_that_was_forgotten_is_named_and_ended_by_its_remedy() {
    let mut stage = Stage::on(options().conf("max_prepared_transactions = 5").start().await).await;
    stage.target.checks.thresholds.long_transaction = Duration::from_millis(1);
    let mut forgotten = stage.server.connect().await;
    execute(&mut forgotten, "BEGIN; SELECT txid_current()").await;
    let finding = long_transaction(&stage).await;
    assert!(finding.observed.contains("of admin (bench)"), "{}", finding.observed);
    stage.paste(finding.remedy.as_ref().unwrap()).await;
    stage.all_is_well(&stage.target, "the remedy").await;

    stage.server.execute("BEGIN; CREATE TABLE unfinished (); PREPARE TRANSACTION 'half done'").await;
    let finding = long_transaction(&stage).await;
    assert!(finding.observed.contains("prepared transaction half done of admin"), "{}", finding.observed);
    stage.paste(finding.remedy.as_ref().unwrap()).await;
    stage.all_is_well(&stage.target, "the remedy").await;
}

async fn long_transaction(stage: &Stage) -> Finding {
    eventually(secs(10), "the transaction to be found", async || {
        let findings = stage.findings(&stage.target).await;
        if ids(&findings, Status::Failed) != ["long-transactions"] {
            return Err(shown(&wrong(&findings)));
        }
        Ok(the(&findings, "long-transactions").clone())
    })
    .await
}

#[tokio::test]
async fn every_state_of_a_pg_cron_job_is_distinguished() {
    let server = options().pg_cron().conf("cron.timezone = 'GMT'").start().await;
    let mut stage = Stage::on(server).await;
    let admin = stage.as_admin();
    stage.all_is_well(&admin, "pg_cron without its extension").await;
    // The launcher is hidden like any other process. That must not count as missing.
    stage.server.execute("REVOKE pg_monitor FROM hb").await;
    let findings = stage.findings(&stage.target).await;
    assert!(ids(&findings, Status::Unknown).contains(&"native-scheduler"), "{}", shown(&findings));
    stage.server.execute("GRANT pg_monitor TO hb").await;
    stage.server.execute("CREATE EXTENSION pg_cron").await;
    stage.all_is_well(&admin, "pg_cron without a job").await;

    // A user who is not a superuser sees no jobs of others.
    let findings = stage.findings(&stage.target).await;
    assert_eq!(ids(&wrong(&findings), Status::Unknown), ["native-scheduler"]);
    stage.server.execute("GRANT USAGE ON SCHEMA cron TO hb").await;
    let findings = stage.findings(&stage.target).await;
    assert_eq!(ids(&wrong(&findings), Status::Unknown), ["native-scheduler"]);
    assert!(the(&findings, "native-scheduler").observed.contains("row-level security"), "{}", shown(&wrong(&findings)));

    let job = |row: u8| {
        format!(
            "SELECT cron.schedule('beat', '0 0 1 1 *', $$UPDATE streamkap.streamkap_heartbeat SET last_update = now() WHERE id = {row}$$)"
        )
    };
    for (sql, severity, says) in [
        (job(1), Severity::Warning, "it beats as well (0 0 1 1 *)"),
        (job(7), Severity::Warning, "it updates row 7, and the heartbeat is row 1"),
        (format!("{}; UPDATE cron.job SET active = false", job(1)), Severity::Info, "it is switched off"),
        (
            format!(
                "{}; INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, return_message, \
                 start_time) SELECT jobid, 1, database, username, 'x', 'failed', 'ERROR: no such thing', now() FROM cron.job",
                job(1)
            ),
            Severity::Info,
            "its last run failed: ERROR: no such thing",
        ),
    ] {
        stage.server.execute(&sql).await;
        let findings = stage.findings(&admin).await;
        assert_eq!(ids(&findings, Status::Failed), ["native-scheduler"], "{}", shown(&wrong(&findings)));
        let native = the(&findings, "native-scheduler");
        assert_eq!((native.severity, native.observed.as_str()), (severity, says));
        assert!(native.subject.contains("(beat)"), "{}", native.subject);
        stage.paste(native.remedy.as_ref().unwrap()).await;
        stage.all_is_well(&admin, "the remedy").await;
    }

    stage.server.execute(&job(1)).await;
    stage.target.write = WriteMode::WhenStale;
    stage.all_is_well(&stage.as_admin(), "heartbeatd covers for the job").await;

    // From another database, no user can see its jobs.
    stage.server.execute("CREATE DATABASE apart").await;
    let url = format!("{}apart", stage.server.admin_url().strip_suffix("postgres").unwrap());
    let mut apart = stage.as_admin();
    apart.endpoint = heartbeatd::target::Endpoint::parse(&url).unwrap();
    let findings = stage.findings(&apart).await;
    let native = the(&findings, "native-scheduler");
    assert_eq!(native.status, Status::Unknown, "{}", shown(&findings));
    assert!(native.observed.contains("the database postgres"), "{}", native.observed);
    stage.server.execute(BEAT).await;
}

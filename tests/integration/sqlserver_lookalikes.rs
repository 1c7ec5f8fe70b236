//! Servers that speak TDS and are not SQL Server: they lack a view or a function, answer with NULL, have no change data
//! capture, or send messages that SQL Server never sends. The double imitates each of them.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use heartbeatd::check::runner;
use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::drivers::Drivers;
use heartbeatd::finding::{Finding, Inspection, Look, Status};
use heartbeatd::heartbeat::{ErrorKind, Writing};
use heartbeatd::target::{Named, Target};

use crate::bench::beating_daemon::{PASSWORD, plain_password, target as configured};
use crate::bench::driver::{TIME, failed, in_time, open, report, session, target};
use crate::bench::heartbeatd;
use crate::bench::tds::{Encryption, Fault, Greeting, Manner, State, TdsServer};
use crate::bench::tls::{CERTIFICATES, Files};

/// Babelfish's number for nearly every error.
const ANY: u32 = 33_557_097;

/// What a lookalike may lack of everything that a login, an inspection and a check query. `+` joins what is missing
/// together.
const LACKING: &[&str] = &[
    "@@VERSION",
    "SERVERPROPERTY",
    "DATABASEPROPERTYEX",
    "FILEGROUP_ID",
    "HAS_PERMS_BY_NAME",
    "SCHEMA_ID(",
    "TYPE_NAME",
    "COL_NAME",
    "USER_NAME(",
    "DB_ID(",
    "sys.databases",
    "service_broker_guid",
    "create_date",
    "is_read_only",
    "is_cdc_enabled",
    "log_reuse_wait_desc",
    "snapshot_isolation_state_desc",
    "sys.schemas",
    "sys.objects",
    "sys.tables",
    "is_tracked_by_cdc",
    "sys.columns",
    "sys.columns+INFORMATION_SCHEMA",
    "sys.indexes",
    "sys.triggers",
    "sys.database_principals",
    "sys.database_role_members",
    "sys.database_permissions",
    "cdc.change_tables",
    "cdc.lsn_time_mapping",
    "sys.dm_cdc_errors",
    "sys.dm_server_services",
    "msdb.dbo.cdc_jobs",
    "msdb.dbo.sysjobs ",
    "msdb.dbo.sysjobactivity",
];

fn findings(target: &Target, facts: serde_json::Value) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let look = Look::Facts(facts);
    let now =
        Inspection { taken_at: i64::try_from(now).unwrap(), source: look, replicas: Vec::new(), hosts: Vec::new() };
    let driver = Drivers::built_in().get(target.endpoint.url.family()).unwrap();
    runner::judge(target, driver.as_ref(), &now, None)
}

/// The failed and the unknown findings of a server, on a separate connection.
async fn wrong(target: &Target) -> Vec<Finding> {
    let mut looking = open(target, Purpose::Inspect, None, TIME).await.unwrap();
    let facts = looking.inspect(in_time()).await.unwrap();
    let mut findings = findings(target, facts);
    findings.retain(|finding| matches!(finding.status, Status::Failed | Status::Unknown));
    findings
}

async fn plain(manner: Manner) -> (TdsServer, Target) {
    let server = TdsServer::options().manner(manner).start().await;
    let mut target = target(&server.url("?Encrypt=disable"));
    target.connector.user = Named::configured("streamkap_user");
    (server, target)
}

#[tokio::test]
async fn what_a_server_lacks_hides_only_its_own_answers_and_stops_no_beat_or_other_check() {
    let (server, target) = plain(Manner::default()).await;
    let mut text = String::new();
    for lacking in LACKING {
        server.state().lacks = lacking.split('+').collect();
        let mut beating = session(&target).await;
        let first = report(beating.as_mut(), Writing::Always, TIME).await.unwrap();
        let second = report(beating.as_mut(), Writing::Always, TIME).await.unwrap();
        assert!(first.changed == 1 && second.value > first.value, "{lacking}: {first:?} {second:?}");
        let seen = beating.observe(in_time()).await.unwrap();
        assert_eq!((seen.value, seen.role), (second.value, ServerRole::Primary), "{lacking}");
        writeln!(text, "{lacking}").unwrap();
        for finding in wrong(&target).await {
            writeln!(text, "  {} {}: {}", finding.status, finding.id, finding.observed).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_server_that_answers_with_null_beats_and_is_checked() {
    let (server, target) = plain(Manner::default()).await;
    server.state().nulls = vec![
        "version",
        "edition",
        "engine_edition",
        "product",
        "identity_",
        "started",
        "updateability",
        "read_only",
        "column_scale",
        "availability_groups",
        "recovery_model",
        "log_reuse_wait",
        "snapshot_isolation",
        "can_select",
        "can_insert",
        "can_update",
    ];
    let mut beating = session(&target).await;
    assert_eq!((beating.server().version.as_str(), beating.server().role), ("SQL Server", ServerRole::Primary));
    assert_eq!(report(beating.as_mut(), Writing::Always, TIME).await.unwrap().changed, 1);
    let lines: Vec<String> =
        wrong(&target).await.iter().map(|found| format!("{} {}: {}", found.status, found.id, found.observed)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn messages_between_rows_in_another_form_and_odd_packets_change_nothing() {
    let files = Files::new();
    let ca = files.put("ca.pem", &CERTIFICATES.authority);
    let trust = format!("&CaFile={}", ca.display());
    let usual = Manner::default();
    for (manner, encryption, query) in [
        (Manner { greeting: Greeting::Version, ..usual }, Encryption::None, "?Encrypt=disable".to_owned()),
        (Manner { greeting: Greeting::All, ..usual }, Encryption::None, "?Encrypt=disable".to_owned()),
        (Manner { chatty: true, ..usual }, Encryption::None, "?Encrypt=disable".to_owned()),
        (Manner { chatty: true, largest: 9, ..usual }, Encryption::None, "?Encrypt=disable".to_owned()),
        (Manner { chatty: true, largest: 71, ..usual }, Encryption::Login, format!("?Encrypt=optional{trust}")),
        (Manner { chatty: true, largest: 23, ..usual }, Encryption::Wrapped, format!("?Encrypt=mandatory{trust}")),
        (Manner { chatty: true, largest: 13, ..usual }, Encryption::Strict, format!("?Encrypt=strict{trust}")),
    ] {
        let server = TdsServer::options().manner(manner).encryption(encryption).start().await;
        let target = target(&server.url(&query));
        let mut beating = session(&target).await;
        let sent = server.packets().0;
        let first = report(beating.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!((first.seen, first.changed, first.previous), (1, 1, None), "{manner:?}");
        assert_eq!(first.value.unwrap().0, server.state().last_update().unwrap(), "{manner:?}");
        let second = report(beating.as_mut(), Writing::Always, TIME).await.unwrap();
        assert!(second.previous == first.value && second.value > first.value, "{manner:?}: {second:?}");
        assert_eq!(beating.observe(in_time()).await.unwrap().value, second.value, "{manner:?}");
        assert_eq!(server.packets().0 - sent, 3, "{manner:?}: one packet for each");
        let unknown: Vec<Finding> =
            wrong(&target).await.into_iter().filter(|finding| finding.status == Status::Unknown).collect();
        assert!(unknown.is_empty(), "{manner:?}: {unknown:#?}");
        server.fault(Fault::Beat(1222));
        let refused = report(beating.as_mut(), Writing::Always, TIME).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Lock, "{manner:?}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_of_encryption_gets_no_password() {
    let (server, _) = plain(Manner { greeting: Greeting::Version, ..Manner::default() }).await;
    let encrypting = target(&server.url("?Encrypt=mandatory&TrustServerCertificate=true"));
    let refused = failed(&encrypting).await;
    assert_eq!(refused.kind, ErrorKind::Tls);
    assert!(refused.message.contains("the server offers no encryption"), "{refused:?}");
    assert!(server.logins().is_empty());
}

/// The server has one number for every error, so the catalogue shows the fault.
#[tokio::test]
async fn a_refusal_without_its_own_number_is_judged_by_the_catalogue() {
    let (server, target) = plain(Manner::default()).await;
    server.state().missing = ANY;
    for (missing, kind) in [("table", ErrorKind::MissingTable), ("schema", ErrorKind::MissingSchema)] {
        match missing {
            "table" => server.state().table = false,
            _ => server.state().schema = false,
        }
        let refused = failed(&target).await;
        assert_eq!((refused.kind, refused.code.as_deref()), (kind, Some("33557097")), "{missing}");
    }
    (server.state().schema, server.state().table) = (true, true);
    server.fault(Fault::Beat(ANY));
    let kind = async || report(session(&target).await.as_mut(), Writing::Always, TIME).await.unwrap_err().kind();
    assert_eq!(kind().await, ErrorKind::Unknown, "all is there, and granted");
    server.state().nulls = vec!["column_length"];
    assert_eq!(kind().await, ErrorKind::MissingColumn);
    server.state().nulls.clear();
    server.state().grants.clear();
    assert_eq!(kind().await, ErrorKind::Privilege);
    // The catalogue cannot be queried, either.
    server.fault(Fault::Every(ANY));
    let refused = open(&target, Purpose::Beat, None, TIME).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unknown, "{refused:?}");
}

/// Babelfish according to its source code: no change data capture, no filegroups, no permissions in the catalogue.
#[tokio::test]
async fn a_lookalike_without_change_data_capture_is_provisioned_written_and_reported() {
    let server = TdsServer::options().start().await;
    *server.state() = State {
        product: "Babelfish for PostgreSQL with SQL Server Compatibility - 12.0.2000.8",
        cdc: false,
        cdc_procedures: false,
        lists_permissions: false,
        missing: ANY,
        lacks: vec!["FILEGROUP_ID", "sp_cdc_enable_db", "sys.dm_", "msdb."],
        ..State::empty()
    };
    let text = configured(
        "orders",
        &server.address("?Encrypt=disable"),
        &format!("write = \"always\"\n{}[target.connector]\nenable_cdc = true\n", plain_password()),
    );
    let run = async |arguments: &[&str]| {
        let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
        let ended = program.config(&text).run().await;
        assert!(!ended.stdout.contains(PASSWORD) && !ended.stderr.contains(PASSWORD), "{ended:?}");
        ended
    };
    let made = run(&["provision"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("has no change data capture"), "{made:?}");
    assert!(server.state().table && server.state().rows.contains_key(&1), "{made:?}");
    assert!(server.batches().iter().all(|batch| !batch.contains("EXEC sys.sp_cdc")), "nothing of it was tried");
    assert_eq!(run(&["beat"]).await.code, Some(0));
    let checked = run(&["--check"]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let name = "Babelfish for PostgreSQL with SQL Server Compatibility";
    assert!(checked.stdout.contains(&format!("{name} has no change data capture")), "{checked:?}");
    assert!(checked.stdout.contains(&format!("{name}: not a SQL Server")), "{checked:?}");
}

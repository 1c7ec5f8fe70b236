//! Servers that keep the names of schemas and tables in lower case (`lower_case_table_names`), and a configuration with
//! capitals, on MariaDB and MySQL.

use heartbeatd::driver::Purpose;
use heartbeatd::finding::{Finding, Status};
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Failure, Writing};
use heartbeatd::provisioning::{Applied, provision};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{ConnectorMode, Endpoint, Named, Replica, Target};

use crate::bench::driver::{at, beat, in_time, open_over, target};
use crate::bench::findings::{judge, look, shown, statements, wrong};
use crate::bench::mysql_scene::{on_both, on_each};
use crate::bench::{Flavour, MysqlServer};

async fn started(flavour: Flavour, conf: &[&str]) -> (MysqlServer, Target) {
    let options = MysqlServer::options().flavour(flavour).lower_case_names();
    let server = conf.iter().fold(options, |options, line| options.conf(line)).start().await;
    server.execute("CREATE USER hb@'%' IDENTIFIED BY 'hb'; CREATE USER cdc@'%' IDENTIFIED BY 'cdc'").await;
    let mut target = target(&server.url("hb", "hb"));
    target.heartbeat.schema = "Streamkap".to_owned();
    target.heartbeat.table = "Streamkap_Heartbeat".to_owned();
    target.connector.user = Named::configured("cdc");
    target.connector.mode = ConnectorMode::ReadWrite;
    (server, target)
}

async fn paste(server: &MysqlServer, remedy: &Remedy) {
    for statement in statements(remedy) {
        server.execute(&statement).await;
    }
}

async fn provisioned_by_admin(server: &MysqlServer, target: &Target) -> Applied {
    let mut session = open_over(&server.admin_url(), target, Purpose::Provision).await;
    let applied = provision(session.as_mut(), in_time()).await.unwrap();
    assert!(applied.failed.is_empty(), "{:?}", applied.failed);
    applied
}

async fn outcome(target: &Target) -> Result<BeatOutcome, Failure> {
    beat(target, Writing::Always).await.map(|beat| beat.outcome)
}

/// The findings of these checks, as an administrator sees them.
async fn findings(server: &MysqlServer, target: &Target, ids: &[&str]) -> Vec<Finding> {
    let target = at(&server.admin_url(), target);
    let mut findings = judge(&target, &look(&target).await, None);
    findings.retain(|finding| ids.iter().any(|id| finding.id.starts_with(id)));
    findings
}

/// Every check that looks up the table by its name.
const OF_THE_TABLE: &[&str] = &[
    "schema-",
    "table-",
    "row-",
    "writer-select",
    "writer-update",
    "writer-insert",
    "connector-select",
    "connector-insert",
    "connector-update",
    "connector-delete",
];

#[tokio::test]
async fn capitals_in_the_configuration_mean_the_names_that_the_server_keeps() {
    on_each(&Flavour::ALL, async |flavour| {
        let (server, target) = started(flavour, &[]).await;
        assert_eq!(provisioned_by_admin(&server, &target).await.done.len(), 5, "{flavour:?}");
        assert_eq!(provisioned_by_admin(&server, &target).await.done, Vec::<String>::new(), "{flavour:?}");
        assert_eq!(server.number("SELECT COUNT(*) FROM streamkap.streamkap_heartbeat").await, 1);
        assert_eq!(outcome(&target).await.unwrap(), BeatOutcome::Written, "{flavour:?}");

        let wrong = wrong(&findings(&server, &target, OF_THE_TABLE).await);
        assert!(wrong.is_empty(), "{flavour:?}: {}", shown(&wrong));
        server.execute("REVOKE UPDATE ON streamkap.streamkap_heartbeat FROM cdc@'%'").await;
        let update = findings(&server, &target, &["connector-update"]).await;
        assert_eq!(update[0].status, Status::Failed, "{flavour:?}: {}", shown(&update));
        paste(&server, update[0].remedy.as_ref().unwrap()).await;
        let update = findings(&server, &target, &["connector-update"]).await;
        assert_eq!(update[0].status, Status::Ok, "{flavour:?}: {}", shown(&update));

        // Patterns are also kept in lower case.
        server.execute("REVOKE SELECT, INSERT, UPDATE ON streamkap.streamkap_heartbeat FROM hb@'%'").await;
        server.execute("GRANT SELECT, INSERT, UPDATE ON `Stream%`.* TO hb@'%'").await;
        assert_eq!(provisioned_by_admin(&server, &target).await.done, Vec::<String>::new(), "{flavour:?}");

        server.execute("ALTER TABLE Streamkap.STREAMKAP_HEARTBEAT MODIFY last_update TEXT").await;
        assert_eq!(outcome(&target).await.unwrap_err().kind(), ErrorKind::ColumnType, "{flavour:?}");
    })
    .await;
}

#[tokio::test]
async fn filters_of_the_binary_log_are_read_as_the_server_reads_them() {
    for line in [
        "binlog_do_db = Streamkap",
        "binlog_do_db = streamkap",
        "binlog_ignore_db = Streamkap",
        "binlog_ignore_db = streamkap",
    ] {
        on_each(&Flavour::ALL, async |flavour| {
            let (server, target) = started(flavour, &[line]).await;
            provisioned_by_admin(&server, &target).await;
            outcome(&target).await.unwrap();
            let logged = server.update_rows_events("streamkap", "streamkap_heartbeat").await > 0;
            let found = findings(&server, &target, &["binlog-filters"]).await;
            assert_eq!(found[0].status == Status::Ok, logged, "{flavour:?} {line}: {}", shown(&found));
            // The line to remove is the one in the option file.
            let says = if line.contains("do_db") { "line binlog_do_db = streamkap " } else { line };
            assert!(
                found[0].remedy.as_ref().is_none_or(|remedy| remedy.to_string().contains(says)),
                "{}",
                shown(&found)
            );
        })
        .await;
    }
}

/// Sets a replica's filter at run time.
fn set_filter(flavour: Flavour, filter: &str, value: &str) -> String {
    if flavour == Flavour::Mariadb {
        return format!("STOP SLAVE; SET GLOBAL replicate_{filter} = '{value}'; START SLAVE");
    }
    let word = flavour.replica_word();
    let value = if filter.starts_with("wild") && !value.is_empty() { format!("'{value}'") } else { value.to_owned() };
    let filter = filter.to_uppercase();
    format!("STOP {word} SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_{filter} = ({value}); START {word} SQL_THREAD")
}

#[tokio::test]
async fn filters_of_a_replica_are_read_as_the_server_reads_them_and_lifted_in_its_spelling() {
    // MySQL 5.7.29 may crash (signal 11) when its filters are changed this often. A measurement showed that it reads
    // them as MySQL 9 does.
    on_both(async |flavour| {
        for lower_case in [false, true] {
            let options = MysqlServer::options().flavour(flavour);
            let source = if lower_case { options.lower_case_names() } else { options }.start().await;
            let replica = source.replica().await;
            let mut target = target(&source.admin_url());
            target.heartbeat.schema = "Streamkap".to_owned();
            target.heartbeat.table = "Beat".to_owned();
            provisioned_by_admin(&source, &target).await;
            target.replicas.push(Replica {
                name: "copy".to_owned(),
                endpoint: Endpoint::parse(&replica.admin_url()).unwrap(),
                required: false,
                decode: false,
            });
            let arrives = async || {
                outcome(&target).await.unwrap();
                replica.catch_up_with(&source).await;
                let value = "SELECT last_update FROM Streamkap.Beat";
                replica.value(value).await == source.value(value).await
            };
            for (filter, entry) in [
                ("do_db", "streamkap"),
                ("do_db", "Streamkap"),
                ("ignore_db", "streamkap"),
                ("ignore_db", "Streamkap"),
                ("do_table", "streamkap.Beat"),
                ("do_table", "Streamkap.beat"),
                ("ignore_table", "streamkap.beat"),
                ("ignore_table", "Streamkap.Beat"),
                ("wild_do_table", "streamkap.B%"),
                ("wild_ignore_table", "Streamkap.b%"),
                ("wild_ignore_table", "STREAM%.%"),
            ] {
                assert!(arrives().await, "{flavour:?} {lower_case} before {filter} = {entry}");
                replica.execute(&set_filter(flavour, filter, entry)).await;
                let arrived = arrives().await;
                let found = findings(&source, &target, &["replica-filters"]).await;
                let told = shown(&found);
                assert_eq!(
                    found[0].status == Status::Ok,
                    arrived,
                    "{flavour:?} {lower_case} {filter} = {entry}: {told}"
                );
                if let Some(remedy) = &found[0].remedy {
                    paste(&replica, remedy).await;
                    assert!(arrives().await, "{flavour:?} {lower_case} {remedy}");
                }
                replica.execute(&set_filter(flavour, filter, "")).await;
            }
        }
    })
    .await;
}

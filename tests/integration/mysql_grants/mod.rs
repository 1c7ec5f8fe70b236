//! The heartbeat's table, its row and the privileges on them, on MariaDB and MySQL: faults, unusual states that are
//! healthy, and that no password hash is shown.

mod faults;

use heartbeatd::finding::{Finding, Severity};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{ConnectorMode, Named, ProvisionMode, Target};

use crate::bench::driver::target;
use crate::bench::findings::{self, judge, look, shown};
use crate::bench::place::Place;
use crate::bench::seeded_faults::{self, Stage as _};
use crate::bench::{Flavour, MysqlServer, heartbeatd, mysql_client};

const TABLE: &str = "streamkap.streamkap_heartbeat";
const LAY: &str = "CREATE DATABASE streamkap;
    CREATE TABLE T (id INT AUTO_INCREMENT PRIMARY KEY, text TEXT, last_update TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO T (text) VALUES ('test_heartbeat');
    CREATE DATABASE other; CREATE TABLE other.quiet (id INT PRIMARY KEY);
    CREATE USER hb@'%' IDENTIFIED BY 'hb-password'; CREATE USER cdc@'%' IDENTIFIED BY 'cdc-password';
    GRANT SELECT, INSERT, UPDATE ON T TO hb@'%'; GRANT SELECT ON mysql.* TO hb@'%';
    GRANT REPLICATION SLAVE, REPLICATION CLIENT, RELOAD, SHOW DATABASES ON *.* TO cdc@'%';
    GRANT SELECT ON streamkap.* TO cdc@'%'; GRANT INSERT, UPDATE, DELETE ON T TO cdc@'%'";
const BEAT: &str = "UPDATE T SET last_update = CURRENT_TIMESTAMP";
/// The checks that these tests cover.
const CHECKS: [&str; 5] = ["schema-", "table-", "row-", "writer-", "connector-"];
/// Checks with such names that `mysql_checks` covers.
const OTHERS: [&str; 2] = ["connector-connected", "table-count"];
const ROWS: &[&str] = &["row-exists", "row-fresh", "row-moves", "row-single"];

/// A server, and the target that is checked on it.
struct Stage {
    server: MysqlServer,
    target: Target,
}

impl Stage {
    /// A healthy server: `hb` for heartbeatd, which may also read the accounts, and `cdc` for the connector.
    async fn set(flavour: Flavour) -> Self {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let mut target = target(&server.url("hb", "hb-password"));
        target.connector.user = Named::configured("cdc");
        target.connector.mode = ConnectorMode::ReadWrite;
        target.provision = ProvisionMode::Auto;
        let stage = Self { server, target };
        stage.run(LAY).await;
        stage
    }

    fn is_mariadb(&self) -> bool {
        self.server.flavour() == Flavour::Mariadb
    }

    /// Inspects and judges. Every check must have a finding.
    async fn findings(&self, target: &Target) -> Vec<Finding> {
        let mut findings = judge(target, &look(target).await, None);
        findings.retain(|finding| {
            CHECKS.iter().any(|start| finding.id.starts_with(start)) && !OTHERS.contains(&finding.id.as_str())
        });
        findings
    }

    async fn assert_all_is_well(&self, target: &Target, after: &str) {
        seeded_faults::all_is_well(self, target, after).await;
    }

    async fn paste_line(&self, line: &str) {
        assert!(line.contains(';'), "no statement: {line}");
        mysql_client(&self.server, format!("{line}\n")).await;
    }
}

impl seeded_faults::Stage for Stage {
    fn target(&self) -> &Target {
        &self.target
    }

    fn flavour(&self) -> Option<Flavour> {
        Some(self.server.flavour())
    }

    /// Also uses the flavour's own word in `SET DEFAULT ROLE … TO`.
    async fn run(&self, sql: &str) {
        let word = |word: &str| match word {
            "T" => TABLE.to_owned(),
            "T;" => format!("{TABLE};"),
            "TO" if self.is_mariadb() && sql.starts_with("SET DEFAULT ROLE") => "FOR".to_owned(),
            word => word.to_owned(),
        };
        let sql: Vec<String> = sql.split_whitespace().map(word).collect();
        if !sql.is_empty() {
            self.server.execute(&sql.join(" ")).await;
        }
    }

    /// Uses the servers' own client.
    async fn paste(&self, remedy: &Remedy) {
        let line = remedy.script().map_or_else(|| remedy.to_string(), ToString::to_string);
        self.paste_line(&line.replace("<password>", "'Pasted-1'")).await;
    }

    async fn wrong(&self, target: &Target) -> Vec<Finding> {
        findings::wrong(&self.findings(target).await)
    }

    async fn beat(&self) {
        self.run(BEAT).await;
    }
}

// --- unusual states that are healthy

#[tokio::test]
async fn privileges_that_come_in_other_ways_are_privileges() {
    for flavour in Flavour::ALL {
        let stage = Stage::set(flavour).await;
        for (seed, after) in [
            // By a pattern, in which `_` is any character.
            (
                "REVOKE SELECT, INSERT, UPDATE ON T FROM hb@'%'; GRANT SELECT, INSERT, UPDATE ON `stream%`.* TO hb@'%'; \
                 REVOKE SELECT ON streamkap.* FROM cdc@'%'; GRANT SELECT ON `str_amkap`.* TO cdc@'%'",
                "REVOKE SELECT, INSERT, UPDATE ON `stream%`.* FROM hb@'%'; REVOKE SELECT ON `str_amkap`.* FROM cdc@'%'",
            ),
            // Column by column.
            (
                "GRANT SELECT (id, last_update), INSERT (id), UPDATE (last_update) ON T TO hb@'%'; \
                 REVOKE UPDATE ON T FROM cdc@'%'; GRANT SELECT (id, text, last_update), UPDATE (last_update) ON T TO cdc@'%'",
                "REVOKE SELECT (id, last_update), INSERT (id), UPDATE (last_update) ON T FROM hb@'%'; \
                 REVOKE SELECT (id, text, last_update), UPDATE (last_update) ON T FROM cdc@'%'; GRANT UPDATE ON T TO cdc@'%'",
            ),
            // All of them, on the table and on the server.
            ("GRANT ALL PRIVILEGES ON T TO hb@'%'; GRANT ALL PRIVILEGES ON *.* TO cdc@'%'", ""),
        ] {
            stage.run(seed).await;
            stage.assert_all_is_well(&stage.target, seed).await;
            stage.run(after).await;
        }
    }
}

#[tokio::test]
async fn privileges_of_a_default_role_are_privileges_and_a_second_role_joins_it() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let stage = Stage::set(flavour).await;
        stage
            .run(
                "REVOKE SELECT, INSERT, UPDATE ON T FROM hb@'%'; CREATE ROLE looks, writes; GRANT SELECT ON T TO looks; \
                 GRANT INSERT, UPDATE ON T TO writes; GRANT looks TO hb@'%'; GRANT writes TO hb@'%'; \
                 REVOKE SELECT ON streamkap.* FROM cdc@'%'; GRANT looks TO cdc@'%'",
            )
            .await;
        stage.run("SET DEFAULT ROLE looks TO hb@'%'").await;
        stage.run("SET DEFAULT ROLE looks TO cdc@'%'").await;
        let wrong = stage.wrong(&stage.target).await;
        let [only] = wrong.as_slice() else { panic!("{}", shown(&wrong)) };
        assert_eq!(only.id, "writer-roles");
        assert!(only.observed.starts_with("UPDATE comes with the role `writes`"), "{}", only.observed);
        stage.paste(only.remedy.as_ref().unwrap()).await;
        stage.assert_all_is_well(&stage.target, "the second role").await;
    }
}

#[tokio::test]
async fn all_roles_are_active_where_the_server_says_so() {
    let stage = Stage::set(Flavour::Mysql).await;
    stage.server.set_global("activate_all_roles_on_login", "ON").await;
    stage
        .run(
            "REVOKE SELECT, INSERT, UPDATE ON T FROM hb@'%'; CREATE ROLE writer; GRANT SELECT, INSERT, UPDATE ON T TO writer; \
             GRANT writer TO hb@'%'; REVOKE SELECT ON streamkap.* FROM cdc@'%'; GRANT writer TO cdc@'%'",
        )
        .await;
    stage.assert_all_is_well(&stage.target, "activate_all_roles_on_login").await;
}

#[tokio::test]
async fn a_partial_revoke_is_found_and_a_pattern_is_then_a_name() {
    let stage = Stage::set(Flavour::Mysql).await;
    stage.server.set_global("partial_revokes", "ON").await;
    stage
        .run(
            "REVOKE UPDATE ON T FROM hb@'%'; GRANT UPDATE ON *.* TO hb@'%'; REVOKE UPDATE ON streamkap.* FROM hb@'%'; \
             REVOKE SELECT ON streamkap.* FROM cdc@'%'; GRANT SELECT ON `stream%`.* TO cdc@'%'; \
             REVOKE INSERT ON T FROM cdc@'%'; GRANT INSERT ON *.* TO cdc@'%'; REVOKE INSERT ON streamkap.* FROM cdc@'%'",
        )
        .await;
    let wrong = stage.wrong(&stage.target).await;
    let ids: Vec<_> = wrong.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["writer-update", "connector-select", "connector-insert"], "{}", shown(&wrong));
    for finding in wrong {
        stage.paste(&finding.remedy.unwrap()).await;
    }
    stage.assert_all_is_well(&stage.target, "grants on the table").await;
}

#[tokio::test]
async fn one_privileged_account_of_several_hosts_is_enough() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let stage = Stage::set(flavour).await;
        stage.run("CREATE USER cdc@'10.1.2.3' IDENTIFIED BY 'other'").await;
        let wrong = stage.wrong(&stage.target).await;
        assert!(
            !wrong.is_empty() && wrong.iter().all(|finding| finding.severity == Severity::Info),
            "{}",
            shown(&wrong)
        );
        assert!(wrong.iter().all(|finding| finding.subject == "`cdc`@`10.1.2.3`"), "{}", shown(&wrong));
        let mut target = stage.target.clone();
        target.connector.user = Named::configured("cdc@%");
        stage.assert_all_is_well(&target, "naming the host").await;
        target.connector.user = Named::configured("cdc@10.1.2.3");
        let wrong = stage.wrong(&target).await;
        assert!(
            wrong.iter().any(|f| f.id == "connector-replication" && f.severity == Severity::Error),
            "{}",
            shown(&wrong)
        );
    }
}

// --- unknown results

#[tokio::test]
async fn what_is_hidden_is_not_called_missing() {
    for flavour in Flavour::ALL {
        let stage = Stage::set(flavour).await;
        stage.run("REVOKE ALL PRIVILEGES, GRANT OPTION FROM hb@'%'").await;
        for table in ["there", "not there"] {
            let wrong = stage.wrong(&stage.target).await;
            let ids: Vec<_> = wrong.iter().map(|f| format!("{} {}", f.status, f.id)).collect();
            assert_eq!(
                ids,
                [
                    "unknown schema-exists",
                    "failed writer-select",
                    "failed writer-update",
                    "failed writer-insert",
                    "unknown writer-expiry",
                    "unknown connector-role"
                ],
                "{table}: {}",
                shown(&wrong)
            );
            assert!(wrong[0].observed.starts_with("missing, or hidden from `hb`@`%`"), "{}", wrong[0].observed);
            assert!(
                wrong[1].remedy.as_ref().unwrap().to_string().contains("heartbeatd provision"),
                "{:?}",
                wrong[1].remedy
            );
            assert!(wrong[5].observed.ends_with("requires GRANT SELECT ON `mysql`.* TO `hb`@`%`;"));
            if table == "there" {
                stage.run("RENAME TABLE T TO streamkap.gone").await;
            }
        }
        stage.run("RENAME TABLE streamkap.gone TO T").await;
        for finding in stage.wrong(&stage.target).await {
            match finding.remedy {
                Some(remedy) => stage.paste(&remedy).await,
                None => {
                    let (_, grant) = finding.observed.split_once("requires ").unwrap();
                    if grant.starts_with("GRANT") {
                        stage.paste_line(grant).await;
                    }
                }
            }
        }
        stage.assert_all_is_well(&stage.target, "every remedy").await;
    }
}

#[tokio::test]
async fn a_read_only_server_is_not_reported_as_a_missing_privilege() {
    for flavour in Flavour::ALL {
        let stage = Stage::set(flavour).await;
        stage.server.set_global("read_only", "1").await;
        stage.assert_all_is_well(&stage.target, "read_only").await;
        let findings = stage.findings(&stage.target).await;
        let update = findings.iter().find(|finding| finding.id == "writer-update").unwrap();
        assert_eq!(update.observed, "granted to `hb`@`%` by SHOW GRANTS: the server is read-only");
        stage.run("REVOKE UPDATE ON T FROM hb@'%'").await;
        let wrong = stage.wrong(&stage.target).await;
        let [only] = wrong.as_slice() else { panic!("{}", shown(&wrong)) };
        assert_eq!(only.id, "writer-update");
        assert_eq!(only.observed, "not granted to `hb`@`%` by SHOW GRANTS: the server is read-only");
    }
}

#[tokio::test]
async fn a_connector_that_is_this_user_is_judged_even_if_the_accounts_are_hidden() {
    for flavour in Flavour::ALL {
        let stage = Stage::set(flavour).await;
        stage.run("REVOKE SELECT ON mysql.* FROM hb@'%'; GRANT REPLICATION SLAVE ON *.* TO hb@'%'").await;
        let mut target = stage.target.clone();
        target.connector.user = Named::configured("hb");
        let wrong = stage.wrong(&target).await;
        let ids: Vec<_> = wrong.iter().map(|f| format!("{} {}", f.status, f.id)).collect();
        assert_eq!(
            ids,
            [
                "unknown writer-expiry",
                "failed connector-replication",
                "failed connector-reload",
                "failed connector-show-databases",
                "unknown connector-expiry",
                "failed connector-delete"
            ],
            "{}",
            shown(&wrong)
        );
        assert!(wrong[1].observed.starts_with("no REPLICATION CLIENT"), "{}", wrong[1].observed);
    }
}

// --- secrets

#[tokio::test]
async fn no_hash_of_a_password_is_in_the_report_the_saved_facts_or_the_log() {
    let stage = Stage::set(Flavour::Mariadb).await;
    let shown = stage.server.rows("SHOW GRANTS FOR cdc@'%'").await;
    assert!(shown[0][0].as_ref().unwrap().contains("IDENTIFIED BY PASSWORD '*"), "MariaDB shows hashes: {shown:?}");
    let hashes =
        stage.server.rows("SELECT authentication_string FROM mysql.user WHERE authentication_string <> ''").await;
    let hashes: Vec<String> = hashes.into_iter().flatten().flatten().collect();
    assert!(hashes.len() >= 3, "{hashes:?}");
    // Also with a user who may see everything, and with roles whose privileges are read.
    stage.run("CREATE ROLE writer; GRANT SELECT ON T TO writer; GRANT writer TO hb@'%'; GRANT writer TO cdc@'%'").await;
    for url in [stage.server.url("hb", "hb-password"), stage.server.admin_url()] {
        let config = format!("[[target]]\nname = \"orders\"\nurl = \"{url}\"\n[target.connector]\nuser = \"cdc\"\n");
        let place = Place::new("facts");
        let facts = place.join("facts.json");
        let arguments =
            ["check", "--format", "json", "--log", "trace,sqlx=trace", "--save-facts", facts.to_str().unwrap()];
        let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
        let ended = program.config(&config).run().await;
        let facts = std::fs::read_to_string(&facts).unwrap();
        assert!(ended.stdout.contains("connector-replication") && facts.contains("REPLICATION SLAVE"), "{ended:?}");
        for hash in &hashes {
            for (place, text) in [("report", &ended.stdout), ("log", &ended.stderr), ("facts", &facts)] {
                assert!(!text.contains(hash.trim_start_matches('*')), "a hash is in the {place}");
            }
        }
    }
}

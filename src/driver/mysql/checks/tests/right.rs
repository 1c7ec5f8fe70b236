//! The facts of healthy servers.

use serde_json::{Value, json};

use crate::driver::evidence::trial::{NOW, SECOND};

/// A healthy MySQL 9.
pub(super) fn right() -> Value {
    let account = |user: &str, server: &[&str], table: &[&str]| {
        let privileges = |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
        json!({
            "user": user, "host": "%", "active": [], "idle": [],
            "account": {"seen": {
                "locked": false, "expired": false, "valid_until": null, "plugin": "caching_sha2_password", "tls": "",
            }},
            "grants": {"seen": {
                "granted": [
                    {"grantee": 0, "on": "server", "privileges": privileges(server)},
                    {"grantee": 0, "on": {"table": ["streamkap", "streamkap_heartbeat"]}, "privileges": privileges(table)},
                ],
                "patterns": "wild",
            }},
        })
    };
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind, "generated": false});
    json!({
        "address": "db.example:3306",
        "server": {
            "version": "9.7.4", "mariadb": false, "user": "hb", "host": "%", "database": null, "time": NOW,
            "encrypted": true, "session_binlog": true, "session_read_only": false,
            "transactions": "52f53006ff2be733", "status": {},
            "variables": {
                "binlog_expire_logs_auto_purge": "ON", "binlog_expire_logs_seconds": "2592000",
                "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "MINIMAL",
                "binlog_row_value_options": "", "enforce_gtid_consistency": "ON", "event_scheduler": "ON",
                "gtid_mode": "ON", "innodb_read_only": "OFF", "log_bin": "ON", "log_replica_updates": "ON",
                "log_slave_updates": "ON", "persisted_globals_load": "ON", "read_only": "OFF", "server_id": "1",
                "super_read_only": "OFF", "transaction_read_only": "OFF", "version": "9.7.4",
            },
        },
        "table": {"seen": {
            "schema": true,
            "elsewhere": [],
            "table": {
                "kind": "BASE TABLE", "engine": "InnoDB", "primary_key": ["id"],
                "columns": [column("id", "int"), column("text", "text"), column("last_update", "timestamp")],
            },
        }},
        "row": {"seen": {"count": 1, "ids": [1], "last_update": NOW - 20 * SECOND}},
        "roles": {
            "own": account("hb", &["PROCESS", "REPLICATION CLIENT", "SHOW VIEW"], &["SELECT", "INSERT", "UPDATE"]),
            "connector": {"seen": [account(
                "cdc",
                &["REPLICATION SLAVE", "REPLICATION CLIENT", "RELOAD", "SHOW DATABASES"],
                &["SELECT", "INSERT", "UPDATE", "DELETE"],
            )]},
        },
        "binlog": {"seen": {"position": "binlog.000001:3131", "do_db": "", "ignore_db": ""}},
        "retention": {"refused": {"code": "1146", "message": "Table 'mysql.rds_configuration' doesn't exist"}},
        "replication": {"seen": []},
        "activity": {"seen": {"readers": ["cdc"], "transactions": []}},
        "events": {"seen": []},
        "tables": {"seen": 40},
        "probes": {"select": {"seen": null}, "update": {"seen": null}, "insert": {"seen": null}},
    })
}

/// A replica of the same server.
pub(super) fn right_replica() -> Value {
    let mut facts = right();
    for guard in ["read_only", "super_read_only"] {
        facts["server"]["variables"][guard] = json!("ON");
    }
    facts["replication"] = json!({"seen": [{
        "name": "", "source": "db.example:3306", "receiving": "Yes", "applying": true, "receive_error": 0,
        "apply_error": 0, "behind": 0, "filters": {},
    }]});
    facts["activity"]["seen"]["readers"] = json!([]);
    facts
}

/// A healthy MariaDB: its variables have other names and defaults.
pub(super) fn right_mariadb() -> Value {
    let mut facts = right();
    let server = &mut facts["server"];
    server["mariadb"] = json!(true);
    server["version"] = json!("11.4.4-MariaDB-log");
    server["transactions"] = json!("0-1-12");
    server["variables"] = json!({
        "binlog_expire_logs_seconds": "864000", "binlog_format": "ROW", "binlog_row_image": "FULL",
        "binlog_row_metadata": "NO_LOG", "event_scheduler": "OFF", "expire_logs_days": "10.000000",
        "gtid_strict_mode": "ON", "innodb_read_only": "OFF", "log_bin": "ON", "log_bin_compress": "OFF",
        "log_slave_updates": "ON", "max_binlog_total_size": "0", "read_only": "OFF", "server_id": "1",
        "tx_read_only": "OFF", "version": "11.4.4-MariaDB-log", "wsrep_gtid_mode": "OFF", "wsrep_on": "OFF",
    });
    server["status"] = json!({"wsrep_cluster_status": "Disconnected", "wsrep_ready": "OFF"});
    facts
}

/// The server as a working node of a Galera cluster.
pub(super) fn as_a_node(mut facts: Value) -> Value {
    let server = &mut facts["server"];
    for (name, value) in [("wsrep_on", "ON"), ("wsrep_gtid_mode", "ON"), ("wsrep_reject_queries", "NONE")] {
        server["variables"][name] = json!(value);
    }
    server["status"] = json!({
        "wsrep_connected": "ON", "wsrep_ready": "ON", "wsrep_cluster_status": "Primary",
        "wsrep_local_state_comment": "Synced",
    });
    facts
}

/// An answer that the server refused for want of a privilege.
pub(super) fn denied() -> Value {
    json!({"refused": {"code": "1227", "message": "access denied"}})
}

/// A healthy MySQL on Amazon RDS.
pub(super) fn right_rds() -> Value {
    let mut facts = right();
    facts["server"]["managed"] = json!("rds");
    facts["retention"] = json!({"seen": {"hours": 168}});
    facts
}

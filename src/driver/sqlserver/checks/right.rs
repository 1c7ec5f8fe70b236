//! Facts of healthy servers for tests, in the shape of the vendor's catalogue pages. They were not read from a real SQL
//! Server.

use serde_json::{Value, json};

use crate::driver::evidence::trial::{NOW, SECOND};

/// A self-managed server, with the connector's user in its role.
pub(in crate::driver::sqlserver) fn right() -> Value {
    let column = |name: &str, kind: &str, scale: u8| {
        let id = name == "id";
        json!({
            "name": name, "kind": kind, "scale": scale, "nullable": !id, "identity": id, "computed": false,
            "has_default": name == "last_update", "key": id,
        })
    };
    let grant = |grantee: &str, permission: &str| json!({"grantee": grantee, "permission": permission, "denied": false, "column": false});
    json!({
        "address": "db.example:1433",
        "server": {
            "version": "16.0.4125.3", "edition": "Standard Edition (64-bit)", "engine_edition": 2, "babelfish": false,
            "rds": false, "availability_groups": false, "filegroup": false, "user": "hb", "database": "orders",
            "updateability": "READ_WRITE", "read_only": false, "time": NOW,
        },
        "database": {"seen": {
            "cdc": true, "recovery_model": "FULL", "log_reuse_wait": "NOTHING", "snapshot_isolation": "ON",
        }},
        "table": {"seen": {
            "schema": true, "kind": "USER_TABLE", "tracked": true, "instead_of": [],
            "columns": [column("id", "int", 0), column("text", "nvarchar", 0), column("last_update", "datetime2", 7)],
        }},
        "row": {"seen": {"count": 1, "found": 1, "other": null, "last_update": NOW - 20 * SECOND}},
        "own": {"seen": {"select": true, "insert": true, "update": true}},
        "principals": {"seen": {
            "sees_all": true,
            "names": ["dbo", "public", "hb", "cdc_reader", "streamkap_role"],
            "members": [["cdc_reader", "streamkap_role"]],
            "grants": [
                grant("streamkap_role", "SELECT"), grant("streamkap_role", "INSERT"), grant("streamkap_role", "UPDATE"),
                grant("streamkap_role", "DELETE"), grant("hb", "SELECT"), grant("hb", "INSERT"), grant("hb", "UPDATE"),
            ],
        }},
        "instances": {"seen": [{
            "name": "streamkap_streamkap_heartbeat", "role": "streamkap_role", "columns": ["id", "text", "last_update"],
        }]},
        "captured": {"seen": {"until": NOW - 20 * SECOND}},
        "tracked_tables": {"seen": 12},
        "cdc_errors": {"seen": []},
        "cdc_jobs": {"seen": [
            {"kind": "capture", "enabled": true, "retention": 0},
            {"kind": "cleanup", "enabled": true, "retention": 4320},
        ]},
        "agent": {"seen": "Running"},
        "agent_jobs": {"seen": []},
        "primary_replica": null,
    })
}

/// Amazon RDS: a self-managed server with the fact `rds`.
pub(in crate::driver::sqlserver) fn right_rds() -> Value {
    let mut facts = right();
    facts["server"]["rds"] = json!(true);
    facts
}

/// Azure SQL Database: no SQL Server Agent, no msdb, a version number without meaning.
pub(in crate::driver::sqlserver) fn right_azure() -> Value {
    let mut facts = right();
    facts["server"]["version"] = json!("12.0.2000.8");
    facts["server"]["edition"] = json!("SQL Azure");
    facts["server"]["engine_edition"] = json!(5);
    for part in ["cdc_jobs", "agent", "agent_jobs"] {
        facts[part] = Value::Null;
    }
    facts
}

/// Azure SQL Managed Instance, with SQL Server Agent and msdb.
pub(in crate::driver::sqlserver) fn right_managed_instance() -> Value {
    let mut facts = right();
    facts["server"]["version"] = json!("12.0.2000.8");
    facts["server"]["edition"] = json!("SQL Azure");
    facts["server"]["engine_edition"] = json!(8);
    facts
}

/// A readable secondary of an availability group.
pub(in crate::driver::sqlserver) fn right_secondary() -> Value {
    let mut facts = right();
    facts["address"] = json!("second.example:1433");
    facts["server"]["updateability"] = json!("READ_ONLY");
    facts["server"]["availability_groups"] = json!(true);
    facts["primary_replica"] = json!({"seen": false});
    facts
}

//! Facts of healthy servers for tests, in the shape of Oracle's documentation.

use serde_json::{Value, json};

use crate::driver::evidence::trial::{NOW, SECOND};

/// A pluggable database in a multitenant database.
pub(in crate::driver::oracle) fn right() -> Value {
    let grants = |user: &str, privileges: &[&str]| -> Vec<Value> {
        privileges.iter().map(|privilege| json!({"grantee": user, "privilege": privilege})).collect()
    };
    let mut table = grants("C##STREAMKAP_USER", &["SELECT", "INSERT", "UPDATE", "DELETE"]);
    table.extend(grants("HB", &["SELECT", "INSERT", "UPDATE"]));
    let mining = ["LOGMINING", "SELECT ANY TRANSACTION", "SELECT_CATALOG_ROLE", "EXECUTE_CATALOG_ROLE"];
    let account = |name: &str| json!({"name": name, "status": "OPEN", "expires_in": 120 * 86_400});
    let column =
        |name: &str, kind: &str, holds: &str| json!({"name": name, "kind": kind, "holds": holds, "generated": false});
    json!({
        "address": "db.example:1521",
        "version": "Oracle 19.3.0.0.0",
        "context": {"container": "PDB1", "multitenant": true, "user": "HB", "role": "PRIMARY", "time": NOW},
        "database": {"seen": {
            "log_mode": "ARCHIVELOG", "force_logging": "YES", "minimal_logging": "YES", "all_columns": false,
            "open_mode": "READ WRITE", "age": 90 * 86_400,
        }},
        "pdb_logging": {"seen": {"minimal": true, "all_columns": false}},
        "destinations": {"seen": 1},
        "oldest_archived": {"seen": 8 * 86_400},
        "recovery_area": {"seen": {"limit": 100_i64 << 30, "used": 60_i64 << 30, "reclaimable": 20_i64 << 30}},
        "objects": {"seen": [{"owner": "STREAMKAP_USER", "kind": "TABLE"}]},
        "columns": {"seen": [
            column("id", "NUMBER", "number"), column("text", "VARCHAR2", "other"),
            column("last_update", "TIMESTAMP(6)", "time"),
        ]},
        "primary_key": {"seen": ["ID"]},
        "row": {"seen": {"count": 1, "found": 1, "last_update": NOW - 20 * SECOND, "other": null}},
        "log_groups": {"seen": [{"kind": "ALL COLUMN LOGGING", "always": true}]},
        "own_privileges": {"seen": ["SELECT", "INSERT", "UPDATE"]},
        "own_account": {"seen": account("HB")},
        "users": {"seen": ["STREAMKAP_USER", "C##STREAMKAP_USER", "HB"]},
        "accounts": {"seen": [account("STREAMKAP_USER"), account("C##STREAMKAP_USER")]},
        "grants": {"seen": table},
        "system_privileges": {"seen": grants("C##STREAMKAP_USER", &mining)},
        "jobs": {"seen": []},
    })
}

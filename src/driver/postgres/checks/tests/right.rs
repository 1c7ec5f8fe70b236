//! The facts of healthy servers.

use serde_json::{Value, json};

use crate::driver::evidence::trial::{NOW, SECOND};

/// A healthy PostgreSQL 18.
pub(super) fn right() -> Value {
    let setting = |value: &str, unit: Option<&str>| json!({"setting": value, "unit": unit, "source": "default"});
    let role = |name: &str| {
        json!({
            "name": name, "superuser": false, "login": true, "replication": name == "cdc", "valid_until": null,
            "replication_roles": [], "connect": true, "usage": true, "select": true, "insert": true, "update": true,
            "delete": true, "sequence": true,
        })
    };
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind, "generated": false});
    json!({
        "address": "db.example:5432",
        "server": {
            "version": "18.1", "version_number": 180_001, "in_recovery": false, "user": "hb", "database": "orders",
            "time": NOW, "started_at": NOW - 3_600 * SECOND, "encrypted": true,
            "settings": {
                "archive_mode": setting("off", None), "archive_timeout": setting("0", Some("s")),
                "default_transaction_read_only": setting("off", None), "hot_standby_feedback": setting("on", None),
                "idle_replication_slot_timeout": setting("0", Some("s")),
                "max_replication_slots": setting("10", None), "max_slot_wal_keep_size": setting("51200", Some("MB")),
                "max_wal_senders": setting("10", None), "synchronized_standby_slots": setting("", None),
                "synchronous_standby_names": setting("", None),
                "wal_level": setting("logical", None), "wal_segment_size": setting("16777216", Some("B")),
                "wal_sender_timeout": setting("0", Some("ms")),
            },
        },
        "table": {"seen": {
            "schema": {"usage": true},
            "elsewhere": [],
            "table": {
                "kind": "r", "persistence": "p", "replica_identity": "d", "identity_index": false, "owner": "admin",
                "row_security": false, "row_security_active": false, "policies": [],
                "columns": [
                    column("id", "integer"), column("text", "text"), column("last_update", "timestamp without time zone"),
                ],
                "primary_key": ["id"], "last_update_indexes": [], "sequence": "streamkap.streamkap_heartbeat_id_seq",
            },
        }},
        "row": {"seen": {"count": 1, "ids": [1], "last_update": NOW - 20 * SECOND, "passes_filter": null}},
        "roles": {"seen": {"own": role("hb"), "connector": role("cdc")}},
        "publication": {"seen": {
            "named": {
                "puballtables": false, "pubinsert": true, "pubupdate": true, "pubdelete": true, "pubtruncate": true,
                "table": {"attnames": ["id", "text", "last_update"], "rowfilter": null}, "other_tables": 3,
            },
            "others": [], "updates_published": true, "identity": ["id"], "narrowed": [],
            "partitions_without_identity": [],
        }},
        "slots": {"seen": {
            "named": {
                "plugin": "pgoutput", "slot_type": "logical", "database": "orders", "active": true,
                "restart_lsn": "0/1500000", "confirmed_flush_lsn": "0/1500100", "wal_status": "reserved",
            },
            "in_use": 1, "others": [], "physical": [], "oldest": [{"name": "slot", "active": true, "age": 900}],
            "databases": [{"name": "orders", "age": 200_000}],
        }},
        "wal": {"seen": {"position": "0/1500200", "replayed_until": null, "replay_paused": null}},
        "activity": {"seen": {
            "senders": 1, "senders_hidden": 0, "synchronous": 0, "waiting_for_standby": 0, "sessions_hidden": 0,
            "transactions": [], "cron_launcher": false, "cron": null,
        }},
        "jobs": null,
        "runs": null,
        "probes": {"select": {"seen": null}, "update": {"seen": null}, "insert": {"seen": null}},
    })
}

/// A standby of the same server.
pub(super) fn right_standby() -> Value {
    let mut facts = right();
    facts["server"]["in_recovery"] = json!(true);
    facts["slots"]["seen"]["named"] = Value::Null;
    facts["wal"]["seen"]["replay_paused"] = json!(false);
    facts
}

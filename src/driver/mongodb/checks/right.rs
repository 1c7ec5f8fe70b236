//! The facts of servers without any fault.

use serde_json::{Value, json};

use crate::driver::evidence::trial::{NOW, SECOND};

/// The primary of a replica set of three.
pub(in crate::driver::mongodb) fn right() -> Value {
    let rights = |change_stream: bool| json!({"find": true, "update": !change_stream, "insert": false, "change_stream": change_stream});
    let user =
        |name: &str, change_stream: bool| json!({"name": name, "database": "admin", "rights": rights(change_stream)});
    let member =
        |name: &str, state: &str, own: bool| json!({"name": name, "state": state, "healthy": true, "own": own});
    json!({
        "address": "a.example:27017",
        "server": {
            "version": "MongoDB 6.0.5", "set_name": "rs0", "sharded": false, "primary": true, "secondary": false,
            "knows_primary": "a.example:27017", "time": NOW, "encrypted": true,
        },
        "collection": {"seen": {"kind": "collection", "capped": false, "view_on": null, "beat_refused": null}},
        "ttl": {"seen": []},
        "row": {"seen": {
            "count": 1, "found": true, "other": null, "last_update_type": "date", "last_update": NOW - 20 * SECOND,
        }},
        "own": {"seen": user("hb", false)},
        "writer": {"seen": user("hb", false)},
        "connector": {"seen": user("cdc", true)},
        "writer_role": {"seen": rights(false)},
        "reader_role": {"seen": rights(true)},
        "members": {"seen": [
            member("a.example:27017", "PRIMARY", true), member("b.example:27017", "SECONDARY", false),
            member("c.example:27017", "SECONDARY", false),
        ]},
        "set": {"seen": {
            "votes": 3, "voting_data": ["a.example:27017", "b.example:27017", "c.example:27017"], "arbiters": [],
        }},
        "oplog": {"seen": {"window": 200_000, "size": 900_000_000, "max_size": 1_000_000_000}},
        "guaranteed_hours": {"seen": 48.0},
        "periodic_noops": {"seen": true},
        "feature_version": {"seen": "6.0"},
        "readers": {"seen": 1},
    })
}

/// One of its secondaries.
pub(in crate::driver::mongodb) fn right_secondary() -> Value {
    let mut facts = right();
    facts["address"] = json!("b.example:27017");
    facts["server"]["primary"] = json!(false);
    facts["server"]["secondary"] = json!(true);
    facts
}

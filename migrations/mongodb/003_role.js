// A role that may do this to the heartbeat's collection, and nothing else.
{ "createRole": {role}, "privileges": [{ "resource": { "db": {database}, "collection": {collection} }, "actions": {actions} }], "roles": [], "writeConcern": { "w": "majority" } }

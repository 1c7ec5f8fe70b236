// What a role lacks that is there already.
{ "grantPrivilegesToRole": {role}, "privileges": [{ "resource": { "db": {database}, "collection": {collection} }, "actions": {actions} }], "writeConcern": { "w": "majority" } }

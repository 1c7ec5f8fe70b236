// The role for a user, who keeps every other.
{ "grantRolesToUser": {user}, "roles": [{ "role": {role}, "db": {database} }], "writeConcern": { "w": "majority" } }

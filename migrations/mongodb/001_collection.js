// The heartbeat's collection: an ordinary one, neither capped nor a time series.
{ "create": {collection}, "writeConcern": { "w": "majority" } }

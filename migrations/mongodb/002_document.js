// The one document. Its time is set by the first beat. One that is there already stays as it is: the server answers 11000.
{ "insert": {collection}, "documents": [{ "_id": {row}, "text": "test_heartbeat", "last_update": null }], "writeConcern": { "w": "majority" } }

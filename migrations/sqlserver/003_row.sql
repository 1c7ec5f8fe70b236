-- The id is written out: an identity column would choose another one after a failed insert.
INSERT INTO {table} (id, text, last_update)
SELECT {row}, N'test_heartbeat', SYSUTCDATETIME() WHERE NOT EXISTS (SELECT 1 FROM {table});

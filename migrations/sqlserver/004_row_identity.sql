-- As 003, for an identity column; the next id that it gives by itself is then a higher one.
SET IDENTITY_INSERT {table} ON;
INSERT INTO {table} (id, text, last_update)
SELECT {row}, N'test_heartbeat', SYSUTCDATETIME() WHERE NOT EXISTS (SELECT 1 FROM {table});
SET IDENTITY_INSERT {table} OFF;

-- The one row that is updated; nothing if the table holds a row already.
INSERT INTO {table} (id, text, last_update)
SELECT {row}, 'test_heartbeat', strftime('%Y-%m-%d %H:%M:%f', 'now')
WHERE NOT EXISTS (SELECT 1 FROM {table});

-- The one row that is updated, with its id written out; nothing if the table holds a row already.
INSERT INTO {table} (id, text, last_update) OVERRIDING SYSTEM VALUE
SELECT {row}, 'test_heartbeat', {now}
WHERE NOT EXISTS (SELECT FROM {table})
ON CONFLICT DO NOTHING;

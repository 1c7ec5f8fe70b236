-- The one row that is updated, with its id written out whatever auto_increment_offset says; nothing if the table holds a
-- row already. AUTO_INCREMENT goes on behind it by itself.
INSERT INTO {table} (id, text, last_update)
SELECT {row}, 'test_heartbeat', {now} FROM DUAL
WHERE NOT EXISTS (SELECT 1 FROM {table});

-- The one row that is updated, with its id written out; nothing if the table holds a row already.
BEGIN
  INSERT INTO {table} (ID, TEXT, LAST_UPDATE)
  SELECT {row}, 'test_heartbeat', {now} FROM DUAL
  WHERE NOT EXISTS (SELECT 1 FROM {table});
  COMMIT WRITE IMMEDIATE WAIT;
END;
/

-- An id written out leaves the sequence behind: the next insert without an id would collide with it.
-- OFFSET 0: nothing is asked of any other sequence, which this user may not read.
SELECT pg_catalog.setval(q.seqrelid::pg_catalog.regclass, {row})
FROM (
  SELECT seqrelid, seqstart - seqincrement AS before FROM pg_catalog.pg_sequence
  WHERE seqrelid = pg_catalog.pg_get_serial_sequence({table_text}, 'id')::pg_catalog.regclass OFFSET 0
) AS q
WHERE coalesce(pg_catalog.pg_sequence_last_value(q.seqrelid), q.before) < {row};

-- An id written out leaves the sequence behind: the next insert without an id would collide with it.
SELECT pg_catalog.setval(q.seqrelid::pg_catalog.regclass, {row})
FROM pg_catalog.pg_sequence AS q
WHERE q.seqrelid = pg_catalog.pg_get_serial_sequence({table_text}, 'id')::pg_catalog.regclass
  AND coalesce(pg_catalog.pg_sequence_last_value(q.seqrelid), q.seqstart - q.seqincrement) < {row};

-- The connector reads the whole row from the redo log; without this the log holds the changed columns alone.
ALTER TABLE {table} ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS;

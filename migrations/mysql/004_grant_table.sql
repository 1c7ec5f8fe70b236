-- On the table alone: USAGE of a schema is no privilege here. The account must exist: nothing here creates one.
GRANT {privileges} ON TABLE {table} TO {account};

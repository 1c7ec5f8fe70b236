-- A grant without the right to grant is no error but a warning: the second statement tells whether it took effect.
GRANT {privileges} ON TABLE {table} TO {role};
SELECT bool_and(pg_catalog.has_table_privilege({role_text}, {table_text}, privilege)) AS granted
FROM pg_catalog.unnest(pg_catalog.string_to_array('{privileges}', ', ')) AS privilege;

-- A grant without the right to grant is no error but a warning: the second statement tells whether it took effect.
GRANT USAGE ON SCHEMA {schema} TO {role};
SELECT pg_catalog.has_schema_privilege({role_text}, {schema_text}, 'USAGE') AS granted;

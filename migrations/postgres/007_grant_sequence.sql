-- The vendor's grants leave the sequence out: an insert without an id would be refused.
GRANT USAGE ON SEQUENCE {sequence} TO {role};
SELECT pg_catalog.has_sequence_privilege({role_text}, {sequence_text}, 'USAGE') AS granted;

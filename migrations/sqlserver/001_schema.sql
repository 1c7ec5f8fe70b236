-- CREATE SCHEMA must be alone in its batch: EXEC is a batch of its own.
IF SCHEMA_ID({schema_text}) IS NULL EXEC (N'CREATE SCHEMA {schema_inside}');

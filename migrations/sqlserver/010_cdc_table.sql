-- Makes the capture instance <schema>_<table>, and with the first table of a database its capture and cleanup jobs.
IF NOT EXISTS (SELECT 1 FROM cdc.change_tables WHERE source_object_id = OBJECT_ID({table_text}))
BEGIN
EXEC sys.sp_cdc_enable_table
    @source_schema = {schema_text},
    @source_name = {name_text},
    @role_name = {role_or_null},{filegroup}
    @supports_net_changes = 0;
END

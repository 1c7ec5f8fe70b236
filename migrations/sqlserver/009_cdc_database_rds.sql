-- Amazon RDS gives the master user a procedure of its own for it.
EXEC msdb.dbo.rds_cdc_enable_db {database_text};

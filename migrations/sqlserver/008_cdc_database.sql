-- Only with enable_cdc = true: it requires sysadmin (in Azure SQL Database: db_owner), and makes the schema and the user cdc.
EXEC sys.sp_cdc_enable_db;

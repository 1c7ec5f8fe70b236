-- The vendor's table. DATETIME2 keeps seven digits behind the second.
IF OBJECT_ID({table_text}) IS NULL
CREATE TABLE {table} (
    id INT IDENTITY(1,1) NOT NULL PRIMARY KEY,
    text NVARCHAR(MAX),
    last_update DATETIME2 DEFAULT SYSUTCDATETIME()
);

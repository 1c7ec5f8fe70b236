-- The heartbeat table, as the vendor's pages have it. NULL is written out because explicit_defaults_for_timestamp decides
-- what a timestamp is without it; the engine, because others than InnoDB neither replicate safely nor survive a crash.
-- The primary key is what sql_require_primary_key, group replication and Galera ask for.
CREATE TABLE IF NOT EXISTS {table} (
  id INT AUTO_INCREMENT PRIMARY KEY,
  text TEXT,
  last_update TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
) ENGINE = InnoDB;

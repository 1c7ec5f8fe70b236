-- The heartbeat table, in the shape of the vendor's other databases.
-- last_update is text in UTC with milliseconds: what SQLite's own date functions read and write.
CREATE TABLE IF NOT EXISTS {table} (
  id INTEGER PRIMARY KEY,
  text TEXT,
  last_update TEXT DEFAULT CURRENT_TIMESTAMP
);

-- The heartbeat table, as the vendor's pages have it. Logged and with a primary key: both are needed to publish updates.
CREATE TABLE IF NOT EXISTS {table} (
  id SERIAL PRIMARY KEY,
  text TEXT,
  last_update TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

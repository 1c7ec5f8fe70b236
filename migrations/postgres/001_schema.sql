-- The heartbeat's schema.
CREATE SCHEMA IF NOT EXISTS {schema};

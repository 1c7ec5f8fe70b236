-- The heartbeat's schema, which these servers also call a database. One folder serves MySQL and MariaDB: none of these
-- statements differs between them. Each commits by itself, so each can be run again alone.
CREATE DATABASE IF NOT EXISTS {schema};

-- Only for a publication that lists its tables: one of all tables holds the heartbeat already.
ALTER PUBLICATION {publication} ADD TABLE {table};

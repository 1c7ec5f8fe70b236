//! The heartbeat's table as the vendor defines it, and the user who may update it: the start of most scenarios.

use super::postgres::PostgresServer;

/// The user for beats, who may only read and update the heartbeat's table.
pub(crate) const USER: &str = "beat";
/// See [`USER`].
pub(crate) const PASSWORD: &str = "beat-password";
/// The heartbeat's table.
pub(crate) const TABLE: &str = "streamkap.streamkap_heartbeat";

/// Creates the user, and the table with its one row, which was never updated.
pub(crate) async fn lay(server: &PostgresServer) {
    create_user(server).await;
    server
        .execute(&format!(
            "CREATE SCHEMA streamkap;
             CREATE TABLE {TABLE} (id SERIAL PRIMARY KEY, text TEXT, last_update TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
             INSERT INTO {TABLE} (text, last_update) VALUES ('test_heartbeat', NULL);
             GRANT USAGE ON SCHEMA streamkap TO {USER};
             GRANT SELECT, UPDATE ON {TABLE} TO {USER}"
        ))
        .await;
}

/// Creates the user without privileges.
pub(crate) async fn create_user(server: &PostgresServer) {
    server.execute(&format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")).await;
}

/// The user's address on a port of 127.0.0.1, with these parameters.
pub(crate) fn url(port: u16, parameters: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres?{parameters}")
}

/// The value in the heartbeat's row, as PostgreSQL writes it out.
pub(crate) async fn last_update(server: &PostgresServer) -> Option<String> {
    server.value(&format!("SELECT last_update FROM {TABLE}")).await
}

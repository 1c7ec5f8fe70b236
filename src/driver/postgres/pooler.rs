//! What PgBouncer refuses by itself: all of it has one SQLSTATE, and its texts, which it does not translate, tell the cases
//! apart. Called by `errors`.
//!
//! <https://www.pgbouncer.org/config.html>; the texts are those of `src/client.c`, `src/objects.c` and `src/janitor.c` of
//! PgBouncer 1.18 to 1.25.

use crate::heartbeat::ErrorKind;

/// The SQLSTATE of everything that PgBouncer says by itself.
pub(super) const CODE: &str = "08P01";

/// A part of what it says, the kind of it, and the next step; the first line that fits counts.
const TEXTS: &[(&str, ErrorKind, &str)] = &[
    ("SASL authentication failed", ErrorKind::Auth, ACCOUNT),
    ("authentication failed", ErrorKind::Auth, ACCOUNT),
    ("no such user", ErrorKind::Auth, ACCOUNT),
    ("login rejected", ErrorKind::Auth, ACCOUNT),
    (
        "no such database",
        ErrorKind::MissingDatabase,
        "check the database in the address with [databases] in PgBouncer's configuration",
    ),
    (
        "does not allow connections",
        ErrorKind::Starting,
        "the database is disabled in PgBouncer; in its console: ENABLE <database>;",
    ),
    (
        "max_client_conn",
        ErrorKind::TooManyConnections,
        "find who holds the connections, in PgBouncer's console: SHOW CLIENTS; then free some, or raise max_client_conn",
    ),
    (
        "query_wait_timeout",
        ErrorKind::TooManyConnections,
        "every server connection of the pool is in use; in PgBouncer's console: SHOW POOLS; then raise default_pool_size, \
         or give heartbeatd a pool of its own (a user of its own)",
    ),
    (
        "statement pooling mode",
        ErrorKind::Settings,
        "set pool_mode=transaction for this database in PgBouncer's configuration, or have the address lead to the server \
         itself: checks read in one transaction",
    ),
    ("shutting down", ErrorKind::Shutdown, "start PgBouncer again"),
    ("server login", ErrorKind::Refused, BEHIND),
    ("cannot connect to server", ErrorKind::Refused, BEHIND),
    ("no working server connection", ErrorKind::Refused, BEHIND),
];

const ACCOUNT: &str =
    "compare the user and the password with PgBouncer's auth_file or auth_query, and with the server's";
const BEHIND: &str = "PgBouncer cannot log in to the server behind it: read PgBouncer's log, and check that server, its address and its users";

/// The kind and the next step of what PgBouncer says; `None` for what is not known.
pub(super) fn refusal(message: &str) -> Option<(ErrorKind, &'static str)> {
    TEXTS.iter().find(|(text, ..)| message.contains(text)).map(|(_, kind, remedy)| (*kind, *remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbouncer_says_is_told_apart() {
        for (message, kind) in [
            ("SASL authentication failed", ErrorKind::Auth),
            ("password authentication failed", ErrorKind::Auth),
            ("no such database: orders", ErrorKind::MissingDatabase),
            ("no more connections allowed (max_client_conn)", ErrorKind::TooManyConnections),
            ("query_wait_timeout", ErrorKind::TooManyConnections),
            ("transaction blocks not allowed in statement pooling mode", ErrorKind::Settings),
            ("database \"orders\" does not allow connections: orders", ErrorKind::Starting),
            ("pgbouncer cannot connect to server", ErrorKind::Refused),
            ("server login has been failing, try again later (server_login_retry)", ErrorKind::Refused),
        ] {
            assert_eq!(refusal(message).map(|(kind, _)| kind), Some(kind), "{message}");
        }
        assert_eq!(refusal("client_idle_timeout"), None);
    }
}

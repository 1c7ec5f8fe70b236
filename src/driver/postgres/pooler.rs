//! The errors that PgBouncer sends itself. All have one SQLSTATE, so their texts, which are not translated, separate
//! the cases. Called by `errors`.
//!
//! <https://www.pgbouncer.org/config.html>; the texts are from `src/client.c`, `src/objects.c` and `src/janitor.c` of
//! PgBouncer 1.18 to 1.25.

use crate::heartbeat::ErrorKind;
use crate::remedy::{Remedy, RunsOn};

/// A part of PgBouncer's text, the error's kind, and the next step.
type Text = (&'static str, ErrorKind, fn() -> Remedy);

/// The first entry that matches applies.
const TEXTS: &[Text] = &[
    ("SASL authentication failed", ErrorKind::Auth, account),
    ("authentication failed", ErrorKind::Auth, account),
    ("no such user", ErrorKind::Auth, account),
    ("login rejected", ErrorKind::Auth, account),
    ("no such database", ErrorKind::MissingDatabase, || {
        in_console(
            "compare the database in the address with [databases] in PgBouncer's configuration",
            "SHOW DATABASES;",
        )
    }),
    ("does not allow connections", ErrorKind::Starting, || {
        in_console("enable the database in PgBouncer's console (ENABLE): it is disabled there", "SHOW DATABASES;")
    }),
    ("max_client_conn", ErrorKind::TooManyConnections, || {
        in_console("close connections that are not needed, or raise max_client_conn", "SHOW CLIENTS;")
    }),
    ("query_wait_timeout", ErrorKind::TooManyConnections, || {
        in_console(
            "raise default_pool_size, or give heartbeatd a pool of its own (a user of its own): every server connection of \
             the pool is in use",
            "SHOW POOLS;",
        )
    }),
    ("statement pooling mode", ErrorKind::Settings, || {
        "set pool_mode=transaction for this database in PgBouncer's configuration, or have the address lead to the server \
         itself: checks read in one transaction"
            .into()
    }),
    ("shutting down", ErrorKind::Shutdown, || "start PgBouncer again".into()),
    ("server login", ErrorKind::Refused, behind),
    ("cannot connect to server", ErrorKind::Refused, behind),
    ("no working server connection", ErrorKind::Refused, behind),
];

fn account() -> Remedy {
    "compare the user and the password with PgBouncer's auth_file or auth_query, and with the server's".into()
}

fn behind() -> Remedy {
    "check the server behind PgBouncer, its address and its users, and read PgBouncer's log: it cannot log in there"
        .into()
}

/// The advice, and the command in PgBouncer's own database, `pgbouncer`, that shows more.
fn in_console(advice: &str, command: &str) -> Remedy {
    let look = Remedy::sql(command).on(RunsOn::Server("PgBouncer's console".to_owned()));
    Remedy::advice(advice).then_run(look)
}

/// The kind and the next step for PgBouncer's text; `None` if it is unknown.
pub(super) fn refusal(message: &str) -> Option<(ErrorKind, Remedy)> {
    TEXTS.iter().find(|(text, ..)| message.contains(text)).map(|(_, kind, remedy)| (*kind, remedy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgbouncers_texts_are_classified() {
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

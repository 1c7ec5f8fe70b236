//! What the hosts of an address answered, and what that comes to. Pure; used by `connect`.

use crate::database_url::Host;
use crate::driver::ServerRole;
use crate::heartbeat::{ErrorKind, Failure};

/// The port of an address without one.
const DEFAULT_PORT: u16 = 5432;

/// What became of one host of several.
#[derive(Debug)]
pub(super) enum Answer {
    Role(ServerRole),
    Failed(Failure),
    None,
}

/// The one failure for all hosts: that of the host that came nearest to taking a beat.
pub(super) fn none_fits(answers: &[(String, Answer)]) -> Failure {
    let words: Vec<String> = answers
        .iter()
        .map(|(address, answer)| match answer {
            Answer::Role(ServerRole::Standby) => format!("{address} is a standby"),
            Answer::Role(_) => format!("{address} is read-only by default_transaction_read_only"),
            // Starts with the address. The code that is shown at the end is that of the nearest host.
            Answer::Failed(failure) => failure.message().to_owned(),
            Answer::None => format!("{address}: no answer"),
        })
        .collect();
    let nearest = answers.iter().max_by_key(|(_, answer)| answer.reach()).map(|(_, answer)| answer);
    let kind = match nearest {
        Some(Answer::Role(ServerRole::Standby)) => ErrorKind::NotWritable,
        Some(Answer::Role(_)) => ErrorKind::ReadOnlySetting,
        Some(Answer::Failed(failure)) => failure.kind(),
        Some(Answer::None) | None => ErrorKind::Timeout,
    };
    let failure = match words.as_slice() {
        [only] => Failure::new(kind, only),
        _ => Failure::new(kind, format!("no host is writable: {}", words.join("; "))),
    };
    match nearest {
        Some(Answer::Failed(nearest)) if nearest.code().is_some() => {
            failure.with_code(nearest.code().unwrap_or_default()).with_source(nearest.clone())
        }
        _ => failure,
    }
}

impl Answer {
    /// How far on the way to a beat this came.
    fn reach(&self) -> u8 {
        match self {
            Self::None => 1,
            Self::Role(ServerRole::Standby) => 20,
            // A primary: the one that should take beats.
            Self::Role(_) => 21,
            Self::Failed(failure) => match failure.kind() {
                ErrorKind::Name => 0,
                ErrorKind::Refused => 2,
                ErrorKind::Network => 3,
                ErrorKind::Timeout => 4,
                ErrorKind::Protocol => 5,
                ErrorKind::Tls => 6,
                ErrorKind::Starting | ErrorKind::Shutdown => 7,
                ErrorKind::TooManyConnections => 8,
                ErrorKind::Auth => 9,
                ErrorKind::Identity => 11,
                _ => 10,
            },
        }
    }
}

/// The port of a host.
pub(super) fn port(host: &Host) -> u16 {
    host.port.unwrap_or(DEFAULT_PORT)
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn address(host: &Host) -> String {
    let port = port(host);
    if host.name.contains(':') { format!("[{}]:{port}", host.name) } else { format!("{}:{port}", host.name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::postgres::errors;

    fn failed(address: &str, kind: ErrorKind, message: &str) -> (String, Answer) {
        (address.to_owned(), Answer::Failed(errors::prefixed(address, Failure::new(kind, message))))
    }

    fn role(address: &str, role: ServerRole) -> (String, Answer) {
        (address.to_owned(), Answer::Role(role))
    }

    #[test]
    fn of_several_hosts_the_failure_names_all_and_has_the_kind_of_the_one_that_came_nearest() {
        let failure = none_fits(&[
            role("a:5432", ServerRole::Standby),
            failed("b:5432", ErrorKind::Refused, "connection refused"),
            ("c:5432".to_owned(), Answer::None),
        ]);
        assert_eq!(failure.kind(), ErrorKind::NotWritable);
        assert_eq!(
            failure.message(),
            "no host is writable: a:5432 is a standby; b:5432: connection refused; c:5432: no answer"
        );
    }

    #[test]
    fn a_primary_that_is_read_only_by_a_setting_counts_more_than_its_standby() {
        let failure = none_fits(&[role("a:5432", ServerRole::Standby), role("b:5432", ServerRole::ReadOnly)]);
        assert_eq!(failure.kind(), ErrorKind::ReadOnlySetting);
    }

    #[test]
    fn without_any_role_the_failure_that_got_farthest_counts() {
        let failure = none_fits(&[
            failed("a:5432", ErrorKind::Auth, "password authentication failed"),
            failed("b:5432", ErrorKind::Name, "the host name does not resolve"),
        ]);
        assert_eq!(failure.kind(), ErrorKind::Auth);
        let failure = none_fits(&[("a:5432".to_owned(), Answer::None), ("b:5432".to_owned(), Answer::None)]);
        assert_eq!(failure.kind(), ErrorKind::Timeout);
    }

    #[test]
    fn one_standby_alone_says_so_and_no_more() {
        let failure = none_fits(&[role("a:5432", ServerRole::Standby)]);
        assert_eq!((failure.kind(), failure.message()), (ErrorKind::NotWritable, "a:5432 is a standby"));
    }

    #[test]
    fn addresses_are_written_with_their_port() {
        for (name, port, expected) in
            [("db", None, "db:5432"), ("::1", Some(6000), "[::1]:6000"), ("/run/pg", None, "/run/pg:5432")]
        {
            assert_eq!(address(&Host { name: name.to_owned(), port }), expected);
        }
    }
}

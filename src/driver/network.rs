//! What all drivers that use a network share: the kinds of network errors, names that do not resolve, closing
//! connections. The drivers' `connect` and `errors` use it, and `hosts`.

use std::io;
use std::time::Duration;

#[cfg(any(feature = "mysql", feature = "postgres"))]
use sqlx::Connection;

use crate::database_url::Host;
use crate::descriptors::{is_shortage, words_of_shortage};
use crate::heartbeat::{ErrorKind, Failure};
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::time::clock;
use crate::time::clock::{Clock, Instant};

/// The longest time for closing a connection.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// Closes a connection, by `limit` at the latest, because a frozen server never answers the close of TLS.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) async fn close(connection: impl Connection, limit: Instant) {
    // A failure does not matter: the drop closes the socket anyway.
    let _ = clock::timeout_at(limit, connection.close()).await;
}

/// When a close that starts now must end, so that time remains until `deadline`.
pub(super) fn close_limit(deadline: Instant) -> Instant {
    let now = Clock::system().now().mono;
    now + CLOSE_LIMIT.min(deadline.saturating_duration_since(now) / 4)
}

/// When a close that starts now must end if no caller waits for it.
pub(super) fn last_close_limit() -> Instant {
    Clock::system().now().mono + CLOSE_LIMIT
}

/// A failure with text before its message, for example the host.
pub(super) fn prefixed(prefix: &str, failure: Failure) -> Failure {
    let mut longer = Failure::new(failure.kind(), format!("{prefix}: {}", failure.message()));
    if let Some(code) = failure.code() {
        longer = longer.with_code(code);
    }
    if let Some(remedy) = failure.remedy() {
        longer = longer.with_remedy(remedy);
    }
    longer.with_source(failure)
}

/// What to do about a server that did not answer in time.
pub(super) fn timeout_advice(timeout: Duration) -> String {
    format!(
        "check network and firewall (is the port dropped, the server frozen?), or raise timeout, now {}",
        humantime::format_duration(timeout)
    )
}

/// The error of a name that does not resolve has no special kind, so this asks the resolver again.
pub(super) async fn name_or_network(host: &Host, port: u16, failure: Failure) -> Failure {
    if failure.kind() != ErrorKind::Network || host.is_socket() {
        return failure;
    }
    match tokio::net::lookup_host((host.name.as_str(), port)).await {
        Ok(_) => failure,
        Err(error) if is_shortage(&error) => failure,
        Err(error) => {
            Failure::new(ErrorKind::Name, format!("the host name does not resolve: {error}")).with_source(error)
        }
    }
}

/// The kind of a network error.
pub(super) fn kind_of_io(error: &io::Error) -> ErrorKind {
    match error.kind() {
        // NotFound: the directory has no such socket. PermissionDenied: this process may not use it, and no GRANT
        // changes that.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            ErrorKind::Refused
        }
        // rustls uses this kind: certificates, versions, alerts.
        io::ErrorKind::InvalidData => ErrorKind::Tls,
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        // This machine is out of files or memory; the network is fine.
        _ if matches!(error.raw_os_error(), Some(code) if is_local_limit(code)) => ErrorKind::Limit,
        _ => ErrorKind::Network,
    }
}

fn is_local_limit(code: i32) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].iter().any(|errno| errno.raw_os_error() == code)
}

/// Its text.
pub(super) fn words_of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::PermissionDenied => "the operating system does not let this process connect".to_owned(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            format!("the connection was lost ({})", error.kind())
        }
        _ => words_of_shortage(error).unwrap_or_else(|| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_error_has_its_kind() {
        for (io, kind) in [
            (io::ErrorKind::ConnectionRefused, ErrorKind::Refused),
            (io::ErrorKind::NotFound, ErrorKind::Refused),
            (io::ErrorKind::ConnectionReset, ErrorKind::Network),
            (io::ErrorKind::UnexpectedEof, ErrorKind::Network),
            (io::ErrorKind::BrokenPipe, ErrorKind::Network),
            (io::ErrorKind::NetworkUnreachable, ErrorKind::Network),
            (io::ErrorKind::HostUnreachable, ErrorKind::Network),
            (io::ErrorKind::TimedOut, ErrorKind::Timeout),
            (io::ErrorKind::InvalidData, ErrorKind::Tls),
            (io::ErrorKind::PermissionDenied, ErrorKind::Refused),
        ] {
            assert_eq!(kind_of_io(&io.into()), kind, "{io}");
        }
        let out_of_files = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!(kind_of_io(&out_of_files), ErrorKind::Limit);
    }
}

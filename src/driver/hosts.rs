//! Chooses a host of an address: asks all hosts at once and returns one connection, or one failure that names all
//! hosts. Every driver that uses a network calls it and supplies the function that opens one host.

use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::network::close_limit;
use super::{ConnectRequest, Purpose, ServerRole};
use crate::database_url::Host;
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::{self, Clock, Instant};

/// How long to wait for the other hosts after a writable one has answered.
const GRACE: Duration = Duration::from_millis(500);

/// What a driver's hosts have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostStyle {
    /// The port of an address without one.
    pub(super) port: u16,
    /// Whether a socket is a file, or a folder in which the port names the file.
    pub(super) socket_is_file: bool,
    /// What a message says, after the address, about a host that follows another one and accepts no writes.
    pub(super) standby: &'static str,
    /// What it says about a host that accepts no writes because of a setting.
    pub(super) read_only: &'static str,
}

/// A connection to one host, not chosen yet.
pub(super) trait Candidate: Send + 'static {
    /// The host's role.
    fn role(&self) -> ServerRole;
    /// The highest rank among writable hosts wins; among equals, the first in the address.
    fn rank(&self) -> Option<u32>;
    /// Closes the connection, by `limit` at the latest.
    fn close(self, limit: Instant) -> BoxFuture<'static, ()>;
}

/// The result of one host of several.
#[derive(Debug)]
enum HostAnswer {
    Role(ServerRole),
    Failed(Failure),
    None,
}

/// Opens the host that fits the purpose of the request.
///
/// # Errors
/// A classified failure. With several hosts it names them all.
pub(super) async fn find<'a, C: Candidate>(
    request: &'a ConnectRequest<'_>,
    style: &HostStyle,
    open: impl Fn(&'a Host) -> BoxFuture<'a, Result<C, Failure>> + Send,
) -> Result<C, Failure> {
    let hosts = request.endpoint.url.hosts();
    let [host] = hosts else {
        return find_any(request, style, hosts, open).await;
    };
    let opened = open(host).await?;
    let role = opened.role();
    if fits(request.purpose, role) {
        return Ok(opened);
    }
    opened.close(close_limit(request.deadline)).await;
    Err(none_fits(&[(style.address(host), HostAnswer::Role(role))], style))
}

/// Asks all hosts at once. The writable host with the highest rank wins, because the old primary may still answer after
/// a failover.
async fn find_any<'a, C: Candidate>(
    request: &'a ConnectRequest<'_>,
    style: &HostStyle,
    hosts: &'a [Host],
    open: impl Fn(&'a Host) -> BoxFuture<'a, Result<C, Failure>> + Send,
) -> Result<C, Failure> {
    let left = request.deadline.saturating_duration_since(Clock::system().now().mono);
    // Ends early enough to report the hosts that answered before the caller drops this future.
    let mut until = request.deadline - (left / 10).min(Duration::from_millis(200));
    let mut pending: FuturesUnordered<_> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let opening = open(host);
            async move { (index, opening.await) }
        })
        .collect();
    let mut answers: Vec<HostAnswer> = hosts.iter().map(|_| HostAnswer::None).collect();
    let (mut fitting, mut others) = (Vec::new(), Vec::new());
    while let Ok(Some((index, result))) = clock::timeout_at(until, pending.next()).await {
        match result {
            Ok(opened) if fits(request.purpose, opened.role()) => {
                let left = until.saturating_duration_since(Clock::system().now().mono);
                // To inspect, the first answer is enough.
                let grace = if request.purpose == Purpose::Inspect { Duration::ZERO } else { GRACE.min(left / 4) };
                until = until.min(Clock::system().now().mono + grace);
                fitting.push((index, opened));
            }
            Ok(opened) => {
                answers[index] = HostAnswer::Role(opened.role());
                others.push(opened);
            }
            Err(failure) => answers[index] = HostAnswer::Failed(failure),
        }
    }
    drop(pending);
    // The highest rank last; among equals the first host in the address.
    fitting.sort_by_key(|(index, opened)| (opened.rank(), std::cmp::Reverse(*index)));
    let chosen = fitting.pop();
    others.extend(fitting.into_iter().map(|(_, opened)| opened));
    let limit = close_limit(request.deadline);
    join_all(others.into_iter().map(|opened| opened.close(limit))).await;
    match chosen {
        Some((_, opened)) => Ok(opened),
        None => {
            let addresses = hosts.iter().map(|host| style.address(host));
            Err(none_fits(&addresses.zip(answers).collect::<Vec<_>>(), style))
        }
    }
}

fn fits(purpose: Purpose, role: ServerRole) -> bool {
    purpose == Purpose::Inspect || role.takes_writes()
}

/// One failure for all hosts, with the kind of the host that came closest to accepting a beat.
fn none_fits(answers: &[(String, HostAnswer)], style: &HostStyle) -> Failure {
    let sentences: Vec<String> = answers
        .iter()
        .map(|(address, answer)| match answer {
            HostAnswer::Role(ServerRole::Standby) => format!("{address} {}", style.standby),
            HostAnswer::Role(_) => format!("{address} {}", style.read_only),
            // Starts with the address. The code shown at the end is that of the closest host.
            HostAnswer::Failed(failure) => failure.message().to_owned(),
            HostAnswer::None => format!("{address}: no answer"),
        })
        .collect();
    let nearest = answers.iter().max_by_key(|(_, answer)| answer.reach()).map(|(_, answer)| answer);
    let kind = match nearest {
        Some(HostAnswer::Role(ServerRole::Standby)) => ErrorKind::NotWritable,
        Some(HostAnswer::Role(_)) => ErrorKind::ReadOnlySetting,
        Some(HostAnswer::Failed(failure)) => failure.kind(),
        Some(HostAnswer::None) | None => ErrorKind::Timeout,
    };
    let failure = match sentences.as_slice() {
        [only] => Failure::new(kind, only),
        _ => Failure::new(kind, format!("no host is writable: {}", sentences.join("; "))),
    };
    let failure = match without_a_primary(answers) {
        Some(remedy) if kind == ErrorKind::NotWritable && nearest.is_some_and(HostAnswer::is_standby) => {
            failure.with_remedy(remedy)
        }
        _ => failure,
    };
    match nearest {
        Some(HostAnswer::Failed(nearest)) => {
            let failure = match nearest.code() {
                Some(code) => failure.with_code(code),
                None => failure,
            };
            let failure = match nearest.remedy() {
                Some(remedy) => failure.with_remedy(remedy),
                None => failure,
            };
            failure.with_source(nearest.clone())
        }
        _ => failure,
    }
}

/// The next step if standbys answer and other hosts do not: the primary is one of the silent hosts. Promoting a standby
/// while the primary may come back would split the cluster, so only the tool that knows the whole cluster may decide
/// that.
fn without_a_primary(answers: &[(String, HostAnswer)]) -> Option<String> {
    let of = |wanted: fn(&HostAnswer) -> bool| {
        let found = answers.iter().filter(|(_, answer)| wanted(answer)).map(|(address, _)| address.as_str());
        found.collect::<Vec<_>>().join(" or ")
    };
    let (silent, refusing) = (of(HostAnswer::is_silent), of(HostAnswer::is_refusal));
    const TOOL: &str = "promote only through your failover tool; heartbeatd follows by itself";
    match (silent.is_empty(), refusing.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("bring {silent} back: the primary is there; {TOOL}")),
        (true, false) => Some(format!("let heartbeatd log in to {refusing}: the primary may be there; {TOOL}")),
        (false, false) => Some(format!("bring {silent} back, or let heartbeatd log in to {refusing}; {TOOL}")),
    }
}

impl HostAnswer {
    fn is_standby(&self) -> bool {
        matches!(self, Self::Role(ServerRole::Standby))
    }

    /// No server answered, or it was not up.
    fn is_silent(&self) -> bool {
        match self {
            Self::None => true,
            Self::Role(_) => false,
            Self::Failed(failure) => matches!(
                failure.kind(),
                ErrorKind::Name
                    | ErrorKind::Refused
                    | ErrorKind::Network
                    | ErrorKind::Timeout
                    | ErrorKind::Starting
                    | ErrorKind::Shutdown
            ),
        }
    }

    /// A server answered but refused the login.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Failed(_)) && !self.is_silent()
    }

    /// How close a host came to accepting a beat.
    fn reach(&self) -> u8 {
        match self {
            Self::None => 1,
            Self::Role(ServerRole::Standby) => 20,
            // A primary, which should accept beats.
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
                ErrorKind::Auth | ErrorKind::AuthMethod => 9,
                ErrorKind::Identity => 11,
                // This host would accept the beat.
                ErrorKind::OldTimeline => 22,
                _ => 10,
            },
        }
    }
}

impl HostStyle {
    /// The port of a host.
    pub(super) fn port(&self, host: &Host) -> u16 {
        host.port.unwrap_or(self.port)
    }

    /// `host:port`, with an IPv6 address in brackets; for a socket, the file or folder.
    pub(super) fn address(&self, host: &Host) -> String {
        let port = self.port(host);
        if host.is_socket() && self.socket_is_file {
            return host.name.clone();
        }
        if host.name.contains(':') { format!("[{}]:{port}", host.name) } else { format!("{}:{port}", host.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::network;

    const HOST_STYLE: HostStyle = HostStyle {
        port: 5432,
        socket_is_file: false,
        standby: "is a standby",
        read_only: "is read-only by default_transaction_read_only",
    };

    fn failed(address: &str, kind: ErrorKind, message: &str) -> (String, HostAnswer) {
        (address.to_owned(), HostAnswer::Failed(network::prefixed(address, Failure::new(kind, message))))
    }

    fn role(address: &str, role: ServerRole) -> (String, HostAnswer) {
        (address.to_owned(), HostAnswer::Role(role))
    }

    #[test]
    fn the_failure_of_several_hosts_names_all_of_them_and_has_the_kind_of_the_one_that_came_furthest() {
        let failure = none_fits(
            &[
                role("a:5432", ServerRole::Standby),
                failed("b:5432", ErrorKind::Refused, "connection refused"),
                ("c:5432".to_owned(), HostAnswer::None),
            ],
            &HOST_STYLE,
        );
        assert_eq!(failure.kind(), ErrorKind::NotWritable);
        assert_eq!(
            failure.message(),
            "no host is writable: a:5432 is a standby; b:5432: connection refused; c:5432: no answer"
        );
    }

    #[test]
    fn without_a_primary_the_remedy_is_to_bring_it_back_and_never_to_promote_a_standby() {
        let remedy = |others: Vec<(String, HostAnswer)>| {
            let mut answers = vec![role("a:5432", ServerRole::Standby)];
            answers.extend(others);
            none_fits(&answers, &HOST_STYLE).remedy().map(ToString::to_string)
        };
        let refused = || failed("b:5432", ErrorKind::Refused, "connection refused");
        let locked = || failed("c:5432", ErrorKind::Auth, "password authentication failed");
        let advice = |words: &str| {
            Some(format!("{words}; promote only through your failover tool; heartbeatd follows by itself"))
        };
        assert_eq!(remedy(vec![refused()]), advice("bring b:5432 back: the primary is there"));
        assert_eq!(remedy(vec![locked()]), advice("let heartbeatd log in to c:5432: the primary may be there"));
        assert_eq!(remedy(vec![refused(), locked()]), advice("bring b:5432 back, or let heartbeatd log in to c:5432"));
        assert_eq!(
            remedy(vec![role("b:5432", ServerRole::Standby)]),
            None,
            "the driver says where the primary is known"
        );
    }

    #[test]
    fn a_primary_that_is_read_only_by_a_setting_counts_more_than_its_standby() {
        let failure =
            none_fits(&[role("a:5432", ServerRole::Standby), role("b:5432", ServerRole::ReadOnly)], &HOST_STYLE);
        assert_eq!(failure.kind(), ErrorKind::ReadOnlySetting);
    }

    #[test]
    fn if_no_host_shows_its_role_the_failure_that_came_furthest_counts() {
        let failure = none_fits(
            &[
                failed("a:5432", ErrorKind::Auth, "password authentication failed"),
                failed("b:5432", ErrorKind::Name, "the host name does not resolve"),
            ],
            &HOST_STYLE,
        );
        assert_eq!(failure.kind(), ErrorKind::Auth);
        let failure =
            none_fits(&[("a:5432".to_owned(), HostAnswer::None), ("b:5432".to_owned(), HostAnswer::None)], &HOST_STYLE);
        assert_eq!(failure.kind(), ErrorKind::Timeout);
    }

    #[test]
    fn the_failure_that_came_furthest_keeps_its_code_and_its_remedy() {
        let known = Failure::new(ErrorKind::NotWritable, "wsrep_on is off").with_code("1").with_remedy("switch it on");
        let nearest = ("a:5432".to_owned(), HostAnswer::Failed(network::prefixed("a:5432", known)));
        let failure = none_fits(&[nearest, failed("b:5432", ErrorKind::Refused, "connection refused")], &HOST_STYLE);
        assert_eq!((failure.code(), failure.remedy()), (Some("1"), Some(&"switch it on".into())), "{failure:?}");
    }

    #[test]
    fn a_single_standby_is_reported_without_a_list_of_hosts() {
        let failure = none_fits(&[role("a:5432", ServerRole::Standby)], &HOST_STYLE);
        assert_eq!((failure.kind(), failure.message()), (ErrorKind::NotWritable, "a:5432 is a standby"));
    }

    #[test]
    fn addresses_are_written_with_their_port() {
        for (name, port, expected) in
            [("db", None, "db:5432"), ("::1", Some(6000), "[::1]:6000"), ("/run/pg", None, "/run/pg:5432")]
        {
            assert_eq!(HOST_STYLE.address(&Host { port, ..Host::named(name).unwrap() }), expected);
        }
    }
}

//! Finds the address that gets the beats, if one host name has several addresses. `connect` calls it.
//!
//! The listener of an availability group has an address in each subnet, and only one is active. Other names lead to all
//! replicas.

use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tiberius::error::Error;
use tiberius::{Config, SqlBrowser};
use tokio::net::{TcpStream, lookup_host};

use super::errors;
use super::parameters::PORT;
use crate::database_url::Host;
use crate::driver::hosts::Candidate;
use crate::driver::network::close_limit;
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::{self, Clock, Instant};

/// How many addresses of one name are tried. A listener has one for each subnet.
const MOST: usize = 16;

/// Starts a connection to every address of a host at the same time. SQL Server Browser names the port of a named
/// instance, unless the address has a port.
///
/// # Errors
/// The name does not resolve.
pub(super) async fn connections(host: &Host) -> Result<Vec<BoxFuture<'static, Result<TcpStream, Failure>>>, Failure> {
    let port = host.port.unwrap_or(PORT);
    let instance = host.instance.clone().filter(|_| host.port.is_none());
    let addresses = lookup_host((host.name.as_str(), port)).await.map_err(|error| errors::classify(error.into()))?;
    let connect =
        |address: SocketAddr| -> BoxFuture<'static, _> {
            match instance.clone() {
                None => Box::pin(async move {
                    TcpStream::connect(address).await.map_err(|error| errors::classify(error.into()))
                }),
                Some(instance) => Box::pin(async move {
                    let mut config = Config::new();
                    config.host(match address {
                        SocketAddr::V4(address) => address.ip().to_string(),
                        SocketAddr::V6(address) => format!("[{}]", address.ip()),
                    });
                    config.instance_name(&instance);
                    TcpStream::connect_named(&config).await.map_err(|error| of_browser(error, &instance))
                }),
            }
        };
    Ok(addresses.take(MOST).map(connect).collect())
}

/// Classifies a failed search for the port of an instance: the client reports it as its own error.
fn of_browser(error: Error, instance: &str) -> Failure {
    match error {
        Error::Conversion(_) => Failure::new(
            ErrorKind::Name,
            format!("SQL Server Browser (UDP port 1434) names no port for the instance {instance}"),
        )
        .with_source(error),
        _ => errors::classify(error),
    }
}

/// Logs in to the addresses one after the other, in the order in which they connect, until one fits. While other
/// connections remain, a login may last half of the remaining time. A refused login ends the search, because each
/// further login would count as another wrong password.
///
/// # Errors
/// The failure of the address that came furthest, if every login failed. If a login succeeded but its server does not
/// fit, that one is returned without an error, and the caller judges its role.
pub(super) async fn enter_first_fitting<'a, S, C: Candidate>(
    connections: Vec<BoxFuture<'a, Result<S, Failure>>>,
    enter: impl Fn(S) -> BoxFuture<'a, Result<C, Failure>>,
    fits: impl Fn(&C) -> bool,
    deadline: Instant,
) -> Result<C, Failure> {
    let mut connections: FuturesUnordered<_> = connections.into_iter().collect();
    let (mut unfitting, mut refused, mut unreached) = (None, None, None);
    while let Some(connection) = connections.next().await {
        let stream = match connection {
            Ok(stream) => stream,
            Err(failure) => {
                unreached.get_or_insert(failure);
                continue;
            }
        };
        let left = deadline.saturating_duration_since(Clock::system().now().mono);
        let limit = if connections.is_empty() { deadline } else { deadline - left / 2 };
        match clock::timeout_at(limit, enter(stream)).await {
            Ok(Ok(entered)) if fits(&entered) => {
                close(unfitting, deadline).await;
                return Ok(entered);
            }
            Ok(Ok(entered)) if unfitting.is_none() => unfitting = Some(entered),
            Ok(Ok(entered)) => close(Some(entered), deadline).await,
            Ok(Err(failure)) if failure.kind() == ErrorKind::Auth => {
                close(unfitting, deadline).await;
                return Err(failure);
            }
            Ok(Err(failure)) => {
                refused.get_or_insert(failure);
            }
            Err(_) => {
                refused.get_or_insert(Failure::new(ErrorKind::Timeout, "no answer to the login"));
            }
        }
    }
    match unfitting {
        Some(entered) => Ok(entered),
        None => {
            Err(refused.or(unreached).unwrap_or_else(|| Failure::new(ErrorKind::Name, "the host name has no address")))
        }
    }
}

async fn close<C: Candidate>(entered: Option<C>, deadline: Instant) {
    if let Some(entered) = entered {
        entered.close(close_limit(deadline)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::driver::ServerRole;

    const SECOND: Duration = Duration::from_secs(1);

    /// An address where the login succeeded.
    #[derive(Debug, PartialEq)]
    struct Entered(&'static str, ServerRole);

    impl Candidate for Entered {
        fn role(&self) -> ServerRole {
            self.1
        }

        fn rank(&self) -> Option<u32> {
            None
        }

        fn close(self, _: Instant) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    /// One address: how long the connection and the login take, and their results.
    #[derive(Debug, Clone, Copy)]
    struct Address {
        name: &'static str,
        connects: Result<Duration, ErrorKind>,
        enters_after: Duration,
        enters: Result<ServerRole, ErrorKind>,
    }

    fn address(name: &'static str, connects_after: u32, enters: Result<ServerRole, ErrorKind>) -> Address {
        Address { name, connects: Ok(SECOND / 100 * connects_after), enters_after: SECOND / 100, enters }
    }

    fn unreached(name: &'static str, kind: ErrorKind) -> Address {
        Address { name, connects: Err(kind), enters_after: SECOND, enters: Err(ErrorKind::Internal) }
    }

    /// The result of the search, and the addresses that were logged in to, in order.
    async fn search(addresses: &[Address]) -> (Result<Entered, ErrorKind>, Vec<&'static str>) {
        let connections = addresses.iter().copied().map(|address| -> BoxFuture<'_, _> {
            Box::pin(async move {
                match address.connects {
                    Ok(time) => {
                        tokio::time::sleep(time).await;
                        Ok(address)
                    }
                    Err(kind) => Err(Failure::new(kind, address.name)),
                }
            })
        });
        let entered = Mutex::new(Vec::new());
        let enter = |address: Address| -> BoxFuture<'_, _> {
            entered.lock().unwrap().push(address.name);
            Box::pin(async move {
                tokio::time::sleep(address.enters_after).await;
                let role = address.enters.map_err(|kind| Failure::new(kind, address.name))?;
                Ok(Entered(address.name, role))
            })
        };
        let deadline = Clock::system().now().mono + SECOND * 10;
        let fits = |entered: &Entered| entered.role().takes_writes();
        let found = enter_first_fitting(connections.collect(), enter, fits, deadline).await;
        (found.map_err(|failure| failure.kind()), entered.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_that_answers_as_the_primary_wins() {
        let primary = address("primary", 20, Ok(ServerRole::Primary));
        let secondary = address("secondary", 1, Ok(ServerRole::Standby));
        let (found, entered) = search(&[primary, secondary, unreached("down", ErrorKind::Refused)]).await;
        assert_eq!(found, Ok(Entered("primary", ServerRole::Primary)));
        assert_eq!(entered, ["secondary", "primary"], "in the order in which they answer");
        // Two addresses of the same server cause one login.
        let (found, entered) = search(&[primary, address("v6", 1, Ok(ServerRole::Primary))]).await;
        assert_eq!((found.unwrap().0, entered), ("v6", vec!["v6"]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_hangs_leaves_time_for_the_others() {
        let hanging = Address { enters_after: SECOND * 3_600, ..address("hanging", 1, Ok(ServerRole::Primary)) };
        let (found, entered) = search(&[hanging, address("primary", 20, Ok(ServerRole::Primary))]).await;
        assert_eq!(found.unwrap().0, "primary");
        assert_eq!(entered, ["hanging", "primary"]);
        // A packet filter that drops everything costs no time, because another address answers.
        let dropped = Address { connects: Ok(SECOND * 3_600), ..hanging };
        let begin = Clock::system().now().mono;
        let (found, _) = search(&[dropped, address("primary", 20, Ok(ServerRole::Primary))]).await;
        assert!(found.unwrap().0 == "primary" && Clock::system().now().mono - begin < SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_primary_the_nearest_answer_is_reported() {
        let secondary = address("secondary", 1, Ok(ServerRole::Standby));
        let refused = address("refused", 2, Err(ErrorKind::Starting));
        let (found, _) = search(&[unreached("down", ErrorKind::Refused), refused, secondary]).await;
        assert_eq!(found.unwrap().0, "secondary", "its caller judges the role");
        assert_eq!(search(&[unreached("down", ErrorKind::Refused), refused]).await.0, Err(ErrorKind::Starting));
        assert_eq!(search(&[unreached("down", ErrorKind::Refused)]).await.0, Err(ErrorKind::Refused));
        assert_eq!(search(&[]).await.0, Err(ErrorKind::Name));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_password_is_not_shown_to_the_other_addresses() {
        let refusing = address("first", 1, Err(ErrorKind::Auth));
        let (found, entered) = search(&[refusing, address("second", 2, Err(ErrorKind::Auth))]).await;
        assert_eq!((found, entered), (Err(ErrorKind::Auth), vec!["first"]));
    }
}

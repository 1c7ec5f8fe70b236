//! What this family defines for its targets: addresses, and the validation without a connection.

use std::time::Duration;

use super::parameters::Parameters;
use crate::database_url::{AddressParts, Family, Host, UrlError};
use crate::driver::rules::Judgement;
use crate::target::{Endpoint, Target};

/// The family's name.
pub(super) const FAMILY: Family = Family::new("mysql");
/// The schemes of its addresses.
pub(super) const SCHEMES: &[&str] = &["mysql", "mariadb"];
/// The shortest interval at which `when-stale` can separate the beats of two writers. The column holds whole seconds,
/// and three quarters of the interval, cut to whole seconds, must still lie between two beats.
const SHORTEST_WHEN_STALE: Duration = Duration::from_secs(5);

/// Parses an address.
///
/// # Errors
/// The [`UrlError`] that applies.
pub(super) fn parse(scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
    let mut parts = AddressParts::of_server(scheme, rest)?.with_host_parameters()?.without_instances()?;
    // As in MySQL's clients: a socket is on this machine, so localhost is the only host that it goes with.
    if parts.hosts.iter().all(|host| host.name == "localhost" && host.port.is_none())
        && let Some(socket) = parts.take("socket")
    {
        parts.hosts = vec![Host::named(&socket).ok().filter(Host::is_socket).ok_or(UrlError::Authority)?];
    }
    let (url, password) = parts.into_server(FAMILY)?;
    Ok(Endpoint::new(url, password))
}

/// Validates a target.
pub(super) fn validate(target: &Target) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.endpoints(target, |endpoint| Ok(Parameters::read(&endpoint.url)?.warnings));
    judgement.whole_number_row(target);
    judgement.apart_by(target, SHORTEST_WHEN_STALE);
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Endpoint, UrlError> {
        let (scheme, rest) = crate::database_url::split_scheme(text).unwrap();
        parse(&scheme, rest)
    }

    #[test]
    fn a_socket_means_this_machine_and_its_shown_form_parses_to_the_same_address() {
        let url = parsed("mariadb://hb@localhost/?socket=/run/my%20sockets/x").unwrap().url;
        assert_eq!((url.hosts()[0].is_socket(), url.family()), (true, FAMILY));
        assert_eq!(parsed(&url.to_string()).unwrap().url, url);
        assert_eq!(parsed("mysql://hb@localhost/?socket=mysqld.sock").unwrap_err(), UrlError::Authority);
    }
}

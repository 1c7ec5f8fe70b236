//! What this family defines for its targets: addresses, names, and the judgement without a connection.

use super::identifier;
use super::parameters::{FROM_DNS, Parameters};
use crate::database_url::{AddressParts, Family, UrlError};
use crate::driver::rules::{ConnectorKey, Judgement};
use crate::target::{Endpoint, Target};

/// The family's name.
pub(super) const FAMILY: Family = Family::new("mongodb");
/// The schemes of its addresses; with the second one, DNS supplies the hosts.
pub(super) const SCHEMES: &[&str] = &["mongodb", FROM_DNS];

/// The keys of `[target.connector]` besides user and mode.
pub(super) const CONNECTOR_KEYS: &[ConnectorKey] = &[NAMESPACES];
/// What the connector reads.
pub(super) const NAMESPACES: ConnectorKey = ConnectorKey::names(
    "namespaces",
    "MongoDB: the databases, collections (database.collection) or /regular expressions/ that it reads, where it does not \
     read all.",
);

/// Parses an address.
///
/// # Errors
/// Any [`UrlError`].
pub(super) fn parse(scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
    let (url, password) = AddressParts::of_server(scheme, rest)?.without_instances()?.into_server(FAMILY)?;
    Ok(Endpoint::new(url, password))
}

/// Judges a target.
pub(super) fn validate(target: &Target) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.endpoints(target, |endpoint| Ok(Parameters::read(&endpoint.url)?.warnings));
    if let Some((key, problem)) = identifier::problem(&target.heartbeat) {
        judgement.complain(format!("heartbeat.{key}"), problem);
    }
    for name in NAMESPACES.listed(target) {
        if let Err(problem) = identifier::pattern(name) {
            judgement.complain("connector.namespaces", problem);
        }
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_that_asks_dns_for_the_hosts_is_kept() {
        for address in ["mongodb+srv://hb@cluster0.example/?w=majority", "mongodb://hb@a,b:27018/"] {
            let (scheme, rest) = crate::database_url::split_scheme(address).unwrap();
            assert_eq!(parse(&scheme, rest).unwrap().url.to_string(), address);
        }
    }

    #[test]
    fn invalid_names_and_patterns_are_refused_at_their_place() {
        let mut target = Target::new("orders", Endpoint::parse("mongodb://hb@a/").unwrap());
        assert!(validate(&target).complaints.is_empty());
        target.heartbeat.schema = "a.b".to_owned();
        target.connector.needs.insert("namespaces".to_owned(), crate::target::Need::Names(vec!["/(/".to_owned()]));
        let complaints = validate(&target).complaints;
        let keys: Vec<&str> = complaints.iter().map(|remark| remark.key.as_str()).collect();
        assert_eq!(keys, ["heartbeat.schema", "connector.namespaces"]);
    }
}

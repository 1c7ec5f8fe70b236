//! SQL Server's family: its addresses, its names, its defaults, and what can be judged of a target without connecting.

use super::ado;
use super::identifier;
use super::keys::normal;
use super::parameters::Parameters;
use crate::database_url::{AddressParts, Family, UrlError};
use crate::driver::parameters::refused;
use crate::driver::rules::{ConnectorKey, Defaults, Judgement};
use crate::target::{ConnectorMode, Endpoint, Named, Target};

/// The family's name.
pub(super) const FAMILY: Family = Family::new("sqlserver");
/// The schemes of its addresses.
pub(super) const SCHEMES: &[&str] = &["mssql", "sqlserver"];

const ROLE: ConnectorKey =
    ConnectorKey::name("role", "SQL Server: the database role that holds its grants, and gates its change data.")
        .or("streamkap_role");
const CAPTURE_INSTANCE: ConnectorKey = ConnectorKey::name(
    "capture_instance",
    "SQL Server: the capture instance of the heartbeat table that it reads, where there are two.",
);
const ENABLE_CDC: ConnectorKey = ConnectorKey::switch(
    "enable_cdc",
    "SQL Server: whether provisioning enables change data capture on the database, where it is off.",
);
/// The connector keys of this family.
pub(super) const CONNECTOR_KEYS: &[ConnectorKey] = &[ROLE, CAPTURE_INSTANCE, ENABLE_CDC];

/// The filegroup for change tables in the vendor's set-up guide. It is left out if it does not exist.
pub(super) const FILEGROUP: &str = "Streamkap_ChangeTracking";

/// By the vendor's default the connector writes the heartbeat row itself.
pub(super) fn defaults() -> Defaults {
    Defaults { connector_mode: ConnectorMode::ReadWrite, ..Defaults::default() }
}

/// The role that holds the connector's grants.
pub(super) fn role_of(target: &Target) -> Named {
    ROLE.named(target)
}

/// The capture instance that the connector reads; an empty name if none is configured.
pub(super) fn capture_instance_of(target: &Target) -> Named {
    CAPTURE_INSTANCE.named(target)
}

/// Whether provisioning enables change data capture on the database.
pub(super) fn enables_cdc(target: &Target) -> bool {
    ENABLE_CDC.is_on(target)
}

/// Parses an address.
///
/// # Errors
/// The [`UrlError`] that fits.
pub(super) fn parse(scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
    // The form of Java's driver and of Prisma.
    if ado::of_java(rest) {
        return ado::parse_java(scheme, rest).and_then(endpoint);
    }
    let (before, _) = rest.split_once('?').unwrap_or((rest, ""));
    let hosts = before.rsplit_once('@').map_or(before, |(_, hosts)| hosts);
    if hosts.contains(';') {
        return Err(refused(
            ";",
            "parameters come after a ?, and the database after a /: mssql://user@host:1433/database?CaFile=FILE",
        ));
    }
    endpoint(AddressParts::of_server(scheme, rest)?)
}

/// Parses a connection string, if the text is meant as one.
pub(super) fn parse_connection_string(text: &str) -> Option<Result<Endpoint, UrlError>> {
    if let Some(rest) = ado::behind_jdbc(text) {
        return Some(ado::parse_java(SCHEMES[0], rest).and_then(endpoint));
    }
    ado::is_meant(text).then(|| ado::parse(SCHEMES[0], text).and_then(endpoint))
}

fn endpoint(mut parts: AddressParts) -> Result<Endpoint, UrlError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in std::mem::take(&mut parts.parameters) {
        let (name, value) = normal(name, value);
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(UrlError::Parameter(name));
        }
        parameters.push((name, value));
    }
    parts.parameters = parameters;
    let (url, password) = parts.into_server(FAMILY)?;
    Ok(Endpoint::new(url, password))
}

/// Judges a target.
pub(super) fn validate(target: &Target) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.endpoints(target, |endpoint| Ok(Parameters::read(&endpoint.url)?.warnings));
    judgement.whole_number_row(target);
    for (key, name) in [
        ("heartbeat.schema", &target.heartbeat.schema),
        ("heartbeat.table", &target.heartbeat.table),
        ("connector.user", &target.connector.user.name),
        ("connector.role", &role_of(target).name),
    ] {
        if let Some(problem) = identifier::problem(name) {
            judgement.complain(key, format!("the name {problem}"));
        }
    }
    if target.heartbeat.row.number().is_some_and(|row| i32::try_from(row).is_err()) {
        judgement.complain("heartbeat.row", "larger than the column id, an INT, can hold");
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> String {
        let endpoint = Endpoint::parse(address).unwrap();
        assert!(validate(&Target::new("orders", endpoint.clone())).complaints.is_empty(), "{address}");
        endpoint.url.to_string()
    }

    #[test]
    fn addresses_and_connection_strings_become_one_form_without_their_password() {
        for address in ["mssql://hb@db\\PROD,b:14330/orders?Encrypt=strict", "sqlserver://hb@[::1]/orders"] {
            assert_eq!(shown(address), address);
        }
        let pasted = "Server=tcp:db.example,1433;Database=orders;User Id=hb;Password=hunter2;Encrypt=Yes;\
                      Application Name=beat";
        assert_eq!(shown(pasted), "mssql://hb@db.example:1433/orders?Encrypt=true&ApplicationName=beat");
        assert!(Endpoint::parse(pasted).unwrap().password.is_some());
    }

    #[test]
    fn names_that_the_server_would_refuse_are_found_where_they_are_written() {
        let mut target = Target::new("orders", Endpoint::parse("mssql://hb@db/orders").unwrap());
        target.heartbeat.schema = "x".repeat(129);
        target.heartbeat.row = 1_i64.wrapping_shl(40).into();
        let complaints = validate(&target).complaints;
        let keys: Vec<&str> = complaints.iter().map(|remark| remark.key.as_str()).collect();
        assert_eq!(keys, ["heartbeat.schema", "heartbeat.row"]);
    }
}

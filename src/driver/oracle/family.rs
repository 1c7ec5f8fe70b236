//! Oracle's family: its addresses, its defaults, and what can be judged of a target without connecting.

use super::connect_strings;
use super::identifier;
use super::parameters::Parameters;
use crate::database_url::{AddressParts, Family, UrlError};
use crate::driver::rules::{ConnectorKey, Defaults, Judgement};
use crate::target::{ConnectorMode, Endpoint, HeartbeatTable, Named, RowId, Target};

/// The family's name.
pub(super) const FAMILY: Family = Family::new("oracle");
/// The schemes of its addresses.
pub(super) const SCHEMES: &[&str] = &["oracle"];

const COMMON_USER: ConnectorKey = ConnectorKey::name(
    "common_user",
    "Oracle: the common user that the connector reads the log as, in a multitenant database.",
)
.or("C##STREAMKAP_USER");
/// The connector keys of this family.
pub(super) const CONNECTOR_KEYS: &[ConnectorKey] = &[COMMON_USER];

/// The vendor's default names. Its connector for Oracle writes the heartbeat row itself.
pub(super) fn defaults() -> Defaults {
    Defaults {
        heartbeat: HeartbeatTable {
            schema: "STREAMKAP_USER".to_owned(),
            table: "STREAMKAP_HEARTBEAT".to_owned(),
            row: RowId::Number(1),
        },
        connector_user: "STREAMKAP_USER",
        connector_mode: ConnectorMode::ReadWrite,
    }
}

/// The connector's user in the root of a multitenant database.
pub(super) fn common_user_of(target: &Target) -> Named {
    COMMON_USER.named(target)
}

/// Parses an address.
///
/// # Errors
/// The [`UrlError`] that fits.
pub(super) fn parse(scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
    let rest = connect_strings::without_slashes(rest);
    if let Some(fault) = connect_strings::fault(&rest) {
        return Err(fault);
    }
    let (url, password) = AddressParts::of_server(scheme, &rest)?.without_instances()?.into_server(FAMILY)?;
    Ok(Endpoint::new(url, password))
}

/// Says what to write instead of a connection string of one of Oracle's clients.
pub(super) fn parse_connection_string(text: &str) -> Option<Result<Endpoint, UrlError>> {
    connect_strings::instead(text).map(Err)
}

/// Judges a target.
pub(super) fn validate(target: &Target) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.endpoints(target, |endpoint| Ok(Parameters::read(&endpoint.url)?.warnings));
    judgement.whole_number_row(target);
    let common_user = common_user_of(target).name;
    for (key, name) in [
        ("heartbeat.schema", &target.heartbeat.schema),
        ("heartbeat.table", &target.heartbeat.table),
        ("connector.user", &target.connector.user.name),
        ("connector.common_user", &common_user),
    ] {
        if let Some(problem) = identifier::problem(name) {
            judgement.complain(key, problem);
        }
    }
    let schema = identifier::stored(&target.heartbeat.schema);
    if ["SYS", "SYSTEM"].contains(&schema.as_str()) {
        judgement.complain("heartbeat.schema", format!("changes in the schema {schema} reach no connector"));
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_server_refuses_are_refused_where_they_are_written() {
        let mut target = Target::new("orders", Endpoint::parse("oracle://hb@a/pdb1").unwrap());
        target.heartbeat = defaults().heartbeat;
        assert!(validate(&target).complaints.is_empty(), "{:?}", validate(&target));
        target.heartbeat.schema = "system".to_owned();
        target.heartbeat.table = "a\"b".to_owned();
        target.connector.set_name("common_user", "");
        let complaints = validate(&target).complaints;
        let keys: Vec<&str> = complaints.iter().map(|remark| remark.key.as_str()).collect();
        assert_eq!(keys, ["heartbeat.table", "connector.common_user", "heartbeat.schema"]);
    }
}

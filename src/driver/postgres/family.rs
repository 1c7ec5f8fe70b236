//! What this family defines for its targets: addresses, the needs of connectors, and the validation without a
//! connection.

use super::parameters::Parameters;
use crate::database_url::{AddressParts, Family, UrlError};
use crate::driver::rules::{ConnectorKey, Judgement};
use crate::target::{Endpoint, Named, Target};

/// The family's name.
pub(super) const FAMILY: Family = Family::new("postgres");
/// The schemes of its addresses.
pub(super) const SCHEMES: &[&str] = &["postgres", "postgresql"];

const PUBLICATION: ConnectorKey =
    ConnectorKey::name("publication", "PostgreSQL: its publication.").or("streamkap_pub").variable("PUBLICATION");
const SLOT: ConnectorKey =
    ConnectorKey::name("slot", "PostgreSQL: its replication slot.").or("streamkap_pgoutput_slot").variable("SLOT");
/// The keys for what connectors need here.
pub(super) const CONNECTOR_KEYS: &[ConnectorKey] = &[PUBLICATION, SLOT];

/// The longest name in bytes: the server cuts a longer one without an error.
const LONGEST_NAME: usize = 63;

/// The publication that the connector reads.
pub(super) fn publication_of(target: &Target) -> Named {
    PUBLICATION.named(target)
}

/// The replication slot that the connector reads.
pub(super) fn slot_of(target: &Target) -> Named {
    SLOT.named(target)
}

/// Parses an address.
///
/// # Errors
/// The [`UrlError`] that applies.
pub(super) fn parse(scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
    let parts = AddressParts::of_server(scheme, rest)?.with_host_parameters()?.without_instances()?;
    let (url, password) = parts.into_server(FAMILY)?;
    Ok(Endpoint::new(url, password))
}

/// Validates a target.
pub(super) fn validate(target: &Target) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.endpoints(target, |endpoint| Ok(Parameters::read(&endpoint.url)?.warnings));
    judgement.whole_number_row(target);
    for (key, name) in [
        ("heartbeat.schema", &target.heartbeat.schema),
        ("heartbeat.table", &target.heartbeat.table),
        ("connector.user", &target.connector.user.name),
        ("connector.publication", &publication_of(target).name),
        ("connector.slot", &slot_of(target).name),
    ] {
        if name.len() > LONGEST_NAME {
            judgement.complain(key, format!("longer than {LONGEST_NAME} bytes, which PostgreSQL would cut"));
        }
    }
    judgement
}

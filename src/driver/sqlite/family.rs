//! What this family defines for its targets: addresses, and the judgement without opening a file.

use crate::database_url::{AddressParts, Family, UrlError};
use crate::driver::rules::Judgement;
use crate::target::{Endpoint, Target};

/// The family's name.
pub(super) const FAMILY: Family = Family::new("sqlite");
/// The schemes of its addresses.
pub(super) const SCHEMES: &[&str] = &["sqlite"];

/// Parses an address.
///
/// # Errors
/// Any [`UrlError`].
pub(super) fn parse(scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
    Ok(Endpoint::new(AddressParts::of_file(scheme, rest)?.into_file(FAMILY), None))
}

/// Judges a target.
pub(super) fn validate(target: &Target) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.endpoints(target, endpoint);
    judgement.whole_number_row(target);
    judgement
}

fn endpoint(endpoint: &Endpoint) -> Result<Vec<String>, UrlError> {
    if endpoint.url.database() == ":memory:" {
        return Err(UrlError::Refused {
            name: ":memory:".to_owned(),
            reason: "a heartbeat in memory reaches no connector: name a file".to_owned(),
        });
    }
    for (name, value) in endpoint.url.parameters() {
        let refused = |reason: &str| Err(UrlError::Refused { name: name.clone(), reason: reason.to_owned() });
        match (name.as_str(), value.as_str()) {
            ("mode", "ro" | "rw" | "rwc") => {}
            ("mode", _) => return refused("expected ro, rw or rwc"),
            _ => return refused("not a parameter of sqlite addresses here: only mode is"),
        }
    }
    Ok(Vec::new())
}

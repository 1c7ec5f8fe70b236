//! Addresses of databases, and what each driver makes of their parameters.

use heartbeatd::database_url::DatabaseUrl;
use heartbeatd::drivers::Drivers;
use heartbeatd::target::Endpoint;

use super::PASSWORD;

/// An address is refused without repeating its password, or shown such that it reads the same again.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let secret = has_password(text);
    match DatabaseUrl::parse(text) {
        Err(error) => assert!(!secret || !error.to_string().contains(PASSWORD), "{error}"),
        Ok((url, _)) => {
            let shown = url.to_string();
            assert!(!secret || !shown.contains(PASSWORD), "{shown}");
            let (again, password) = DatabaseUrl::parse(&shown).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
            assert_eq!(again, url, "{shown:?}");
            assert!(password.is_none(), "{shown:?}");
            assert!(!url.default_name().contains('\0'));
        }
    }
    let Ok(endpoint) = Endpoint::parse(text) else { return };
    let Ok(driver) = Drivers::built_in().get(endpoint.url.family()) else { return };
    let words = match driver.validate(&endpoint) {
        Ok(warnings) => warnings.join("\n"),
        Err(error) => error.to_string(),
    };
    assert!(!secret || !words.contains(PASSWORD), "{words}");
    assert!(!secret || !format!("{endpoint:?}").contains(PASSWORD));
}

/// Whether the password of the corpora stands in this address as a password, and nowhere else.
pub(super) fn has_password(text: &str) -> bool {
    if text.matches(PASSWORD).count() != 1 {
        return false;
    }
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let scheme = scheme.trim().to_ascii_lowercase();
    let is_server = scheme.chars().all(|c| c.is_ascii_alphanumeric()) && scheme != "sqlite" && scheme != PASSWORD;
    let (Some(colon), Some(at), Some(start)) = (rest.find(':'), rest.rfind('@'), rest.find(PASSWORD)) else {
        return false;
    };
    is_server && colon < start && start < at && !rest[..colon].contains('@')
}

//! Database addresses, and how each driver reads their parameters.

use heartbeatd::driver::rules::Judgement;
use heartbeatd::drivers::Drivers;
use heartbeatd::target::{Endpoint, Target};

use super::PASSWORD;

/// A refused address does not repeat its password; an accepted one is shown so that it reads the same again.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let secret = has_password(text);
    let endpoint = match Endpoint::parse(text) {
        Err(error) => {
            assert!(!secret || !error.to_string().contains(PASSWORD), "{error}");
            return;
        }
        Ok(endpoint) => endpoint,
    };
    let shown = endpoint.url.to_string();
    assert!(!secret || !shown.contains(PASSWORD), "{shown}");
    let again = Endpoint::parse(&shown).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(again.url, endpoint.url, "{shown:?}");
    assert!(again.password.is_none(), "{shown:?}");
    assert!(!endpoint.url.default_name().contains('\0'));
    let Ok(driver) = Drivers::built_in().get(endpoint.url.family()) else { return };
    let Judgement { complaints, warnings } = driver.validate(&Target::new("orders", endpoint.clone()));
    let words: Vec<String> = complaints.into_iter().chain(warnings).map(|remark| remark.text).collect();
    let words = words.join("\n");
    assert!(!secret || !words.contains(PASSWORD), "{words}");
    assert!(!secret || !format!("{endpoint:?}").contains(PASSWORD));
}

/// Whether this address contains the password of the corpora as a password, and nowhere else.
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

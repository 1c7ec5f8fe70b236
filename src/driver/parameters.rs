//! Judges the parameters of an address by a driver's table of keys. heartbeatd uses a parameter, accepts it because it
//! asks for what heartbeatd does anyway, or refuses it by name with the reason.

use super::certificates::ClientFiles;
use crate::database_url::{DatabaseUrl, UrlError};

/// What heartbeatd does with a key.
pub(super) enum Rule {
    /// Read by the driver's `Parameters::read`.
    Honoured,
    /// These values ask for what heartbeatd does anyway; other values are refused.
    Only(&'static [&'static str], &'static str),
    /// Refused with any value.
    Refused(&'static str),
}

/// A driver's keys, and the name of its addresses.
pub(super) struct Keys {
    pub(super) of: &'static str,
    pub(super) rules: &'static [(&'static str, Rule)],
}

const SCHEMA: &str = "remove it, and set schema under [target.heartbeat]";
const ONE_CONNECTION: &str = "remove it: heartbeatd keeps one connection";
const NOT_PREPARED: &str = "remove it: heartbeatd prepares no statements";
const TLS: &str =
    "remove it; for TLS write sslmode=verify-full (PostgreSQL) or ssl-mode=verify_identity (MySQL, MariaDB)";
const TEXT: &str = "remove it: UTF-8 is what heartbeatd speaks";

/// Parameters of other programs' addresses, which people paste here.
const OF_OTHERS: &[(&str, &str)] = &[
    ("binary_parameters", NOT_PREPARED),
    ("characterEncoding", TEXT),
    ("connectionLimit", ONE_CONNECTION),
    ("connection_limit", ONE_CONNECTION),
    ("currentSchema", SCHEMA),
    ("default_query_exec_mode", NOT_PREPARED),
    ("max_pool_size", ONE_CONNECTION),
    ("pgbouncer", "remove it: heartbeatd works through a pooler without it"),
    ("pool_max_conns", ONE_CONNECTION),
    ("pool_size", ONE_CONNECTION),
    ("pool_timeout", ONE_CONNECTION),
    ("prepareThreshold", NOT_PREPARED),
    ("reWriteBatchedInserts", NOT_PREPARED),
    ("rewriteBatchedStatements", NOT_PREPARED),
    ("schema", SCHEMA),
    ("search_path", SCHEMA),
    ("socket_timeout", "remove it, and use the setting timeout"),
    ("ssl", TLS),
    ("sslaccept", TLS),
    ("statement_cache_size", NOT_PREPARED),
    ("useUnicode", TEXT),
    ("uselibpqcompat", "remove it: sslmode means here what it means to libpq"),
];

/// Longer names are cut in messages.
const SHOWN: usize = 63;

impl Keys {
    /// Judges every parameter of an address; `more` is another fault of the address.
    ///
    /// # Errors
    /// Every refused parameter, by name, with the reason, never with its value; all faults at once.
    pub(super) fn judge(&self, url: &DatabaseUrl, more: Option<UrlError>) -> Result<(), UrlError> {
        let refused = url.parameters().iter().filter_map(|(name, value)| self.refusal(name, value));
        let mut faults: Vec<UrlError> = more.into_iter().chain(refused).collect();
        match faults.len() {
            0 => Ok(()),
            1 => Err(faults.remove(0)),
            _ => Err(UrlError::Several(faults)),
        }
    }

    fn refusal(&self, name: &str, value: &str) -> Option<UrlError> {
        match self.rules.iter().find(|(key, _)| *key == name).map(|(_, rule)| rule) {
            Some(Rule::Honoured) => None,
            Some(Rule::Only(values, _)) if values.contains(&value) => None,
            Some(Rule::Only(_, reason) | Rule::Refused(reason)) => Some(refused(name, reason)),
            None => Some(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> UrlError {
        if let Some((_, reason)) = OF_OTHERS.iter().find(|(key, _)| *key == name) {
            return refused(name, reason);
        }
        let lower = name.to_ascii_lowercase();
        let nearest = self
            .rules
            .iter()
            .map(|(key, _)| (strsim::damerau_levenshtein(&lower, &key.to_ascii_lowercase()), *key))
            .filter(|(distance, key)| *distance <= 1 + key.len() / 4)
            .min();
        let reason = match nearest {
            Some((_, key)) => format!("not a parameter of {} addresses, did you mean \"{key}\"?", self.of),
            None => format!("not a parameter of {} addresses: remove it", self.of),
        };
        refused(&name.chars().take(SHOWN).collect::<String>(), &reason)
    }
}

/// The files of a client's certificate and of its key.
///
/// # Errors
/// If only one of them is set.
pub(super) fn client_certificate(url: &DatabaseUrl, cert: &str, key: &str) -> Result<Option<ClientFiles>, UrlError> {
    match (url.parameter(cert), url.parameter(key)) {
        (Some(cert), Some(key)) => Ok(Some(ClientFiles { certificate: cert.into(), key: key.into() })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(refused(cert, &format!("needs {key} beside it"))),
        (None, Some(_)) => Err(refused(key, &format!("needs {cert} beside it"))),
    }
}

/// A parameter that is on (`1`, `true`) or off (`0`, `false`, or absent).
///
/// # Errors
/// For any other value.
pub(super) fn switch(url: &DatabaseUrl, name: &str) -> Result<bool, UrlError> {
    match url.parameter(name) {
        Some("1" | "true") => Ok(true),
        None | Some("0" | "false") => Ok(false),
        Some(_) => Err(refused(name, "expected 1 or 0")),
    }
}

/// A refused parameter, and why.
pub(super) fn refused(name: &str, reason: &str) -> UrlError {
    UrlError::Refused { name: name.to_owned(), reason: reason.to_owned() }
}

/// The rules for every table of keys.
#[cfg(test)]
pub(super) mod trial {
    use super::{Keys, Rule};

    /// Every key is honoured or refused by its name, and its value is never shown. `free` keys accept any value. A
    /// value that asks for what heartbeatd does anyway is accepted. `read` reads an address with these parameters.
    pub(in crate::driver) fn keep_to_the_rules(keys: &Keys, free: &[&str], read: impl Fn(&str) -> Result<(), String>) {
        for (key, rule) in keys.rules {
            let result = read(&format!("{key}=surely-not"));
            match rule {
                Rule::Honoured if free.contains(key) => assert!(result.is_ok(), "{key}"),
                _ => {
                    let message = result.unwrap_err();
                    assert!(message.contains(&format!("\"{key}\"")), "{message}");
                    assert!(!message.contains("surely-not"), "{message}");
                }
            }
            if let Rule::Only(values, _) = rule {
                for value in *values {
                    assert_eq!(read(&format!("{key}={value}")), Ok(()), "{key}={value}");
                }
            }
        }
        let names: std::collections::BTreeSet<_> = keys.rules.iter().map(|(key, _)| key).collect();
        assert_eq!(names.len(), keys.rules.len(), "a key occurs twice");
    }
}

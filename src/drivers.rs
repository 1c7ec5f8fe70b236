//! The list of drivers in this build: one line for each folder of `driver/`. Code that starts from an address or a
//! target uses it.

use std::sync::Arc;

use crate::database_url::{Family, UrlError, split_scheme};
use crate::driver::Driver;
use crate::target::Endpoint;

/// A line for each folder of `driver/`.
const BUILT_IN: &[fn() -> Arc<dyn Driver>] = &[
    #[cfg(feature = "mongodb")]
    || Arc::new(crate::driver::mongodb::MongoDb),
    #[cfg(feature = "mysql")]
    || Arc::new(crate::driver::mysql::Mysql),
    #[cfg(feature = "oracle")]
    || Arc::new(crate::driver::oracle::Oracle),
    #[cfg(feature = "postgres")]
    || Arc::new(crate::driver::postgres::Postgres),
    #[cfg(feature = "sqlite")]
    || Arc::new(crate::driver::sqlite::Sqlite),
    #[cfg(feature = "sqlserver")]
    || Arc::new(crate::driver::sqlserver::SqlServer),
];

/// The drivers by family: those of this build, additional ones, or a simulation's. Cheap to clone.
#[derive(Clone)]
pub struct Drivers {
    list: Arc<[Arc<dyn Driver>]>,
    /// Used instead of all of them, except for addresses.
    instead: Option<Arc<dyn Driver>>,
}

/// Schemes of the databases' own clients that no driver here has: Java's, and those of Oracle's Easy Connect.
const OF_CLIENTS: &[&str] = &["jdbc", "tcp", "tcps"];

impl Drivers {
    /// The drivers compiled in.
    #[must_use]
    pub fn built_in() -> Self {
        Self { list: BUILT_IN.iter().map(|driver| driver()).collect(), instead: None }
    }

    /// One driver for the addresses of every family: for simulations.
    #[must_use]
    pub fn only(driver: Arc<dyn Driver>) -> Self {
        Self { instead: Some(driver), ..Self::built_in() }
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, driver: Arc<dyn Driver>) -> Self {
        Self { list: self.list.iter().cloned().chain([driver]).collect(), ..self }
    }

    /// The driver of a family.
    ///
    /// # Errors
    /// [`UrlError::NotBuilt`] if there is none.
    pub fn get(&self, family: Family) -> Result<Arc<dyn Driver>, UrlError> {
        let found = self.families().find(|(known, _)| *known == family);
        found.map(|(_, driver)| Arc::clone(driver)).ok_or(UrlError::NotBuilt(family.as_str()))
    }

    /// Every family with its driver, in the order of lists and reports.
    pub fn families(&self) -> impl Iterator<Item = (Family, &Arc<dyn Driver>)> {
        self.list.iter().map(move |driver| (driver.family(), self.instead.as_ref().unwrap_or(driver)))
    }

    /// Parses an address with the driver of its scheme. A password in it becomes its literal source.
    ///
    /// # Errors
    /// A [`UrlError`]. Parameters are judged later, with the whole target.
    pub fn endpoint(&self, address: &str) -> Result<Endpoint, UrlError> {
        let of_another_client = || self.list.iter().find_map(|driver| driver.parse_connection_string(address));
        let (scheme, rest) = match split_scheme(address) {
            Ok(parts) => parts,
            Err(error) => return of_another_client().unwrap_or(Err(error)),
        };
        if OF_CLIENTS.contains(&scheme.as_str())
            && let Some(judged) = of_another_client()
        {
            return judged;
        }
        match self.list.iter().find(|driver| driver.schemes().contains(&scheme.as_str())) {
            Some(driver) => driver.parse(&scheme, rest),
            // The text before the colon may be a host or a user, so nothing of it is quoted.
            None if scheme != "jdbc" && !rest.starts_with("//") => {
                of_another_client().unwrap_or(Err(UrlError::NoScheme))
            }
            None => {
                Err(UrlError::UnknownScheme { nearest: self.nearest(&scheme, rest), scheme, known: self.schemes() })
            }
        }
    }

    /// The scheme that an unknown one means: Java's addresses begin with `jdbc:`, SQLAlchemy's name a library after a
    /// plus sign.
    fn nearest(&self, scheme: &str, rest: &str) -> Option<&'static str> {
        let schemes = || self.list.iter().flat_map(|driver| driver.schemes());
        if scheme == "jdbc" {
            // Wrappers come before the database: jdbc:aws-wrapper:postgresql://…
            return rest.split(':').find_map(|part| schemes().find(|known| **known == part).copied());
        }
        let base = scheme.split('+').next().unwrap_or_default().to_ascii_lowercase();
        let near = schemes().map(|known| (strsim::damerau_levenshtein(&base, known), *known));
        near.filter(|(distance, _)| *distance <= 2).min().map(|(_, known)| known)
    }

    /// The schemes, as a list in words.
    fn schemes(&self) -> String {
        let schemes: Vec<&str> = self.list.iter().flat_map(|driver| driver.schemes()).copied().collect();
        match schemes.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
            None => "none".to_owned(),
        }
    }
}

impl Endpoint {
    /// An endpoint of the drivers in this build.
    ///
    /// # Errors
    /// As [`Drivers::endpoint`].
    pub fn parse(address: &str) -> Result<Self, UrlError> {
        Drivers::built_in().endpoint(address)
    }
}

impl std::fmt::Debug for Drivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drivers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_answered_with_the_known_ones_and_never_repeats_the_address() {
        let message = Endpoint::parse("sybase://u:hunter2@h/x").unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
        for (_, driver) in Drivers::built_in().families() {
            assert!(driver.schemes().iter().all(|scheme| message.contains(scheme)), "{message}");
        }
    }

    #[test]
    fn no_two_drivers_share_a_name_or_a_scheme_nor_differ_in_a_connectors_key() {
        let drivers = Drivers::built_in();
        let (mut names, mut schemes, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (family, driver) in drivers.families() {
            assert!(!names.contains(&family));
            names.push(family);
            for scheme in driver.schemes() {
                assert!(!schemes.contains(scheme), "{scheme}");
                schemes.push(scheme);
            }
            for key in driver.connector_keys() {
                assert!(!["user", "mode"].contains(&key.name));
                keys.push((key.name, key.kind));
            }
        }
        assert!(keys.iter().all(|(name, kind)| keys.iter().all(|(other, of)| name != other || kind == of)));
    }
}

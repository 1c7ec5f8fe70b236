//! The list of drivers in this build: a line for each folder of `driver/`. Asked by whatever starts from a target.

use std::sync::Arc;

use crate::database_url::{Family, UrlError};
use crate::driver::Driver;

/// The drivers by family: those of this build, or a simulation's.
#[derive(Clone)]
pub struct Drivers(Arc<dyn Fn(Family) -> Option<Arc<dyn Driver>> + Send + Sync>);

impl Drivers {
    /// The drivers compiled in.
    #[must_use]
    pub fn built_in() -> Self {
        Self(Arc::new(|family| match family {
            #[cfg(feature = "mysql")]
            Family::Mysql => Some(Arc::new(crate::driver::mysql::Mysql) as Arc<dyn Driver>),
            #[cfg(feature = "postgres")]
            Family::Postgres => Some(Arc::new(crate::driver::postgres::Postgres) as Arc<dyn Driver>),
            #[cfg(feature = "sqlite")]
            Family::Sqlite => Some(Arc::new(crate::driver::sqlite::Sqlite) as Arc<dyn Driver>),
            #[allow(unreachable_patterns, reason = "reachable when a driver is left out of the build")]
            _ => None,
        }))
    }

    /// One driver for every family: for simulations.
    #[must_use]
    pub fn only(driver: Arc<dyn Driver>) -> Self {
        Self(Arc::new(move |_| Some(Arc::clone(&driver))))
    }

    /// The driver of a family.
    ///
    /// # Errors
    /// [`UrlError::NotBuilt`] if this build lacks it.
    pub fn get(&self, family: Family) -> Result<Arc<dyn Driver>, UrlError> {
        (self.0)(family).ok_or(UrlError::NotBuilt(family.as_str()))
    }
}

impl std::fmt::Debug for Drivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drivers")
    }
}

//! MySQL or MariaDB, for queries, grants and remedies that differ between the two. A variable that only one of them has
//! decides, never the version, which a fork or a proxy may word as it likes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The variable that only MariaDB has.
pub(super) const VARIABLE: &str = "gtid_strict_mode";

/// The flavour of a server. Saved facts hold it as whether the server is MariaDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub(crate) enum Flavour {
    #[default]
    MySql,
    MariaDb,
}

impl Flavour {
    /// Recognises the flavour by the server's variables.
    pub(super) fn of(variables: &BTreeMap<String, String>) -> Self {
        Self::from(variables.contains_key(VARIABLE))
    }

    /// Whether it is MariaDB.
    pub(super) fn is_mariadb(self) -> bool {
        self == Self::MariaDb
    }

    /// Its name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::MySql => "MySQL",
            Self::MariaDb => "MariaDB",
        }
    }
}

impl From<bool> for Flavour {
    fn from(mariadb: bool) -> Self {
        if mariadb { Self::MariaDb } else { Self::MySql }
    }
}

impl From<Flavour> for bool {
    fn from(flavour: Flavour) -> Self {
        flavour.is_mariadb()
    }
}

//! MySQL or MariaDB: which of the two answers, wherever what is asked, granted or advised differs. Seen by a variable that
//! one of them has, never by the version, which a fork or a proxy may word as it likes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The variable that MariaDB has and MySQL has not.
pub(super) const VARIABLE: &str = "gtid_strict_mode";

/// Whose server it is. In saved facts it is whether it is MariaDB's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub(crate) enum Flavour {
    #[default]
    MySql,
    MariaDb,
}

impl Flavour {
    /// By the variables of a server.
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

//! How a server compares the names of schemas and tables: with their case, or in lower case (`lower_case_table_names`).
//! The readers of grants and of the filters of binary log and replication use it, because the server answers in its own
//! spelling.
//!
//! The catalogue does not need it: a server finds a schema or a table there by name as in a statement. Measured on
//! MariaDB 10.11, MySQL 5.7 and MySQL 9.7, with the settings 0 and 1.

use std::collections::BTreeMap;

use super::flavour::Flavour;

/// The variable that holds this setting.
pub(super) const VARIABLE: &str = "lower_case_table_names";

/// The setting of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct NameCase {
    flavour: Flavour,
    case: Case,
}

/// How the server treats capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Case {
    /// Names that differ in case are different.
    #[default]
    Kept,
    /// Names are stored and compared in lower case.
    Lowered,
    /// Names are stored as given, and compared in lower case: macOS.
    Ignored,
}

impl NameCase {
    /// Reads the setting from the server's variables.
    pub(super) fn of(variables: &BTreeMap<String, String>) -> Self {
        let case = match variables.get(VARIABLE).map(String::as_str) {
            Some("1") => Case::Lowered,
            Some("2") => Case::Ignored,
            _ => Case::Kept,
        };
        Self { flavour: Flavour::of(variables), case }
    }

    /// Whether names that differ only in case are the same.
    pub(super) fn ignores_case(self) -> bool {
        self.case != Case::Kept
    }

    /// A name of a schema or a table as the server stores it.
    pub(super) fn kept(self, name: &str) -> String {
        if self.case == Case::Lowered { name.to_lowercase() } else { name.to_owned() }
    }

    /// An entry of a list of schemas, in a comparable form. MariaDB compares these entries as they are written, even if
    /// it stores its own names in lower case.
    pub(super) fn schema_in_filter(self, entry: &str) -> String {
        let as_it_stands = if self.flavour.is_mariadb() { self.case != Case::Ignored } else { self.case == Case::Kept };
        if as_it_stands { entry.to_owned() } else { entry.to_lowercase() }
    }

    /// An entry of a list of tables, or a pattern, in a comparable form. Here MariaDB always ignores the case.
    pub(super) fn table_in_filter(self, entry: &str) -> String {
        if self.flavour.is_mariadb() || self.ignores_case() { entry.to_lowercase() } else { entry.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::mysql::flavour;

    fn naming(setting: &str, mariadb: bool) -> NameCase {
        let mut variables = BTreeMap::from([(VARIABLE.to_owned(), setting.to_owned())]);
        variables.extend(mariadb.then(|| (flavour::VARIABLE.to_owned(), "ON".to_owned())));
        NameCase::of(&variables)
    }

    /// Measured for 0 and 1; 2 is from the manuals.
    #[test]
    fn each_server_treats_capitals_in_its_filters_differently() {
        for (setting, mariadb, kept, schema, table) in [
            ("0", false, "Ab", "Ab", "Ab.C"),
            ("1", false, "ab", "ab", "ab.c"),
            ("2", false, "Ab", "ab", "ab.c"),
            ("0", true, "Ab", "Ab", "ab.c"),
            ("1", true, "ab", "Ab", "ab.c"),
            ("2", true, "Ab", "ab", "ab.c"),
        ] {
            let naming = naming(setting, mariadb);
            let seen = (naming.kept("Ab"), naming.schema_in_filter("Ab"), naming.table_in_filter("Ab.C"));
            assert_eq!(seen, (kept.to_owned(), schema.to_owned(), table.to_owned()), "{setting} {mariadb}");
            assert_eq!(naming.ignores_case(), setting != "0");
        }
    }
}

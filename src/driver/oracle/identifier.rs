//! The only place that writes names and values into Oracle's SQL: quoted names, literals, and which names are allowed.

use crate::target::HeartbeatTable;

/// The longest name that the server accepts, in bytes (from Oracle 12.2 on).
const LONGEST: usize = 128;

/// The name as the server stores it. A name that is valid in SQL without quotes becomes upper case. A name in quotes,
/// or one that requires them, stays as it is written.
pub(super) fn stored(name: &str) -> String {
    if let Some(exact) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return exact.to_owned();
    }
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if first && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '#')) {
        return name.to_ascii_uppercase();
    }
    name.to_owned()
}

/// Why the server would refuse the name, if it would.
pub(super) fn problem(name: &str) -> Option<String> {
    let stored = stored(name);
    if stored.is_empty() {
        return Some("the name is empty".to_owned());
    }
    if stored.len() > LONGEST {
        return Some(format!("longer than {LONGEST} bytes, which Oracle refuses"));
    }
    // SQL has no way to write a name that contains a quotation mark.
    let refused = stored.chars().find(|c| *c == '"' || c.is_control())?;
    Some(format!("holds {refused:?}, which Oracle does not allow in a name"))
}

/// A name, quoted for SQL.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", stored(name).replace('"', ""))
}

/// Schema and table, quoted for SQL.
pub(super) fn quoted_table(table: &HeartbeatTable) -> String {
    format!("{}.{}", quote(&table.schema), quote(&table.table))
}

/// Text as a SQL literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_stored_in_capital_letters_and_a_quoted_one_exactly() {
        for (name, expected) in [
            ("streamkap_user", "STREAMKAP_USER"),
            ("C##Streamkap_User", "C##STREAMKAP_USER"),
            ("\"MixedCase\"", "MixedCase"),
            ("with space", "with space"),
            ("1st", "1st"),
        ] {
            assert_eq!(stored(name), expected);
        }
    }

    #[test]
    fn names_and_text_cannot_break_out_of_their_quotes() {
        assert_eq!(quote("a\"; drop table x"), "\"a; drop table x\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert!(problem("a\"b").is_some() && problem("").is_some() && problem(&"x".repeat(129)).is_some());
        assert!(problem("STREAMKAP_HEARTBEAT").is_none() && problem("\"lower\"").is_none());
    }
}

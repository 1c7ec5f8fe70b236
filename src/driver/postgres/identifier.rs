//! Quotes names and text for PostgreSQL's SQL. Nothing else does.

/// The longest name that the server keeps. It cuts a longer one without an error.
const MAX_BYTES: usize = 63;

/// The reason why a name is unusable, if there is one.
pub(super) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.contains('\0') {
        return Some("holds a NUL");
    }
    (name.len() > MAX_BYTES).then_some("is longer than the 63 bytes that PostgreSQL keeps of a name")
}

/// A name as an identifier: in double quotes, with each double quote inside doubled.
///
/// A statement cannot contain a NUL. [`problem`] refuses it, and it is left out here.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// Text as a literal. Text with a backslash is written in the `E''` form with the backslash doubled, so that it means
/// the same under either `standard_conforming_strings`.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\0', "").replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// A name cut to the length that the server keeps, between two characters.
pub(super) fn cut(name: &str, bytes: usize) -> &str {
    let mut end = bytes.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The name that PostgreSQL gives the sequence for a new table's `id`.
pub(super) fn sequence_of_id(table: &str) -> String {
    const LABEL: &str = "_id_seq";
    format!("{}{LABEL}", cut(table, MAX_BYTES - LABEL.len()))
}

/// An application name as the server keeps it.
pub(super) fn application_name(name: &str) -> &str {
    cut(name, MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_cannot_break_out() {
        assert_eq!(quote("a\"; drop table x --"), "\"a\"\"; drop table x --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'; drop table x --"), "E'\\\\''; drop table x --'");
    }

    #[test]
    fn a_name_the_server_would_cut_is_a_problem() {
        assert_eq!(problem(&"x".repeat(63)), None);
        for name in [String::new(), "a\0b".to_owned(), "x".repeat(64), "ü".repeat(32)] {
            assert!(problem(&name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(application_name(&format!("x{}", "ü".repeat(40))).len(), 63);
        assert_eq!(application_name(&"ü".repeat(40)).len(), 62);
        assert_eq!(sequence_of_id("streamkap_heartbeat"), "streamkap_heartbeat_id_seq");
        assert_eq!(sequence_of_id(&"t".repeat(60)).len(), 63);
    }
}

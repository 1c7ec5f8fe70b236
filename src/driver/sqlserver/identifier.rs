//! The only place that writes names and text into T-SQL.

/// The longest name in UTF-16 units (`sysname`). The server refuses longer ones.
const LONGEST: usize = 128;

/// Why the server would refuse the name, if it would.
pub(super) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.contains('\0') {
        return Some("holds a NUL");
    }
    (name.encode_utf16().count() > LONGEST)
        .then_some("is longer than the 128 characters that SQL Server keeps of a name")
}

/// A name as an identifier, in brackets; a closing bracket inside is doubled.
///
/// A NUL cannot be part of a statement. [`problem`] refuses it, and it is removed here.
pub(super) fn quote(name: &str) -> String {
    format!("[{}]", name.replace('\0', "").replace(']', "]]"))
}

/// Text as a literal.
pub(super) fn literal(text: &str) -> String {
    format!("N'{}'", text.replace('\0', "").replace('\'', "''"))
}

/// The application name as it is sent in a login: at most 128 UTF-16 units.
pub(super) fn application_name(name: &str) -> String {
    let mut units = 0;
    name.chars().take_while(|c| (units += c.len_utf16(), units <= LONGEST).1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_quotes_cannot_break_out() {
        assert_eq!(quote("a]; drop table x --"), "[a]]; drop table x --]");
        assert_eq!(literal("it's"), "N'it''s'");
    }

    #[test]
    fn names_that_the_server_would_refuse_are_a_problem() {
        assert_eq!(problem(&"x".repeat(128)), None);
        for name in [String::new(), "a\0b".to_owned(), "x".repeat(129), "\u{1f600}".repeat(65)] {
            assert!(problem(&name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn long_application_names_are_cut_between_characters() {
        assert_eq!(application_name(&"\u{1f600}".repeat(80)).encode_utf16().count(), 128);
        assert_eq!(application_name("heartbeatd:a"), "heartbeatd:a");
    }
}

//! Quotes names and text for MySQL's SQL. Nothing else does.

use serde::{Deserialize, Serialize};

use crate::target::HeartbeatTable;

/// The longest name that the server keeps: <https://dev.mysql.com/doc/refman/8.4/en/identifier-length.html>.
const MAX_CHARACTERS: usize = 64;

/// The user of a login, and the host that it comes from. A name in a configuration may have no host: it means any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) host: String,
}

/// The reason why a name is unusable, if there is one.
///
/// <https://dev.mysql.com/doc/refman/8.4/en/identifiers.html>
pub(super) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.contains('\0') {
        return Some("holds a NUL");
    }
    if name.ends_with([' ', '\t', '\n', '\x0b', '\x0c', '\r']) {
        return Some("ends with a space, which no server accepts");
    }
    if name.chars().any(|c| c > '\u{ffff}') {
        return Some("holds a character beyond U+FFFF, which no server accepts in a name");
    }
    (name.chars().count() > MAX_CHARACTERS).then_some("is longer than the 64 characters of a name")
}

/// A name as an identifier: in backticks, with each backtick inside doubled.
///
/// A statement cannot contain a NUL. [`problem`] refuses it, and it is left out here.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('\0', "").replace('`', "``"))
}

/// Text as a literal. Text with a backslash is written as its bytes, so that it means the same under every `sql_mode`.
pub(super) fn literal(text: &str) -> String {
    let text = text.replace('\0', "");
    if text.contains('\\') {
        let bytes: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        return format!("_utf8mb4 X'{bytes}'");
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// The heartbeat's table with its schema.
pub(super) fn table_of(heartbeat: &HeartbeatTable) -> String {
    format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table))
}

impl Account {
    /// Reads `user@host`, or a user alone. A host contains no `@`.
    pub(super) fn read(text: &str) -> Self {
        let (user, host) = text.rsplit_once('@').unwrap_or((text, ""));
        Self { user: user.to_owned(), host: host.to_owned() }
    }

    /// Whether a name in a configuration means this account: by its user, or as `user@host`. A user may contain an @,
    /// and a host has no case.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let Self { user, host } = Self::read(name);
        name == self.user || user == self.user && host.eq_ignore_ascii_case(&self.host)
    }

    /// The account that CREATE USER makes of it: a missing host means any host.
    pub(super) fn created(self) -> Self {
        if self.host.is_empty() { Self { host: "%".to_owned(), ..self } } else { self }
    }

    /// The account as SQL writes it.
    pub(super) fn quoted(&self) -> String {
        if self.host.is_empty() { quote(&self.user) } else { account(&self.user, &self.host) }
    }
}

/// An account as GRANT writes it: in backticks, where a backslash has no meaning.
pub(super) fn account(user: &str, host: &str) -> String {
    format!("{}@{}", quote(user), quote(host))
}

/// Text that cannot end the comment that contains it.
pub(super) fn comment(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && c != '*' && c != '/' || c == ' ' { c } else { '_' };
    text.chars().take(MAX_CHARACTERS).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_cannot_break_out() {
        assert_eq!(quote("a`; drop table x -- "), "`a``; drop table x -- `");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'"), "_utf8mb4 X'5c27'");
        assert_eq!(account("o'b`r", "%"), "`o'b``r`@`%`");
    }

    #[test]
    fn a_name_that_the_server_would_refuse_is_a_problem() {
        assert_eq!(problem(&"ü".repeat(64)), None);
        for name in ["", "a\0b", "a ", "a\r", "\u{1f493}", &"x".repeat(65)] {
            assert!(problem(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn a_host_begins_after_the_last_at_sign() {
        for (text, user, host, quoted) in [
            ("hb@%", "hb", "%", "`hb`@`%`"),
            ("a@b@10.0.0.%", "a@b", "10.0.0.%", "`a@b`@`10.0.0.%`"),
            ("hb", "hb", "", "`hb`"),
        ] {
            let account = Account::read(text);
            assert_eq!(account, Account { user: user.to_owned(), host: host.to_owned() });
            assert_eq!(account.quoted(), quoted);
        }
        assert_eq!(Account::read("hb").created().quoted(), "`hb`@`%`");
        assert_eq!(Account::read("hb@localhost").created().quoted(), "`hb`@`localhost`");
    }

    #[test]
    fn a_connector_is_named_by_its_user_or_by_user_and_host() {
        for (name, user, host, fits) in [
            ("cdc", "cdc", "%", true),
            ("cdc@%", "cdc", "%", true),
            ("cdc@LOCALHOST", "cdc", "localhost", true),
            ("cdc@10.0.0.1", "cdc", "%", false),
            ("me@home", "me@home", "%", true),
            ("me@home@%", "me@home", "%", true),
            ("Cdc", "cdc", "%", false),
        ] {
            let account = Account { user: user.to_owned(), host: host.to_owned() };
            assert_eq!(account.is_called(name), fits, "{name} {user} {host}");
        }
    }

    #[test]
    fn nothing_ends_a_comment() {
        assert_eq!(comment("heartbeatd:a*/ DROP\n/*"), "heartbeatd:a__ DROP___");
        assert_eq!(comment(&"x".repeat(200)).len(), 64);
    }
}

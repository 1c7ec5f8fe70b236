//! Reads the body of an event to find out what it does with the heartbeat table. `scheduler` calls it. It does not keep
//! the text.

use crate::target::HeartbeatTable;

/// What the statements do with the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// They update it: this row, if they all name the same one.
    Updates(Option<i64>),
    /// They only name or read it.
    Names,
}

/// A word of a statement, without its quotes and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A keyword, a name or a number.
    Bare(String),
    /// A name or a text.
    Quoted(String),
    Symbol(char),
}

/// The table as an event may name it.
struct Table<'a> {
    /// The schema of an unqualified name.
    event_schema: &'a str,
    heartbeat: &'a HeartbeatTable,
}

const VERBS: &[&str] = &["update", "insert", "replace"];
/// The words that may come between a verb and the table.
const MODIFIERS: &[&str] = &["low_priority", "high_priority", "delayed", "ignore", "into"];

/// Reads an event's body.
pub(crate) fn use_of(body: &str, event_schema: &str, heartbeat: &HeartbeatTable) -> Use {
    let table = Table { event_schema, heartbeat };
    let tokens = tokens(body);
    let mut rows = tokens.split(|token| token.is_symbol(';')).filter_map(|statement| table.updated_by(statement));
    match rows.next() {
        None => Use::Names,
        Some(first) => Use::Updates(first.filter(|_| rows.all(|other| other == first))),
    }
}

impl Table<'_> {
    /// `Some` if a statement updates the table, with the row if it names one.
    fn updated_by(&self, statement: &[Token]) -> Option<Option<i64>> {
        let is_verb = |at: usize| {
            VERBS.iter().any(|verb| statement[at].is(verb))
                && !statement.get(at + 1).is_some_and(|next| next.is_symbol('('))
                && !(at > 0 && statement[at - 1].is("for"))
        };
        let verb = (0..statement.len()).find(|&at| is_verb(at))?;
        let rest = &statement[verb + 1..];
        if !statement[verb].is("update") {
            let modifiers = rest.iter().take_while(|token| MODIFIERS.iter().any(|word| token.is(word))).count();
            let name = &rest[modifiers..];
            let overwrites = statement[verb].is("replace") || rest.iter().any(|token| token.is("duplicate"));
            return (overwrites && (self.is_at(name, 0) || self.is_at(name, 2))).then_some(None);
        }
        let (tables, rest) = rest.split_at(rest.iter().position(|token| token.is("set"))?);
        if !(0..tables.len()).any(|at| self.is_at(tables, at)) {
            return None;
        }
        // With several tables, an `id` may belong to any of them.
        let several = tables.iter().any(|token| token.is("join") || token.is_symbol(','));
        Some(row_of(rest).filter(|_| !several))
    }

    /// Whether the table's name, with or without its schema, ends here.
    fn is_at(&self, tokens: &[Token], at: usize) -> bool {
        let same = |token: Option<&Token>, name: &str| {
            token.and_then(Token::text).is_some_and(|text| text == name.to_lowercase())
        };
        if !same(tokens.get(at), &self.heartbeat.table) {
            return false;
        }
        let schema = &self.heartbeat.schema;
        match at.checked_sub(1).map(|before| tokens[before].is_symbol('.')) {
            Some(true) => same(at.checked_sub(2).map(|before| &tokens[before]), schema),
            _ => self.event_schema.to_lowercase() == schema.to_lowercase(),
        }
    }
}

/// The row that a condition names: `id = 1`, also `` h.`id`='1' ``. `None` if it names several rows or says anything
/// else.
fn row_of(tokens: &[Token]) -> Option<i64> {
    let condition = &tokens[tokens.iter().position(|token| token.is("where"))?..];
    if ["or", "xor", "not", "select"].iter().any(|word| condition.iter().any(|token| token.is(word))) {
        return None;
    }
    let mut rows = condition.windows(3).filter_map(|words| match words {
        [column, Token::Symbol('='), value] if column.text() == Some("id") => Some(value.text()?.parse().ok()),
        _ => None,
    });
    let first = rows.next()??;
    rows.all(|other| other == Some(first)).then_some(first)
}

impl Token {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Bare(word) if word == keyword)
    }

    fn is_symbol(&self, symbol: char) -> bool {
        *self == Self::Symbol(symbol)
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Bare(text) | Self::Quoted(text) => Some(text),
            Self::Symbol(_) => None,
        }
    }
}

/// The words of a body, without comments.
fn tokens(body: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = body.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let length = match first {
            '#' => line(rest),
            '-' if rest.starts_with("--") && !rest[2..].starts_with(|c: char| !c.is_whitespace()) => line(rest),
            // A conditional comment (`/*!`, `/*M!`) is part of the statement.
            '/' if rest.starts_with("/*") && !rest.starts_with("/*!") && !rest.starts_with("/*M!") => {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            }
            '`' | '\'' | '"' => {
                let (text, length) = quoted(rest, first);
                tokens.push(Token::Quoted(text));
                length
            }
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Bare(rest[..length].to_lowercase()));
                length
            }
            symbol => {
                tokens.push(Token::Symbol(symbol));
                symbol.len_utf8()
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

fn line(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// The text inside quotes, and its length including the quotes.
fn quoted(rest: &str, quote: char) -> (String, usize) {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote != '`' {
            text.extend(characters.next().map(|(_, escaped)| escaped));
        } else if c != quote {
            text.push(c);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            text.push(quote);
        } else {
            return (text.to_lowercase(), at + 1);
        }
    }
    (text.to_lowercase(), rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(body: &str) -> Use {
        let heartbeat = HeartbeatTable { table: "hb".to_owned(), ..HeartbeatTable::default() };
        use_of(body, "streamkap", &heartbeat)
    }

    #[test]
    fn the_row_of_an_event_is_read_from_its_condition() {
        for (body, row) in [
            ("UPDATE hb SET last_update = NOW() WHERE id = 1", Some(1)),
            ("update low_priority `streamkap`.`HB` h set last_update=now() where h.`id`='17';", Some(17)),
            ("UPDATE hb SET paid = 5, last_update = NOW()", None),
            ("UPDATE hb SET id = 5", None),
            ("UPDATE hb SET last_update = NOW() WHERE valid=3 AND id=4", Some(4)),
            ("UPDATE hb SET text = REPLACE(text, 'a', 'b;') WHERE id = 4", Some(4)),
            ("UPDATE hb SET last_update = NOW() WHERE id = @row", None),
            ("UPDATE hb SET last_update = NOW() WHERE id = 5 OR id = 1", None),
            ("UPDATE hb SET last_update = NOW() WHERE id = (SELECT MAX(id) FROM o WHERE id = 5)", None),
            ("UPDATE o, hb SET hb.last_update = NOW() WHERE o.id = 5 AND hb.id = o.hb", None),
            ("UPDATE hb SET text = 'a' WHERE id = 5; UPDATE hb SET text = 'b' WHERE id = 1", None),
            ("BEGIN IF 1 THEN UPDATE hb SET text = 'a' WHERE id = 5; END IF; END", Some(5)),
            ("INSERT INTO hb (id) VALUES (1) ON DUPLICATE KEY UPDATE last_update = NOW()", None),
            ("REPLACE streamkap.hb (id, last_update) VALUES (1, NOW())", None),
        ] {
            assert_eq!(used(body), Use::Updates(row), "{body}");
        }
    }

    #[test]
    fn the_row_of_another_table_is_not_the_heartbeats() {
        let two =
            "BEGIN UPDATE shop.orders SET total = 0 WHERE id = 5; UPDATE hb SET last_update = NOW() WHERE id = 1; END";
        assert_eq!(used(two), Use::Updates(Some(1)));
        for body in [
            "BEGIN UPDATE shop.orders SET total = 0 WHERE id = 5; INSERT INTO log SELECT * FROM hb WHERE id = 1; END",
            "UPDATE shop.hb SET last_update = NOW() WHERE id = 5",
            "SELECT * FROM hb WHERE id = 1 FOR UPDATE; SET @x = 1",
            "DELETE FROM hb WHERE id = 5",
            "INSERT INTO hb (text) VALUES ('one more')",
            "UPDATE log SET text = 'UPDATE hb SET x = 1 WHERE id = 5' -- UPDATE hb SET x = 1 WHERE id = 5",
            "/* UPDATE hb SET x = 1 WHERE id = 5 */ SELECT 'it''s \\' hb'",
            "UPDATE old_hb SET x = 1 WHERE id = 5",
            "'hb",
            "",
        ] {
            assert_eq!(used(body), Use::Names, "{body}");
        }
    }

    #[test]
    fn an_event_of_another_schema_means_its_own_table() {
        let heartbeat = HeartbeatTable { table: "hb".to_owned(), ..HeartbeatTable::default() };
        let of_shop = |body: &str| use_of(body, "shop", &heartbeat);
        assert_eq!(of_shop("UPDATE hb SET text = 'a' WHERE id = 5"), Use::Names);
        assert_eq!(of_shop("UPDATE streamkap.hb SET text = 'a' WHERE id = 5"), Use::Updates(Some(5)));
    }
}

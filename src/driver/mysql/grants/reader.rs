//! The grammar of `SHOW GRANTS`: parses one line into its parts. Only `grants` calls it.
//!
//! Servers quote differently: names in backticks, in double quotes (`ANSI_QUOTES`) or bare (`sql_quote_show_create =
//! 0`), accounts in apostrophes. MySQL 5.7 writes columns bare and does not double quotes in accounts.

use serde::{Deserialize, Serialize};

/// The contents of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Granted { privileges: Vec<Privilege>, on: On, to: RoleName },
    Revoked { privileges: Vec<Privilege>, on: On, from: RoleName },
    Roles { roles: Vec<RoleName>, to: RoleName },
    DefaultRoles(Vec<RoleName>),
}

/// A role. MariaDB's roles have no host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::driver::mysql) struct RoleName {
    pub(in crate::driver::mysql) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::driver::mysql) host: Option<String>,
}

/// The object that privileges are granted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum On {
    /// `*.*`
    Server,
    /// A database, or all databases whose names match the pattern.
    Database(String),
    /// A table or a view.
    Table(String, String),
    /// A routine, or an account to act as: a heartbeat uses neither.
    Other,
}

/// One privilege.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Privilege {
    /// In capitals, with spaces in place of the underscores that some servers write.
    pub(super) name: String,
    /// The columns that it is limited to; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) columns: Vec<String>,
}

/// The rest of a line that is not read yet.
#[derive(Debug, Clone, Copy)]
struct Reader<'a>(&'a str);

/// A name, and whether it was quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    text: String,
    quoted: bool,
}

/// One item of the list between the verb and ON, TO or FROM: a privilege, or a role.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    names: Vec<Name>,
    host: Option<String>,
    columns: Vec<String>,
}

/// The text after an account's name, before the hash of its password.
const SECRET: &str = " IDENTIFIED ";

impl RoleName {
    /// Reads a list of roles, as `CURRENT_ROLE()` returns it; empty if the list cannot be read.
    pub(in crate::driver::mysql) fn list(text: &str) -> Vec<Self> {
        role_list(text).unwrap_or_default()
    }
}

/// Reads one line; `None` if this grammar does not know it.
pub(super) fn line(line: &str) -> Option<Line> {
    let mut reader = Reader(without_secret(line));
    match reader.word()?.to_ascii_uppercase().as_str() {
        "GRANT" => reader.granted(),
        "REVOKE" => {
            let items = reader.items()?;
            reader.keyword("ON")?;
            let on = reader.on()?;
            reader.keyword("FROM")?;
            Some(Line::Revoked { privileges: privileges(items)?, on, from: reader.grantee()? })
        }
        "SET" => {
            reader.keyword("DEFAULT")?;
            reader.keyword("ROLE")?;
            let items = reader.items()?;
            reader.keyword("FOR")?;
            Some(Line::DefaultRoles(roles(items)?))
        }
        _ => None,
    }
}

/// Reads a list of roles.
fn role_list(text: &str) -> Option<Vec<RoleName>> {
    roles(Reader(text).items()?)
}

/// A line up to the first place where a secret may begin: at any occurrence of the word, even within a name.
fn without_secret(line: &str) -> &str {
    let end = line.to_ascii_uppercase().find(SECRET);
    &line[..end.unwrap_or(line.len())]
}

impl Reader<'_> {
    fn granted(&mut self) -> Option<Line> {
        let items = self.items()?;
        if self.keyword("TO").is_some() {
            return Some(Line::Roles { roles: roles(items)?, to: self.grantee()? });
        }
        self.keyword("ON")?;
        let on = self.on()?;
        self.keyword("TO")?;
        Some(Line::Granted { privileges: privileges(items)?, on, to: self.grantee()? })
    }

    /// The list up to ON, TO, FROM or FOR.
    fn items(&mut self) -> Option<Vec<Item>> {
        let mut items = vec![self.item()?];
        while self.symbol(',').is_some() {
            items.push(self.item()?);
        }
        Some(items)
    }

    fn item(&mut self) -> Option<Item> {
        let mut names = Vec::new();
        while !self.is_at_end_of_list() {
            let Some(name) = self.name() else { break };
            names.push(name);
        }
        let host = if self.symbol('@').is_some() { Some(self.host()?) } else { None };
        let columns = if self.symbol('(').is_some() { self.columns()? } else { Vec::new() };
        (!names.is_empty()).then_some(Item { names, host, columns })
    }

    fn is_at_end_of_list(&self) -> bool {
        let word = Self(self.0).word();
        word.is_some_and(|word| ["ON", "TO", "FROM", "FOR"].iter().any(|end| word.eq_ignore_ascii_case(end)))
    }

    fn columns(&mut self) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        loop {
            columns.push(self.column()?);
            if self.symbol(')').is_some() {
                return Some(columns);
            }
            self.symbol(',')?;
        }
    }

    /// A column: quoted, or bare up to the next comma or bracket.
    fn column(&mut self) -> Option<String> {
        let mut quoted = Self(self.0);
        if let Some(name) = quoted.quoted()
            && matches!(quoted.next(), Some(',' | ')'))
        {
            self.0 = quoted.0;
            return Some(name);
        }
        let rest = self.0.trim_start();
        let (name, rest) = rest.split_at(rest.find([',', ')'])?);
        self.0 = rest;
        Some(name.trim_end().to_owned())
    }

    fn on(&mut self) -> Option<On> {
        let routine = self.kind();
        if self.symbol('*').is_some() {
            self.symbol('.')?;
            self.symbol('*')?;
            return Some(On::Server);
        }
        let name = self.name()?.text;
        if self.symbol('@').is_some() {
            self.host()?;
            return Some(On::Other);
        }
        self.symbol('.')?;
        if self.symbol('*').is_some() {
            return Some(On::Database(name));
        }
        let object = self.name()?.text;
        Some(if routine { On::Other } else { On::Table(name, object) })
    }

    /// The word for the kind of object, if there is one; true for every kind but a table.
    fn kind(&mut self) -> bool {
        let mut ahead = Self(self.0);
        let mut kind = None;
        // In PACKAGE BODY, the second word is the last before the name.
        while let Some(word) = ahead.word() {
            if matches!(ahead.next(), Some('.' | '@')) {
                break;
            }
            kind = Some(!word.eq_ignore_ascii_case("TABLE"));
            self.0 = ahead.0;
        }
        kind.unwrap_or(false)
    }

    /// The grantee; the rest of the line is not read.
    fn grantee(&mut self) -> Option<RoleName> {
        let name = self.name()?.text;
        let host = if self.0.starts_with('@') && self.symbol('@').is_some() { self.host() } else { None };
        Some(RoleName { name, host })
    }

    fn host(&mut self) -> Option<String> {
        self.name().map(|name| name.text)
    }

    fn name(&mut self) -> Option<Name> {
        match self.quoted() {
            Some(text) => Some(Name { text, quoted: true }),
            None => self.word().map(|text| Name { text, quoted: false }),
        }
    }

    /// A quoted name, in which quotes are doubled.
    fn quoted(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '`' | '\'' | '"'))?;
        let mut text = String::new();
        let mut characters = rest.char_indices().skip(1).peekable();
        while let Some((_, c)) = characters.next() {
            if c != quote {
                text.push(c);
            } else if characters.next_if(|(_, c)| *c == quote).is_some() {
                text.push(quote);
            } else {
                let end = characters.peek().map_or(rest.len(), |(at, _)| *at);
                self.0 = &rest[end..];
                return Some(text);
            }
        }
        None
    }

    /// A bare word: a keyword, or a name without quotes.
    fn word(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.0 = if word.is_empty() { self.0 } else { rest };
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn keyword(&mut self, keyword: &str) -> Option<()> {
        let mut ahead = Self(self.0);
        ahead.word().filter(|word| word.eq_ignore_ascii_case(keyword))?;
        self.0 = ahead.0;
        Some(())
    }

    fn symbol(&mut self, symbol: char) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(symbol)?;
        Some(())
    }

    fn next(&self) -> Option<char> {
        self.0.trim_start().chars().next()
    }
}

fn roles(items: Vec<Item>) -> Option<Vec<RoleName>> {
    let role = |item: Item| match <[Name; 1]>::try_from(item.names) {
        Ok([name]) if item.columns.is_empty() => Some(RoleName { name: name.text, host: item.host }),
        _ => None,
    };
    items.into_iter().map(role).collect()
}

fn privileges(items: Vec<Item>) -> Option<Vec<Privilege>> {
    let privilege = |item: Item| {
        if item.host.is_some() || item.names.iter().any(|name| name.quoted) {
            return None;
        }
        let words: Vec<_> = item.names.iter().map(|name| name.text.to_ascii_uppercase().replace('_', " ")).collect();
        Some(Privilege { name: words.join(" "), columns: item.columns })
    };
    items.into_iter().map(privilege).collect()
}

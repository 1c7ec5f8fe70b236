//! Compares a tree of settings with the table of keys and reports all mistakes at once. Removes what is wrong, so that
//! the rest can still be read and judged.

use std::net::SocketAddr;

use super::document::{Data, Node};
use super::duration;
use super::error::{Problems, nearest, one_of, quoted, unknown_key};
use super::schema::{CRON, ConnectorKeys, INTERVAL, Key, Kind};
use crate::time::schedule::{CronSchedule, ScheduleError};

/// Room for the longest host and the longest database name.
const LONGEST_NAME: usize = 320;

/// Checks a table and returns its valid part.
///
/// `connector` holds the keys of `[target.connector]`.
pub(super) fn check(table: Node, keys: &[Key], connector: &ConnectorKeys, path: &str, problems: &mut Problems) -> Node {
    let Node { origin, data: Data::Table(entries) } = table else { return table };
    for key in keys.iter().filter(|key| key.required && find(&entries, key.name).is_none()) {
        problems.push(&origin, join(path, key.name), "missing");
    }
    if let (Some(_), Some(cron)) = (find(&entries, INTERVAL), find(&entries, CRON)) {
        problems.push(&cron.origin, join(path, CRON), "conflicts with interval: keep one of them");
    }
    let right = entries.into_iter().filter_map(|(name, node)| {
        let path = join(path, &name);
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            problems.push(&node.origin, path, unknown_key(&name, keys, connector));
            return None;
        };
        check_value(key, node, connector, &path, problems).map(|node| (name, node))
    });
    let right = right.collect();
    Node { origin, data: Data::Table(right) }
}

fn find<'a>(entries: &'a [(String, Node)], name: &str) -> Option<&'a Node> {
    entries.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}

/// The path of a key below another one.
pub(super) fn join(path: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let name = if bare && name.len() <= 60 { name.to_owned() } else { quoted(name) };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn check_value(key: &Key, node: Node, connector: &ConnectorKeys, path: &str, problems: &mut Problems) -> Option<Node> {
    let complaint = match (key.kind, &node.data) {
        (Kind::Table(_) | Kind::Connector, Data::Table(_)) => {
            let keys = connector.below(key.kind).unwrap_or_default();
            return Some(check(node, keys, connector, path, problems));
        }
        (Kind::Patterns, Data::List(_)) => return Some(check_patterns(node, path, problems)),
        (Kind::Tables(keys), Data::List(_)) => return Some(check_items(keys, node, connector, path, problems)),
        (Kind::Tables(_), Data::Table(_)) => {
            format!("expected a list of tables, found one table: write [[{0}]], not [{0}]", bare(path))
        }
        (kind, _) => match judge(kind, &node) {
            Ok(()) => return Some(node),
            Err(complaint) => complaint,
        },
    };
    problems.push(&node.origin, path, complaint);
    None
}

fn check_items(keys: &[Key], list: Node, connector: &ConnectorKeys, path: &str, problems: &mut Problems) -> Node {
    let Node { origin, data: Data::List(items) } = list else { return list };
    let right = items.into_iter().enumerate().map(|(index, item)| {
        let path = format!("{path}[{index}]");
        if matches!(item.data, Data::Table(_)) {
            return check(item, keys, connector, &path, problems);
        }
        problems.push(&item.origin, path, format!("expected a table, found {}", item.kind()));
        // Keeps the numbers of later items unchanged.
        Node::table(item.origin)
    });
    let right = right.collect();
    Node { origin, data: Data::List(right) }
}

fn check_patterns(list: Node, path: &str, problems: &mut Problems) -> Node {
    for (index, item) in list.items().iter().enumerate() {
        if let Err(complaint) = text(item, "a pattern") {
            problems.push(&item.origin, format!("{path}[{index}]"), complaint);
        }
    }
    list
}

/// A path without numbers, as in a header.
fn bare(path: &str) -> String {
    path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

fn judge(kind: Kind, node: &Node) -> Result<(), String> {
    match kind {
        Kind::Text => text(node, "text").and_then(one_line),
        Kind::Identifier => text(node, "a name").and_then(identifier),
        Kind::Url => text(node, "an address like \"postgres://user@host/database\"").map(drop),
        Kind::Password => password(node),
        Kind::Boolean => match node.data {
            Data::Boolean(_) => Ok(()),
            _ => Err(wrong(node, "true or false")),
        },
        Kind::Whole => match node.data {
            Data::Integer(1..) => Ok(()),
            Data::Integer(_) => Err("expected a whole number of at least 1".to_owned()),
            _ => Err(wrong(node, "a whole number of at least 1")),
        },
        Kind::RowId => match &node.data {
            Data::Integer(1..) => Ok(()),
            Data::Integer(_) => Err("expected a whole number of at least 1".to_owned()),
            Data::Text(_) => text(node, "a whole number of at least 1").and_then(one_line),
            _ => Err(wrong(node, "a whole number of at least 1")),
        },
        Kind::Duration(limits) => duration(node).and_then(|duration| limits.judge(duration)),
        Kind::Word(words) => text(node, &listed(words)).and_then(|text| word(text, words)),
        Kind::Listen => listen(node),
        Kind::Cron => {
            let expression = text(node, "a cron expression")?;
            CronSchedule::parse(expression, "UTC").map(drop).map_err(|error| error.to_string())
        }
        Kind::Timezone => {
            let zone = text(node, "a time zone like \"UTC\" or \"Europe/Berlin\"")?;
            let known = zone.parse::<chrono_tz::Tz>().map(drop);
            known.map_err(|_| ScheduleError::Timezone(zone.escape_debug().to_string()).to_string())
        }
        Kind::Patterns => Err(wrong(node, "a list of patterns like [\"targets.d/*.toml\"]")),
        Kind::Identifiers => match &node.data {
            Data::List(items) => items.iter().try_for_each(|item| text(item, "a name").and_then(identifier)),
            _ => Err(wrong(node, "a list of names")),
        },
        Kind::Table(_) | Kind::Connector => Err(wrong(node, "a table")),
        Kind::Tables(_) => Err(wrong(node, "a list of tables")),
    }
}

fn wrong(node: &Node, expected: &str) -> String {
    format!("expected {expected}, found {}", node.kind())
}

fn text<'a>(node: &'a Node, expected: &str) -> Result<&'a str, String> {
    match &node.data {
        Data::Text(text) if text.trim().is_empty() => Err(format!("expected {expected}, found an empty string")),
        Data::Text(text) => Ok(text),
        _ => Err(wrong(node, expected)),
    }
}

/// Refuses a name that does not fit on one line of output.
pub(super) fn one_line(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    if text.len() > LONGEST_NAME {
        return Err(format!("is longer than {LONGEST_NAME} bytes"));
    }
    Ok(())
}

/// The drivers quote names, so almost any name would work. heartbeatd refuses these characters as mistakes before a
/// server sees them.
fn identifier(name: &str) -> Result<(), String> {
    match name.chars().find(|c| c.is_control() || matches!(c, '"' | ';')) {
        Some(c) if c.is_control() => Err("not a name: it contains a control character".to_owned()),
        Some(c) => Err(format!("not a name: it contains the character {c} (write the name without quotes)")),
        None => Ok(()),
    }
}

fn password(node: &Node) -> Result<(), String> {
    const EXPECTED: &str = "a password, or one of { file = \"…\" }, { env = \"…\" }, { credential = \"…\" }, { command = \
                            [\"…\"] }";
    let Data::Table(entries) = &node.data else { return text(node, EXPECTED).map(drop) };
    let [(source, value)] = entries.as_slice() else {
        return Err(format!("expected {EXPECTED}, found a table with {} keys", entries.len()));
    };
    match source.as_str() {
        "file" | "env" => text(value, "text").map(drop).map_err(|complaint| format!("{source}: {complaint}")),
        "credential" => {
            match text(value, "the name of a credential").map_err(|complaint| format!("{source}: {complaint}"))? {
                name if name.contains('/') || matches!(name, "." | "..") => {
                    Err("credential: expected the name that LoadCredential= gives it, not a path".to_owned())
                }
                _ => Ok(()),
            }
        }
        "command" => match value.items() {
            [] => Err("command: expected a list of a program and its arguments".to_owned()),
            [program, arguments @ ..] => {
                text(program, "a program").map_err(|complaint| format!("command: {complaint}"))?;
                let odd = arguments.iter().find(|argument| !matches!(argument.data, Data::Text(_)));
                odd.map_or(Ok(()), |odd| Err(format!("command: {}", wrong(odd, "text"))))
            }
        },
        _ => match nearest(source, ["file", "env", "credential", "command"].into_iter()) {
            Some(near) => Err(format!("unknown source of a password, did you mean \"{near}\"?")),
            None => Err(format!("unknown source of a password: expected {EXPECTED}")),
        },
    }
}

fn duration(node: &Node) -> Result<std::time::Duration, String> {
    const EXPECTED: &str = "a duration like \"1m\", or whole seconds";
    match &node.data {
        Data::Integer(seconds) => {
            duration::from_seconds(*seconds).ok_or_else(|| format!("expected {EXPECTED}, found a negative number"))
        }
        _ => {
            let text = text(node, EXPECTED)?;
            duration::from_text(text).ok_or_else(|| format!("expected {EXPECTED}, found {}", quoted(text)))
        }
    }
}

fn listed(words: &[&str]) -> String {
    one_of(words.iter().copied())
}

fn word(text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    Err(match nearest(text, words.iter().copied()) {
        Some(near) => format!("expected {}, did you mean \"{near}\"?", listed(words)),
        None => format!("expected {}, found {}", listed(words), quoted(text)),
    })
}

fn listen(node: &Node) -> Result<(), String> {
    const EXPECTED: &str = "an address and a port like \"127.0.0.1:2328\" or \"[::]:2328\"";
    let text = text(node, EXPECTED)?;
    text.parse::<SocketAddr>().map(drop).map_err(|_| format!("expected {EXPECTED}, found {}", quoted(text)))
}

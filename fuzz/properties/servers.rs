//! Text from servers: answers to `SHOW GRANTS`, error texts, positions, lists of filters, bodies of events, and the
//! names that become part of SQL.

use std::collections::BTreeMap;

use heartbeatd::driver::{mysql, postgres};
use heartbeatd::heartbeat::{ErrorKind, Failure};
use heartbeatd::target::HeartbeatTable;

/// Longer texts only make quadratic functions slow.
const LONGEST: usize = 4096;

/// Every line of an answer is understood or counted, no password hash is kept, and a saved answer gives the same
/// result.
pub fn grants(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let heartbeat = HeartbeatTable::default();
    let read = mysql::fuzzing::grants(&lines, &heartbeat).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert!(read.unread <= lines.len());
    if read.unread > 0 {
        assert!(read.answers.iter().all(|answer| answer != "No"), "{:?} of {text:?}", read.answers);
    }
    // heartbeatd does not read what follows the word.
    let cut = |line: &&str| {
        let end = line.to_ascii_uppercase().find(" IDENTIFIED ");
        line[..end.unwrap_or(line.len())].to_owned()
    };
    let without: Vec<String> = lines.iter().map(cut).collect();
    let without: Vec<&str> = without.iter().map(String::as_str).collect();
    assert_eq!(mysql::fuzzing::grants(&without, &heartbeat).ok(), Some(read));
    for line in &lines {
        let roles = mysql::fuzzing::roles(line);
        // A name cannot contain a NUL, so SQL leaves it out.
        if !line.contains('\0') {
            assert_eq!(mysql::fuzzing::roles(&roles.join(", ")), roles, "{line:?}");
        }
    }
}

/// Any server text, at every place that reads one.
pub fn server_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = &text[..text.floor_char_boundary(LONGEST)];
    positions(text);
    failures(text);
    sql(text);
    filters(text);
    let heartbeat = HeartbeatTable::default();
    let event = mysql::fuzzing::event(text, &heartbeat);
    let names_table = text.to_lowercase().contains(&heartbeat.table);
    // An escape inside the quotes may hide a letter of the name.
    assert!(event == "Names" || names_table || text.contains('\\'), "{event} by {text:?}");
}

fn positions(text: &str) {
    if let Some(position) = postgres::fuzzing::position(text) {
        assert_eq!(postgres::fuzzing::position(&position), Some(position.clone()), "{text:?}");
    }
    assert!(text.trim().is_empty() || text.contains('(') || postgres::fuzzing::standbys_wanted(text) == 1);
}

fn failures(text: &str) {
    let errors = || {
        let io = std::io::Error::other(text);
        [
            sqlx::Error::Protocol(text.to_owned()),
            sqlx::Error::Configuration(text.into()),
            sqlx::Error::Tls(text.into()),
            sqlx::Error::Io(io),
            sqlx::Error::ColumnNotFound(text.to_owned()),
        ]
    };
    errors().map(mysql::fuzzing::failure).iter().for_each(must_be_one_line);
    errors().map(postgres::fuzzing::failure).iter().for_each(must_be_one_line);
    must_be_one_line(&Failure::new(ErrorKind::Unknown, text));
}

fn must_be_one_line(failure: &Failure) {
    let message = failure.message();
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.chars().count() <= 501, "{} characters", message.chars().count());
}

/// Quoted names and texts read back unchanged, and nothing in them ends the quotes early.
fn sql(text: &str) {
    let kept = text.replace('\0', "");
    assert_eq!(unquoted(&postgres::fuzzing::identifier(text), '"').as_ref(), Some(&kept));
    assert_eq!(unquoted(&mysql::fuzzing::identifier(text), '`').as_ref(), Some(&kept));
    let literal = postgres::fuzzing::literal(text);
    let read = match literal.strip_prefix('E') {
        Some(escaped) => unquoted(escaped, '\'').map(|inner| inner.replace("\\\\", "\\")),
        None => unquoted(&literal, '\''),
    };
    assert_eq!(read.as_ref(), Some(&kept), "{literal}");
    let literal = mysql::fuzzing::literal(text);
    let read = match literal.strip_prefix("_utf8mb4 X") {
        Some(bytes) => unquoted(bytes, '\'').and_then(|digits| from_hexadecimal(&digits)),
        None => unquoted(&literal, '\'').filter(|inner| !inner.contains('\\')),
    };
    assert_eq!(read.as_ref(), Some(&kept), "{literal}");
    assert!(unquoted(&mysql::fuzzing::plain_literal(text), '\'').is_some());
    let comment = mysql::fuzzing::comment(text);
    assert!(!comment.contains("*/") && !comment.contains('\n'), "{comment:?}");
    let name = postgres::fuzzing::application_name(text);
    assert!(text.starts_with(name) && name.len() <= 63);
}

/// The text inside the quotes, if nothing ends them early.
fn unquoted(text: &str, quote: char) -> Option<String> {
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let doubled = format!("{quote}{quote}");
    let single = quote.to_string();
    (!inner.replace(&doubled, "").contains(quote)).then(|| inner.replace(&doubled, &single))
}

fn from_hexadecimal(digits: &str) -> Option<String> {
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

/// A replica's filter lists, one a line, `name=entries`: after the remedy adds the table to the list, the list no
/// longer excludes it.
fn filters(text: &str) {
    let lists: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, list)| (name.to_owned(), list.to_owned()))
        .collect();
    let heartbeat = HeartbeatTable::default();
    if let Some((filter, remedy)) = mysql::fuzzing::left_out(&lists, &heartbeat) {
        assert!(lists.contains_key(filter), "{filter} of {lists:?}");
        assert!(remedy.contains(&filter.to_uppercase()), "{remedy}");
    }
}

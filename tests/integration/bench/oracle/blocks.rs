//! How a statement and its values arrive: the function "execute", its piggybacks, and the names of a block's values.

use super::wire::Reader;

/// Reads an execution: the cursor's number, the statement if it is new, and the given values.
pub(super) fn read_execute(message: &mut Reader<'_>) -> (u64, Option<String>, Vec<Vec<u8>>) {
    message.ub();
    let cursor = message.ub();
    message.u8();
    let length = message.ub();
    message.u8();
    message.ub();
    message.take(2);
    for _ in 0..3 {
        message.ub();
    }
    message.u8();
    let binds = usize::try_from(message.ub()).unwrap();
    // No transaction, no keywords, no defined columns.
    message.take(5);
    message.u8();
    message.ub();
    message.ub();
    message.take(3);
    message.ub();
    message.u8();
    message.ub();
    message.ub();
    message.u8();
    message.ub();
    message.u8();
    // From Oracle 12.2 on: no signature, no piece.
    message.u8();
    message.ub();
    message.u8();
    message.ub();
    message.u8();
    message.u8();
    message.ub();
    let sql = (length > 0).then(|| message.text());
    for _ in 0..13 {
        message.ub();
    }
    for _ in 0..binds {
        message.take(4);
        for _ in 0..6 {
            message.ub();
        }
        message.u8();
        message.ub();
        message.ub();
    }
    let values = if binds == 0 { Vec::new() } else { read_row(message, binds) };
    (cursor, sql, values)
}

/// A row of values.
pub(super) fn read_row(message: &mut Reader<'_>, count: usize) -> Vec<Vec<u8>> {
    assert_eq!(message.u8(), 7, "a row of values");
    (0..count).map(|_| message.bytes()).collect()
}

/// Reads the piggybacks of another message; returns the names that the session gives itself.
pub(super) fn piggyback(message: &mut Reader<'_>) -> Vec<String> {
    let function = message.u8();
    message.u8();
    match function {
        // Cursors that the client no longer needs.
        105 => {
            message.u8();
            for _ in 0..message.ub() {
                message.ub();
            }
            Vec::new()
        }
        135 => end_to_end(message),
        other => panic!("the double does not know the piggyback {other}"),
    }
}

/// Client identifier, module, action, client info, operation: flags for those that are sent, then the values.
fn end_to_end(message: &mut Reader<'_>) -> Vec<String> {
    message.take(2);
    message.ub();
    let mut lengths = Vec::new();
    for _ in 0..3 {
        message.u8();
        lengths.push(message.ub());
    }
    message.u8();
    message.ub();
    message.u8();
    message.ub();
    message.u8();
    lengths.push(message.ub());
    for _ in 0..2 {
        message.u8();
        message.ub();
    }
    message.u8();
    lengths.push(message.ub());
    lengths.into_iter().filter(|length| *length > 0).map(|_| message.text()).collect()
}

/// The names of a block's values, in the order in which it first names them; not those in its texts.
pub(super) fn bind_names(sql: &str) -> Vec<String> {
    let (mut names, mut in_text): (Vec<String>, bool) = (Vec::new(), false);
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\'' {
            in_text = !in_text;
        }
        if c != ':' || in_text {
            continue;
        }
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The statement without its texts, as it is compiled with the block.
pub(super) fn without_texts(sql: &str) -> String {
    sql.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

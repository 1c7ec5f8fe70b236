//! Names of MongoDB: which names are allowed, and how a script for mongosh writes them.

use mongodb::bson::Bson;
use regex::Regex;

use crate::target::{HeartbeatTable, RowId, Target};

/// The role that may write the heartbeat, in the heartbeat's database.
pub(super) const WRITER: &str = "heartbeatd_writer";
/// The role that may read the heartbeat and its change stream.
pub(super) const READER: &str = "heartbeatd_reader";

/// The longest name of a database that the server accepts.
const DATABASE_BYTES: usize = 63;
/// The longest name of database and collection together (from 4.4 on).
const NAMESPACE_BYTES: usize = 255;

/// The first name of a heartbeat that the server refuses: its key, and why.
pub(super) fn problem(table: &HeartbeatTable) -> Option<(&'static str, String)> {
    of_database(&table.schema)
        .map(|problem| ("schema", format!("the name of the database {problem}")))
        .or_else(|| of_collection(table).map(|problem| ("table", format!("the name of the collection {problem}"))))
}

fn of_database(database: &str) -> Option<String> {
    const UNFIT: [char; 13] = ['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0'];
    if database.is_empty() {
        return Some("is empty".to_owned());
    }
    if database.len() > DATABASE_BYTES {
        return Some(format!("is longer than {DATABASE_BYTES} bytes"));
    }
    database.chars().find(|c| UNFIT.contains(c)).map(|c| format!("holds {c:?}, which no database's name may"))
}

fn of_collection(table: &HeartbeatTable) -> Option<String> {
    let collection = &table.table;
    if collection.is_empty() {
        return Some("is empty".to_owned());
    }
    if collection.starts_with("system.") {
        return Some("begins with \"system.\", which the server keeps for itself".to_owned());
    }
    if collection.starts_with('.') || collection.ends_with('.') {
        return Some("begins or ends with a dot".to_owned());
    }
    if namespace(table).len() > NAMESPACE_BYTES {
        return Some(format!("is longer than {NAMESPACE_BYTES} bytes together with its database's"));
    }
    let unfit = collection.chars().find(|c| matches!(c, '$' | '\0'));
    unfit.map(|c| format!("holds {c:?}, which no collection's name may"))
}

/// A connector's namespace as one expression: `/…/` is a regular expression for the whole `database.collection`;
/// anything else is a database, or a collection preceded by its database.
///
/// # Errors
/// Why the regular expression cannot be used.
pub(super) fn pattern(namespace: &str) -> Result<Regex, String> {
    let inner = namespace.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let expression = match inner {
        Some(expression) => format!("^(?:{expression})$"),
        None => format!(r"^{}(?:\..*)?$", regex::escape(namespace)),
    };
    Regex::new(&expression).map_err(|error| format!("the regular expression {namespace} cannot be used: {error}"))
}

/// Database and collection together, as the server writes them.
pub(super) fn namespace(table: &HeartbeatTable) -> String {
    format!("{}.{}", table.schema, table.table)
}

/// The `_id` of the heartbeat's document. The server compares numbers of all types by their value; a whole number that
/// fits gets the type that mongosh would give it.
pub(super) fn id(table: &HeartbeatTable) -> Bson {
    match &table.row {
        RowId::Number(number) => i32::try_from(*number).map_or(Bson::Int64(*number), Bson::Int32),
        RowId::Text(text) => Bson::String(text.clone()),
    }
}

/// The `_id`, written for a mongosh script.
pub(super) fn id_literal(table: &HeartbeatTable) -> String {
    match &table.row {
        RowId::Number(number) => number.to_string(),
        RowId::Text(text) => literal(text),
    }
}

/// The database in which the user of an address is defined.
pub(super) fn auth_database(target: &Target) -> String {
    let url = &target.endpoint.url;
    let named = url.parameter("authSource").or(Some(url.database()).filter(|database| !database.is_empty()));
    named.unwrap_or("admin").to_owned()
}

/// Text, written for a mongosh script.
pub(super) fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, table: &str) -> HeartbeatTable {
        HeartbeatTable { schema: schema.to_owned(), table: table.to_owned(), ..HeartbeatTable::default() }
    }

    #[test]
    fn names_that_the_server_refuses_are_refused_before_it_is_asked() {
        for (schema, name, word) in [
            ("", "t", "database is empty"),
            ("a.b", "t", "'.'"),
            ("a$b", "t", "'$'"),
            ("x", "", "collection is empty"),
            ("x", "system.users", "system."),
            ("x", "a$b", "'$'"),
            ("x", ".a", "dot"),
            ("x", "a.", "dot"),
        ] {
            let (_, problem) = problem(&table(schema, name)).unwrap();
            assert!(problem.contains(word), "{schema}, {name}: {problem}");
        }
        assert!(problem(&table(&"d".repeat(64), "t")).is_some());
        assert!(problem(&table("d", &"t".repeat(254))).is_some());
        for (schema, name) in [("streamkap", "streamkap_heartbeat"), ("Größe", "a.b c"), ("d", &"t".repeat(253))] {
            assert_eq!(problem(&table(schema, name)), None);
        }
    }

    #[test]
    fn a_namespace_is_a_database_a_collection_or_a_regular_expression_for_all_of_it() {
        for (pattern_text, fits) in [
            ("streamkap", true),
            ("streamkap.streamkap_heartbeat", true),
            ("stream", false),
            ("streamkap.streamkap", false),
            ("streamkapXstreamkap_heartbeat", false),
            ("/streamkap\\..*/", true),
            ("/streamkap/", false),
            ("/(shop|streamkap)[.].+/", true),
        ] {
            let found = pattern(pattern_text).unwrap().is_match("streamkap.streamkap_heartbeat");
            assert_eq!(found, fits, "{pattern_text}");
        }
        assert!(pattern("/(/").is_err());
    }

    #[test]
    fn text_cannot_break_out_of_its_quotes_in_a_script() {
        assert_eq!(literal("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    }
}

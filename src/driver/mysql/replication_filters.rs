//! The filters of a replica, as the server applies them to rows: first those of databases, then those of tables. The
//! check of a replica uses it.
//!
//! <https://dev.mysql.com/doc/refman/8.4/en/replication-rules.html>

use std::collections::BTreeMap;

use super::flavour::Flavour;
use super::identifier::quote;
use super::like::Pattern;
use super::name_case::NameCase;
use crate::remedy::Remedy;
use crate::target::HeartbeatTable;

/// The lists, by their names without `replicate_`.
pub(super) struct Filters<'a> {
    lists: BTreeMap<&'a str, Vec<&'a str>>,
    naming: NameCase,
}

impl<'a> Filters<'a> {
    /// Reads the server's own lists; `naming` is how the server compares names.
    pub(super) fn of(lists: &'a BTreeMap<String, String>, naming: NameCase) -> Self {
        let split = |list: &'a String| list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        Self { lists: lists.iter().map(|(name, list)| (name.as_str(), split(list))).collect(), naming }
    }

    fn list(&self, name: &str) -> &[&'a str] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// The list that excludes this table, if there is one.
    pub(super) fn left_out(&self, heartbeat: &HeartbeatTable) -> Option<&'static str> {
        let meets = |filter: &str| self.list(filter).iter().any(|entry| self.meets(filter, entry, heartbeat));
        if !self.list("do_db").is_empty() {
            if !meets("do_db") {
                return Some("do_db");
            }
        } else if meets("ignore_db") {
            return Some("ignore_db");
        }
        if meets("do_table") {
            return None;
        }
        if meets("ignore_table") {
            return Some("ignore_table");
        }
        if meets("wild_do_table") {
            return None;
        }
        if meets("wild_ignore_table") {
            return Some("wild_ignore_table");
        }
        ["do_table", "wild_do_table"].into_iter().find(|name| !self.list(name).is_empty())
    }

    /// Whether the server matches an entry of a list to this table, or to its schema.
    fn meets(&self, filter: &str, entry: &str, heartbeat: &HeartbeatTable) -> bool {
        let naming = self.naming;
        let [schema, table] = [&heartbeat.schema, &heartbeat.table].map(|name| naming.kept(name));
        if filter.ends_with("_db") {
            return naming.schema_in_filter(entry) == naming.schema_in_filter(&schema);
        }
        let (entry, full) = (naming.table_in_filter(entry), naming.table_in_filter(&format!("{schema}.{table}")));
        if filter.starts_with("wild") { Pattern::new(&entry).fits(&full) } else { full == entry }
    }

    /// The list changed to include the table: with one more entry, or without the entries that match.
    fn list_with_table(&self, filter: &str, heartbeat: &HeartbeatTable) -> Vec<String> {
        let [schema, table] = [&heartbeat.schema, &heartbeat.table].map(|name| self.naming.kept(name));
        let entry = if filter.ends_with("_db") { schema } else { format!("{schema}.{table}") };
        let known = self.list(filter).iter().map(|known| (*known).to_owned());
        if filter.contains("ignore") {
            known.filter(|known| !self.meets(filter, known, heartbeat)).collect()
        } else {
            known.chain([entry]).collect()
        }
    }

    /// As [`Self::list_with_table`], as the setting is written; an empty list is "nothing".
    pub(super) fn with_table(&self, filter: &str, heartbeat: &HeartbeatTable) -> String {
        let list = self.list_with_table(filter, heartbeat);
        if list.is_empty() { "nothing".to_owned() } else { list.join(",") }
    }

    /// The remedy that includes the table again, with the list of [`Self::list_with_table`].
    pub(super) fn let_in(
        &self,
        filter: &str,
        heartbeat: &HeartbeatTable,
        flavour: Flavour,
        word: &str,
        channel: &str,
    ) -> Remedy {
        let list = self.list_with_table(filter, heartbeat);
        let of = if channel.is_empty() { String::new() } else { format!(" {}", text(channel)) };
        if flavour.is_mariadb() {
            let prefix = if channel.is_empty() { String::new() } else { format!("{}.", quote(channel)) };
            let value = text(&list.join(","));
            let sql = format!("STOP SLAVE{of}; SET GLOBAL {prefix}replicate_{filter} = {value}; START SLAVE{of};");
            return Remedy::sql(sql).note(ALSO_WRITTEN);
        }
        let words: Vec<String> = list.iter().map(|entry| in_filter(filter, entry)).collect();
        let of = if channel.is_empty() { String::new() } else { format!(" FOR CHANNEL {}", text(channel)) };
        let sql = format!(
            "STOP {word} SQL_THREAD{of}; CHANGE REPLICATION FILTER REPLICATE_{} = ({}){of}; START {word} SQL_THREAD{of};",
            filter.to_ascii_uppercase(),
            words.join(", ")
        );
        Remedy::sql(sql).note(ALSO_WRITTEN)
    }
}

/// A filter that is set at run time is lost at a restart.
const ALSO_WRITTEN: &str = "also write the filter into the replica's option file, for a restart";

/// Text as a plain literal, the only form that these statements accept. A backslash before `%` and `_`, as in patterns,
/// stays literal under every `sql_mode`. Any other backslash is doubled, as every `sql_mode` without
/// `NO_BACKSLASH_ESCAPES` reads it.
pub(super) fn text(text: &str) -> String {
    let mut literal = String::from("'");
    let mut rest = text.chars().filter(|c| *c != '\0').peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' => literal.push_str("''"),
            '\\' if !matches!(rest.peek(), Some('%' | '_')) => literal.push_str("\\\\"),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

/// An entry as `CHANGE REPLICATION FILTER` writes it.
fn in_filter(filter: &str, entry: &str) -> String {
    if filter.starts_with("wild") {
        return text(entry);
    }
    match entry.split_once('.').filter(|_| filter.ends_with("_table")) {
        Some((schema, table)) => format!("{}.{}", quote(schema), quote(table)),
        None => quote(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(lists: &[(&str, &str)]) -> Option<&'static str> {
        let lists = lists.iter().map(|(name, list)| ((*name).to_owned(), (*list).to_owned())).collect();
        Filters::of(&lists, NameCase::default()).left_out(&HeartbeatTable::default())
    }

    #[test]
    fn filter_lists_are_applied_in_the_servers_order() {
        for (lists, left) in [
            (&[][..], None),
            (&[("do_db", "app")][..], Some("do_db")),
            (&[("do_db", "app,streamkap")], None),
            (&[("ignore_db", "app, streamkap")], Some("ignore_db")),
            (&[("do_table", "app.a")], Some("do_table")),
            (&[("do_table", "app.a,streamkap.streamkap_heartbeat"), ("wild_ignore_table", "%.%")], None),
            (&[("ignore_table", "streamkap.streamkap_heartbeat")], Some("ignore_table")),
            (&[("wild_do_table", "stream%.%")], None),
            (&[("wild_do_table", "app.%")], Some("wild_do_table")),
            (&[("wild_ignore_table", "%.streamkap\\_heartbea_")], Some("wild_ignore_table")),
            (&[("do_db", "streamkap"), ("wild_ignore_table", "streamkap.%")], Some("wild_ignore_table")),
            (&[("rewrite_db", "(a,b)")], None),
        ] {
            assert_eq!(left_out(lists), left, "{lists:?}");
        }
    }

    /// Trying all ways to match this one, one after the other, outlasts any deadline.
    #[test]
    fn a_pattern_of_many_wildcards_is_matched_without_delay() {
        let pattern = format!("{}x", "%".repeat(200));
        assert_eq!(left_out(&[("wild_ignore_table", &pattern)]), None);
        assert_eq!(left_out(&[("wild_ignore_table", &pattern.replace('x', "beat"))]), Some("wild_ignore_table"));
    }

    #[test]
    fn a_list_is_rewritten_to_include_the_table() {
        let lists = BTreeMap::from([
            ("do_db".to_owned(), "app".to_owned()),
            ("wild_ignore_table".to_owned(), "a.%,%.streamkap%".to_owned()),
        ]);
        let filters = Filters::of(&lists, NameCase::default());
        let heartbeat = HeartbeatTable::default();
        // A backslash is a character like any other.
        let escaped = BTreeMap::from([("wild_do_table".to_owned(), "my\\_app.%,o'd.a\\b".to_owned())]);
        insta::assert_snapshot!(Filters::of(&escaped, NameCase::default()).let_in("wild_do_table", &heartbeat, Flavour::MySql, "REPLICA", ""), @r"STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_WILD_DO_TABLE = ('my\_app.%', 'o''d.a\\b', 'streamkap.streamkap_heartbeat'); START REPLICA SQL_THREAD; -- on the source: also write the filter into the replica's option file, for a restart");
        insta::assert_snapshot!(filters.let_in("do_db", &heartbeat, Flavour::MariaDb, "SLAVE", ""), @"STOP SLAVE; SET GLOBAL replicate_do_db = 'app,streamkap'; START SLAVE; -- on the source: also write the filter into the replica's option file, for a restart");
        insta::assert_snapshot!(filters.let_in("wild_ignore_table", &heartbeat, Flavour::MySql, "REPLICA", "c"), @"STOP REPLICA SQL_THREAD FOR CHANNEL 'c'; CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('a.%') FOR CHANNEL 'c'; START REPLICA SQL_THREAD FOR CHANNEL 'c'; -- on the source: also write the filter into the replica's option file, for a restart");
        insta::assert_snapshot!(filters.let_in("do_table", &heartbeat, Flavour::MySql, "SLAVE", ""), @"STOP SLAVE SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_DO_TABLE = (`streamkap`.`streamkap_heartbeat`); START SLAVE SQL_THREAD; -- on the source: also write the filter into the replica's option file, for a restart");
    }
}

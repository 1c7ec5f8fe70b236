//! The list of all checks. `explain` prints it, `--only` and `--skip` accept its ids, and `make docs` writes `docs/checks/`
//! from it.

use std::fmt::Write as _;

use super::configuration;
use crate::database_url::Family;
use crate::drivers::Drivers;
use crate::finding::{Check, Rung, Severity};

/// Whether heartbeatd can connect to the source. Judged outside the drivers.
pub const CONNECT: Check = Check {
    id: "connect",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "heartbeatd can connect to the server and log in",
    meaning: "If heartbeatd cannot connect, it cannot write a beat or run any other check.",
    judged: "heartbeatd connects within the time-out. Fails with the class, kind and code of the failure.",
    privilege: "login",
    source: "vendor page on recovery, first question of the decision tree",
};

/// Whether heartbeatd can connect to each replica.
pub const REPLICA_CONNECT: Check = Check {
    id: "replica-connect",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "heartbeatd can connect to each replica and log in",
    meaning: "The connector reads from the replica. If heartbeatd cannot connect to it, it cannot see whether the beat \
              arrives.",
    judged: "heartbeatd connects within the time-out. Fails with what went wrong: an error if the replica is required, \
             otherwise a warning.",
    privilege: "login",
    source: "vendor page on recovery, first question of the decision tree",
};

/// A check, and the databases that have it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The check, in the words of its first database.
    pub check: Check,
    /// The families, in the order of the drivers.
    pub families: Vec<Family>,
    /// The check in each family's words.
    of_family: Vec<(Family, Check)>,
}

/// All checks: first those that every database has, then by family, each in the order of its report.
#[must_use]
pub fn entries(drivers: &Drivers) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let shared = [&CONNECT, &REPLICA_CONNECT].into_iter().chain(configuration::CHECKS);
    let everywhere = shared.flat_map(|check| drivers.families().map(move |(family, _)| (family, check)));
    let by_driver =
        drivers.families().flat_map(|(family, driver)| driver.checks().iter().map(move |check| (family, check)));
    for (family, check) in everywhere.chain(by_driver) {
        match entries.iter_mut().find(|entry| entry.check.id == check.id) {
            Some(entry) if entry.families.contains(&family) => {}
            Some(entry) => {
                entry.families.push(family);
                entry.of_family.push((family, *check));
            }
            None => entries.push(Entry { check: *check, families: vec![family], of_family: vec![(family, *check)] }),
        }
    }
    entries
}

/// The entry of an id, or an error that suggests the nearest id.
///
/// # Errors
/// A sentence that names the nearest id.
pub fn find(drivers: &Drivers, id: &str) -> Result<Entry, String> {
    let entries = entries(drivers);
    if let Some(entry) = entries.iter().find(|entry| entry.check.id == id) {
        return Ok(entry.clone());
    }
    let distance = |entry: &&Entry| strsim::damerau_levenshtein(entry.check.id, id);
    let nearest = entries.iter().min_by_key(distance).filter(|entry| distance(entry) <= id.len() / 2 + 1);
    let hint = nearest.map(|entry| format!(", did you mean {}?", entry.check.id));
    Err(format!(
        "there is no check \"{id}\"{}",
        hint.as_deref().unwrap_or("; to list all checks, run heartbeatd explain")
    ))
}

/// The page of a check, in Markdown.
#[must_use]
pub fn page(entry: &Entry) -> String {
    let Check { id, severity, rung, title, meaning, .. } = &entry.check;
    let families: Vec<_> = entry.families.iter().map(|family| family.as_str()).collect();
    let mut page = format!("# {id}\n\n**Passes when:** {title}.\n\n{meaning}\n\n");
    let rows = [
        ("Databases", families.join(", ")),
        ("Severity", format!("at most {severity}")),
        ("Decision tree", question(*rung).to_owned()),
        ("How heartbeatd decides", by_family(entry, |check| check.judged)),
        ("Required privilege", by_family(entry, |check| check.privilege)),
        ("Based on", by_family(entry, |check| check.source)),
    ];
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "- **{name}**:{}{value}", if value.starts_with('\n') { "" } else { " " });
    }
    let _ = write!(
        page,
        "\nTo skip it once: `heartbeatd check --skip {id}`. To skip it always, add this to the target in the configuration:\n\n```toml\n[[target.checks.skip]]\nid = \"{id}\"\nreason = \"…\"\n```\n"
    );
    page
}

/// A text of a check: once if all its databases share it, otherwise one line per text with its databases.
fn by_family(entry: &Entry, text_of: impl Fn(&Check) -> &'static str) -> String {
    let mut texts: Vec<(&'static str, Vec<&str>)> = Vec::new();
    for (family, check) in &entry.of_family {
        let text = text_of(check);
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, families)) => families.push(family.as_str()),
            None => texts.push((text, vec![family.as_str()])),
        }
    }
    if let [(text, _)] = texts.as_slice() {
        return (*text).to_owned();
    }
    texts.iter().map(|(text, families)| format!("\n  - {}: {text}", families.join(", "))).collect()
}

/// The text above the list of all pages.
const INDEX_HEAD: &str = "\
# Checks

These are the checks of `heartbeatd check`. `heartbeatd explain ID` prints the page of a check; `make docs` writes the pages
from the program. \"Vendor\" is Streamkap, whose documentation the checks follow. \"Measured\" means that we tried it on our
own servers. The severity is the highest that a finding can have. [Which of the vendor's statements are
covered](coverage.md).

| Check | Severity | Databases | Passes when |
|---|---|---|---|
";

/// The list of all pages, in Markdown.
#[must_use]
pub fn index(entries: &[Entry]) -> String {
    let mut page = INDEX_HEAD.to_owned();
    for Entry { check, families, .. } in entries {
        let families: Vec<_> = families.iter().map(|family| family.as_str()).collect();
        let Check { id, severity, title, .. } = check;
        let _ = writeln!(page, "| [{id}]({id}.md) | {severity} | {} | {title} |", families.join(", "));
    }
    page
}

/// The question that a rung asks.
#[must_use]
pub fn question(rung: Rung) -> &'static str {
    match rung {
        Rung::Connection => "can heartbeatd use the right server?",
        Rung::Schema => "do the heartbeat table and its row exist, with the right shape?",
        Rung::Permission => "do heartbeatd and the connector have the privileges they need?",
        Rung::Resource => "does the server have the settings and resources that the connector needs?",
        Rung::Beating => "is someone updating the heartbeat row?",
        Rung::Tracking => "does the beat reach what the connector reads?",
        Rung::Movement => "does the connector advance?",
        Rung::Position => "is the connector's position safe?",
        Rung::Advice => "is there anything else to know?",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn ids_are_in_kebab_case_and_every_text_is_there() {
        let drivers = Drivers::built_in();
        let of_drivers = drivers.families().flat_map(|(_, driver)| driver.checks());
        for check in entries(&drivers).iter().map(|entry| &entry.check).chain(of_drivers) {
            let kebab = check
                .id
                .split('-')
                .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
            assert!(kebab, "{}", check.id);
            for text in [check.title, check.meaning, check.judged, check.privilege, check.source] {
                assert!(!text.is_empty() && !text.contains("  "), "{}: {text:?}", check.id);
            }
        }
    }

    #[test]
    fn one_id_means_one_thing_in_every_database() {
        let mut known: BTreeMap<&str, Check> = BTreeMap::new();
        let drivers = Drivers::built_in();
        for (_, driver) in drivers.families() {
            for check in driver.checks() {
                let first = known.entry(check.id).or_insert(*check);
                let meant = |check: &Check| (check.severity, check.rung, check.title, check.meaning);
                assert_eq!(meant(first), meant(check), "{}", check.id);
            }
        }
    }

    #[test]
    fn a_mistyped_id_is_answered_with_the_nearest_one() {
        let drivers = Drivers::built_in();
        assert_eq!(find(&drivers, "row-exists").unwrap().check.id, "row-exists");
        assert!(find(&drivers, "row-exist").unwrap_err().contains("did you mean row-exists?"));
        assert!(find(&drivers, "zzzzzzzzzzzzzzzzzzzzzzzzz").unwrap_err().contains("explain"));
    }
}

//! The pages and schemas that describe the program: none is stale, missing or superfluous.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use boon::{Compiler, Schemas};
use heartbeatd::check::registry;
use heartbeatd::drivers::Drivers;
use serde_json::Value;

use crate::bench::{heartbeatd, ports};

/// Written by hand. The other pages are generated.
const COVERAGE: &str = "coverage.md";
/// The possible beginnings of an answer in the coverage page.
const ANSWERS: [&str; 5] = ["check:", "advice:", "with the driver of ", "out of scope:", "missing:"];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages of `docs/checks/` as they should be.
fn pages() -> BTreeMap<String, String> {
    let entries = registry::entries(&Drivers::built_in());
    let pages = entries.iter().map(|entry| (format!("{}.md", entry.check.id), registry::page(entry)));
    pages.chain([("README.md".to_owned(), registry::index(&entries))]).collect()
}

#[test]
fn every_check_has_its_page_and_no_page_is_stale() {
    let (folder, pages) = (project("docs/checks"), pages());
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let there: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != COVERAGE)
        .collect();
    let superfluous: Vec<_> = there.iter().filter(|name| !pages.contains_key(*name)).collect();
    let stale: Vec<_> = pages
        .iter()
        .filter(|(name, page)| std::fs::read_to_string(folder.join(name)).ok().as_ref() != Some(page))
        .collect();
    if update {
        superfluous.iter().for_each(|name| std::fs::remove_file(folder.join(name)).unwrap());
        stale.iter().for_each(|(name, page)| std::fs::write(folder.join(name), page).unwrap());
        return;
    }
    let stale: Vec<_> = stale.iter().map(|(name, _)| name).collect();
    assert!(
        stale.is_empty() && superfluous.is_empty(),
        "docs/checks is not what the program says; run `make docs`. Stale or missing: {stale:?}; superfluous: \
         {superfluous:?}"
    );
}

#[test]
fn the_coverage_page_answers_every_row_once_and_names_every_check() {
    let page = read("docs/checks/coverage.md");
    let known: BTreeSet<String> = pages().into_keys().filter(|name| name != "README.md").collect();
    let mut rows = BTreeSet::new();
    let mut named = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| S") || line.starts_with("| T")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, _, _, answer] = cells[..] else { panic!("four cells: {line}") };
        assert!(rows.insert(row.to_owned()), "{row} is there twice");
        assert!(ANSWERS.iter().any(|start| answer.starts_with(start)), "{row}: {answer}");
        let linked = links(answer);
        assert_eq!(answer.starts_with("check:"), !linked.is_empty(), "{row}: an answer that is a check links it");
        named.extend(linked);
    }
    let unknown: Vec<_> = named.difference(&known).collect();
    let unnamed: Vec<_> = known.difference(&named).collect();
    assert!(unknown.is_empty(), "coverage.md names checks that do not exist: {unknown:?}");
    // Checks that no statement of the vendor requires are in a list below the tables.
    let listed: BTreeSet<String> = page.lines().filter(|line| line.starts_with("- [")).flat_map(links).collect();
    assert_eq!(listed, unnamed.into_iter().cloned().collect(), "the checks beyond the vendor's statements");
    assert!(rows.len() >= 98, "{} rows: 48 of heartbeats, 42 of recovery, 8 of the decision tree", rows.len());
}

/// The pages of this folder that a text links to.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains(['/', '#', ':'])).map(str::to_owned).collect()
}

/// Whether `value` matches `schema`.
pub(crate) fn validate(schema: Value, value: &Value) -> Result<(), String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    compiler.add_resource("schema.json", schema).map_err(|error| error.to_string())?;
    let index = compiler.compile("schema.json", &mut schemas).map_err(|error| format!("{error:#}"))?;
    schemas.validate(value, index).map_err(|error| format!("{error:#}"))
}

/// The published schema allows further keys, so that a report may grow. Here every key must be described.
fn closed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => {
            map.iter_mut().for_each(|(_, value)| *value = closed(value.take()));
            if map.contains_key("properties") {
                map.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = closed(item.take())),
        _ => {}
    }
    schema
}

async fn report(program: crate::bench::daemon::Heartbeatd) -> Value {
    let ended = program.arg("--check").arg("--format").arg("json").run().await;
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[tokio::test]
async fn reports_of_every_driver_are_as_their_published_schema_says() {
    let schema: Value = serde_json::from_str(&read("docs/check-report.schema.json")).unwrap();
    let unreachable = format!("postgres://hb@127.0.0.1:{}/orders", ports::free());
    let program = heartbeatd();
    program.file("empty.db", "");
    let failing = report(program.arg("sqlite:empty.db").arg("sqlite:missing.db").arg(&unreachable)).await;
    let offline = report(heartbeatd().arg("--offline").arg("postgres://hb@host/orders?sslmode=require")).await;
    for value in [&failing, &offline] {
        validate(closed(schema.clone()), value).unwrap_or_else(|error| panic!("{error}\n{value:#}"));
        validate(schema.clone(), value).unwrap();
    }
    for (family, driver) in Drivers::built_in().families() {
        // No database answers at this address: the file does not exist, or no server listens.
        let scheme = driver.schemes()[0];
        let address = match family.as_str() {
            "sqlite" => "sqlite:missing.db".to_owned(),
            _ => format!("{scheme}://hb@127.0.0.1:{}/orders", ports::free()),
        };
        let value = report(heartbeatd().arg("--timeout").arg("5s").arg(&address)).await;
        assert_eq!(value["targets"][0]["driver"], family.as_str());
        validate(closed(schema.clone()), &value).unwrap_or_else(|error| panic!("{family}: {error}\n{value:#}"));
    }
    for status in ["failed", "unknown", "ok", "skipped"] {
        assert!(failing.to_string().contains(&format!("\"status\":\"{status}\"")), "no finding is {status}");
    }
    for (pointer, wrong) in
        [("/format", 2.into()), ("/taken_at", "today".into()), ("/targets/0/findings/0/severity", "fatal".into())]
    {
        let mut spoilt = failing.clone();
        *spoilt.pointer_mut(pointer).unwrap() = wrong;
        assert!(validate(schema.clone(), &spoilt).is_err(), "{pointer} is not validated");
    }
}

#[tokio::test]
async fn the_example_configuration_is_as_its_schema_says() {
    let schema = heartbeatd().arg("config").arg("schema").run().await;
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    let mut example: Value = toml::from_str(&read("config/heartbeatd.toml")).unwrap();
    validate(schema.clone(), &example).unwrap_or_else(|error| panic!("{error}"));
    example["target"][0]["intervall"] = "1m".into();
    assert!(validate(schema, &example).is_err(), "an unknown key is accepted");
}

#[tokio::test]
async fn the_example_configuration_starts_after_one_line_is_edited() {
    let example = heartbeatd().arg("config").arg("example").run().await.stdout;
    let urls: Vec<&str> = example.lines().filter(|line| line.starts_with("url = ")).collect();
    let [url] = urls[..] else { panic!("one address to edit: {urls:?}") };
    let program = heartbeatd();
    let database = program.folder().join("orders.db").display().to_string();
    let provisioned = heartbeatd().arg("provision").arg(&format!("sqlite:{database}")).run().await;
    assert_eq!(provisioned.code, Some(0), "{provisioned:?}");
    let edited = example.replace(url, &format!("url = \"sqlite:{database}\""));
    let beat = heartbeatd().arg("beat").config(&edited).run().await;
    assert_eq!(beat.code, Some(0), "{beat:?}");
    let daemon = program.config(&edited).start().await;
    assert_eq!(daemon.target("orders").await["driver"], "sqlite");
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
}

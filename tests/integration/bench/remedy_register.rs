//! Registers of the places in a driver that make something to paste. Each driver's test of remedies has one; it fails when
//! a place is added that no test pastes.

use std::collections::BTreeMap;
use std::path::Path;

/// A file of a driver, how many places it has, the tests that paste what they make, and why the others are not pasted.
pub(crate) type Site = (&'static str, usize, &'static [&'static str], &'static str);

/// Fails unless the register names every place of a driver, and only tests that exist.
pub(crate) fn expect_complete(driver: &str, sites: &[Site], places: impl Fn(&str) -> usize) {
    let mut found: BTreeMap<String, usize> = sources(&format!("src/driver/{driver}"))
        .into_iter()
        .filter(|(name, _)| !name.split('/').any(|part| matches!(part, "tests" | "tests.rs")))
        .map(|(name, text)| (name, places(text.split("#[cfg(test)]").next().unwrap_or_default())))
        .filter(|(_, count)| *count > 0)
        .collect();
    let mut differences = Vec::new();
    for (file, registered, ..) in sites {
        let in_file = found.remove(*file).unwrap_or_default();
        if in_file != *registered {
            differences.push(format!("src/driver/{driver}/{file}: {in_file} places, {registered} in SITES"));
        }
    }
    differences
        .extend(found.iter().map(|(file, count)| format!("src/driver/{driver}/{file}: {count} places, none in SITES")));
    assert!(
        differences.is_empty(),
        "{}\nFor a new script, write a test that pastes it, and name the test in SITES, or the reason why none does; for one \
         that is gone, lower the number in SITES.",
        differences.join("\n")
    );
    let tests: String = sources("tests/integration").into_values().collect();
    for (file, _, pasted_by, why_not) in sites {
        assert!(!pasted_by.is_empty() || !why_not.is_empty(), "{file}: SITES names neither a test nor a reason");
        for test in *pasted_by {
            assert!(
                tests.contains(&format!("async fn {test}()")),
                "{file}: SITES names the test {test}, which does not exist"
            );
        }
    }
}

/// The Rust files below a folder of the project: names from there, and texts.
pub(crate) fn sources(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

//! The inputs that fuzzing found, as ordinary tests: every file of `fuzz/corpus/` must satisfy its target's properties.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[allow(unreachable_pub, reason = "a library of its own in fuzz/")]
#[path = "../../fuzz/properties/mod.rs"]
mod properties;

/// Longer than any input takes on a busy machine. An endless judgement exceeds it.
const LONGEST: Duration = Duration::from_secs(10);

#[test]
fn every_input_of_the_fuzz_corpus_keeps_to_its_properties() {
    let mut broken = Vec::new();
    for (name, property) in properties::TARGETS {
        let inputs = files(name);
        assert!(inputs.len() >= 5, "{name} has a corpus");
        for input in inputs {
            let data = std::fs::read(&input).unwrap();
            let start = Instant::now();
            let kept = catch_unwind(AssertUnwindSafe(|| property(&data))).is_ok();
            if !kept || start.elapsed() > LONGEST {
                broken.push(format!("{} (after {:?})", input.display(), start.elapsed()));
            }
        }
    }
    assert!(broken.is_empty(), "the faults, by input:\n{}", broken.join("\n"));
}

#[test]
fn every_fuzz_target_is_built_and_has_a_corpus() {
    let names = |entries: Vec<PathBuf>| -> BTreeSet<String> {
        entries.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let known: BTreeSet<String> = properties::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap().parse::<toml::Table>().unwrap();
    let built = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap().to_owned());
    assert_eq!(built.collect::<BTreeSet<_>>(), known);
    assert_eq!(names(entries(&folder("targets"))), known);
    assert_eq!(names(entries(&folder("corpus"))), known);
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn files(target: &str) -> Vec<PathBuf> {
    entries(&folder("corpus").join(target))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

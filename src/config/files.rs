//! Reads and checks the configuration file and its includes. Returns the targets with their places, and the rest as one
//! tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::check;
use super::document::{self, Data, Node};
use super::error::{Origin, Problems};
use super::schema::{ConnectorKeys, INCLUDED, ROOT};
use crate::bounded_read::{Accept, Unfinished, in_own_thread_blocking};
use crate::time::clock::Clock;

/// As in a shell, patterns do not match hidden files, which editors create.
const MATCHING: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A pattern that finds more files is wrong.
const MAX_FILES: usize = 10_000;
/// The time limit of the search for one pattern's files.
const SEARCH_LIMIT: Duration = Duration::from_secs(10);
/// The time limit of the search and of all files before the last one.
const INCLUDES_LIMIT: Duration = Duration::from_secs(15);
/// After this many mistakes heartbeatd reads no further files.
const MAX_PROBLEMS: usize = 200;

/// The settings in the files.
pub(super) struct Files {
    /// Everything but the targets.
    pub(super) globals: Node,
    /// The targets of all files.
    pub(super) targets: Vec<TargetTable>,
    /// Where a change of the settings can come from: the files, and the folders that were searched.
    pub(super) read: Vec<PathBuf>,
}

/// A checked table, and its path in the file.
pub(super) struct TargetTable {
    pub(super) path: String,
    pub(super) node: Node,
}

impl Files {
    pub(super) fn none() -> Self {
        Self { globals: Node::table(Origin::BuiltIn), targets: Vec::new(), read: Vec::new() }
    }

    /// The variables from which passwords are read. They may have any name.
    pub(super) fn borrowed_variables(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.targets.iter().for_each(|place| collect_variables(&place.node, &mut names));
        names
    }
}

fn collect_variables(node: &Node, names: &mut BTreeSet<String>) {
    for (key, child) in node.entries() {
        match &child.data {
            Data::Text(name) if key == "env" => {
                names.insert(name.clone());
            }
            Data::Table(_) => collect_variables(child, names),
            Data::List(items) => items.iter().for_each(|item| collect_variables(item, names)),
            _ => {}
        }
    }
}

/// Reads a configuration file and its includes.
pub(super) fn read(
    path: &Path,
    connector: &ConnectorKeys,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Files {
    let mut files = Files::none();
    files.read.push(path.to_owned());
    let Some(root) = document::read(path, Accept::FilesAndPipes, problems) else { return files };
    let whole = root.origin.clone();
    let mut root = check(root, ROOT, connector, "", problems);
    let readable = problems.is_empty();
    files.targets.extend(targets(&mut root));
    if let Some(include) = root.take("include") {
        let began = Clock::system().now();
        files.read.extend(include.items().iter().filter_map(|item| searched_folder(item, path)));
        for included in expand(&include, path, problems, warnings) {
            // A file that does not answer has used up the time; heartbeatd does not try later files on the same file
            // system.
            if Clock::system().now().age_of(began) > INCLUDES_LIMIT {
                let limit = INCLUDES_LIMIT.as_secs();
                problems.push(&include.origin, "include", format!("reading the files did not end within {limit} s"));
                break;
            }
            if problems.len() > MAX_PROBLEMS {
                problems.push(&include.origin, "include", "heartbeatd did not read the files after these mistakes");
                break;
            }
            files.targets.extend(read_included(&included, connector, problems));
            files.read.push(included);
        }
    }
    // Another problem may be the reason why there is no target.
    if files.targets.is_empty() && readable && problems.is_empty() {
        problems.push(&whole, "", "no target: neither this file nor an included file contains a [[target]]");
    }
    files.globals = root;
    files
}

fn read_included(path: &Path, connector: &ConnectorKeys, problems: &mut Problems) -> Vec<TargetTable> {
    let Some(mut root) = document::read(path, Accept::RegularFiles, problems) else { return Vec::new() };
    for key in ROOT.iter().filter(|key| INCLUDED.iter().all(|included| included.name != key.name)) {
        if let Some(foreign) = root.take(key.name) {
            problems.push(
                &foreign.origin,
                key.name,
                "belongs in the main file: an included file may contain only [[target]]",
            );
        }
    }
    targets(&mut check(root, INCLUDED, connector, "", problems))
}

fn targets(root: &mut Node) -> Vec<TargetTable> {
    let Some(Node { data: Data::List(items), .. }) = root.take("target") else { return Vec::new() };
    let place = |(index, node)| TargetTable { path: format!("target[{index}]"), node };
    items.into_iter().enumerate().map(place).collect()
}

/// What one pattern finds.
struct Matches {
    /// The files, each with an identity that does not depend on its name.
    files: Vec<(PathBuf, PathBuf)>,
    /// The directories that cannot be searched.
    errors: Vec<String>,
}

/// The files that patterns find beside the including file: each once, sorted within a pattern.
fn expand(include: &Node, including: &Path, problems: &mut Problems, warnings: &mut Vec<String>) -> Vec<PathBuf> {
    // `*.toml` also finds the including file itself.
    let mut seen: BTreeSet<_> = including.canonicalize().into_iter().collect();
    let directory = including.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for (index, item) in include.items().iter().enumerate() {
        let Data::Text(pattern) = &item.data else { continue };
        let path = format!("include[{index}]");
        // Joined as a path, an absolute pattern replaces the directory; otherwise the directory is not part of the pattern.
        let pattern = PathBuf::from(glob::Pattern::escape(&directory.to_string_lossy())).join(pattern);
        let matches = match search(&pattern) {
            Ok(matches) => matches,
            Err(message) => {
                problems.push(&item.origin, path, message);
                continue;
            }
        };
        if matches.files.is_empty() && matches.errors.is_empty() {
            warnings.push(format!("{}: {path}: no file matches", item.origin));
        }
        for error in matches.errors {
            problems.push(&item.origin, &path, format!("cannot be searched: {error}"));
        }
        let before = found.len();
        found.extend(matches.files.into_iter().filter(|(_, real)| seen.insert(real.clone())).map(|(file, _)| file));
        found[before..].sort();
    }
    found
}

/// The folder of a pattern's files, as far as the pattern names it.
fn searched_folder(pattern: &Node, including: &Path) -> Option<PathBuf> {
    let Data::Text(pattern) = &pattern.data else { return None };
    let named = pattern.find(['*', '?', '[']).and_then(|wild| pattern.get(..wild)).unwrap_or(pattern);
    let named = named.rfind('/').map_or("", |end| &named[..=end]);
    let directory = including.parent().filter(|directory| !directory.as_os_str().is_empty());
    Some(directory.unwrap_or(Path::new(".")).join(named))
}

/// What a pattern finds, or why that is unknown. A separate thread searches, because nothing can end a search that
/// waits for a file system or visits very many files.
fn search(pattern: &Path) -> Result<Matches, String> {
    let text = pattern.to_string_lossy().into_owned();
    let searched = in_own_thread_blocking(pattern, SEARCH_LIMIT, move || search_here(&text));
    searched.unwrap_or_else(|unfinished| {
        Err(match unfinished {
            Unfinished::NoThread(error) => format!("cannot be searched: {error}"),
            Unfinished::Outstanding => {
                "an earlier search for its files has not ended: name the directory in the pattern".to_owned()
            }
            Unfinished::TooSlow => {
                let limit = SEARCH_LIMIT.as_secs();
                format!("the search for its files did not end within {limit} s: name the directory, without **")
            }
        })
    })
}

fn search_here(pattern: &str) -> Result<Matches, String> {
    let mut matches = Matches { files: Vec::new(), errors: Vec::new() };
    for entry in glob::glob_with(pattern, MATCHING).map_err(|error| format!("not a pattern: {}", error.msg))? {
        match entry {
            Ok(file) => {
                let real = file.canonicalize().unwrap_or_else(|_| file.clone());
                matches.files.push((file, real));
            }
            Err(error) => matches.errors.push(error.to_string()),
        }
        if matches.files.len() + matches.errors.len() > MAX_FILES {
            return Err(format!("matches more than {MAX_FILES} files: name the directory, without **"));
        }
    }
    Ok(matches)
}

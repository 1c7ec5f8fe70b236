//! Reads the pages for DBAs as tests need them: what to run, in which order, and what a check may report then.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::daemon::{Daemon, Ended, Heartbeatd, heartbeatd};
use super::wait::secs;

/// The section whose blocks the test runs.
pub(crate) const WALK: &str = "## From nothing to a green check";
/// The sentence in a page's footnote if the page has blocks outside the walk.
const NOT_RUN: &str = "No test runs the other blocks of this page";

/// A fenced block of the page.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its `## ` heading.
    pub(crate) section: String,
    /// The nearest heading above it, of any level.
    pub(crate) step: String,
    /// The paragraph or block that ends before it.
    pub(crate) before: String,
    pub(crate) language: String,
    pub(crate) text: String,
}

impl Block {
    /// The words of the nearest heading above it.
    pub(crate) fn heading(&self) -> &str {
        self.step.trim_start_matches('#').trim_start()
    }
}

/// The text of a page.
pub(crate) fn read(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
}

/// The walk's section of the page.
fn walk_section(page: &str) -> &str {
    let (_, walk) = page.split_once(WALK).expect("the walk's heading");
    walk.split_once("\n## ").expect("the heading after it").0
}

/// The blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    assert!(!page.contains("~~~"), "another kind of fence");
    let (mut section, mut step, mut before) = (String::new(), String::new(), String::new());
    let mut blocks: Vec<Block> = Vec::new();
    let mut paragraph_ended = true;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            blocks.push(Block {
                section: section.clone(),
                step: step.clone(),
                before: std::mem::take(&mut before),
                language: language.to_owned(),
                text: text.join("\n"),
            });
        } else if line.starts_with('#') {
            if line.starts_with("## ") {
                line.clone_into(&mut section);
            }
            line.clone_into(&mut step);
            before.clear();
        } else if line.is_empty() {
            paragraph_ended = true;
        } else {
            if std::mem::take(&mut paragraph_ended) {
                before.clear();
            }
            before.push_str(line);
            before.push(' ');
        }
    }
    blocks
}

/// The quoted headings in the comment of a page's source that lists which blocks no test runs; readers do not see it.
pub(crate) fn headings_not_run(page: &str) -> BTreeSet<&str> {
    let Some((_, rest)) = page.split_once("<!-- No test runs the blocks of ") else { return BTreeSet::new() };
    let (comment, rest) = rest.split_once("-->").expect("an end of the comment");
    assert!(!rest.contains("<!-- No test runs"), "the page says it once");
    comment.split('"').skip(1).step_by(2).collect()
}

/// Runs the commands of a walk, and compares its checks with the page.
#[derive(Debug)]
pub(crate) struct Commands {
    /// The daemon that the walk started.
    pub(crate) daemon: Option<Daemon>,
    /// A check that must pass, because otherwise nothing was inspected.
    proof: &'static str,
    /// What a check may report according to the page, with its status.
    named: BTreeSet<(String, String)>,
    last_check: Option<(Ended, BTreeSet<(String, String)>)>,
}

impl Commands {
    pub(crate) fn of(page: &str, proof: &'static str) -> Self {
        Self { daemon: None, proof, named: named(page), last_check: None }
    }

    /// Runs one line, with this machine's names in place of the page's.
    pub(crate) async fn run(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("heartbeatd"), "the walk runs heartbeatd alone: {line}");
        let arguments: Vec<&str> = words.collect();
        assert!(!line.contains(['\'', '"', '\\', '|', '$', '#']), "no shell is there to read it: {line}");
        if arguments[0] == "-c" {
            let daemon = program(&arguments).start().await;
            daemon.healthy_within(secs(20)).await;
            self.daemon = Some(daemon);
            return;
        }
        let ended = program(&arguments).run().await;
        assert_eq!(ended.code, Some(0), "{line}\n{}{}", ended.stdout, ended.stderr);
        if !arguments.iter().any(|argument| ["check", "--check"].contains(argument)) {
            return;
        }
        let left = self.left(&[&arguments[..], &["--format", "json"]].concat()).await;
        let beyond: Vec<_> = left.iter().filter(|finding| !self.named.contains(finding)).collect();
        assert!(beyond.is_empty(), "{line}: the page does not name {beyond:?}\n{}", ended.stdout);
        self.last_check = Some((ended, left));
    }

    /// The failed and unknown findings of a check; none may have failed with severity error.
    async fn left(&self, arguments: &[&str]) -> BTreeSet<(String, String)> {
        let ended = program(arguments).run().await;
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        let findings = report["targets"][0]["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| finding["id"] == self.proof && finding["status"] == "ok"), "{report:#}");
        let wrong =
            findings.iter().filter(|finding| ["failed", "unknown"].contains(&finding["status"].as_str().unwrap()));
        let named = wrong.map(|finding| {
            let (status, severity) = (finding["status"].as_str().unwrap(), finding["severity"].as_str().unwrap());
            assert!((status, severity) != ("failed", "error"), "{finding:#}");
            let status = if status == "failed" { format!("failed ({severity})") } else { status.to_owned() };
            (finding["id"].as_str().unwrap().to_owned(), status)
        });
        named.collect()
    }

    /// The last check found nothing, and the page quotes its verdict.
    pub(crate) fn ended_green(&self, page: &str) {
        let (ended, left) = self.last_check.as_ref().expect("the walk ends with a check");
        assert!(left.is_empty(), "{left:?}");
        let verdict = ended.stdout.lines().find_map(|line| line.trim().strip_prefix("verdict")).unwrap().trim();
        let quoted = walk_section(page).contains(&format!("\"{verdict}\""));
        assert!(quoted, "the page tells another verdict than {verdict:?}");
    }
}

fn program(arguments: &[&str]) -> Heartbeatd {
    arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument))
}

/// The checks in the page's table of remaining findings, with their status.
fn named(page: &str) -> BTreeSet<(String, String)> {
    let rows = walk_section(page).lines().filter(|line| line.starts_with("| [`"));
    let named: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].split('`').nth(1).unwrap().to_owned(), cells[2].to_owned())
        })
        .collect();
    assert!(!named.is_empty(), "the table is not found");
    named
}

/// If a page has blocks outside the walk, its footnote, and only the footnote, says that no test runs them.
pub(crate) fn the_footnote_says_which_blocks_are_not_run(page: &str) {
    let (body, footnote) = page.split_once("\n[^tested]: ").expect("a footnote");
    assert!(body.contains("[^tested]"), "the text does not refer to its footnote");
    let others = blocks(page).into_iter().filter(|block| block.section != WALK).count();
    let says = footnote.split_whitespace().collect::<Vec<_>>().join(" ").contains(NOT_RUN);
    assert_eq!(says, others > 0, "{others} blocks outside the walk: {footnote}");
    assert!(!body.contains("run by a test"), "the footnote says what no test runs, the text does not repeat it");
}

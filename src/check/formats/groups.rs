//! Collects findings that are the same for several targets: a thousand targets with one problem make one paragraph. The
//! formats for people use it.

use std::collections::{BTreeSet, HashMap};

use crate::check::report::{Report, TargetReport, grouped_digits, reading_order};
use crate::finding::{Finding, Severity, Status};
use crate::plain_text;

/// With more targets than this, the report groups them.
pub(super) const FEW: usize = 20;
/// How many names a group shows.
const NAMED: usize = 3;

/// One finding that several targets share.
pub(super) struct Group<'a> {
    /// The finding of the first target.
    pub(super) first: &'a Finding,
    /// The ids of the checks, if one reason prevents several.
    pub(super) ids: Vec<&'a str>,
    /// The targets, in the order of the configuration.
    pub(super) targets: Vec<&'a TargetReport>,
    /// Whether the other targets' texts have other names or numbers.
    pub(super) differ: bool,
}

/// What the findings of a group share: check and severity if it failed, status, likeness.
type Key<'a> = (Option<(&'a str, Severity)>, Status, String);

/// Groups the findings that `wanted` chooses: the worst first, then those that affect most targets.
pub(super) fn group<'a>(report: &'a Report, wanted: impl Fn(&Finding) -> bool) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: HashMap<Key<'_>, usize> = HashMap::new();
    for target in &report.targets {
        let own = words_of(target);
        for finding in target.findings.iter().filter(|finding| wanted(finding)) {
            // An unreachable server leaves sixty checks unknown for one reason.
            let check = (finding.status == Status::Failed).then_some((finding.id.as_str(), finding.severity));
            let key = (check, finding.status, likeness(finding, &own));
            let index = *known.entry(key).or_insert_with(|| {
                groups.push(Group { first: finding, ids: Vec::new(), targets: Vec::new(), differ: false });
                groups.len() - 1
            });
            let Some(group) = groups.get_mut(index) else { continue };
            group.differ |= texts(group.first) != texts(finding);
            if !group.ids.contains(&finding.id.as_str()) {
                group.ids.push(&finding.id);
            }
            // The findings of one target follow each other.
            if !group.targets.last().is_some_and(|last| std::ptr::eq(*last, target)) {
                group.targets.push(target);
            }
        }
    }
    groups.sort_by_key(|group| (reading_order(group.first), std::cmp::Reverse(group.targets.len())));
    groups
}

/// The names of some targets, the first few in full.
pub(super) fn names(targets: &[&TargetReport]) -> String {
    let shown: Vec<String> = targets.iter().take(NAMED).map(|target| plain_text::one_line(&target.name)).collect();
    let shown = shown.join(", ");
    match targets.len().saturating_sub(NAMED) {
        0 => shown,
        rest => format!("{shown} and {} more", grouped_digits(rest)),
    }
}

/// The text of a finding.
fn texts(finding: &Finding) -> [String; 3] {
    let [expected, next] = [finding.expected.clone(), finding.next_step()].map(Option::unwrap_or_default);
    [finding.observed.clone(), expected, next]
}

/// The text that two equivalent findings share: without numbers and without the target's own names.
fn likeness(finding: &Finding, own: &BTreeSet<&str>) -> String {
    let mut out = String::new();
    for text in texts(finding) {
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !of_a_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if own.contains(word) {
                out.push('\u{1}');
            } else {
                without_numbers(word, &mut out);
            }
            let mut characters = after.chars();
            out.extend(characters.next());
            rest = characters.as_str();
        }
        out.push('\0');
    }
    out
}

/// The words of the target's name and address, which its texts contain.
fn words_of(target: &TargetReport) -> BTreeSet<&str> {
    let words = |text| str::split(text, |c: char| !of_a_word(c)).filter(|word| !word.is_empty());
    words(&target.name).chain(words(&target.address)).collect()
}

fn of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn without_numbers(word: &str, out: &mut String) {
    let mut in_number = false;
    for c in word.chars() {
        let digit = c.is_ascii_digit();
        if !(digit && in_number) {
            out.push(if digit { '#' } else { c });
        }
        in_number = digit;
    }
}

//! The recovery decision tree: which finding of a target to deal with first, and how.

use std::collections::BTreeSet;

use super::registry::{CONNECT, Entry};
use crate::finding::{Finding, Rung, Severity, Status, Verdict};

/// Chooses the first rung with a failed check of severity error. Without one, chooses the first rung from `Beating` on
/// with a warning. Advice never decides.
#[must_use]
pub fn climb(findings: &[Finding], entries: &[Entry]) -> Verdict {
    let rung_of = |finding: &Finding| {
        let entry = entries.iter().find(|entry| entry.check.id == finding.id);
        entry.map_or(Rung::Advice, |entry| entry.check.rung)
    };
    let first = |severity: Severity, from: Rung| {
        let failed = findings.iter().filter(|finding| finding.status == Status::Failed && finding.severity == severity);
        failed
            .map(|finding| (rung_of(finding), finding))
            .filter(|(rung, _)| (from..Rung::Advice).contains(rung))
            .min_by_key(|(rung, _)| *rung)
    };
    let warning = || first(Severity::Warning, Rung::Beating);
    match first(Severity::Error, Rung::Connection).or_else(warning) {
        Some((rung, finding)) => Verdict {
            rung: Some(rung),
            text: meaning(rung, finding.severity).to_owned(),
            next: finding.next_step().unwrap_or_else(|| format!("heartbeatd explain {}", finding.id)),
        },
        None => healthy(findings),
    }
}

/// The failed checks that are a problem although the target is beating: an error, or a warning that can decide a
/// verdict. Advice is never a problem.
#[must_use]
pub fn problems(findings: &[Finding], entries: &[Entry]) -> BTreeSet<String> {
    let decides = |finding: &&Finding| {
        let entry = entries.iter().find(|entry| entry.check.id == finding.id);
        let rung = entry.map_or(Rung::Advice, |entry| entry.check.rung);
        finding.severity == Severity::Error
            || finding.severity == Severity::Warning && (Rung::Beating..Rung::Advice).contains(&rung)
    };
    let failed = findings.iter().filter(|finding| finding.status == Status::Failed);
    failed.filter(decides).map(|finding| finding.id.clone()).collect()
}

fn meaning(rung: Rung, severity: Severity) -> &'static str {
    match (rung, severity) {
        (Rung::Connection, _) => "cannot write the heartbeat: the primary is not reachable or not writable",
        (Rung::Schema, _) => "cannot write the heartbeat: the table or its row is missing or has the wrong shape",
        (Rung::Permission, _) => "a privilege is missing",
        (Rung::Resource, _) => "the server lacks a setting or a resource that the connector needs",
        (Rung::Beating, _) => "no one is updating the heartbeat row",
        (Rung::Tracking, Severity::Warning) => "the row is updated, but the connector may not receive all changes",
        (Rung::Tracking, _) => "the row is updated, but the connector does not receive the changes",
        (Rung::Movement, _) => "the connector can receive the beats, but does not advance",
        (Rung::Position, Severity::Error) => "the connector's position is lost: it needs a new snapshot",
        (Rung::Position, _) => "the connector's position is at risk",
        (Rung::Advice, _) => "worth knowing",
    }
}

fn healthy(findings: &[Finding]) -> Verdict {
    let unknown = findings.iter().filter(|finding| finding.status == Status::Unknown).count();
    if !findings.iter().any(|finding| finding.id == CONNECT.id) {
        let text = "the checks that ran passed; most were skipped".to_owned();
        let next = "run heartbeatd check without --only, --skip and --offline".to_owned();
        return Verdict { rung: None, text, next };
    }
    let text = match unknown {
        0 => "the source side is healthy".to_owned(),
        1 => "the source side is healthy; one check could not run".to_owned(),
        _ => format!("the source side is healthy; {unknown} checks could not run"),
    };
    let next = "if data is still missing, look at the destination and its consumers".to_owned();
    Verdict { rung: None, text, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::registry;
    use crate::drivers::Drivers;

    fn finding(id: &str, status: Status, severity: Severity) -> Finding {
        Finding {
            id: id.to_owned(),
            severity,
            status,
            subject: String::new(),
            observed: String::new(),
            expected: None,
            remedy: Some(format!("mend {id}").into()),
        }
    }

    fn verdict(findings: &[Finding]) -> Verdict {
        climb(findings, &registry::entries(&Drivers::built_in()))
    }

    #[test]
    fn the_first_rung_with_an_error_decides_in_any_order_of_the_report() {
        let verdict = verdict(&[
            finding("row-fresh", Status::Failed, Severity::Warning),
            finding("row-exists", Status::Failed, Severity::Error),
            finding("connect", Status::Ok, Severity::Error),
        ]);
        assert_eq!((verdict.rung, verdict.next.as_str()), (Some(Rung::Schema), "mend row-exists"));
    }

    #[test]
    fn a_stale_row_alone_means_that_no_one_updates_it() {
        let verdict = verdict(&[finding("row-fresh", Status::Failed, Severity::Warning)]);
        assert_eq!(
            (verdict.rung, verdict.text.as_str()),
            (Some(Rung::Beating), "no one is updating the heartbeat row")
        );
    }

    #[test]
    fn a_warning_of_an_earlier_rung_does_not_hide_that_no_one_updates_the_row() {
        let verdict = verdict(&[
            finding("table-primary-key", Status::Failed, Severity::Warning),
            finding("row-fresh", Status::Failed, Severity::Warning),
        ]);
        assert_eq!((verdict.rung, verdict.next.as_str()), (Some(Rung::Beating), "mend row-fresh"));
    }

    #[test]
    fn errors_and_deciding_warnings_are_problems_and_advice_is_not() {
        let findings = [
            finding("row-fresh", Status::Failed, Severity::Warning),
            finding("slot-exists", Status::Failed, Severity::Error),
            finding("heartbeat-interval", Status::Failed, Severity::Warning),
            finding("table-primary-key", Status::Failed, Severity::Warning),
            finding("slot-moves", Status::Unknown, Severity::Warning),
        ];
        let problems = problems(&findings, &registry::entries(&Drivers::built_in()));
        assert_eq!(problems.into_iter().collect::<Vec<_>>(), ["row-fresh", "slot-exists"]);
    }

    #[test]
    fn advice_and_unknown_results_leave_the_source_healthy_and_the_unknown_ones_are_counted() {
        let verdict = verdict(&[
            finding("connect", Status::Ok, Severity::Error),
            finding("heartbeat-interval", Status::Failed, Severity::Warning),
            finding("row-exists", Status::Unknown, Severity::Error),
        ]);
        assert_eq!(verdict.rung, None);
        assert!(verdict.text.contains("one check could not run"));
    }
}

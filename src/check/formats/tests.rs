use insta::assert_snapshot;

use super::{groups, render as rendered_as};
use crate::check::registry::{self, Entry};
use crate::check::report::{FailOn, Format, Location, Outcome, Report, TargetReport};
use crate::drivers::Drivers;
use crate::finding::{Finding, Severity};

const ALL: [Format; 6] = [Format::Text, Format::Json, Format::Junit, Format::Sarif, Format::Github, Format::Markdown];

fn entries() -> Vec<Entry> {
    registry::entries(&Drivers::built_in())
}

fn check(id: &str) -> crate::finding::Check {
    registry::find(&Drivers::built_in(), id).unwrap().check
}

fn target(name: &str, line: usize, findings: Vec<Finding>) -> TargetReport {
    let address = format!("postgres://hb@{}.example/orders", name.split(' ').next().unwrap_or_default());
    let mut report = TargetReport::new(name, "postgres", address, findings, &entries(), |_| true);
    // The tests of the decision tree cover its words.
    report.verdict.text = format!("stopped at {:?}", report.verdict.rung);
    report.located(Some(Location { file: "config/heartbeatd.toml".to_owned(), line }))
}

fn report(targets: Vec<TargetReport>) -> Report {
    let taken_at = "2026-11-29T03:00:00.000Z".to_owned();
    Report { targets, unfinished: Vec::new(), taken_at, fail_on: FailOn::Error }
}

fn reached() -> Finding {
    check("connect").ok("source", "reached")
}

fn stale() -> Finding {
    check("row-fresh")
        .failed_as(Severity::Warning, "streamkap.streamkap_heartbeat", "3 days old")
        .expected("younger than 2m 10s")
        .remedy("start heartbeatd on this target, or look at its /health")
}

fn missing_table(name: &str) -> Finding {
    let remedy = format!("heartbeatd provision --target {name}\n-- or, as owner:\nCREATE TABLE t (id int);");
    check("table-exists").failed("streamkap.streamkap_heartbeat", "there is no table of that name").remedy(remedy)
}

/// Names that have a meaning in XML, JSON, Markdown, GitHub's commands, or on a terminal.
fn hostile() -> Report {
    let name = "]]>&lt;b \"x\"|`![i](http://evil) ::error::no @team";
    let hostile = check("table-exists")
        .failed("a|b\n::error::injected", "quoted \"<i>\" 100%\u{1b}[31m & ]]> \u{202e} {0} [a](1)")
        .expected("```")
        .remedy("SELECT '```', '%0A';\n::error::injected -- <b>@team</b>");
    let mut target = target(name, 7, vec![reached(), hostile, stale()]);
    target.location = Some(Location { file: "a,b: c/ü#?.toml".to_owned(), line: 7 });
    report(vec![target])
}

fn healthy() -> Report {
    report(vec![target("orders", 3, vec![reached(), check("table-exists").ok("t", "a table")])])
}

fn unreachable() -> Report {
    let refused = check("connect")
        .failed("source", "connection refused [connection, network]")
        .remedy("is the server up, and is the address right?");
    let unknown = ["table-exists", "row-exists", "row-fresh"];
    let unknown = unknown.map(|id| check(id).unknown("source", "the source was not reached"));
    let mut report = report(vec![target("orders", 3, [vec![refused], unknown.to_vec()].concat())]);
    report.targets.push(target("invoices", 9, vec![reached(), stale()]));
    report
}

/// Five hundred targets: all lack the table, ten are also stale, each with its own name and numbers.
fn fleet() -> Report {
    let targets = (0..500).map(|number| {
        let name = format!("orders-{number:03}");
        let mut findings = vec![reached(), missing_table(&name)];
        if number % 50 == 7 {
            let observed = format!("{number} hours old");
            findings
                .push(check("row-fresh").failed_as(Severity::Warning, "row 1", observed).expected("younger than 2m"));
        }
        target(&name, 3 + 4 * number, findings)
    });
    report(targets.collect())
}

fn render(report: &Report, format: Format) -> String {
    let rendered = rendered_as(report, format, &entries(), false);
    let plain = anstream::adapter::strip_str(&rendered).to_string();
    // The only value that changes with a release.
    let mut plain = plain.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"[VERSION]\"");
    if format == Format::Sarif {
        // The pages of the checks have their own tests.
        for entry in entries() {
            let page = serde_json::to_string(&registry::page(&entry)).unwrap();
            plain = plain.replace(&page, "\"[PAGE]\"");
            plain = plain.replace(entry.check.meaning, "[MEANING]").replace(entry.check.title, "[TITLE]");
        }
        let family = |line: &&str| {
            Drivers::built_in().families().all(|(family, _)| !line.trim().starts_with(&format!("\"{family}\"")))
        };
        plain = plain.lines().filter(family).collect::<Vec<_>>().join("\n");
    }
    plain
}

#[test]
fn hostile_names_are_shown_as_plain_text() {
    for format in ALL {
        assert_snapshot!(format!("hostile_{}", format.as_str()), render(&hostile(), format));
    }
    let commands = render(&hostile(), Format::Github);
    assert_eq!(commands.lines().filter(|line| line.starts_with("::error")).count(), 1, "{commands}");
}

#[test]
fn every_format_reports_that_nothing_was_found() {
    for format in ALL {
        assert_snapshot!(format!("healthy_{}", format.as_str()), render(&healthy(), format));
    }
}

#[test]
fn an_unreachable_target_is_one_finding_and_one_reason() {
    for format in ALL {
        assert_snapshot!(format!("unreachable_{}", format.as_str()), render(&unreachable(), format));
    }
}

#[test]
fn five_hundred_targets_with_the_same_finding_are_one_paragraph_for_people() {
    for format in [Format::Text, Format::Github, Format::Markdown] {
        let rendered = render(&fleet(), format);
        assert_snapshot!(format!("fleet_{}", format.as_str()), shortened(&rendered));
    }
    for format in [Format::Text, Format::Github] {
        let lines = render(&fleet(), format).lines().count();
        assert!(lines < 30, "{}: {lines} lines", format.as_str());
    }
    // The formats for programs list each target separately.
    for (format, each) in
        [(Format::Json, "\"address\""), (Format::Junit, "<testsuite "), (Format::Sarif, "table-exists\",")]
    {
        assert!(render(&fleet(), format).matches(each).count() >= 500, "{}", format.as_str());
    }
}

/// The table of the targets in Markdown, reduced to its ends.
fn shortened(text: &str) -> String {
    let (mut rows, mut out) = (0, String::new());
    for line in text.lines() {
        rows += usize::from(line.starts_with("| orders"));
        if !line.starts_with("| orders") || rows <= 12 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[test]
fn a_quiet_report_says_only_what_needs_attention() {
    let mut report = unreachable();
    report.targets.push(healthy().targets.remove(0));
    report.targets[2].name = "quiet".to_owned();
    for format in [Format::Text, Format::Markdown] {
        let rendered = anstream::adapter::strip_str(&rendered_as(&report, format, &entries(), true)).to_string();
        assert!(!rendered.contains("quiet") && rendered.contains("invoices"), "{rendered}");
        assert!(!rendered.contains("\n  ok"), "{rendered}");
    }
    let healthy = healthy();
    assert_eq!(rendered_as(&healthy, Format::Text, &entries(), true).trim_end(), healthy.summary());
}

#[test]
fn only_what_affects_the_exit_code_is_red() {
    let mut report = unreachable();
    let red = |report: &Report| {
        let text = render(report, Format::Junit);
        let cases = text.lines().filter(|line| line.contains("<failure") || line.contains("<error"));
        let annotations = render(report, Format::Github);
        let annotations = annotations.lines().filter(|line| line.starts_with("::error")).count();
        (cases.count(), annotations)
    };
    assert_eq!(red(&report), (1, 1));
    report.fail_on = FailOn::Warning;
    assert_eq!(red(&report), (2, 2));
    report.fail_on = FailOn::Unknown;
    // Three checks for one reason.
    assert_eq!(red(&report), (5, 3));
    report.targets.remove(0);
    report.fail_on = FailOn::Error;
    assert_eq!((report.outcome(), red(&report)), (Outcome::Passed, (0, 0)));
}

#[test]
fn the_summary_agrees_with_the_exit_code() {
    let mut report = unreachable();
    assert_eq!(report.summary(), "failed: 1 of 2 targets; 1 error, 1 warning, 0 info, 3 unknown (fails on errors)");
    report.targets.remove(0);
    assert_eq!(report.summary(), "passed: 1 target; 0 errors, 1 warning, 0 info, 0 unknown (fails on errors)");
    report.unfinished = vec!["invoices".to_owned(), "away".to_owned()];
    assert!(report.summary().starts_with("interrupted: 0 of 2 targets finished; "), "{}", report.summary());
}

#[test]
fn a_fingerprint_depends_only_on_target_check_and_subject() {
    let fingerprint = |report: &Report| {
        let log: serde_json::Value = serde_json::from_str(&render(report, Format::Sarif)).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap().clone();
        let of = |result: &serde_json::Value| {
            result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap().to_owned()
        };
        results.iter().map(of).collect::<Vec<_>>()
    };
    let mut report = report(vec![target("orders", 3, vec![stale(), stale()])]);
    let before = fingerprint(&report);
    assert_ne!(before[0], before[1], "the second of the same subject is another one");
    report.targets[0].location = None;
    report.targets[0].findings[0].observed = "4 days old".to_owned();
    assert_eq!(fingerprint(&report), before);
    report.targets[0].findings[0].subject = "another".to_owned();
    assert_ne!(fingerprint(&report)[0], before[0]);
}

#[test]
fn findings_form_one_group_if_they_differ_only_in_numbers_and_own_names() {
    let of = |name: &str, observed: &str| target(name, 1, vec![check("row-fresh").failed("row", observed)]);
    let same = report(vec![of("a", "a is 3 days old"), of("table-2", "table-2 is 14 days old"), of("c", "c is older")]);
    let groups = groups::group(&same, |_| true);
    let sizes: Vec<usize> = groups.iter().map(|group| group.targets.len()).collect();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn markdown_stays_below_what_a_step_summary_may_hold() {
    let targets = (0..2_000).map(|number| {
        let word = "abcdefghij".chars().cycle().skip(number % 10).take(400).collect::<String>();
        let observed = format!("{word}{}", ["x", "y", "z"][number % 3].repeat(1 + number / 3));
        target(&format!("t{number}"), 1, vec![check("row-fresh").failed("row", observed)])
    });
    let rendered = render(&report(targets.collect()), Format::Markdown);
    assert!(rendered.len() < 600 * 1024, "{} bytes", rendered.len());
    assert!(rendered.contains("Cut here: "), "it says so");
}

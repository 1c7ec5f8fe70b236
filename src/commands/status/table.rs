//! The table of `heartbeatd status`: one row per target, worst first, cut to the width of the terminal. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::commands::terminal::{Tone, toned};
use crate::plain_text::one_line;

/// Below this width the column of drivers would leave too little room for the reasons.
const WIDE: usize = 110;
/// The longest name of a target. A longer name is cut in the middle, because its ends identify it.
const NAME: usize = 40;
/// The narrowest table: enough for the first words of a reason. A narrower terminal cuts it off.
const NARROWEST: usize = 60;

/// The part of `/targets` that the table shows.
#[derive(Debug, Deserialize)]
pub(super) struct Targets {
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    driver: String,
    state: String,
    newest_change: Option<DateTime<Utc>>,
    next_beat: Option<DateTime<Utc>>,
    reasons: Vec<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    kind: String,
    message: String,
}

/// A state's place in the table, and its colour.
fn rank(target: &Target) -> (u8, Tone) {
    match (target.state.as_str(), target.reasons.is_empty()) {
        ("unhealthy", _) => (0, Tone::Bad),
        ("starting", _) => (1, Tone::Doubtful),
        ("healthy", false) => (2, Tone::Doubtful),
        ("healthy", true) => (3, Tone::Good),
        // Disabled, or a state of a later version.
        _ => (4, Tone::Doubtful),
    }
}

impl Targets {
    /// The summary: how many of the enabled targets are healthy.
    pub(super) fn summary(&self) -> String {
        let count = |state: &str| self.targets.iter().filter(|target| target.state == state).count();
        let disabled = count("disabled");
        let mut line = format!("{} of {} targets healthy", count("healthy"), self.targets.len() - disabled);
        if disabled > 0 {
            line.push_str(&format!(", {disabled} disabled"));
        }
        line
    }

    /// The header and one line per target, or as many as `height` lines hold, with the number of the remaining targets.
    pub(super) fn lines(&self, now: DateTime<Utc>, width: usize, height: Option<usize>) -> Vec<String> {
        let mut targets: Vec<&Target> = self.targets.iter().collect();
        targets.sort_by(|a, b| (rank(a).0, &a.name).cmp(&(rank(b).0, &b.name)));
        let columns = Columns::of(&targets, width.max(NARROWEST));
        let room = height.unwrap_or(usize::MAX).saturating_sub(1).max(1);
        let shown = if targets.len() <= room { targets.len() } else { room - 1 };
        let header = columns.line("STATE", "TARGET", "DRIVER", "CHANGED", "NEXT", "REASON");
        let mut lines = vec![header.trim_end().to_owned()];
        lines.extend(targets.iter().take(shown).map(|target| columns.row(target, now)));
        if shown < targets.len() {
            lines.push(format!("… and {} more", targets.len() - shown));
        }
        lines
    }
}

/// How wide the columns are.
struct Columns {
    name: usize,
    /// How many characters at the end of each name are left out.
    ending: usize,
    driver: usize,
    reason: usize,
}

impl Columns {
    fn of(targets: &[&Target], width: usize) -> Self {
        let longest = |text: fn(&Target) -> &str| targets.iter().map(|target| text(target).chars().count()).max();
        let (longest_name, room) = (longest(|target| &target.name).unwrap_or(0), NAME.min(width / 3));
        let ending = if longest_name > room { shared_ending(targets) } else { 0 };
        // A mark replaces the ending.
        let name = (longest_name - ending + ending.min(1)).clamp(6, room);
        let driver = if width >= WIDE { longest(|target| &target.driver).unwrap_or(0).max(6) + 2 } else { 0 };
        // State, changed and next with their spaces; the reason gets the remaining width.
        let reason = width.saturating_sub(9 + 2 + name + 2 + driver + 7 + 2 + 6 + 2);
        Self { name, ending, driver, reason }
    }

    fn row(&self, target: &Target, now: DateTime<Utc>) -> String {
        let reason = target.reasons.first();
        let reason = reason.map(|reason| format!("{}: {}", reason.kind, reason.message)).unwrap_or_default();
        let changed = target.newest_change.map_or_else(|| "never".to_owned(), |at| short(now - at));
        let next = target.next_beat.map_or_else(String::new, |at| short(at - now));
        let name = without_ending(&target.name, self.ending, self.name);
        let line = self.line(&target.state, &name, &target.driver, &changed, &next, &reason);
        let (state, rest) = line.split_at(line.char_indices().nth(9).map_or(line.len(), |(at, _)| at));
        format!("{}{}", toned(rank(target).1, state), rest.trim_end())
    }

    fn line(&self, state: &str, name: &str, driver: &str, changed: &str, next: &str, reason: &str) -> String {
        let (state, reason) = (cut(state, 9), cut(reason, self.reason));
        let driver = if self.driver == 0 { String::new() } else { cut(driver, self.driver - 2) };
        let (name_width, driver_width) = (self.name, self.driver);
        format!("{state:<9}  {name:<name_width$}  {driver:<driver_width$}{changed:>7}  {next:>6}  {reason}")
    }
}

/// How many characters all names share at their end, starting at a dot or a slash: the domain of a fleet does not
/// distinguish its targets.
fn shared_ending(targets: &[&Target]) -> usize {
    let [first, rest @ ..] = targets else { return 0 };
    if rest.is_empty() {
        return 0;
    }
    let shared = rest.iter().fold(first.name.as_str(), |shared, target| {
        let both = shared.char_indices().rev().zip(target.name.chars().rev());
        let start = both.take_while(|((_, one), other)| one == other).last().map_or(shared.len(), |((at, _), _)| at);
        &shared[start..]
    });
    shared.find(['.', '/']).map_or(0, |at| shared[at..].chars().count())
}

/// The name, with a mark in place of the shared ending; the rest begins with what distinguishes it.
fn without_ending(name: &str, ending: usize, most: usize) -> String {
    if ending == 0 {
        return cut_in_the_middle(name, most);
    }
    let left = name.chars().count().saturating_sub(ending);
    cut(&name.chars().take(left).chain(['…']).collect::<String>(), most)
}

/// A time in one unit, as `12s` or `3h`; never negative.
fn short(time: TimeDelta) -> String {
    let seconds = time.to_std().unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// At most this many characters of a line; the last one is a mark if the line was longer.
fn cut(text: &str, most: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(Some('…').filter(|_| most > 0)).collect()
}

fn cut_in_the_middle(text: &str, most: usize) -> String {
    let text = one_line(text);
    let count = text.chars().count();
    if count <= most {
        return text;
    }
    let (head, tail) = ((most - 1) / 2, most / 2);
    text.chars().take(head).chain(Some('…')).chain(text.chars().skip(count - tail)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-29T10:00:00Z".parse().unwrap()
    }

    fn target(name: &str, state: &str, reason: Option<&str>) -> serde_json::Value {
        let reasons: Vec<_> = reason.iter().map(|message| json!({"kind": "network", "message": message})).collect();
        json!({
            "name": name, "driver": "postgres", "state": state, "since": null, "reasons": reasons,
            "newest_change": "2026-11-29T09:59:48.500Z", "next_beat": "2026-11-29T10:00:40Z",
        })
    }

    fn shown(targets: &[serde_json::Value], width: usize, height: Option<usize>) -> Vec<String> {
        let document: Targets = serde_json::from_value(json!({ "targets": targets })).unwrap();
        let lines = document.lines(now(), width, height);
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn the_worst_target_is_first_and_its_reason_uses_the_remaining_width() {
        let reason = "cannot reach orders-a.example.com:5432: connection refused (os error 111), tried 7 times";
        let targets = [
            target("archive", "disabled", None),
            target("billing", "healthy", None),
            target("catalogue", "healthy", Some("the replica does not answer")),
            target("orders", "unhealthy", Some(reason)),
            target("the-one-with-a-very-long-name.eu-central-1.example.com/warehouse", "starting", None),
        ];
        insta::assert_snapshot!(shown(&targets, 80, None).join("\n"), @r"
        STATE      TARGET                      CHANGED    NEXT  REASON
        unhealthy  orders                          11s     40s  network: cannot reach o…
        starting   the-one-with…com/warehouse      11s     40s
        healthy    catalogue                       11s     40s  network: the replica do…
        healthy    billing                         11s     40s
        disabled   archive                         11s     40s
        ");
        insta::assert_snapshot!(shown(&targets, 160, None).join("\n"), @r"
        STATE      TARGET                                    DRIVER    CHANGED    NEXT  REASON
        unhealthy  orders                                    postgres      11s     40s  network: cannot reach orders-a.example.com:5432: connection refused (os error 1…
        starting   the-one-with-a-very…xample.com/warehouse  postgres      11s     40s
        healthy    catalogue                                 postgres      11s     40s  network: the replica does not answer
        healthy    billing                                   postgres      11s     40s
        disabled   archive                                   postgres      11s     40s
        ");
    }

    #[test]
    fn a_domain_that_all_names_share_is_left_out() {
        let fleet = ["billing-0684.us-east-1", "customer-data-0311.ap-south-1", "customer-data-0611.ap-south-1"];
        let targets: Vec<_> = fleet
            .iter()
            .map(|name| target(&format!("{name}.db.example.internal/orders"), "unhealthy", Some("refused")))
            .collect();
        insta::assert_snapshot!(shown(&targets, 80, None).join("\n"), @r"
        STATE      TARGET                      CHANGED    NEXT  REASON
        unhealthy  billing-0684.us-east-1…         11s     40s  network: refused
        unhealthy  customer-data-0311.ap-sou…      11s     40s  network: refused
        unhealthy  customer-data-0611.ap-sou…      11s     40s  network: refused
        ");
        insta::assert_snapshot!(shown(&targets, 160, None).join("\n"), @r"
        STATE      TARGET                          DRIVER    CHANGED    NEXT  REASON
        unhealthy  billing-0684.us-east-1…         postgres      11s     40s  network: refused
        unhealthy  customer-data-0311.ap-south-1…  postgres      11s     40s  network: refused
        unhealthy  customer-data-0611.ap-south-1…  postgres      11s     40s  network: refused
        ");
        // One target, and names that share nothing or all but a letter.
        assert!(shown(&targets[..1], 80, None)[1].contains("billing-0684…ternal/orders"));
        let alike = ["a", "b"].map(|name| target(&format!("{name}{}", ".x".repeat(60)), "healthy", None));
        assert!(shown(&alike, 80, None)[1].starts_with("healthy    a…  "), "{:?}", shown(&alike, 80, None));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_what_does_not_fit_below_is_counted() {
        let long = "x".repeat(400);
        let targets: Vec<_> = (0..1_000)
            .map(|number| {
                target(&format!("{number}-{long}"), if number == 7 { "unhealthy" } else { "healthy" }, Some(&long))
            })
            .collect();
        for width in [60, 80, 109, 110, 160, 300] {
            let lines = shown(&targets, width, Some(24));
            assert_eq!(lines.len(), 24);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            assert!(lines[1].starts_with("unhealthy  7-x"), "{}", lines[1]);
            assert_eq!(lines[23], "… and 978 more");
        }
    }

    #[test]
    fn text_from_a_server_cannot_move_the_cursor() {
        let lines = shown(&[target("a", "unhealthy", Some("\u{1b}[2Jgone\r\nhealthy"))], 80, None);
        assert!(lines[1].ends_with("network:  [2Jgone  healthy"), "{lines:?}");
    }
}

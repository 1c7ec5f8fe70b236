//! The status page: one HTML document that loads nothing, runs nothing, and shows the worst first. maud escapes every value
//! from servers and configurations.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::summary::{Summary, overall, summaries};
use crate::status::board::Board;
use crate::status::health::{Reason, State};
use crate::time::clock::Moment;

const STYLE: &str = include_str!("page.css");

/// How often a browser reloads the page.
const REFRESH_SECONDS: u32 = 10;

/// The page at this moment.
pub(super) fn render(board: &Board, now: Moment) -> String {
    let mut summaries = summaries(board, now);
    summaries.sort_by_key(|summary| (rank(summary.state()), summary.health.reasons.is_empty()));
    let reload_error = board.process().reload_error.clone();
    let verdict = verdict(&summaries);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content=(REFRESH_SECONDS);
                title { (verdict) " · heartbeatd" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 class=(class_of_all(&summaries)) { (verdict) }
                @if let Some((since, error)) = &reload_error {
                    p.banner { "The last reload failed; the earlier configuration stays in force: " (error) " (" (ago(*since, now)) ")" }
                }
                @if summaries.is_empty() { p { "No targets are configured." } }
                @else { (table(&summaries, now)) }
                footer {
                    "heartbeatd " (env!("CARGO_PKG_VERSION")) ", started " (ago(board.started(), now))
                    ". This page is from " (clock_time(now)) " and reloads every " (REFRESH_SECONDS) " s. For programs: "
                    a href="health" { "health" } ", " a href="targets" { "targets" } ", " a href="metrics" { "metrics" } "."
                }
            }
        }
    }
    .into_string()
}

fn table(summaries: &[Summary], now: Moment) -> Markup {
    html! {
        table {
            thead { tr { th { "State" } th { "Target" } th { "Newest change" } th { "Next beat" } th { "What is wrong" } } }
            tbody { @for summary in summaries { (row(summary, now)) } }
        }
    }
}

fn row(summary: &Summary, now: Moment) -> Markup {
    let target = &summary.target;
    let path = format!("targets/{}", utf8_percent_encode(&target.name, NON_ALPHANUMERIC));
    html! {
        tr {
            td {
                span class={ "state " (class_of(summary)) } { (summary.state().as_str()) }
                @match summary.health.problems() {
                    0 => {}
                    1 => { small { "with 1 problem" } }
                    count => { small { "with " (count) " problems" } }
                }
            }
            td { a href=(path) { (target.name) } small { (target.endpoint.url) } small { (target.schedule) } }
            td {
                @match summary.newest_change {
                    Some(change) => { (ago(change.at, now)) @if !change.ours { small { "by another writer" } } }
                    None if !target.enabled => { "–" }
                    None => { "none yet" }
                }
            }
            td { @if let Some(due) = summary.next_due { (ahead(due, now)) } @else { "–" } }
            td {
                @for reason in &summary.health.reasons { (reason_text(reason, now)) }
                @for notice in summary.notices.values() {
                    p.notice { "Notice: " (notice.message) " " span.since { "for " (lasting(notice.since, now)) } }
                }
            }
        }
    }
}

fn reason_text(reason: &Reason, now: Moment) -> Markup {
    html! {
        div.reason {
            p {
                @if let Some(replica) = &reason.replica { "Replica " b { (replica) } ": " }
                (reason.message)
                @if let Some(code) = &reason.code { " (" code { (code) } ")" }
            }
            @if let Some(remedy) = &reason.remedy { p.remedy { b { "Do: " } (remedy) } }
            p.since {
                @if let Some(class) = reason.class { (class) " / " } (reason.kind) ", for " (lasting(reason.since, now))
            }
        }
    }
}

/// A target's colour: healthy is green only without problems.
fn class_of(summary: &Summary) -> &'static str {
    if summary.health.problems() > 0 { "problems" } else { summary.state().as_str() }
}

fn class_of_all(summaries: &[Summary]) -> &'static str {
    let state = overall(summaries);
    let problems = summaries.iter().any(|summary| summary.health.problems() > 0);
    if state == State::Healthy && problems { "problems" } else { state.as_str() }
}

/// The worst state in one line, which is also the title of the browser's tab.
fn verdict(summaries: &[Summary]) -> String {
    let count = |state| summaries.iter().filter(|summary| summary.state() == state).count();
    let enabled = summaries.len() - count(State::Disabled);
    match (count(State::Unhealthy), count(State::Starting)) {
        (0, 0) if enabled == 0 => "no target is enabled".to_owned(),
        (0, 0) => match summaries.iter().filter(|summary| summary.health.problems() > 0).count() {
            0 => format!("all {enabled} healthy"),
            some => format!("all {enabled} healthy, {some} with problems"),
        },
        (0, starting) => format!("{starting} of {enabled} starting"),
        (unhealthy, _) => format!("{unhealthy} of {enabled} unhealthy"),
    }
}

fn rank(state: State) -> u8 {
    match state {
        State::Unhealthy => 0,
        State::Starting => 1,
        State::Healthy => 2,
        State::Disabled => 3,
    }
}

fn ago(at: Moment, now: Moment) -> Markup {
    html! { (lasting(at, now)) " ago" }
}

/// The time since `at`; pointing at it shows the moment.
fn lasting(at: Moment, now: Moment) -> Markup {
    html! { time datetime=(at.to_rfc3339()) title=(clock_time(at)) { (whole_seconds(now.age_of(at))) } }
}

fn ahead(at: Moment, now: Moment) -> Markup {
    let left = at.mono.saturating_duration_since(now.mono);
    html! { time datetime=(at.to_rfc3339()) title=(clock_time(at)) { "in " (whole_seconds(left)) } }
}

fn whole_seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

fn clock_time(at: Moment) -> String {
    DateTime::<Utc>::from(at.wall).to_rfc3339_opts(SecondsFormat::Secs, true).replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{add, beat, empty_board, fail, full_board, replica, serve};
    use super::*;
    use crate::heartbeat::{ErrorKind, Failure};

    #[tokio::test(start_paused = true)]
    async fn the_page_matches_its_snapshot_and_may_load_nothing() {
        let board = full_board().await;
        board.process().reload_error = Some((board.started(), "heartbeatd.toml:3: unknown key".to_owned()));
        let answer = serve(&board).await.get("/").await;
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-security-policy: default-src 'none'; style-src 'unsafe-inline'"));
        assert!(answer.head.contains("content-type: text/html; charset=utf-8"));
        let shown = answer.body.replace(STYLE, "").replace(env!("CARGO_PKG_VERSION"), "VERSION").replace("><", ">\n<");
        insta::assert_snapshot!("page", shown);
    }

    #[tokio::test(start_paused = true)]
    async fn text_from_servers_and_names_is_shown_as_plain_text() {
        const HOSTILE: &str = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>";
        let board = empty_board();
        let now = board.clock().now();
        let cell = add(&board, HOSTILE, |target| target.replicas = vec![replica("replica", true)]);
        let failure = || Failure::new(ErrorKind::Unknown, HOSTILE).with_code(HOSTILE).with_remedy(HOSTILE);
        fail(&cell, failure(), now);
        cell.lock().notice("clock", Some(HOSTILE.to_owned()), now);
        board.process().reload_error = Some((now, HOSTILE.to_owned()));
        let page = render(&board, now);
        assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;&lt;img").count(), 6, "{page}");
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(page.contains("href=\"targets/%3Cscript%3E"), "{page}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_title_shows_the_worst_state() {
        let board = empty_board();
        let title = |board: &Board| {
            let page = render(board, board.clock().now());
            page.split_once("<title>").unwrap().1.split_once(" · ").unwrap().0.to_owned()
        };
        add(&board, "archive", |target| target.enabled = false);
        assert_eq!(title(&board), "no target is enabled");
        let first = add(&board, "orders", |_| {});
        assert_eq!(title(&board), "1 of 1 starting");
        beat(&first, board.clock().now());
        assert_eq!(title(&board), "all 1 healthy");
        first.lock().notice(crate::status::board::SPLIT_BRAIN, Some("two".to_owned()), board.clock().now());
        assert_eq!(title(&board), "all 1 healthy, 1 with problems");
        let page = render(&board, board.clock().now());
        assert!(page.contains("<h1 class=\"problems\">") && page.contains("<small>with 1 problem</small>"), "{page}");
        first.lock().notice(crate::status::board::SPLIT_BRAIN, None, board.clock().now());
        tokio::time::advance(super::super::fixtures::OVERDUE * 2).await;
        beat(&add(&board, "billing", |_| {}), board.clock().now());
        assert_eq!(title(&board), "1 of 2 unhealthy");
        let page = render(&board, board.clock().now());
        assert!(page.find(">orders<") < page.find(">billing<"), "the worst is first");
    }
}

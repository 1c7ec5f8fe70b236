//! `heartbeatd status [--watch]`: a table of a running daemon's targets, read over HTTP, worst first.

mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{FAILED, USAGE};
use super::settings::refuse;
use super::status_client::{Answer, StatusAddress, configured};
use super::terminal::{self, Screen, Tone, toned};
use crate::time::clock::{self, Clock};
use table::Targets;

/// How often the live table is redrawn.
const EVERY: Duration = Duration::from_secs(2);
/// The width for a pipe, which has none of its own.
const PIPE_WIDTH: usize = 160;

/// Prints the table once, or redraws it until it is interrupted.
pub async fn status(address: Option<&str>, config: Option<PathBuf>, watch: bool) -> ExitCode {
    let address = match StatusAddress::parse(address, "/targets", || configured(config)) {
        Ok(address) => address,
        Err(error) => return refuse(&error),
    };
    if watch {
        return watch_targets(&address).await;
    }
    match ask(&address).await {
        Ok((targets, now)) => {
            let width = terminal::size().map_or(PIPE_WIDTH, |(width, _)| width);
            targets.lines(now, width, None).iter().for_each(|line| terminal::plain(line));
            terminal::plain(&targets.summary());
            ExitCode::SUCCESS
        }
        Err(message) => {
            terminal::error(&message);
            ExitCode::from(FAILED)
        }
    }
}

async fn watch_targets(address: &StatusAddress) -> ExitCode {
    let (Some(mut screen), Ok(mut terminate)) = (Screen::take(), signal(SignalKind::terminate())) else {
        terminal::error("--watch requires a terminal, and standard output is not one: remove --watch");
        return ExitCode::from(USAGE);
    };
    // One for the whole run: creating it in each turn would miss a signal between two turns.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut last: Option<Targets> = None;
    loop {
        let now = Clock::system().now();
        tokio::select! {
            biased;
            _ = &mut interrupted => break,
            _ = terminate.recv() => break,
            answer = ask(address) => {
                let (width, height) = terminal::size().unwrap_or((80, 24));
                let (heading, at) = match answer {
                    Ok((targets, at)) => {
                        let heading = format!("{}  {}  {}", targets.summary(), address, at.format("%H:%M:%S"));
                        last = Some(targets);
                        (heading, at)
                    }
                    Err(message) => (toned(Tone::Bad, &message), now.wall.into()),
                };
                let mut lines = vec![heading, String::new()];
                // The last line holds the hint.
                let room = height.saturating_sub(lines.len() + 1);
                lines.extend(last.iter().flat_map(|targets| targets.lines(at, width, Some(room))));
                lines.resize(height.saturating_sub(1), String::new());
                lines.push("Ctrl-C ends".to_owned());
                if !screen.draw(&lines) {
                    break;
                }
            }
        }
        tokio::select! {
            biased;
            _ = &mut interrupted => break,
            _ = terminate.recv() => break,
            () = clock::sleep_until(now.plus(EVERY).mono) => {}
        }
    }
    ExitCode::SUCCESS
}

/// The targets, and the daemon's clock.
async fn ask(address: &StatusAddress) -> Result<(Targets, DateTime<Utc>), String> {
    let Answer { document, date, .. } = address.ask().await?;
    let targets = serde_json::from_value(document)
        .map_err(|_| format!("{address} did not answer as /targets of heartbeatd does: check the address"))?;
    let date = date.and_then(|date| DateTime::parse_from_rfc2822(&date).ok()).map(DateTime::<Utc>::from);
    Ok((targets, date.unwrap_or_else(|| Clock::system().now().wall.into())))
}

//! `heartbeatd beat`: writes one beat per target and prints the results. Never runs DDL.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::exit::FAILED;
use super::terminal::{self, Tone};
use crate::config::Settings;
use crate::driver::opening::{TargetContext, application_name};
use crate::driver::timelines::Timelines;
use crate::drivers::Drivers;
use crate::heartbeat::{BeatOutcome, ErrorKind, Failure};
use crate::panics;
use crate::scheduler::connection::{BeatAnswer, Connection};
use crate::scheduler::row_tracker::RowTracker;
use crate::target::{ProvisionMode, Target};
use crate::time::clock::Clock;
use crate::time::ticks::Ticks;

/// Writes one beat per target, all at once. The exit code is 0 if none failed.
pub async fn beat(settings: &Settings, targets: Vec<Target>) -> ExitCode {
    let width = targets.iter().map(|target| target.name.chars().count()).max().unwrap_or(0);
    let beats = targets.into_iter().map(|target| beat_once(target, &settings.instance));
    let mut code = ExitCode::SUCCESS;
    for (target, result) in join_all(beats).await {
        match result {
            Ok(beat) => show(&target, width, &beat),
            Err(failure) => {
                terminal::failure(&target.name, width, &failure);
                code = ExitCode::from(FAILED);
            }
        }
    }
    code
}

/// A beat that did not fail.
struct Done {
    answer: BeatAnswer,
    address: String,
    took: Duration,
}

async fn beat_once(mut target: Target, instance: &str) -> (Target, Result<Done, Failure>) {
    target.provision = ProvisionMode::Never;
    let clock = Clock::system();
    let asked = clock.now();
    let driver = match Drivers::built_in().get(target.endpoint.url.family()) {
        Ok(driver) => driver,
        Err(error) => {
            let failure = Failure::new(ErrorKind::Internal, error.to_string()).with_source(error);
            return (target, Err(failure));
        }
    };
    let ticks = Ticks::new(&target.schedule, &target.name, asked);
    let writing = RowTracker::default().writing(target.write, ticks.period_at(asked));
    let application_name = application_name(instance);
    let context = TargetContext { target: Arc::new(target.clone()), driver, application_name };
    let mut connection = Connection::new(context, Timelines::default());
    let result = panics::caught(async {
        let answer = connection.beat(writing, false, asked.plus(target.timeout).mono).await;
        let took = clock.now().mono.saturating_duration_since(asked.mono);
        let address = connection.server().map(|server| server.address.clone()).unwrap_or_default();
        connection.close().await;
        Ok(Done { answer: answer?, address, took })
    })
    .await;
    (target, result)
}

fn show(target: &Target, width: usize, Done { answer, address, took }: &Done) {
    let value = answer.beat.value.map_or_else(|| "NULL".to_owned(), crate::heartbeat::Stamp::to_rfc3339);
    let tone = match answer.beat.outcome {
        BeatOutcome::Written | BeatOutcome::Fresh => Tone::Good,
        BeatOutcome::Watched => Tone::Doubtful,
    };
    let rest = format!("last_update {value} on {address}, {:.1} ms", took.as_secs_f64() * 1_000.0);
    terminal::line(&target.name, width, tone, answer.beat.outcome.as_str(), &rest);
}

//! `heartbeatd check`: looks at every target as a connector would need it. Never writes, never runs DDL. Exit code 0 if
//! nothing is at or above the level asked for, 1 if something is, 2 for usage, 130 when interrupted.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::exit::{FAILED, USAGE};
use super::settings::{load, refuse};
use super::terminal;
use crate::bounded_read::{self, Accept, Bounds, ReadError};
use crate::check::registry::{self, Entry};
use crate::check::report::{Report, TargetReport, json, text};
use crate::check::saved::{SavedCase, SavedFacts, SavedTarget};
use crate::check::{configuration, runner};
use crate::cli::{CheckArgs, ReportFormat};
use crate::config::{Purpose, Settings};
use crate::driver::Driver;
use crate::driver::opening::{TargetContext, application_name};
use crate::drivers::Drivers;
use crate::finding::{Finding, Inspection};
use crate::panics;
use crate::target::Target;
use crate::time::clock::{self, Clock, Moment};

/// As a shell tells it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// Targets looked at together: enough that a hundred take as long as the slowest, and no more files than a shell allows.
const TOGETHER: usize = 256;

/// Saved facts: far more than thousands of targets have, and for a pipe as long as a look at them may take elsewhere.
const FACTS: Bounds =
    Bounds { bytes: 256 * 1024 * 1024, within: Duration::from_secs(10 * 60), accept: Accept::FilesAndPipes };

/// One target with all that was seen of it.
struct Examined {
    target: Arc<Target>,
    now: Option<Inspection>,
    earlier: Option<Inspection>,
}

/// Runs the command.
pub async fn check(args: &CheckArgs) -> ExitCode {
    match examine_and_report(args).await {
        Ok(code) => code,
        Err(message) => {
            terminal::error(&message);
            ExitCode::from(USAGE)
        }
    }
}

async fn examine_and_report(args: &CheckArgs) -> Result<ExitCode, String> {
    let drivers = Drivers::built_in();
    for id in args.only.iter().chain(&args.skip) {
        registry::find(&drivers, id)?;
    }
    let clock = Clock::system();
    let started = clock.now();
    let (examined, unfinished) = match &args.from_facts {
        Some(file) => (read_facts(file, &drivers)?, Vec::new()),
        None => {
            let settings = match load(&args.sources, Purpose::Command) {
                Ok(settings) => settings,
                Err(error) => return Ok(refuse(&error)),
            };
            terminal::warnings(&settings.warnings);
            let targets = select(&settings, args.target.as_deref())?;
            if args.offline {
                let offline = |target| Examined { target: Arc::new(target), now: None, earlier: None };
                (targets.into_iter().map(offline).collect(), Vec::new())
            } else {
                examine(targets, &drivers, &settings.instance, args, &clock).await
            }
        }
    };
    if let Some(file) = &args.save_facts {
        save_facts(file, &examined)?;
    }
    let report = judge(examined, unfinished, &drivers, args, started);
    write(&report, args, started)?;
    Ok(match (report.unfinished.is_empty(), report.fails(args.fail_on)) {
        (false, _) => ExitCode::from(INTERRUPTED),
        (true, true) => ExitCode::from(FAILED),
        (true, false) => ExitCode::SUCCESS,
    })
}

fn select(settings: &Settings, name: Option<&str>) -> Result<Vec<Target>, String> {
    let wanted = |target: &&Target| name.map_or(target.enabled, |name| target.name == name);
    let targets: Vec<Target> = settings.targets.iter().filter(wanted).cloned().collect();
    if targets.is_empty() {
        return Err(match name {
            Some(name) => format!("there is no target \"{name}\""),
            None => "every target is disabled".to_owned(),
        });
    }
    Ok(targets)
}

/// Looks at all targets; the names of those that an interrupt left out come with them.
async fn examine(
    targets: Vec<Target>,
    drivers: &Drivers,
    instance: &str,
    args: &CheckArgs,
    clock: &Clock,
) -> (Vec<Examined>, Vec<String>) {
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let application_name = application_name(instance);
    let mut waiting = targets.into_iter().enumerate();
    let mut running = FuturesUnordered::new();
    let mut done: Vec<(usize, Examined)> = Vec::new();
    let begin = |(index, target)| {
        let application_name = Arc::clone(&application_name);
        async move { (index, examine_one(target, drivers, application_name, args, clock).await) }
    };
    running.extend(waiting.by_ref().take(TOGETHER).map(begin));
    // One for the whole run: a new one in each turn would miss what comes between two turns.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut progress = Progress::new(names.len());
    loop {
        tokio::select! {
            biased;
            _ = &mut interrupted => break,
            next = running.next() => match next {
                Some(examined) => {
                    done.push(examined);
                    progress.show(done.len());
                    running.extend(waiting.next().map(begin));
                }
                None => break,
            }
        }
    }
    progress.clear();
    done.sort_by_key(|(index, _)| *index);
    let unfinished = names.iter().enumerate().filter(|(index, _)| !done.iter().any(|(known, _)| known == index));
    let unfinished = unfinished.map(|(_, name)| name.clone()).collect();
    (done.into_iter().map(|(_, examined)| examined).collect(), unfinished)
}

async fn examine_one(
    target: Target,
    drivers: &Drivers,
    application_name: Arc<str>,
    args: &CheckArgs,
    clock: &Clock,
) -> Examined {
    let target = Arc::new(target);
    let timeout = args.timeout.unwrap_or(target.timeout);
    let Ok(driver) = drivers.get(target.endpoint.url.family()) else {
        // The configuration was loaded with the same drivers: it refuses such an address.
        return Examined { target, now: None, earlier: None };
    };
    let context = TargetContext { target: Arc::clone(&target), driver, application_name };
    let mut now = runner::inspect(&context, clock, timeout).await;
    let mut earlier = None;
    if let Some(wait) = args.wait {
        clock::sleep_until(clock.now().plus(wait).mono).await;
        let later = runner::inspect(&context, clock, timeout).await;
        earlier = Some(std::mem::replace(&mut now, later));
    }
    Examined { target, now: Some(now), earlier }
}

fn judge(
    examined: Vec<Examined>,
    unfinished: Vec<String>,
    drivers: &Drivers,
    args: &CheckArgs,
    started: Moment,
) -> Report {
    let entries = registry::entries(drivers);
    let keep = |id: &str| {
        (args.only.is_empty() || args.only.iter().any(|only| only == id)) && !args.skip.iter().any(|skip| skip == id)
    };
    let targets = examined.into_iter().filter_map(|examined| {
        let driver = drivers.get(examined.target.endpoint.url.family()).ok()?;
        let findings = findings_of(&examined, &driver, started);
        Some(report_of(&examined.target, findings, &entries, keep))
    });
    Report { targets: targets.collect(), unfinished }
}

fn findings_of(examined: &Examined, driver: &Arc<dyn Driver>, started: Moment) -> Vec<Finding> {
    let Examined { target, now, earlier } = examined;
    match now {
        Some(now) => {
            let judged = panics::caught_now(|| runner::judge(target, driver.as_ref(), now, earlier.as_ref()));
            judged.unwrap_or_else(|failure| vec![runner::could_not_judge(&failure)])
        }
        None => configuration::judge_offline(target, driver.as_ref(), started.wall_micros()),
    }
}

fn report_of(target: &Target, findings: Vec<Finding>, entries: &[Entry], keep: impl Fn(&str) -> bool) -> TargetReport {
    let address = target.endpoint.url.to_string();
    TargetReport::new(&target.name, target.driver(), address, findings, entries, keep)
}

fn write(report: &Report, args: &CheckArgs, started: Moment) -> Result<(), String> {
    let rendered = match args.format {
        ReportFormat::Text => text::render(report),
        ReportFormat::Json => json::render(report, &started.to_rfc3339()),
    };
    match &args.output {
        None => terminal::plain(&rendered),
        Some(file) => std::fs::write(file, anstream::adapter::strip_str(&rendered).to_string())
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?,
    }
    Ok(())
}

fn save_facts(file: &std::path::Path, examined: &[Examined]) -> Result<(), String> {
    let cases = examined.iter().filter_map(|examined| {
        Some(SavedCase {
            target: SavedTarget::from(examined.target.as_ref()),
            now: examined.now.clone()?,
            earlier: examined.earlier.clone(),
        })
    });
    let text = serde_json::to_string_pretty(&SavedFacts::new(cases.collect()))
        .map_err(|error| format!("the facts cannot be written down: {error}"))?;
    std::fs::write(file, text + "\n").map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn read_facts(file: &std::path::Path, drivers: &Drivers) -> Result<Vec<Examined>, String> {
    let standard_input = file == std::path::Path::new("-");
    let shown = if standard_input { "standard input".into() } else { file.to_string_lossy() };
    let content = if standard_input {
        bounded_read::read_standard_input(FACTS.bytes)
    } else {
        bounded_read::read_file_blocking(file, FACTS)
    };
    let content = content.map_err(|error| match error {
        // What this is about stands there already.
        ReadError::NotAFile(_) | ReadError::TooLarge(_) => format!("{shown}: {error}"),
        error => format!("cannot read {shown}: {error}"),
    })?;
    let text = String::from_utf8(content).map_err(|error| format!("{shown}: this is no facts file: {error}"))?;
    let saved = SavedFacts::parse(&text).map_err(|error| format!("{shown}: {error}"))?;
    let cases = saved.targets.into_iter().map(|case| {
        let target = case.target.restore(drivers).map_err(|error| format!("{shown}: {error}"))?;
        Ok(Examined { target: Arc::new(target), now: Some(case.now), earlier: case.earlier })
    });
    cases.collect()
}

/// A line that counts, on a terminal, while many targets are looked at.
struct Progress {
    all: usize,
    shown: bool,
}

impl Progress {
    fn new(all: usize) -> Self {
        let mut progress = Self { all, shown: all > 1 && std::io::stderr().is_terminal() };
        progress.show(0);
        progress
    }

    fn show(&mut self, done: usize) {
        if self.shown {
            self.write(&format!("\rchecked {done} of {} targets", self.all));
        }
    }

    fn clear(&mut self) {
        if self.shown {
            self.write("\r\u{1b}[2K");
        }
    }

    fn write(&mut self, text: &str) {
        let mut stderr = std::io::stderr();
        // A terminal that is gone wants no progress.
        self.shown = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).is_ok();
    }
}

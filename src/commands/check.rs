//! `heartbeatd check`: checks what the connector needs of every target. Never writes, never runs DDL. Exit code: 0 if
//! no finding is at or above the level of `--fail-on`, 1 if one is, 2 for usage, 130 if interrupted.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::exit::{FAILED, USAGE};
use super::reports;
use super::settings::{load, refuse};
use super::terminal;
use crate::bounded_read::{self, Accept, Bounds, ReadError};
use crate::check::registry::{self, Entry};
use crate::check::report::{Outcome, Report, TargetReport};
use crate::check::saved::{SavedCase, SavedFacts, SavedTarget};
use crate::check::{configuration, runner};
use crate::cli::CheckArgs;
use crate::config::{Origin, Purpose, Settings};
use crate::driver::Driver;
use crate::driver::opening::{TargetContext, application_name};
use crate::drivers::Drivers;
use crate::finding::{Finding, Inspection};
use crate::target::Target;
use crate::time::clock::{self, Clock, Moment};

/// As in a shell: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// How many targets to check at once. A hundred targets take as long as the slowest one, and the usual limit of open
/// files holds.
const TOGETHER: usize = 256;

/// Limits for saved facts: far above the size for thousands of targets, and for a pipe the time that a check elsewhere
/// may take.
const FACTS: Bounds =
    Bounds { bytes: 256 * 1024 * 1024, within: Duration::from_secs(10 * 60), accept: Accept::FilesAndPipes };

/// One target with its looks.
#[derive(Clone)]
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
    reports::one_standard_output(args)?;
    let drivers = Drivers::built_in();
    for id in args.only.iter().chain(&args.skip) {
        registry::find(&drivers, id)?;
    }
    let clock = Clock::system();
    let started = clock.now();
    let mut origins = BTreeMap::new();
    let (examined, unfinished) = match &args.from_facts {
        Some(file) => (read_facts(file, &drivers)?, Vec::new()),
        None => {
            let settings = match load(&args.sources, Purpose::Command) {
                Ok(settings) => settings,
                Err(error) => return Ok(refuse(&error)),
            };
            terminal::warnings(&settings.warnings);
            let targets = select(&settings, args.target.as_deref())?;
            origins = settings.origins;
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
    let entries = registry::entries(&drivers);
    let targets = judge(examined, &origins, &drivers, &entries, args, started);
    let report = Report { targets, unfinished, taken_at: started.to_rfc3339(), fail_on: args.fail_on };
    reports::write(&report, &entries, args)?;
    Ok(match report.outcome() {
        Outcome::Interrupted => ExitCode::from(INTERRUPTED),
        Outcome::Failed => ExitCode::from(FAILED),
        Outcome::Passed => ExitCode::SUCCESS,
    })
}

fn select(settings: &Settings, name: Option<&str>) -> Result<Vec<Target>, String> {
    let wanted = |target: &&Target| name.map_or(target.enabled, |name| target.name == name);
    let targets: Vec<Target> = settings.targets.iter().filter(wanted).cloned().collect();
    // A shard may have no target; that is no error.
    if targets.is_empty() && !(name.is_none() && settings.targets.is_empty()) {
        return Err(match name {
            Some(name) => format!("there is no target \"{name}\""),
            None => "every target is disabled".to_owned(),
        });
    }
    Ok(targets)
}

/// Checks all targets. Also returns the names of the targets that an interrupt left out.
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
    // With two looks: the result of the first, in case the second does not finish.
    let first_looks: RefCell<BTreeMap<usize, Examined>> = RefCell::default();
    let progress = RefCell::new(Progress::new(names.len()));
    let mut running = FuturesUnordered::new();
    let mut done: Vec<(usize, Examined)> = Vec::new();
    let begin = |(index, target)| {
        let application_name = Arc::clone(&application_name);
        let (first_looks, progress) = (&first_looks, &progress);
        let keep = move |first: &Examined| {
            first_looks.borrow_mut().insert(index, first.clone());
            progress.borrow_mut().looked_once();
        };
        async move { (index, examine_one(target, drivers, application_name, args, clock, keep).await) }
    };
    running.extend(waiting.by_ref().take(TOGETHER).map(begin));
    // One for the whole run: creating it in each turn would miss a signal between two turns.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            biased;
            _ = &mut interrupted => break,
            next = running.next() => match next {
                Some(examined) => {
                    done.push(examined);
                    progress.borrow_mut().checked();
                    running.extend(waiting.next().map(begin));
                }
                None => break,
            }
        }
    }
    progress.borrow_mut().clear();
    let mut examined = first_looks.take();
    let finished: BTreeSet<usize> = done.iter().map(|(index, _)| *index).collect();
    examined.extend(done);
    let unfinished = names.into_iter().enumerate().filter(|(index, _)| !finished.contains(index));
    (examined.into_values().collect(), unfinished.map(|(_, name)| name).collect())
}

async fn examine_one(
    target: Target,
    drivers: &Drivers,
    application_name: Arc<str>,
    args: &CheckArgs,
    clock: &Clock,
    keep_first: impl FnOnce(&Examined),
) -> Examined {
    let target = Arc::new(target);
    let timeout = args.timeout.unwrap_or(target.timeout);
    let Ok(driver) = drivers.get(target.endpoint.url.family()) else {
        // The configuration was loaded with the same drivers, so such an address was refused there.
        return Examined { target, now: None, earlier: None };
    };
    let context = TargetContext { target: Arc::clone(&target), driver, application_name };
    let mut now = runner::inspect(&context, clock, timeout).await;
    let mut earlier = None;
    if let Some(wait) = args.wait {
        keep_first(&Examined { target: Arc::clone(&target), now: Some(now.clone()), earlier: None });
        clock::sleep_until(clock.now().plus(wait).mono).await;
        let later = runner::inspect(&context, clock, timeout).await;
        earlier = Some(std::mem::replace(&mut now, later));
    }
    Examined { target, now: Some(now), earlier }
}

fn judge(
    examined: Vec<Examined>,
    origins: &BTreeMap<String, Origin>,
    drivers: &Drivers,
    entries: &[Entry],
    args: &CheckArgs,
    started: Moment,
) -> Vec<TargetReport> {
    let keep = |id: &str| {
        (args.only.is_empty() || args.only.iter().any(|only| only == id)) && !args.skip.iter().any(|skip| skip == id)
    };
    let targets = examined.into_iter().filter_map(|examined| {
        let target = &examined.target;
        let driver = drivers.get(target.endpoint.url.family()).ok()?;
        let findings = findings_of(&examined, &driver, started);
        let location = origins.get(&target.name).and_then(reports::location);
        let address = target.endpoint.url.to_string();
        let report = TargetReport::new(&target.name, target.driver(), address, findings, entries, keep);
        Some(report.located(location))
    });
    targets.collect()
}

fn findings_of(examined: &Examined, driver: &Arc<dyn Driver>, started: Moment) -> Vec<Finding> {
    let Examined { target, now, earlier } = examined;
    match now {
        Some(now) => runner::judge_or_say_why(target, driver.as_ref(), now, earlier.as_ref()),
        None => configuration::judge_offline(target, driver.as_ref(), started.wall_micros()),
    }
}

fn save_facts(file: &Path, examined: &[Examined]) -> Result<(), String> {
    let cases = examined.iter().filter_map(|examined| {
        Some(SavedCase {
            target: SavedTarget::from(examined.target.as_ref()),
            now: examined.now.clone()?,
            earlier: examined.earlier.clone(),
        })
    });
    let text = serde_json::to_string_pretty(&SavedFacts::new(cases.collect()))
        .map_err(|error| format!("the facts cannot be written down: {error}"))?;
    std::fs::write(file, text + "\n").map_err(|error| reports::cannot_write(file, &error))
}

fn read_facts(file: &Path, drivers: &Drivers) -> Result<Vec<Examined>, String> {
    let standard_input = file == Path::new("-");
    let shown = if standard_input { "standard input".into() } else { file.to_string_lossy() };
    let content = if standard_input {
        bounded_read::read_standard_input(FACTS.bytes)
    } else {
        bounded_read::read_file_blocking(file, FACTS)
    };
    let content = content.map_err(|error| match error {
        // These messages already name the file.
        ReadError::NotAFile(_) | ReadError::TooLarge(_) => format!("{shown}: {error}"),
        error => format!("cannot read {shown}: {error}"),
    })?;
    let text = String::from_utf8(content).map_err(|error| format!("{shown} is not a facts file: {error}"))?;
    let saved = SavedFacts::parse(&text).map_err(|error| format!("{shown}: {error}"))?;
    let cases = saved.targets.into_iter().map(|case| {
        let target = case.target.restore(drivers).map_err(|error| format!("{shown}: {error}"))?;
        Ok(Examined { target: Arc::new(target), now: Some(case.now), earlier: case.earlier })
    });
    cases.collect()
}

/// A progress line on a terminal while many targets are checked.
struct Progress {
    all: usize,
    done: usize,
    /// With `--wait`: how many targets had their first look.
    once: usize,
    shown: bool,
}

impl Progress {
    fn new(all: usize) -> Self {
        let mut progress = Self { all, done: 0, once: 0, shown: all > 1 && std::io::stderr().is_terminal() };
        progress.show();
        progress
    }

    fn checked(&mut self) {
        self.done += 1;
        self.show();
    }

    fn looked_once(&mut self) {
        self.once += 1;
        self.show();
    }

    fn show(&mut self) {
        if self.shown {
            let once = if self.once > 0 { format!(", looked at {} once", self.once) } else { String::new() };
            self.write(&format!("\rchecked {} of {} targets{once}", self.done, self.all));
        }
    }

    fn clear(&mut self) {
        if self.shown {
            self.write("\r\u{1b}[2K");
        }
    }

    fn write(&mut self, text: &str) {
        let mut stderr = std::io::stderr();
        // If the terminal is gone, no progress is shown.
        self.shown = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).is_ok();
    }
}

//! `heartbeatd provision`: creates only what is missing, or (`--dry-run`) prints the SQL.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::exit::FAILED;
use super::terminal::{self, Tone};
use crate::config::Settings;
use crate::driver::Purpose;
use crate::driver::opening::{TargetContext, application_name};
use crate::drivers::Drivers;
use crate::heartbeat::{ErrorKind, Failure};
use crate::panics;
use crate::plan::Plan;
use crate::provisioning::{Applied, open_for_provisioning, provision_target};
use crate::target::Target;
use crate::time::clock::{self, Clock, Instant};

/// Provisioning may wait for locks, and an administrator is watching.
const DEADLINE: Duration = Duration::from_secs(60);

/// Provisions each target in turn; exit code 0 if nothing failed.
pub async fn provision(settings: &Settings, targets: &[Target], dry_run: bool) -> ExitCode {
    let width = targets.iter().map(|target| target.name.chars().count()).max().unwrap_or(0);
    let application_name = application_name(&settings.instance);
    let mut failed = false;
    for target in targets {
        let deadline = Clock::system().now().plus(DEADLINE).mono;
        let driver = match Drivers::built_in().get(target.endpoint.url.family()) {
            Ok(driver) => driver,
            Err(error) => {
                terminal::error(&error.to_string());
                failed = true;
                continue;
            }
        };
        let application_name = Arc::clone(&application_name);
        let context = TargetContext { target: Arc::new(target.clone()), driver, application_name };
        let result = if dry_run {
            within(deadline, plan(&context, deadline)).await.map(|plan| print(target, &plan, context.driver.comment()))
        } else {
            within(deadline, provision_target(&context, None, deadline))
                .await
                .map(|applied| show(&context, width, applied))
        };
        match result {
            Ok(clean) => failed |= !clean,
            Err(failure) => {
                terminal::failure(&target.name, width, &context.with_remedy(failure));
                failed = true;
            }
        }
    }
    if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = || Failure::new(ErrorKind::Timeout, format!("provisioning took longer than {} s", DEADLINE.as_secs()));
    clock::timeout_at(deadline, panics::caught(work)).await.map_err(|_| late())?
}

async fn plan(context: &TargetContext, deadline: Instant) -> Result<Plan, Failure> {
    let (mut session, notice) = open_for_provisioning(context, Purpose::Plan, None, deadline).await?;
    let mut plan = session.plan(deadline).await?;
    session.close().await;
    plan.notices.splice(0..0, notice);
    Ok(plan)
}

/// Prints a plan as a script that is ready to run; everything else is in comments. Returns whether nothing prevents it.
fn print(target: &Target, plan: &Plan, comment: &str) -> bool {
    let mut script = format!("{comment} {}: {}\n", target.name, target.endpoint.url);
    if plan.steps.is_empty() {
        script.push_str(&format!("{comment} nothing is missing\n"));
    }
    for step in &plan.steps {
        script.push_str(&format!("\n{comment} {}\n{}\n", step.title, step.script));
    }
    for notice in &plan.notices {
        script.push_str(&format!("\n{comment} notice: {notice}\n"));
    }
    for failure in &plan.failures {
        let remedy = failure.remedy().map(|remedy| format!("; next: {remedy}")).unwrap_or_default();
        script.push_str(&format!("\n{comment} cannot be done here: {failure}{remedy}\n"));
    }
    terminal::plain(&script);
    plan.failures.is_empty()
}

fn show(context: &TargetContext, width: usize, applied: Applied) -> bool {
    let target = &context.target;
    let clean = applied.failed.is_empty();
    if applied.done.is_empty() && clean {
        terminal::line(&target.name, width, Tone::Good, "ok", "nothing is missing");
    }
    for title in &applied.done {
        terminal::line(&target.name, width, Tone::Good, "done", title);
    }
    for notice in &applied.notices {
        terminal::line(&target.name, width, Tone::Doubtful, "notice", notice);
    }
    for (step, failure) in applied.failed {
        terminal::failure(&target.name, width, &context.with_remedy(failure));
        if let Some(step) = step {
            terminal::detail(&format!("in step: {}", step.title));
            step.script.lines().for_each(terminal::detail);
        }
    }
    clean
}

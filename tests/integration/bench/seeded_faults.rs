//! One fault after another on a healthy server: exactly that finding fails, and its remedy repairs it. The tests of the
//! checks list the faults.

use std::collections::BTreeSet;

use heartbeatd::finding::{Finding, Severity, Status};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::Target;

use super::findings::shown;
use super::mysql::Flavour;
use super::wait::{eventually, secs};

/// How a fault is repaired.
pub(crate) enum Mend {
    /// By the finding's remedy, pasted.
    Remedy,
    /// By the remedy, pasted, and then by this SQL.
    RemedyAnd(&'static str),
    /// By this SQL: the remedy is advice, or its script only shows or prepares something.
    Sql(&'static str),
    /// By pasting remedies several times: each is the next step.
    Steps,
}

/// One fault.
pub(crate) struct Fault {
    /// The one check that must fail.
    check: &'static str,
    severity: Severity,
    /// What the finding must say.
    says: &'static str,
    seed: &'static str,
    mend: Mend,
    /// SQL that restores the rest after the repair.
    after: &'static str,
    /// The checks that are unknown because of it.
    unknown: &'static [&'static str],
    /// The checks that stay unknown after the repair.
    left: &'static [&'static str],
    target: fn(&mut Target),
    /// The flavours of MySQL that can have the fault; `None` for every server.
    on: Option<&'static [Flavour]>,
}

/// A healthy server for faults.
pub(crate) trait Stage {
    fn target(&self) -> &Target;
    /// Which MySQL this is, if it is one.
    fn flavour(&self) -> Option<Flavour> {
        None
    }
    /// Runs statements as an administrator, with `T` for the heartbeat table.
    async fn run(&self, sql: &str);
    async fn paste(&self, remedy: &Remedy);
    /// The failed and unknown findings.
    async fn wrong(&self, target: &Target) -> Vec<Finding>;
    /// Writes the row.
    async fn beat(&self);
}

/// A statement with this table in place of the word `T`.
pub(crate) fn naming_the_table(statement: &str, table: &str) -> String {
    let words: Vec<&str> = statement.split(' ').map(|word| if word == "T" { table } else { word }).collect();
    words.join(" ")
}

pub(crate) fn fault(check: &'static str, says: &'static str, seed: &'static str, mend: Mend) -> Fault {
    let severity = Severity::Error;
    Fault { check, severity, says, seed, mend, after: "", unknown: &[], left: &[], target: |_| {}, on: None }
}

impl Fault {
    pub(crate) fn warns(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    pub(crate) fn informs(self) -> Self {
        Self { severity: Severity::Info, ..self }
    }

    pub(crate) fn after(self, after: &'static str) -> Self {
        Self { after, ..self }
    }

    pub(crate) fn hides(self, unknown: &'static [&'static str]) -> Self {
        Self { unknown, ..self }
    }

    pub(crate) fn leaves(self, left: &'static [&'static str]) -> Self {
        Self { left, ..self }
    }

    pub(crate) fn with(self, target: fn(&mut Target)) -> Self {
        Self { target, ..self }
    }

    pub(crate) fn only(self, on: &'static [Flavour]) -> Self {
        Self { on: Some(on), ..self }
    }

    fn is_possible_on(&self, stage: &impl Stage) -> bool {
        self.on.is_none_or(|on| stage.flavour().is_some_and(|flavour| on.contains(&flavour)))
    }

    /// Waits until exactly this fault is found. Returns its remedy.
    async fn found(&self, stage: &impl Stage, target: &Target) -> Remedy {
        eventually(secs(10), format!("{} after {}", self.check, self.seed), async || {
            let wrong = stage.wrong(target).await;
            let (failed, unknown): (Vec<_>, Vec<_>) = wrong.iter().partition(|found| found.status == Status::Failed);
            let unknown: BTreeSet<&str> = unknown.iter().map(|finding| finding.id.as_str()).collect();
            let [only] = failed.as_slice() else { return Err(shown(&wrong)) };
            let fits = only.id == self.check
                && only.severity == self.severity
                && only.observed.contains(self.says)
                && unknown == self.unknown.iter().copied().collect();
            if !fits {
                return Err(shown(&wrong));
            }
            only.remedy.clone().ok_or_else(|| "no remedy".to_owned())
        })
        .await
    }

    async fn mend(&self, stage: &impl Stage, target: &Target, remedy: Remedy) {
        match self.mend {
            Mend::Remedy => stage.paste(&remedy).await,
            Mend::RemedyAnd(more) => {
                stage.paste(&remedy).await;
                stage.run(more).await;
            }
            Mend::Sql(sql) => {
                if remedy.script().is_some_and(|script| script.to_string().contains("-- on the source")) {
                    stage.paste(&remedy).await;
                }
                stage.run(sql).await;
            }
            Mend::Steps => {
                let mut next = Some(remedy);
                while let Some(step) = next {
                    stage.paste(&step).await;
                    let wrong = stage.wrong(target).await;
                    next = wrong.into_iter().find(|finding| finding.id == self.check).and_then(|found| found.remedy);
                }
            }
        }
    }
}

/// Seeds each fault that this server can have, finds it and repairs it.
pub(crate) async fn try_all(stage: &impl Stage, faults: Vec<Fault>) {
    all_is_well(stage, stage.target(), "nothing").await;
    for fault in faults.into_iter().filter(|fault| fault.is_possible_on(stage)) {
        eprintln!("{}: {}", fault.check, fault.seed);
        let mut target = stage.target().clone();
        (fault.target)(&mut target);
        stage.run(fault.seed).await;
        let remedy = fault.found(stage, &target).await;
        fault.mend(stage, &target, remedy).await;
        only_these_are_unknown(fault.left, stage, &target, fault.seed).await;
        stage.run(fault.after).await;
        stage.beat().await;
    }
    all_is_well(stage, stage.target(), "all of it").await;
}

/// Waits until nothing fails and nothing is unknown.
pub(crate) async fn all_is_well(stage: &impl Stage, target: &Target, after: &str) {
    only_these_are_unknown(&[], stage, target, after).await;
}

async fn only_these_are_unknown(checks: &[&str], stage: &impl Stage, target: &Target, after: &str) {
    eventually(secs(10), format!("nothing else than {checks:?} to be wrong after {after}"), async || {
        let wrong = stage.wrong(target).await;
        let unknown = wrong.iter().filter(|finding| finding.status == Status::Unknown);
        let ids: Vec<&str> = unknown.map(|finding| finding.id.as_str()).collect();
        if ids == checks && ids.len() == wrong.len() { Ok(()) } else { Err(shown(&wrong)) }
    })
    .await;
}

//! Prepares a case for a driver's checks: the facts in the driver's shape, the facts of the previous look, the
//! replicas, and the quoted names for remedies. The checks of every driver for servers use it.

use serde::de::DeserializeOwned;

use crate::finding::{Case, Check, FailureRecord, Finding, Inspection, Look};
use crate::plan;
use crate::remedy::Remedy;
use crate::target::Target;

/// The checks of one file, and the function that judges them in their order.
pub(super) type CheckGroup<F> = (&'static [Check], fn(&Evidence<'_, F>) -> Vec<Finding>);

/// A case with parsed facts.
pub(super) struct Evidence<'a, F> {
    pub(super) case: &'a Case<'a>,
    pub(super) target: &'a Target,
    pub(super) facts: F,
    /// The facts of the previous look.
    pub(super) earlier: Option<F>,
    pub(super) replicas: Vec<ReplicaEvidence<'a, F>>,
    pub(super) names: SqlNames,
}

/// The names that remedies need, quoted for SQL.
pub(super) struct SqlNames {
    /// The heartbeat table.
    pub(super) table: String,
    /// The user of the session.
    pub(super) user: String,
    /// The connector's role.
    pub(super) connector: String,
}

/// One replica.
pub(super) struct ReplicaEvidence<'a, F> {
    pub(super) name: &'a str,
    pub(super) facts: Result<F, &'a FailureRecord>,
    pub(super) earlier: Option<F>,
}

/// The checks of all groups, in their order.
pub(super) fn checks_of<F>(groups: &[CheckGroup<F>]) -> Vec<Check> {
    groups.iter().flat_map(|(checks, _)| checks.iter().copied()).collect()
}

/// Judges a case. Empty if there are no facts of the source.
///
/// # Errors
/// If the facts do not have this driver's shape.
pub(super) fn judge_chapters<F: DeserializeOwned>(
    case: &Case<'_>,
    groups: &[CheckGroup<F>],
    names: impl FnOnce(&Target, &F) -> SqlNames,
) -> Result<Vec<Finding>, serde_json::Error> {
    let Some(evidence) = Evidence::read(case, names)? else { return Ok(Vec::new()) };
    Ok(groups.iter().flat_map(|(_, judge)| judge(&evidence)).collect())
}

impl<'a, F: DeserializeOwned> Evidence<'a, F> {
    fn read(
        case: &'a Case<'a>,
        names: impl FnOnce(&Target, &F) -> SqlNames,
    ) -> Result<Option<Self>, serde_json::Error> {
        let Look::Facts(facts) = &case.now.source else { return Ok(None) };
        let facts: F = serde_json::from_value(facts.clone())?;
        let mut replicas = Vec::new();
        for replica in &case.now.replicas {
            let facts = match &replica.look {
                Look::Facts(facts) => Ok(serde_json::from_value(facts.clone())?),
                Look::Failure(failure) => Err(failure),
            };
            let earlier = case.earlier.and_then(|earlier| look_at_replica(earlier, &replica.name));
            replicas.push(ReplicaEvidence { name: &replica.name, facts, earlier: read_earlier(earlier)? });
        }
        Ok(Some(Self {
            case,
            target: case.target,
            earlier: read_earlier(case.earlier.map(|earlier| &earlier.source))?,
            replicas,
            names: names(case.target, &facts),
            facts,
        }))
    }
}

impl<F> Evidence<'_, F> {
    /// The command that creates what is missing.
    pub(super) fn provision(&self) -> Remedy {
        plan::command(self.target)
    }

    /// The same command for use inside a sentence.
    pub(super) fn provision_in_words(&self) -> String {
        plan::command_in_words(self.target)
    }

    /// Microseconds between the two looks.
    pub(super) fn between_looks(&self) -> Option<i64> {
        self.case.earlier.map(|earlier| self.case.now.taken_at.saturating_sub(earlier.taken_at))
    }
}

fn look_at_replica<'a>(inspection: &'a Inspection, name: &str) -> Option<&'a Look> {
    inspection.replicas.iter().find(|replica| replica.name == name).map(|replica| &replica.look)
}

fn read_earlier<F: DeserializeOwned>(look: Option<&Look>) -> Result<Option<F>, serde_json::Error> {
    match look {
        Some(Look::Facts(facts)) => serde_json::from_value(facts.clone()).map(Some),
        _ => Ok(None),
    }
}

/// Why a single look skips a check that compares two.
pub(super) const ONE_LOOK: &str = "one look: use --wait, or the daemon";

/// A number of bytes as people read it.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut shown = bytes as f64 / 1024.0;
    let mut unit = 0;
    while shown >= 1024.0 && unit + 1 < UNITS.len() {
        shown /= 1024.0;
        unit += 1;
    }
    if shown >= 100.0 { format!("{shown:.0} {}", UNITS[unit]) } else { format!("{shown:.1} {}", UNITS[unit]) }
}

/// Shared by the tests of every driver's checks.
#[cfg(test)]
pub(super) mod trial {
    use serde_json::Value;

    use crate::finding::{Finding, Inspection, Look, ReplicaLook, Status};

    pub(in crate::driver) const NOW: i64 = 1_795_000_000_000_000;
    pub(in crate::driver) const SECOND: i64 = 1_000_000;

    /// An inspection of a source and of a replica called `copy`.
    pub(in crate::driver) fn inspection(source: Value, replica: Option<Value>) -> Inspection {
        let replicas = replica.map(|facts| ReplicaLook { name: "copy".to_owned(), look: Look::Facts(facts) });
        Inspection {
            taken_at: NOW,
            source: Look::Facts(source),
            replicas: replicas.into_iter().collect(),
            hosts: Vec::new(),
        }
    }

    /// The failed and unknown findings, as `status severity id: observed`.
    pub(in crate::driver) fn wrong(findings: &[Finding]) -> Vec<String> {
        let wrong = findings.iter().filter(|finding| matches!(finding.status, Status::Failed | Status::Unknown));
        wrong.map(|f| format!("{} {} {}: {}", f.status, f.severity, f.id, f.observed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        for (bytes, words) in [(17, "17 B"), (1_536, "1.5 KiB"), (16 << 20, "16.0 MiB"), (200 << 30, "200 GiB")] {
            assert_eq!(size(bytes), words);
        }
    }
}

//! What other sessions do to the server.

use super::evidence::{Evidence, alter_system, with};
use std::time::Duration;

use crate::driver::postgres::facts::{ActivityFacts, Transaction};
use crate::driver::postgres::identifier::literal;
use crate::driver::shared_checks::activity;
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::words;

const LONG: Check = activity::LONG.how(How {
    judged: "pg_stat_activity.xact_start and pg_prepared_xacts; unknown while the sessions of other users are hidden. \
             Fails if a transaction is older than the threshold long_transaction.",
    privilege: "GRANT pg_monitor TO this user, to see the sessions of other users",
    source: "the threshold is the one that Estuary uses; a slot restarts from before the oldest transaction, and vacuum \
             cannot remove rows",
});

const SYNCHRONOUS: Check = Check {
    id: "synchronous-standby",
    severity: Severity::Warning,
    rung: Rung::Resource,
    title: "the standby that commits wait for is connected",
    meaning: "Without it every commit of every application hangs, and no time limit ends it. Beats do not wait for the \
              standby, so they stay green.",
    judged: "synchronous_standby_names, compared with pg_stat_replication. Fails if fewer standbys stream than the \
             setting requires.",
    privilege: "pg_monitor, to see the state of standbys",
    source: "measured: a commit hangs in SyncRep, and statement_timeout does not end it",
};

pub(super) const CHECKS: &[Check] = &[SYNCHRONOUS, LONG];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let activity = &evidence.facts.activity;
    vec![
        with(&SYNCHRONOUS, "synchronous_standby_names", activity, |activity| synchronous(evidence, activity)),
        with(&LONG, &evidence.facts.address, activity, |activity| long(evidence, activity)),
    ]
}

fn grant(evidence: &Evidence<'_>) -> String {
    format!("requires GRANT pg_monitor TO {};", evidence.names.user)
}

fn synchronous(evidence: &Evidence<'_>, activity: &ActivityFacts) -> Finding {
    let subject = "synchronous_standby_names";
    let names = evidence.facts.server.setting(subject).unwrap_or_default();
    let wanted = standbys_wanted(names);
    if wanted == 0 {
        return SYNCHRONOUS.ok(subject, "no commit waits for a standby");
    }
    if evidence.facts.server.in_recovery {
        return SYNCHRONOUS.skipped(subject, "this server is a standby itself");
    }
    let observed = format!("{} of {wanted} streaming", activity.synchronous);
    if activity.synchronous >= wanted {
        return SYNCHRONOUS.ok(subject, observed);
    }
    if activity.senders_hidden > 0 {
        return SYNCHRONOUS.unknown(subject, format!("the state of standbys is hidden; {}", grant(evidence)));
    }
    let waiting = match activity.waiting_for_standby {
        0 => String::new(),
        waiting => format!(", {waiting} commits are waiting"),
    };
    SYNCHRONOUS
        .failed(subject, format!("{observed}{waiting}: other commits hang"))
        .expected(format!("{wanted} of {names}"))
        .remedy(
            Remedy::advice("bring the standby back").or_run(
                alter_system(&evidence.facts.server, subject, "", false).note("commits then wait for no standby"),
            ),
        )
}

/// The number of standbys that a commit waits for: one for `a, b`; two for `2 (a, b)`, `ANY 2 (a, b)` and `FIRST 2 (a,
/// b)`.
pub(crate) fn standbys_wanted(names: &str) -> i64 {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let Some((before, _)) = names.split_once('(') else { return 1 };
    before.split_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The owner decides how the transaction ends, because someone's work depends on it.
fn long(evidence: &Evidence<'_>, activity: &ActivityFacts) -> Finding {
    let subject = &evidence.facts.address;
    let threshold = evidence.target.checks.thresholds.long_transaction;
    let age = |transaction: &Transaction| Duration::from_micros(u64::try_from(transaction.age).unwrap_or(0));
    let Some(oldest) = activity.transactions.iter().max_by_key(|transaction| transaction.age) else {
        return none_seen(evidence, activity, "none is open");
    };
    let open = words(age(oldest));
    if age(oldest) <= threshold {
        return none_seen(evidence, activity, &format!("the oldest has been open for {open}"));
    }
    let user = oldest.user.as_deref().unwrap_or("its owner");
    let (who, remedy) = match (oldest.pid, &oldest.prepared) {
        (Some(pid), _) => {
            let application = oldest.application.as_deref().filter(|name| !name.is_empty()).unwrap_or("without a name");
            (
                format!("session {pid} of {user} ({application})"),
                Remedy::advice(format!("ask {user} whose it is, and to end it")).or_run(
                    Remedy::sql(format!("SELECT pg_terminate_backend({pid});"))
                        .note("after asking: what it has not committed is rolled back"),
                ),
            )
        }
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            (
                format!("the prepared transaction {name} of {user}"),
                Remedy::advice(format!("ask {user} whether to commit it or to roll it back: either is final"))
                    .then_run(
                        Remedy::sql(format!("COMMIT PREPARED {};", literal(name)))
                            .note("in its database; or ROLLBACK PREPARED"),
                    ),
            )
        }
    };
    LONG.failed(subject, format!("{who} has had a transaction open for {open}"))
        .expected(format!("none older than {}", words(threshold)))
        .remedy(remedy)
}

/// The count may be too low, so it is no pass.
fn none_seen(evidence: &Evidence<'_>, activity: &ActivityFacts, observed: &str) -> Finding {
    if activity.sessions_hidden == 0 {
        return LONG.ok(&evidence.facts.address, observed);
    }
    let hidden = activity.sessions_hidden;
    LONG.unknown(
        &evidence.facts.address,
        format!("{observed}, and {hidden} sessions of other users are hidden; {}", grant(evidence)),
    )
}

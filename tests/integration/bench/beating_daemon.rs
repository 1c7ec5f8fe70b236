//! One daemon with one target that beats every second. The tests follow it through faults: what it reports, when
//! `/health` turns red, and when it is green again.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::daemon::{Daemon, Heartbeatd, heartbeatd};
use super::postgres::PostgresServer;
use super::wait::{eventually, secs, steadily};

/// The target.
pub(crate) const TARGET: &str = "orders";
/// The role that writes beats.
pub(crate) const ROLE: &str = "beat";
/// Its password, which may appear only on the wire.
pub(crate) const PASSWORD: &str = "hunter2-secret";
/// The heartbeat table, quoted as in remedies.
pub(crate) const TABLE: &str = r#""streamkap"."streamkap_heartbeat""#;

/// One line of the beat, as the server logs it.
const BEAT: &str = r#"UPDATE "streamkap"."streamkap_heartbeat" AS h SET"#;

/// The second tick after the newest change is 1 to 2 s after it; the time-out of 2 s comes on top.
const RED_FROM: f64 = 3.0;
const RED_UNTIL: f64 = 4.0;
/// The daemon counts on the monotonic clock, the test on the wall clock.
const TOLERANCE: f64 = 0.1;

/// A daemon, and when its test began to wait.
#[derive(Debug)]
pub(crate) struct BeatingDaemon {
    pub(crate) daemon: Daemon,
}

/// A failure, as the documents name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpectedFailure {
    pub(crate) class: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
}

/// A failure as it was reported.
#[derive(Debug)]
pub(crate) struct ReportedFailure {
    pub(crate) message: String,
    pub(crate) remedy: String,
    /// The script in its remedy.
    pub(crate) script: Option<String>,
}

/// A failure of this class and kind, with the database's own code.
pub(crate) const fn failure(class: &'static str, kind: &'static str, code: Option<&'static str>) -> ExpectedFailure {
    ExpectedFailure { class, kind, code }
}

/// Creates role, schema, table, row and grants, as an administrator would by hand.
pub(crate) async fn furnish(server: &PostgresServer) {
    server.execute(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")).await;
    server.execute(&furniture("streamkap")).await;
}

/// The SQL for schema, table, row and grants.
pub(crate) fn furniture(schema: &str) -> String {
    format!(
        "CREATE SCHEMA {schema};
         CREATE TABLE {schema}.streamkap_heartbeat (id int PRIMARY KEY, text text, last_update timestamp);
         INSERT INTO {schema}.streamkap_heartbeat VALUES (1, 'test_heartbeat', '2020-01-01');
         GRANT USAGE ON SCHEMA {schema} TO {ROLE};
         GRANT SELECT, INSERT, UPDATE ON {schema}.streamkap_heartbeat TO {ROLE}"
    )
}

/// The address of the database `postgres` at these ports, without a password.
pub(crate) fn address(ports: &[u16]) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://{ROLE}@{}/postgres", hosts.join(","))
}

/// A target's table of a configuration: a beat a second, a time-out of 2 s; `more` are additional lines.
pub(crate) fn target(name: &str, url: &str, more: &str) -> String {
    format!("[[target]]\nname = \"{name}\"\nurl = \"{url}\"\ninterval = \"1s\"\ntimeout = \"2s\"\n{more}\n")
}

/// A configuration of these targets with a longer time-out, for a test in which no beat may fail because the machine is
/// slow.
pub(crate) fn patient(configuration: &str) -> String {
    let usual = "timeout = \"2s\"";
    assert!(configuration.contains(usual), "{configuration}");
    configuration.replace(usual, "timeout = \"20s\"")
}

/// An additional line of configuration: the password as a literal.
pub(crate) fn plain_password() -> String {
    format!("password = \"{PASSWORD}\"\n")
}

/// The configuration of the one target at these ports.
pub(crate) fn configuration(ports: &[u16], more: &str) -> String {
    target(TARGET, &address(ports), &format!("{}{more}", plain_password()))
}

impl BeatingDaemon {
    /// The daemon of a furnished server, once it is healthy.
    pub(crate) async fn of(server: &PostgresServer) -> Self {
        furnish(server).await;
        Self::configured(&configuration(&[server.port()], "")).await
    }

    /// A daemon with this configuration, once it is healthy.
    pub(crate) async fn configured(text: &str) -> Self {
        Self::started(heartbeatd().config(text)).await
    }

    /// A daemon, once it is healthy.
    pub(crate) async fn started(program: Heartbeatd) -> Self {
        let beating = Self { daemon: program.start().await };
        beating.is_healthy_within(secs(15)).await;
        beating
    }

    /// A daemon with this configuration that beats at `address`, the first one in its list. Of equal hosts the first is
    /// chosen only if it answers within half a second after another one, so a slow machine may need several starts.
    pub(crate) async fn configured_and_at(text: &str, address: &str) -> Self {
        eventually(secs(60), format!("a daemon that chooses {address}"), async || {
            let beating = Self::configured(text).await;
            beating.beats(2, secs(20)).await;
            match beating.address().await {
                chosen if chosen == address => Ok(beating),
                other => Err(other),
            }
        })
        .await
    }

    /// Waits until `/health` shows the failure and answers 503. Asserts that every answer has the status that the
    /// semantics give for the age of the newest change, however late this machine asks, and that both documents agree.
    pub(crate) async fn fails_with(&self, expected: ExpectedFailure) -> ReportedFailure {
        let begin = Instant::now();
        let mut reported = None;
        let red = eventually(secs(20), format!("{expected:?} and /health 503"), async || {
            let asked = chrono::Utc::now();
            let (status, health) = self.daemon.health().await;
            let target = &health["targets"][0];
            if reported.is_none() && target["reasons"].as_array().unwrap().iter().any(|reason| expected.fits(reason)) {
                reported = Some(begin.elapsed());
            }
            if status != 503 {
                let age = age(target, asked);
                assert!(
                    age <= RED_UNTIL + TOLERANCE,
                    "not red {age} s after the newest change; log:\n{}",
                    self.daemon.log()
                );
                return Err(health.to_string());
            }
            Ok(age(target, chrono::Utc::now()))
        })
        .await;
        assert!(red >= RED_FROM, "red {red} s after the newest change; log:\n{}", self.daemon.log());
        let turned = begin.elapsed();
        let failure = self.reports(expected).await;
        let reported = reported.unwrap_or_else(|| begin.elapsed());
        note(&format!(
            "{}: reported after {:.1} s, red after {:.1} s ({red:.1} s after the newest change)",
            expected.kind,
            reported.as_secs_f64(),
            turned.as_secs_f64()
        ));
        failure
    }

    /// Waits until `/health` and the target's own document show the failure, with a remedy.
    pub(crate) async fn reports(&self, expected: ExpectedFailure) -> ReportedFailure {
        eventually(secs(20), format!("{expected:?} in both documents"), async || {
            let (_, health) = self.daemon.health().await;
            let error = self.daemon.target(TARGET).await["error"].take();
            let found = health["targets"][0]["reasons"].as_array().unwrap().iter().find(|reason| expected.fits(reason));
            let Some(reason) = found.filter(|_| expected.fits(&error)) else { return Err(format!("{health} {error}")) };
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let (message, remedy) = (text(&reason["message"]), text(&reason["remedy"]));
            if text(&error["remedy"]) != remedy {
                // Another beat failed between the two requests. They never differ permanently.
                return Err(format!("two next steps: {reason} {error}"));
            }
            assert!(reason["since"].is_string(), "{reason}");
            Ok(ReportedFailure {
                message: message.unwrap(),
                remedy: remedy.unwrap_or_else(|| panic!("no remedy: {reason}")),
                script: text(&reason["run"]["script"]),
            })
        })
        .await
    }

    /// Waits until `/health` answers 200 and the target has no problem left.
    pub(crate) async fn recovers_within(&self, deadline: Duration) {
        let begin = Instant::now();
        self.is_healthy_within(deadline).await;
        note(&format!("healed after {:.1} s", begin.elapsed().as_secs_f64()));
    }

    async fn is_healthy_within(&self, deadline: Duration) {
        eventually(deadline, "/health 200 without a reason", async || {
            let (status, health) = self.daemon.health().await;
            // The findings of the checks from just before the failure remain until the checks run again, a minute
            // later.
            let is_beats = |reason: &Value| reason["kind"] != "check_failed";
            let mut reasons =
                health["targets"].as_array().unwrap().iter().flat_map(|target| target["reasons"].as_array().unwrap());
            if status == 200 && !reasons.any(is_beats) {
                Ok(())
            } else {
                Err(format!("{health}; log:\n{}", self.daemon.log()))
            }
        })
        .await;
    }

    /// Reloads twenty times, each time with another interval and no other change; `waiting` counts the sessions of the
    /// daemon that wait for a lock, never more than one.
    pub(crate) async fn is_reloaded_twenty_times(&self, text: &str, waiting: impl AsyncFn() -> i64) {
        for reload in 0..20 {
            let interval = format!("interval = \"{}s\"", 60 + reload);
            self.daemon.rewrite_config(&text.replace("interval = \"1s\"", &interval));
            self.daemon.signal(rustix::process::Signal::HUP);
            steadily(Duration::from_millis(300), "one write in flight", async || match waiting().await {
                0 | 1 => Ok(()),
                more => Err(format!("{more} sessions wait after {} reloads", reload + 1)),
            })
            .await;
        }
    }

    /// Waits for `more` further acknowledged beats.
    pub(crate) async fn beats(&self, more: u64, deadline: Duration) {
        let goal = self.count("ok").await + more;
        eventually(deadline, format!("{goal} beats"), async || match self.count("ok").await {
            ok if ok >= goal => Ok(()),
            ok => Err(format!("{ok}; log:\n{}", self.daemon.log())),
        })
        .await;
    }

    /// Waits until the daemon's checks have run; they use their own login, and do not run again for minutes.
    pub(crate) async fn is_checked(&self) {
        self.daemon.checked(TARGET).await;
        // After the checks it may look at the slot at once.
        self.beats(2, secs(20)).await;
    }

    /// A counter of the target's document.
    pub(crate) async fn count(&self, counter: &str) -> u64 {
        self.daemon.target(TARGET).await["counters"][counter].as_u64().unwrap()
    }

    /// How many connections were opened for this reason, according to the metrics.
    pub(crate) async fn connects(&self, reason: &str) -> u64 {
        let labels = [("target", TARGET), ("reason", reason)];
        let value = self.daemon.metrics().await.value("heartbeatd_connects_total", &labels).unwrap();
        // A count: small, and whole.
        format!("{value:.0}").parse().unwrap()
    }
}

impl ExpectedFailure {
    fn fits(&self, document: &Value) -> bool {
        document["class"] == self.class && document["kind"] == self.kind && document["code"].as_str() == self.code
    }
}

impl ReportedFailure {
    /// Asserts that the remedy contains these words.
    pub(crate) fn names(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.remedy.contains(word), "{word:?} is not in {:?}", self.remedy);
        }
        self
    }

    /// The remedy's script, ready to paste.
    pub(crate) fn script(&self) -> &str {
        self.script.as_deref().unwrap_or_else(|| panic!("nothing to paste in {:?}", self.remedy))
    }

    /// The part of the remedy from `start` up to but without `end` (without one: to the remedy's end), ready to paste.
    pub(crate) fn part(&self, start: &str, end: Option<&str>) -> &str {
        let from = self.remedy.find(start).unwrap_or_else(|| panic!("{start:?} is not in {:?}", self.remedy));
        let rest = &self.remedy[from..];
        let Some(end) = end else { return rest };
        &rest[..rest.find(end).unwrap_or_else(|| panic!("{end:?} does not follow in {rest:?}"))]
    }
}

/// Runs the remedy "heartbeatd provision --target orders".
pub(crate) async fn provision(configuration: &str) {
    let ended = heartbeatd().arg("provision").arg("--target").arg(TARGET).config(configuration).run().await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

/// How many sessions of the daemon the server has.
pub(crate) async fn sessions(server: &PostgresServer) -> i64 {
    server.number("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'heartbeatd%'").await
}

/// Asserts that no queue of stuck sessions is left.
pub(crate) async fn has_no_queue(server: &PostgresServer) {
    // A replaced session may take a moment to end.
    eventually(secs(5), "at most one session of the daemon", async || match sessions(server).await {
        0 | 1 => Ok(()),
        more => Err(format!("{more} sessions")),
    })
    .await;
}

/// How many beats the server received, according to its log (see `log_statements`).
pub(crate) fn beats_asked_of(server: &PostgresServer) -> usize {
    server.log().matches(BEAT).count()
}

/// Records a measurement, beside the test's name.
pub(crate) fn note(measured: &str) {
    eprintln!("{}: {measured}", std::thread::current().name().unwrap_or("?"));
}

/// How long before this moment a target's newest change was, in seconds.
fn age(target: &Value, at: chrono::DateTime<chrono::Utc>) -> f64 {
    let newest = target["newest_change"].as_str().unwrap_or_else(|| panic!("no change yet: {target}"));
    let newest = chrono::DateTime::parse_from_rfc3339(newest).unwrap();
    (at - newest.to_utc()).as_seconds_f64()
}

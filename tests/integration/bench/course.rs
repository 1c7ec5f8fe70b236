//! The steps of a [`BeatingDaemon`] that the scenarios of several drivers share, for any database.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::beating_daemon::{BeatingDaemon, PASSWORD, note};
use super::proxy::Proxy;
use super::wait::{eventually, secs};

impl BeatingDaemon {
    /// The daemon reported a clean restart of its server as a restart, and opened one new connection.
    pub(crate) async fn has_come_through_a_restart(&self) {
        let errors = self.daemon.target("orders").await["counters"]["errors"].take();
        for error in errors.as_array().unwrap() {
            let kind = error["kind"].as_str().unwrap();
            assert!(["refused", "starting", "shutdown", "network"].contains(&kind), "{errors}");
        }
        assert_eq!(self.connects("start").await, 1);
        assert_eq!(self.connects("lost").await + self.connects("retry").await, 1, "one new connection");
    }

    /// A server that was frozen or cut off received no burst of beats afterwards; `asked` counts the beats that it
    /// received.
    pub(crate) async fn sent_no_burst(&self, asked: impl Fn() -> usize) {
        let failed_before = self.count("failed").await;
        self.recovers_within(secs(20)).await;
        self.beats(2, secs(20)).await;
        let (asked, answered) = (asked(), self.count("ok").await);
        // On a busy machine a beat may time out although the server received it.
        let failed = self.count("failed").await - failed_before;
        // A beat that was in flight at the start may run at the end, and the last one may be in flight now.
        assert!(
            u64::try_from(asked).unwrap() <= answered + failed + 2,
            "{asked} beats were asked for, {answered} answered, {failed} failed after the fault"
        );
    }

    /// The daemon replaced a connection that timed out.
    pub(crate) async fn replaced_its_connection(&self, proxy: &Proxy) {
        assert_eq!((self.connects("start").await, self.connects("lost").await), (1, 0));
        assert!(self.connects("retry").await >= 1);
        // The checks use a short-lived connection through the same proxy.
        eventually(secs(20), "one open connection", async || match proxy.open_connections() {
            1 => Ok(()),
            count => Err(format!("{count} open")),
        })
        .await;
    }

    /// The kept connection is ended by `end` while idle: the next tick replaces it, and no beat fails.
    pub(crate) async fn replaces_its_connection_within_the_tick(&self, end: impl AsyncFnOnce()) {
        let (lost, failed) = (self.connects("lost").await, self.count("failed").await);
        end().await;
        self.beats(3, secs(30)).await;
        assert_eq!(self.connects("lost").await, lost + 1, "log:\n{}", self.daemon.log());
        assert_eq!(self.count("failed").await, failed, "log:\n{}", self.daemon.log());
        self.missed_ticks_only_while_a_beat_was_slow(secs(1)).await;
        assert_eq!(self.daemon.health().await.0, 200);
    }

    /// On a busy machine a login may take longer than a period, and the ticks meanwhile are missed. Nothing else makes a
    /// tick miss. Call it soon after the start, because the history is short.
    pub(crate) async fn missed_ticks_only_while_a_beat_was_slow(&self, period: Duration) {
        let target = self.daemon.target("orders").await;
        let missed = target["counters"]["ticks_missed"].as_f64().unwrap();
        let durations = target["history"].as_array().unwrap().iter().map(|beat| beat["duration_seconds"].as_f64());
        let periods = durations.sum::<Option<f64>>().unwrap() / period.as_secs_f64();
        // The first beat comes at any moment of the period, so one tick may pass during it however quick it is.
        assert!(missed <= periods + 1.0, "{missed} ticks missed; {target}");
    }

    /// The server of two targets, `orders` and `inline`, is gone for 10 s or more. The log gets two lines for each
    /// target, and no document and no log line shows the password.
    pub(crate) async fn logs_a_dead_server_in_two_lines_and_the_password_nowhere(&mut self) {
        let failed = self.count("failed").await;
        eventually(secs(30), "10 s of failures", async || match self.count("failed").await {
            count if count >= failed + 10 => Ok(()),
            count => Err(format!("{count} failed")),
        })
        .await;
        let mut shown = String::new();
        for path in ["/targets", "/targets/orders", "/targets/inline", "/metrics", "/health", "/ready", "/live", "/"] {
            shown.push_str(&self.daemon.get(path).await.body);
        }
        self.daemon.signal(Signal::HUP);
        self.daemon.end(Signal::TERM, secs(10)).await;
        let log = self.daemon.log();
        for name in ["orders", "inline"] {
            let lines = log.lines().filter(|line| line.contains("no heartbeat") && line.contains(name)).count();
            assert!((1..=2).contains(&lines), "{lines} lines; log:\n{log}");
        }
        assert!(!shown.contains(PASSWORD), "{shown}");
        assert!(!log.contains(PASSWORD), "{log}");
    }

    /// The daemon logs once what `provision = "auto"` cannot do, and does not repeat it with every try within a minute.
    pub(crate) async fn logs_a_failed_provisioning_once(&self) {
        let logged = || self.daemon.log().matches("provisioning failed").count();
        let (before, failed) = (logged(), self.count("failed").await);
        assert!(before > 0, "{}", self.daemon.log());
        eventually(secs(35), "another try", async || match self.count("failed").await {
            count if count > failed => Ok(()),
            count => Err(format!("{count} failed")),
        })
        .await;
        assert_eq!(logged(), before, "told once a minute; log:\n{}", self.daemon.log());
    }

    /// The replica of two targets has stopped. Both targets report a reason; only the one that requires the replica is
    /// red.
    pub(crate) async fn misses_the_stopped_replica(&self) {
        let begin = Instant::now();
        eventually(secs(15), "both targets to give the reason", async || {
            let (_, health) = self.daemon.health().await;
            for target in health["targets"].as_array().unwrap() {
                let reason = &target["reasons"][0];
                if (&reason["replica"], &reason["kind"]) != (&"replica-1".into(), &"refused".into())
                    || !reason["remedy"].is_string()
                {
                    return Err(target.to_string());
                }
            }
            Ok(())
        })
        .await;
        note(&format!("the stopped replica was reported after {:?}", begin.elapsed()));
        // The required replica gets as much time as the source.
        eventually(secs(10), "the required replica to turn /health red", async || match self.states().await {
            (503, tolerant, strict) if (tolerant.as_str(), strict.as_str()) == ("healthy", "unhealthy") => Ok(()),
            states => Err(format!("{states:?}")),
        })
        .await;
        note(&format!("and /health red after {:?}", begin.elapsed()));
        assert_eq!(self.count("failed").await, 0, "the beats themselves go on");
    }

    /// The replica is back: no problem is left.
    pub(crate) async fn has_its_replica_again(&self) {
        self.recovers_within(secs(10)).await;
        assert_eq!(self.states().await, (200, "healthy".to_owned(), "healthy".to_owned()));
    }

    /// The required replica no longer replays: it is reported as behind, with its lag, and the target is red. Returns
    /// the remedy.
    pub(crate) async fn finds_its_replica_behind(&self) -> String {
        let reason = eventually(secs(15), "the replica to be called behind, and /health red", async || {
            let (status, health) = self.daemon.health().await;
            let reason = health["targets"][0]["reasons"][0].clone();
            let behind = reason["kind"] == "replica_not_receiving";
            if status == 503 && behind { Ok(reason) } else { Err(health.to_string()) }
        })
        .await;
        assert_eq!(reason["replica"], "replica-1");
        let lag = self.daemon.metrics().await.value("heartbeatd_replica_lag_seconds", &[("replica", "replica-1")]);
        assert!(lag.is_some_and(|lag| lag > 3.0), "{lag:?}");
        eventually(secs(5), "the log to say what turned the target red", async || {
            let log = self.daemon.log();
            let logged = log.lines().any(|line| line.contains("replica_not_receiving") && line.contains("replica-1"));
            if logged { Ok(()) } else { Err(log) }
        })
        .await;
        let (_, health) = self.daemon.health().await;
        assert_eq!(health["targets"][0]["reasons"][0]["since"], reason["since"], "it does not move with the beats");
        reason["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {reason}")).to_owned()
    }

    /// The replica's address leads to a primary: the target reports it and stays green. Returns the remedy.
    pub(crate) async fn finds_a_primary_in_place_of_its_replica(&self) -> String {
        let reason = eventually(secs(10), "the mistake to be told, and /health green", async || {
            let (status, health) = self.daemon.health().await;
            let reason = health["targets"][0]["reasons"][0].clone();
            if status == 200 && reason["kind"] == "not_a_replica" { Ok(reason) } else { Err(health.to_string()) }
        })
        .await;
        assert_eq!(reason["replica"], "replica-1");
        reason["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {reason}")).to_owned()
    }

    /// The replica is a node that accepts writes, like the target's own server: it is inspected, and that is no
    /// problem.
    pub(crate) async fn has_a_member_for_a_replica(&self) {
        let replica = eventually(secs(10), "the lag of the other node", async || {
            let replica = self.daemon.target("orders").await["replicas"][0].take();
            if replica["lag_seconds"].is_number() { Ok(replica) } else { Err(replica.to_string()) }
        })
        .await;
        assert_eq!((&replica["role"], &replica["error"]), (&"member".into(), &serde_json::Value::Null), "{replica}");
        let (status, health) = self.daemon.health().await;
        let reasons = health["targets"][0]["reasons"].as_array().unwrap();
        assert!(status == 200 && reasons.iter().all(|reason| reason["replica"].is_null()), "{health}");
    }

    /// The address of the server that gets the beats.
    pub(crate) async fn address(&self) -> String {
        self.daemon.target("orders").await["server"]["address"].as_str().unwrap_or_default().to_owned()
    }

    /// The status of `/health` and the states of both targets.
    async fn states(&self) -> (u16, String, String) {
        let (status, health) = self.daemon.health().await;
        let state = |index: usize| health["targets"][index]["state"].as_str().unwrap().to_owned();
        (status, state(0), state(1))
    }
}

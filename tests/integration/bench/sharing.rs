//! Two daemons that share one heartbeat row under `write = "when-stale"`: together they write one beat per period, and
//! one carries on when the other dies. The databases' scenarios of two writers use it.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::daemon::Daemon;
use super::wait::{eventually, secs};

/// On a busy machine, a look every 50 ms sees a change at most this much later.
pub(crate) const SLACK: Duration = secs(2);

/// What they share.
pub(crate) struct SharedRow<L> {
    /// The interval of both.
    pub(crate) period: Duration,
    /// How long they are watched.
    pub(crate) watched: Duration,
    /// The value in the row, as the database writes it out.
    pub(crate) last_update: L,
}

impl<L: AsyncFn() -> Option<String>> SharedRow<L> {
    /// Watches two daemons write one beat per period together, then kills the one that wrote last: the other one
    /// carries on within two periods of the last beat. Each daemon comes with its target's name.
    pub(crate) async fn gets_one_beat_a_period_from(&self, one: (Daemon, &str), other: (Daemon, &str)) {
        let names = format!("{} and {}", one.1, other.1);
        one.0.healthy_within(secs(20)).await;
        other.0.healthy_within(secs(20)).await;

        self.next_change(self.period * 4).await;
        let missed = async || one.0.missed(one.1).await.max(other.0.missed(other.1).await);
        let missed_before = missed().await;
        let written = async || (one.0.beats(one.1, "ok").await, other.0.beats(other.1, "ok").await);
        let before = settled(&written).await;
        let (begin, mut changes, mut value) = (Instant::now(), 0_u64, (self.last_update)().await);
        while begin.elapsed() < self.watched {
            value = self.changed_from(value, self.period * 2).await;
            changes += 1;
            assert_eq!((one.0.health().await.0, other.0.health().await.0), (200, 200));
        }
        let periods = begin.elapsed().as_secs_f64() / self.period.as_secs_f64();
        eprintln!("{names}: {changes} changes in {periods:.1} periods");
        let missed = (missed().await - missed_before) as f64;
        assert!(
            (periods - 1.0 - missed..=periods + 1.0).contains(&(changes as f64)),
            "{changes} changes in {periods} periods, {missed} ticks missed"
        );
        let after = settled(&written).await;
        if (self.last_update)().await != value {
            changes += 1;
        }
        assert_eq!(after.0 + after.1 - before.0 - before.1, changes, "what the daemons wrote, and what the row showed");
        for (daemon, name) in [&one, &other] {
            assert_eq!(daemon.beats(name, "failed").await, 0, "{}", daemon.log());
        }

        // Kills the daemon that wrote last, so that the other one has to take over.
        let before = written().await;
        let value = self.next_change(self.period * 2).await;
        let mut last_beat = Instant::now();
        let one_wrote = settled(&written).await.0 > before.0;
        let (mut writer, survivor) = if one_wrote { (one, other) } else { (other, one) };
        writer.0.end(Signal::KILL, secs(5)).await;
        let left = (self.last_update)().await;
        if left != value {
            // It wrote once more on a slow machine.
            last_beat = Instant::now();
        }
        let (survivor, name) = survivor;
        let fresh = survivor.beats(name, "fresh").await;
        self.changed_from(left, self.period * 3).await;
        let pause = last_beat.elapsed();
        // It looks once a period, and the row is fresh at one of these looks at most, on a machine of any speed.
        assert!(survivor.beats(name, "fresh").await <= fresh + 1, "it left the row alone for more than two periods");
        eprintln!("{names}, one killed: the next beat came after {pause:?}");
        assert!(pause <= self.period * 2 + SLACK, "{pause:?}");
        survivor.more_beats(name, "ok", 3, self.period * 4 + SLACK).await;
        assert_eq!((survivor.health().await.0, survivor.beats(name, "failed").await), (200, 0));
    }

    /// Waits until the row holds another value; returns it.
    pub(crate) async fn next_change(&self, deadline: Duration) -> Option<String> {
        let before = (self.last_update)().await;
        self.changed_from(before, deadline).await
    }

    async fn changed_from(&self, before: Option<String>, deadline: Duration) -> Option<String> {
        eventually(deadline + SLACK, "last_update to change", async || match (self.last_update)().await {
            now if now != before => Ok(now),
            _ => Err(format!("still {before:?}")),
        })
        .await
    }
}

/// The number of beats, once it includes the beat that the row shows.
async fn settled(written: &impl AsyncFn() -> (u64, u64)) -> (u64, u64) {
    eventually(secs(10), "the counters to settle", async || {
        let before = written().await;
        sleep(Duration::from_millis(500)).await;
        match written().await {
            now if now == before => Ok(now),
            now => Err(format!("{before:?}, then {now:?}")),
        }
    })
    .await
}

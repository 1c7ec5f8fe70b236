//! Many real targets on one PostgreSQL: all get their beats, in flat memory, and the program ends in time although the
//! server hangs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::bench::daemon::Daemon;
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs, steadily};

const TARGETS: usize = 300;
/// Longer than a slow machine needs to end beside it, so that waiting for it twice is noticed.
const GRACE: Duration = secs(5);

#[tokio::test]
async fn three_hundred_targets_beat_in_flat_memory_and_end_in_time_when_the_server_is_frozen() {
    // One connection per target, a few at a time for inspections, and some that the server has not yet seen end.
    let server = PostgresServer::options().conf("max_connections = 350").start().await;
    lay_tables(&server).await;
    // Enough time for 300 simultaneous logins on a machine that is busy with other tests, in this unoptimised build.
    let mut config =
        format!("[defaults]\ninterval = \"2s\"\ntimeout = \"30s\"\n[shutdown]\ngrace = \"{}s\"\n", GRACE.as_secs());
    for n in 0..TARGETS {
        let url = heartbeat::url(server.port(), "");
        writeln!(config, "[[target]]\nname = \"shop-{n}\"\nurl = \"{url}\"\nheartbeat.table = \"heartbeat_{n}\"")
            .unwrap();
    }
    let mut daemon = heartbeatd().config(&config).start().await;
    let begin = Instant::now();
    daemon.healthy_within(secs(90)).await;
    eprintln!("{TARGETS} targets healthy after {:?}", begin.elapsed());
    // All checks run once soon after the first beats, and then not for minutes. On each target some check fails here.
    eventually(secs(240), "the checks of every target", async || {
        let checked: BTreeSet<_> =
            daemon.metrics().await.values_of("heartbeatd_check_failed", "target").into_iter().collect();
        if checked.len() == TARGETS { Ok(()) } else { Err(checked.len()) }
    })
    .await;
    eprintln!("all of them checked {:?} after the start", begin.elapsed());
    let connections = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", heartbeat::USER);
    eventually(secs(60), "one connection for each target", async || {
        match usize::try_from(server.number(&connections).await).unwrap() {
            TARGETS => Ok(()),
            count => Err(count),
        }
    })
    .await;

    // By then everything that is allocated only once exists (buffers, first entries).
    let minimum = || async { fewest_beats(&daemon).await };
    eventually(secs(60), "every target to have five beats", async || match minimum().await {
        fewest if fewest >= 5.0 => Ok(()),
        fewest => Err(fewest),
    })
    .await;
    // Logins that a busy machine delayed are counted before, not after.
    let counts = async || {
        let metrics = daemon.metrics().await;
        let failed = metrics.sum("heartbeatd_beats_total", &[("result", "failed")]);
        (metrics.sum("heartbeatd_connects_total", &[]) as u64, failed as u64)
    };
    let counts_before = counts().await;
    let (before, files) = (daemon.rss_kib(), daemon.open_files());
    steadily(secs(15), "/health 200", async || match daemon.health().await {
        (200, _) => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
    let after = daemon.rss_kib();
    eprintln!("{TARGETS} targets: RSS {before} KiB, 15 s later {after} KiB, {files} files open");
    assert!(after < before + before / 10, "{before} KiB, then {after} KiB");
    daemon.open_files_fall_to(files + 2).await;
    assert_eq!(counts().await, counts_before, "connections and failed beats: one was lost; log:\n{}", daemon.log());
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        eprintln!("lateness {name}: at most {} s", lateness(&daemon, share).await);
    }

    server.freeze();
    let begin = Instant::now();
    // Waiting for the frozen sessions would take their time-out of 30 s.
    let status = daemon.end(Signal::TERM, GRACE + secs(4)).await;
    eprintln!("ended {:?} after SIGTERM, with every server connection frozen", begin.elapsed());
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    server.thaw();
}

async fn lay_tables(server: &PostgresServer) {
    heartbeat::create_user(server).await;
    server
        .execute(&format!(
            "CREATE SCHEMA streamkap;
             DO $$ BEGIN FOR n IN 0..{} LOOP
               EXECUTE format('CREATE TABLE streamkap.heartbeat_%s (id int PRIMARY KEY, text text, last_update timestamp)', n);
               EXECUTE format('INSERT INTO streamkap.heartbeat_%s VALUES (1)', n);
             END LOOP; END $$;
             GRANT USAGE ON SCHEMA streamkap TO {user};
             GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA streamkap TO {user}",
            TARGETS - 1,
            user = heartbeat::USER
        ))
        .await;
}

async fn fewest_beats(daemon: &Daemon) -> f64 {
    let metrics = daemon.metrics().await;
    let of = |n| metrics.sum("heartbeatd_beats_total", &[("target", &format!("shop-{n}")), ("result", "ok")]);
    (0..TARGETS).map(of).fold(f64::INFINITY, f64::min)
}

/// The upper bound of the bucket that holds this share of the beats.
async fn lateness(daemon: &Daemon, share: f64) -> String {
    const BUCKETS: &str = "heartbeatd_beat_lateness_seconds_bucket";
    let metrics = daemon.metrics().await;
    let total = metrics.sum("heartbeatd_beat_lateness_seconds_count", &[]);
    let mut bounds = metrics.values_of(BUCKETS, "le").into_iter();
    bounds.find(|bound| metrics.sum(BUCKETS, &[("le", bound)]) >= total * share).unwrap_or_default()
}

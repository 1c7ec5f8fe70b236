//! What a beat writes, when it writes, and that beats continue.

use heartbeatd::heartbeat::{Stamp, Writing};

use super::{TABLE, provisioned};
use crate::bench::driver::{MINUTE, TIME, WHEN_STALE, at, beat, report, session};
use crate::bench::session::execute;
use crate::bench::{Proxy, eventually, secs};

#[tokio::test]
async fn a_beat_is_one_query_message_that_changes_the_row_to_the_servers_time() {
    let (server, target) = provisioned().await;
    let proxy = Proxy::start(server.port()).await;
    let target = at(&format!("{}?sslmode=disable", proxy.url("hb", "hb-password")), &target);
    let mut session = session(&target).await;
    let before = proxy.total();
    let first = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    let second = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    let after = proxy.total();
    assert_eq!((after.count("Q") - before.count("Q"), after.bursts - before.bursts), (2, 2));
    assert_eq!(after.messages.values().sum::<u64>() - before.messages.values().sum::<u64>(), 2);
    assert_eq!((second.seen, second.changed, second.previous), (1, 1, first.value));
    assert!(second.value > first.value && second.position > first.position);
    let off = second.server_time.unwrap().micros_since(second.value.unwrap());
    assert!((0..1_000_000).contains(&off), "{off} µs");
    session.close().await;
}

#[tokio::test]
async fn the_value_is_utc_whatever_the_zone_of_the_role_and_the_type_of_the_column() {
    let (server, target) = provisioned().await;
    server.execute("ALTER ROLE hb SET timezone = 'Asia/Tokyo'").await;
    let near = format!("SELECT abs(extract(epoch FROM last_update - now() AT TIME ZONE 'UTC')) < 5 FROM {TABLE}");
    beat(&target, Writing::Always).await.unwrap();
    assert_eq!(server.value(&near).await.as_deref(), Some("t"));
    server.execute(&format!("ALTER TABLE {TABLE} ALTER last_update TYPE timestamptz USING NULL")).await;
    beat(&target, Writing::Always).await.unwrap();
    let near = format!("SELECT abs(extract(epoch FROM last_update - now())) < 5 FROM {TABLE}");
    assert_eq!(server.value(&near).await.as_deref(), Some("t"));
}

/// Several beats fit into one second of such a column, and none of them counts as reverted by a trigger.
#[tokio::test]
async fn a_column_of_whole_seconds_changes_at_every_beat() {
    let (server, target) = provisioned().await;
    for kind in ["timestamp(0)", "timestamptz(0)", "timestamp(2)"] {
        server.execute(&format!("ALTER TABLE {TABLE} ALTER last_update TYPE {kind}")).await;
        let mut session = session(&target).await;
        let mut last = None;
        for _ in 0..5 {
            let report = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
            assert!(report.value != report.previous && report.value != last, "{kind}: {report:?}");
            let ahead = report.value.unwrap().0 - report.server_time.unwrap().0;
            assert!(ahead.abs() <= 2_000_000, "{kind}: {ahead} µs ahead");
            last = report.value;
        }
    }
}

#[tokio::test]
async fn what_is_stale_is_decided_by_the_database() {
    let (server, target) = provisioned().await;
    let mut session = session(&target).await;
    // The distance from the server's clock, and whether the first look writes.
    for (value, writes) in [
        ("NULL", true),
        ("'infinity'", true),
        ("'-infinity'", true),
        ("'294276-12-31'", true),
        ("'4713-01-01 BC'", true),
        ("now() AT TIME ZONE 'UTC' - interval '30 s'", false),
        ("now() AT TIME ZONE 'UTC' - interval '50 s'", true),
        ("now() AT TIME ZONE 'UTC' + interval '5 min'", true),
        // Writers in other time zones.
        ("now() AT TIME ZONE 'UTC' + interval '2 h'", false),
        ("now() AT TIME ZONE 'UTC' - interval '5 h 30 min'", false),
        ("now() AT TIME ZONE 'UTC' + interval '20 h'", true),
    ] {
        server.execute(&format!("UPDATE {TABLE} SET last_update = {value}")).await;
        let report = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
        assert_eq!((report.seen, report.stale, report.changed == 1), (1, writes, writes), "{value}: {report:?}");
    }
    // A value that has not changed since the last look is stale, however young it is.
    let value = report(session.as_mut(), Writing::Always, TIME).await.unwrap().value;
    let again = Writing::WhenStale { last_seen: value, period: MINUTE };
    assert_eq!(report(session.as_mut(), again, TIME).await.unwrap().changed, 1);
    let changed = Writing::WhenStale { last_seen: Some(Stamp(1)), period: MINUTE };
    assert_eq!(report(session.as_mut(), changed, TIME).await.unwrap().changed, 0);
}

#[tokio::test]
async fn of_two_daemons_that_find_the_row_stale_one_writes() {
    let (server, target) = provisioned().await;
    let (mut a, mut b) = (session(&target).await, session(&target).await);
    for _ in 0..20 {
        server.execute(&format!("UPDATE {TABLE} SET last_update = '2020-01-01 00:07'")).await;
        let (a, b) = tokio::join!(report(a.as_mut(), WHEN_STALE, TIME), report(b.as_mut(), WHEN_STALE, TIME));
        assert_eq!(a.unwrap().changed + b.unwrap().changed, 1);
    }
    // A daemon that waits for the other's commit judges the new value.
    server.execute(&format!("UPDATE {TABLE} SET last_update = '2020-01-01 00:07'")).await;
    let mut other = server.connect().await;
    execute(&mut other, &format!("BEGIN; UPDATE {TABLE} SET last_update = clock_timestamp() AT TIME ZONE 'UTC'")).await;
    let (report, ()) = tokio::join!(report(a.as_mut(), WHEN_STALE, TIME), async {
        eventually(secs(8), "the beat to wait for the row", async || {
            match server.number("SELECT count(*) FROM pg_locks WHERE NOT granted").await {
                0 => Err("no session waits".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
        execute(&mut other, "COMMIT").await;
    });
    let report = report.unwrap();
    assert_eq!((report.seen, report.stale, report.changed), (1, true, 0));
}

#[tokio::test]
async fn beats_go_on_when_the_synchronous_standby_is_gone() {
    let (server, target) = provisioned().await;
    let mut session = session(&target).await;
    server.set("synchronous_standby_names", "'gone'").await;
    for _ in 0..3 {
        assert_eq!(report(session.as_mut(), Writing::Always, TIME).await.unwrap().changed, 1);
    }
}

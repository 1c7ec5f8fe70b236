//! The bench itself: what the scenarios take for granted.

use crate::bench::PostgresServer;

#[tokio::test]
async fn a_standby_streams_from_its_primary_and_takes_over() {
    let mut primary = PostgresServer::start().await;
    let mut standby = primary.standby().await;
    primary.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7)").await;
    standby.catch_up_with(&primary).await;
    assert_eq!(standby.number("SELECT id FROM t").await, 7);
    assert_eq!(standby.value("SELECT pg_is_in_recovery()").await.as_deref(), Some("t"));

    primary.stop().await;
    standby.promote().await;
    primary.follow(&standby).await;
    standby.execute("INSERT INTO t VALUES (8)").await;
    primary.catch_up_with(&standby).await;
    assert_eq!(primary.number("SELECT max(id) FROM t").await, 8);
    standby.demote().await;
    assert_eq!(standby.value("SELECT pg_is_in_recovery()").await.as_deref(), Some("t"));
}

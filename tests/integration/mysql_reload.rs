//! SIGHUP to a daemon with a MySQL or MariaDB target whose row is locked.

use crate::bench::beating_daemon::BeatingDaemon;
use crate::bench::mysql::session::execute;
use crate::bench::mysql_scene::{TABLE, beats_logged_by, configuration, furnish, on_both};
use crate::bench::{MysqlServer, eventually, secs, steadily};

#[tokio::test]
async fn a_locked_row_is_waited_for_by_one_session_through_twenty_reloads_and_written_once() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        let text = configuration(flavour, &[server.port()], "").replace("timeout = \"2s\"", "timeout = \"30s\"");
        let beating = BeatingDaemon::configured(&text).await;
        let mut holder = server.connect().await;
        execute(&mut holder, &format!("BEGIN; SELECT * FROM {TABLE} FOR UPDATE")).await;
        let before = beats_logged_by(&server).await;
        let waiting = async || {
            let beats = "INFO LIKE 'UPDATE /* heartbeatd%'";
            server.number(&format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE {beats}")).await
        };
        let one_waits = async || match waiting().await {
            1 => Ok(()),
            other => Err(format!("{other} sessions wait")),
        };
        eventually(secs(5), "a beat to wait for the row", one_waits).await;
        beating.is_reloaded_twenty_times(&text, waiting).await;
        eventually(secs(5), "a beat to wait for the row", one_waits).await;
        execute(&mut holder, "COMMIT").await;
        let written = async || beats_logged_by(&server).await - before;
        eventually(secs(5), "the beat to be written", async || match written().await {
            0 => Err("none"),
            _ => Ok(()),
        })
        .await;
        steadily(secs(5), "one beat and no more", async || match written().await {
            1 => Ok(()),
            more => Err(format!("{more} beats")),
        })
        .await;
    })
    .await;
}

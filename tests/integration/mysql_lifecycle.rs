//! The end of the daemon with a real MariaDB and MySQL.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::bench::beating_daemon::ROLE;
use crate::bench::mysql_scene::{BEAT, configuration, furnish, on_both, sessions};
use crate::bench::{MysqlServer, eventually, heartbeatd, secs};

#[tokio::test]
async fn terminate_and_interrupt_end_the_daemon_cleanly_and_leave_no_session_behind() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).general_log().start().await;
        furnish(&server).await;
        for signal in [Signal::TERM, Signal::INT] {
            let mut daemon = heartbeatd().config(&configuration(flavour, &[server.port()], "")).start().await;
            daemon.healthy_within(secs(10)).await;
            assert_eq!(daemon.end(signal, secs(10)).await.code(), Some(0), "{signal:?}: {}", daemon.log());
            eventually(secs(5), "no session to be left", async || match sessions(&server).await {
                none if none.is_empty() => Ok(()),
                left => Err(format!("{left:?}")),
            })
            .await;
            let commands = server.commands_of(ROLE);
            let beats = commands.iter().filter(|command| command.text.starts_with(BEAT));
            for session in beats.map(|beat| beat.session).collect::<BTreeSet<_>>() {
                let last = commands.iter().rfind(|command| command.session == session).unwrap();
                assert_eq!(last.kind, "Quit", "it says good-bye and does not just hang up: {commands:#?}");
            }
        }
    })
    .await;
}

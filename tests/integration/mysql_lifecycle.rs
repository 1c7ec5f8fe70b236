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
            // The end must not wait for the grace period.
            let text = format!("{}[shutdown]\ngrace = \"30s\"\n", configuration(flavour, &[server.port()], ""));
            let mut daemon = heartbeatd().config(&text).start().await;
            daemon.healthy_within(secs(20)).await;
            assert_eq!(daemon.end(signal, secs(10)).await.code(), Some(0), "{signal:?}: {}", daemon.log());
            eventually(secs(20), "no session to be left", async || match sessions(&server).await {
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

//! `--watch-config`: the daemon reloads by itself when its files change, in every way that files can change.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::daemon::Daemon;
use crate::bench::place::Place;
use crate::bench::{eventually, heartbeatd, secs};

/// How often the daemon looks at its files in these tests.
const EVERY: Duration = Duration::from_millis(500);
/// More than any reload takes, on a busy machine too.
const LIMIT: Duration = secs(10);
/// The promise: the interval, and the time of a reload.
const PROMISED: Duration = secs(3);

/// A volume as the kubelet lays it out: the file is a link through `..data`, and an update replaces that one link.
struct Volume(Place);

impl Volume {
    fn new(content: &str) -> Self {
        let volume = Self(Place::new("volume"));
        volume.swap("1", content);
        symlink("..data/heartbeatd.toml", volume.0.join("heartbeatd.toml")).unwrap();
        volume
    }

    fn swap(&self, state: &str, content: &str) {
        let folder = self.0.join(format!("..state_{state}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("heartbeatd.toml"), content).unwrap();
        symlink(folder.file_name().unwrap(), self.0.join("..data_tmp")).unwrap();
        let before = std::fs::read_link(self.0.join("..data")).ok();
        std::fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        // The kubelet deletes the old state at once.
        before.iter().for_each(|before| std::fs::remove_dir_all(self.0.join(before.to_str().unwrap())).unwrap());
    }
}

fn target(name: &str) -> String {
    format!("[[target]]\nname = \"{name}\"\nurl = \"sqlite:{name}.db\"\ninterval = \"1s\"\nprovision = \"auto\"\n")
}

async fn watching(file: &Path) -> Daemon {
    let program = heartbeatd().arg("-c").arg(file.to_str().unwrap()).arg("--watch-config").arg("500ms");
    let daemon = program.start().await;
    daemon.healthy_within(secs(15)).await;
    daemon
}

/// Waits until the log contains the text this many times, within the limit. Returns how long that took.
async fn logged_in_time(daemon: &Daemon, what: &str, times: usize) -> Duration {
    let since = Instant::now();
    eventually(LIMIT, format!("{times} times {what:?} in the log"), async || {
        let log = daemon.log();
        if log.matches(what).count() >= times { Ok(()) } else { Err(log) }
    })
    .await;
    since.elapsed()
}

#[tokio::test]
async fn a_swapped_link_reloads_in_time_and_a_broken_file_keeps_the_previous_configuration() {
    let volume = Volume::new(&target("orders"));
    let daemon = watching(&volume.0.join("heartbeatd.toml")).await;
    volume.swap("2", &[target("orders"), target("invoices")].concat());
    let first = logged_in_time(&daemon, "added=1 changed=0 removed=0 unchanged=1", 1).await;
    daemon.more_beats("invoices", "ok", 1, secs(10)).await;

    volume.swap("3", "[[target]]\nurl = \"sqlite:orders.db\"\nintervall = \"1s\"\n");
    let second = logged_in_time(&daemon, "configuration not reloaded", 1).await;
    assert_eq!(daemon.metrics().await.sum("heartbeatd_config_reload_failed", &[]), 1.0);
    daemon.more_beats("orders", "ok", 2, secs(10)).await;
    daemon.more_beats("invoices", "ok", 2, secs(10)).await;
    // The log says it once and not at every look.
    assert_eq!(daemon.log().matches("configuration not reloaded").count(), 1, "{}", daemon.log());

    volume.swap("4", &target("invoices"));
    let third = logged_in_time(&daemon, "added=0 changed=0 removed=1 unchanged=1", 1).await;
    assert_eq!(daemon.metrics().await.sum("heartbeatd_config_reload_failed", &[]), 0.0);
    assert_eq!(daemon.get("/targets/orders").await.status, 404);
    assert!(first.min(second).min(third) < EVERY + PROMISED, "{first:?}, {second:?}, {third:?}");
}

#[tokio::test]
async fn an_included_file_that_is_written_appears_or_goes_reloads() {
    let place = Place::new("etc");
    std::fs::create_dir(place.join("conf.d")).unwrap();
    let main = place.write("heartbeatd.toml", format!("include = [\"conf.d/*.toml\"]\n{}", target("orders")));
    let daemon = watching(&main).await;
    // The folder was empty. It is watched nevertheless.
    let further = place.write("conf.d/further.toml", target("invoices"));
    let first = logged_in_time(&daemon, "added=1 changed=0 removed=0 unchanged=1", 1).await;
    std::fs::write(&further, target("invoices").replace("1s", "2s")).unwrap();
    let second = logged_in_time(&daemon, "added=0 changed=1 removed=0 unchanged=1", 1).await;
    std::fs::remove_file(&further).unwrap();
    let third = logged_in_time(&daemon, "added=0 changed=0 removed=1 unchanged=1", 1).await;
    assert!(first.min(second).min(third) < EVERY + PROMISED, "{first:?}, {second:?}, {third:?}");
}

#[tokio::test]
async fn without_the_option_a_changed_file_waits_for_the_signal() {
    let volume = Volume::new(&target("orders"));
    let daemon = heartbeatd().arg("-c").arg(volume.0.join("heartbeatd.toml").to_str().unwrap()).start().await;
    volume.swap("2", &[target("orders"), target("invoices")].concat());
    daemon.more_beats("orders", "ok", 3, secs(15)).await;
    assert!(!daemon.log().contains("configuration reloaded"), "{}", daemon.log());
    daemon.signal(rustix::process::Signal::HUP);
    logged_in_time(&daemon, "added=1 changed=0 removed=0 unchanged=1", 1).await;
}

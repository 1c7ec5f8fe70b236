//! Several daemons that share one configuration: `--shard` splits its targets by name.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::bench::{heartbeatd, secs};

fn config(targets: usize) -> String {
    let mut text = String::new();
    for number in 0..targets {
        writeln!(text, "[[target]]\nname = \"orders-{number}\"\nurl = \"sqlite:{number}.db\"\nprovision = \"auto\"")
            .unwrap();
    }
    text
}

fn names(list: &serde_json::Value) -> BTreeSet<String> {
    let targets = list["targets"].as_array().unwrap_or_else(|| panic!("{list:#}"));
    targets.iter().map(|target| target["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn two_daemons_with_one_file_look_after_each_target_once() {
    let config = config(20);
    let first = heartbeatd().config(&config).arg("--shard").arg("0/2").start().await;
    let second = heartbeatd().config(&config).env("HEARTBEATD_SHARD", "1/2").start().await;
    first.healthy_within(secs(15)).await;
    second.healthy_within(secs(15)).await;
    let (of_first, of_second) = (names(&first.health().await.1), names(&second.health().await.1));
    assert!(!of_first.is_empty() && !of_second.is_empty(), "{of_first:?} {of_second:?}");
    assert!(of_first.is_disjoint(&of_second), "{of_first:?} {of_second:?}");
    assert_eq!(of_first.len() + of_second.len(), 20);
    assert!(first.log().contains("shard=0/2"), "{}", first.log());
}

#[tokio::test]
async fn a_shard_without_a_target_runs_and_says_so_and_an_invalid_shard_is_refused() {
    let config = config(1);
    let mut logs = Vec::new();
    for shard in ["0/2", "1/2"] {
        let daemon = heartbeatd().config(&config).arg("--shard").arg(shard).start().await;
        daemon.healthy_within(secs(15)).await;
        logs.push(daemon.log());
    }
    assert_eq!(logs.iter().filter(|log| log.contains("no target belongs to shard")).count(), 1, "{logs:#?}");
    let ended = heartbeatd().config(&config).arg("--shard").arg("2/2").run().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("shards count from 0: the last of 2 is 1"), "{ended:?}");
}

#[tokio::test]
async fn a_check_covers_only_its_shard() {
    let mut seen = BTreeSet::new();
    for shard in ["0/2", "1/2"] {
        let program = heartbeatd().config(&config(10)).arg("--check").arg("--offline").arg("--format").arg("json");
        let ended = program.arg("--shard").arg(shard).run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for name in names(&serde_json::from_str(&ended.stdout).unwrap()) {
            assert!(seen.insert(name.clone()), "{name} is in both");
        }
    }
    assert_eq!(seen.len(), 10);
}

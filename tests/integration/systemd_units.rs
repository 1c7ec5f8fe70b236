//! systemd itself judges the units of `deploy/systemd`.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use heartbeatd::cli::{Cli, with_command_first};

const SERVICES: [&str; 3] = ["heartbeatd.service", "heartbeatd@.service", "heartbeatd-check.service"];

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd")
}

fn read(unit: &str) -> String {
    std::fs::read_to_string(units().join(unit)).unwrap_or_else(|error| panic!("{unit}: {error}"))
}

fn systemd_analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(units())
        .output()
        .unwrap_or_else(|error| panic!("systemd-analyze: {error}: run tests/bench/install (package systemd)"));
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

/// A root folder with the units and the program at their installed places.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let (bin, etc, lib) = (root.path().join("usr/bin"), root.path().join("etc/systemd/system"), "usr/lib/systemd");
    for folder in [&bin, &etc, &root.path().join(lib), &root.path().join("bin")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_heartbeatd");
    if std::fs::hard_link(program, bin.join("heartbeatd")).is_err() {
        std::fs::copy(program, bin.join("heartbeatd")).unwrap();
    }
    std::fs::copy("/bin/kill", root.path().join("bin/kill")).unwrap();
    // The system's units that ours name: sysinit.target, network-online.target and others.
    let copied = Command::new("cp").args(["-r", "/usr/lib/systemd/system"]).arg(root.path().join(lib)).status();
    assert!(copied.unwrap().success());
    for unit in std::fs::read_dir(units()).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&unit, etc.join(unit.file_name().unwrap())).unwrap();
    }
    root
}

#[test]
fn systemd_has_nothing_to_say_about_a_unit() {
    let root = root();
    let verify = |unit: &str| {
        // Its output shows problems; its exit code does not.
        let root = format!("--root={}", root.path().display());
        systemd_analyze(&["verify", "--man=no", &root, unit])
    };
    for unit in
        ["heartbeatd.service", "heartbeatd@billing.service", "heartbeatd-check.service", "heartbeatd-check.timer"]
    {
        assert_eq!(verify(unit), (true, String::new()), "{unit}");
    }
    // Proof that it checks directives and the program's path.
    let spoilt = root.path().join("etc/systemd/system/heartbeatd.service");
    std::fs::write(&spoilt, read("heartbeatd.service").replace("ProtectClock", "ProtectClocks")).unwrap();
    assert!(verify("heartbeatd.service").1.contains("ProtectClocks"));
    std::fs::write(&spoilt, read("heartbeatd.service").replace("/usr/bin/heartbeatd", "/usr/bin/heartbeat")).unwrap();
    assert!(verify("heartbeatd.service").1.contains("/usr/bin/heartbeat"));
}

#[test]
fn the_exposure_of_each_service_is_two_of_ten_at_most() {
    for unit in SERVICES {
        let (success, printed) =
            systemd_analyze(&["security", "--offline=true", "--no-pager", "--threshold=20", &format!("./{unit}")]);
        assert!(success, "{unit}: {printed}");
    }
    let (success, _) =
        systemd_analyze(&["security", "--offline=true", "--no-pager", "--threshold=5", "./heartbeatd.service"]);
    assert!(!success, "the threshold is ignored");
}

#[test]
fn the_services_have_the_same_limits_and_their_command_lines_are_understood() {
    let limits = |unit: &str| {
        let text = read(unit);
        let (_, limits) = text.split_once("NoNewPrivileges=").expect("the limits");
        limits.split("\n\n[").next().unwrap().trim_end().to_owned()
    };
    for unit in SERVICES {
        assert_eq!(limits(unit), limits("heartbeatd.service"), "{unit}");
        let text = read(unit);
        let commands = text.lines().filter_map(|line| line.strip_prefix("Exec")?.split_once('=').map(|(_, line)| line));
        let ours: Vec<&str> = commands.filter(|line| line.starts_with("/usr/bin/heartbeatd")).collect();
        assert!(!ours.is_empty(), "{unit}");
        for line in ours {
            let arguments = with_command_first(line.split(' ').map(Into::into));
            Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{unit}: {line}: {error}"));
        }
    }
}

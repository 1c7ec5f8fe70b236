//! `heartbeatd health [URL]`: asks a running daemon, prints one line, and answers by exit code: 0 for status 200, 1 for
//! anything else. For scripts, and for health checks of containers that contain no other program.

use std::path::PathBuf;
use std::process::ExitCode;

use axum::http::StatusCode;
use serde_json::Value;

use super::exit::FAILED;
use super::settings::refuse;
use super::status_client::{Answer, StatusAddress, configured};
use super::terminal;

/// A health check's output appears in one column, if at all.
const LONGEST: usize = 400;

/// Asks, prints, answers.
pub async fn health(address: Option<&str>, config: Option<PathBuf>) -> ExitCode {
    let address = match StatusAddress::parse(address, "/health", || configured(config)) {
        Ok(address) => address,
        Err(error) => return refuse(&error),
    };
    match address.ask().await {
        Ok(answer) => {
            terminal::plain(&line(&answer));
            let good = answer.status == StatusCode::OK && answer.document["status"].is_string();
            if good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(message) => {
            terminal::error(&message);
            ExitCode::from(FAILED)
        }
    }
}

/// What the document says, in one line.
fn line(Answer { status, document, .. }: &Answer) -> String {
    let Some(word) = document["status"].as_str() else {
        let error = document["error"].as_str().unwrap_or("this is not an answer of /health, /ready or /live");
        return format!("{}: {error}", status.as_u16());
    };
    let what = match (document["targets"].as_array(), document["waiting_for"].as_array(), document["stuck"].as_str()) {
        (Some(targets), ..) => of_targets(targets),
        (_, Some(waiting), _) if !waiting.is_empty() => {
            format!("waiting for {}", waiting.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        (_, _, Some(stuck)) => format!("the loop of {stuck} does not run"),
        _ => return word.to_owned(),
    };
    let line = format!("{word}: {what}").replace(char::is_control, " ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

/// How many are healthy, and why the others are not.
fn of_targets(targets: &[Value]) -> String {
    let enabled: Vec<&Value> = targets.iter().filter(|target| target["state"] != "disabled").collect();
    let ill: Vec<&&Value> = enabled.iter().filter(|target| target["state"] != "healthy").collect();
    let mut line = format!("{} of {} targets healthy", enabled.len() - ill.len(), enabled.len());
    for target in ill {
        let reason = target["reasons"][0]["message"].as_str().or(target["state"].as_str()).unwrap_or_default();
        line.push_str(&format!("; {}: {reason}", target["name"].as_str().unwrap_or_default()));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(status: u16, document: Value) -> String {
        line(&Answer { status: StatusCode::from_u16(status).unwrap(), document, date: None })
    }

    #[test]
    fn one_line_says_how_many_targets_are_healthy_and_why_the_others_are_not() {
        let target =
            |name: &str, state: &str, reasons: Value| json!({"name": name, "state": state, "reasons": reasons});
        let healthy = json!({"status": "healthy", "targets": [target("a", "healthy", json!([])), target("b", "disabled", json!([]))]});
        assert_eq!(said(200, healthy), "healthy: 1 of 1 targets healthy");
        let reasons = json!([{"message": "connection\nrefused"}]);
        let ill = json!({"status": "unhealthy", "targets": [
            target("a", "healthy", json!([])), target("b", "unhealthy", reasons), target("c", "starting", json!([]))
        ]});
        assert_eq!(said(503, ill), "unhealthy: 1 of 3 targets healthy; b: connection refused; c: starting");
        assert_eq!(said(503, json!({"status": "starting", "waiting_for": ["a", "b"]})), "starting: waiting for a, b");
        assert_eq!(said(200, json!({"status": "ready", "waiting_for": []})), "ready");
        assert_eq!(
            said(503, json!({"status": "stuck", "stuck": "target a"})),
            "stuck: the loop of target a does not run"
        );
        assert_eq!(said(404, json!({"error": "no such page: start at /"})), "404: no such page: start at /");
    }
}

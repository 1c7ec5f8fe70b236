//! Maps each path to its document.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::health::{HealthDocument, Liveness, Readiness};
use super::targets::{TargetDocument, TargetList};
use super::{metrics, page};
use crate::status::board::Board;

#[derive(Debug, Clone)]
struct Shared {
    board: Arc<Board>,
    metrics: Arc<Registry>,
}

#[derive(Debug, Serialize)]
struct ErrorDocument {
    error: String,
}

/// Every path; the module's documentation lists the same ones, which a test checks.
fn table() -> [(&'static str, MethodRouter<Shared>); 7] {
    [
        ("/", get(show_page)),
        ("/live", get(live)),
        ("/ready", get(ready)),
        ("/health", get(health)),
        ("/targets", get(list_targets)),
        // A wildcard, because names contain slashes: `host/database`.
        ("/targets/{*name}", get(show_target)),
        ("/metrics", get(scrape)),
    ]
}

/// The router over a board.
pub(super) fn router(board: Arc<Board>) -> Router {
    let metrics = Arc::new(metrics::registry(Arc::clone(&board)));
    table()
        .into_iter()
        .fold(Router::new(), |router, (path, method)| router.route(path, method))
        .fallback(async || not_found("no such page: start at /".to_owned()))
        .layer(map_response(protect))
        .with_state(Shared { board, metrics })
}

async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Every answer describes the current moment.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn show_page(State(shared): State<Shared>) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    (headers, page::render(&shared.board, shared.board.clock().now())).into_response()
}

async fn live(State(shared): State<Shared>) -> Response {
    let liveness = Liveness::of(&shared.board, shared.board.clock().now());
    json(good_or_unavailable(liveness.is_good()), &liveness)
}

async fn ready(State(shared): State<Shared>) -> Response {
    let readiness = Readiness::of(&shared.board);
    json(good_or_unavailable(readiness.is_good()), &readiness)
}

async fn health(State(shared): State<Shared>) -> Response {
    let (document, fine) = HealthDocument::of(&shared.board, shared.board.clock().now());
    json(good_or_unavailable(fine), &document)
}

async fn list_targets(State(shared): State<Shared>) -> Response {
    json(StatusCode::OK, &TargetList::of(&shared.board, shared.board.clock().now()))
}

async fn show_target(State(shared): State<Shared>, name: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(name)) = name else {
        return not_found("the target's name in this path is not UTF-8 text".to_owned());
    };
    let Some(cell) = shared.board.cell(&name) else {
        return not_found(format!("no target \"{name}\": /targets lists them"));
    };
    let status = cell.lock().clone();
    json(StatusCode::OK, &TargetDocument::of(&status, shared.board.clock().now()))
}

async fn scrape(State(shared): State<Shared>) -> Response {
    match metrics::encode(&shared.metrics) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => internal(&error),
    }
}

fn good_or_unavailable(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn not_found(error: String) -> Response {
    json(StatusCode::NOT_FOUND, &ErrorDocument { error })
}

/// Indented: the reader may be a tired person with curl.
fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(document) {
        Ok(text) => (status, [(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => internal(&error),
    }
}

/// An error here is a bug in heartbeatd; the answer reports it instead of hiding it.
fn internal(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "an HTTP answer could not be written");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde_json::Value;

    use super::super::fixtures::{
        OVERDUE, PASSWORD, Served, add, beat, empty_board, fail, failure, full_board, replica, serve,
    };
    use super::*;
    use crate::driver::ServerRole;

    async fn state(served: &Served) -> (u16, String) {
        let answer = served.get("/health").await;
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, document["status"].as_str().unwrap().to_owned())
    }

    fn answered(status: u16, word: &str) -> (u16, String) {
        (status, word.to_owned())
    }

    #[test]
    fn the_modules_page_lists_the_routes() {
        let listed: BTreeSet<&str> = include_str!("mod.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! - `")?.split_once('`').map(|(path, _)| path))
            .collect();
        let routed: Vec<String> = table().iter().map(|(path, _)| path.replace("{*", "{")).collect();
        assert_eq!(listed, routed.iter().map(String::as_str).collect());
    }

    #[tokio::test(start_paused = true)]
    async fn every_document_matches_its_snapshot() {
        let board = full_board().await;
        let served = serve(&board).await;
        for (name, path) in [
            ("live", "/live"),
            ("ready", "/ready"),
            ("health", "/health"),
            ("targets", "/targets"),
            ("target", "/targets/orders"),
            ("unknown_target", "/targets/nobody"),
            ("unknown_path", "/nothing"),
        ] {
            let answer = served.get(path).await;
            assert!(answer.head.contains("content-type: application/json"), "{path}: {}", answer.head);
            insta::assert_snapshot!(name, format!("{}\n{}", answer.status, answer.body));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_contains_a_password_or_may_be_sniffed_or_cached() {
        let served = serve(&full_board().await).await;
        for path in ["/", "/live", "/ready", "/health", "/targets", "/targets/orders", "/metrics", "/nothing"] {
            let answer = served.get(path).await;
            assert!(!answer.body.contains(PASSWORD), "{path}");
            assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}: {}", answer.head);
            assert!(answer.head.contains("cache-control: no-store"), "{path}: {}", answer.head);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn health_follows_a_target_through_its_life() {
        let board = empty_board();
        let served = serve(&board).await;
        assert_eq!(state(&served).await, answered(200, "healthy"));
        let cell = add(&board, "orders", |_| {});
        assert_eq!(state(&served).await, answered(503, "starting"));
        beat(&cell, board.clock().now());
        assert_eq!(state(&served).await, answered(200, "healthy"));
        fail(&cell, failure(), board.clock().now());
        assert_eq!(state(&served).await, answered(200, "healthy"), "one failure is not yet too late");
        tokio::time::advance(OVERDUE + Duration::from_secs(1)).await;
        assert_eq!(state(&served).await, answered(503, "unhealthy"));
        beat(&cell, board.clock().now());
        assert_eq!(state(&served).await, answered(200, "healthy"));
        add(&board, "archive", |target| target.enabled = false);
        assert_eq!(state(&served).await, answered(200, "healthy"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_turns_health_red_only_if_it_is_required() {
        let board = empty_board();
        let served = serve(&board).await;
        for (required, expected) in [(false, answered(200, "healthy")), (true, answered(503, "unhealthy"))] {
            let cell = add(&board, "orders", |target| target.replicas = vec![replica("replica-1", required)]);
            beat(&cell, board.clock().now());
            assert_eq!(state(&served).await, answered(200, "healthy"));
            cell.lock().replicas.get_mut("replica-1").unwrap().role = Some(ServerRole::Primary);
            assert_eq!(state(&served).await, expected);
            let body = served.get("/health").await.body;
            assert!(body.contains("\"not_a_replica\""), "{body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_waits_for_the_first_try_of_each_enabled_target() {
        let board = empty_board();
        let served = serve(&board).await;
        add(&board, "archive", |target| target.enabled = false);
        let cell = add(&board, "orders", |_| {});
        let answer = served.get("/ready").await;
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("\"orders\"") && !answer.body.contains("\"archive\""), "{}", answer.body);
        fail(&cell, failure(), board.clock().now());
        assert_eq!(served.get("/ready").await.status, 200, "a try that failed is a try");
        board.process().stopping = true;
        assert_eq!(served.get("/ready").await.status, 503);
    }

    #[tokio::test(start_paused = true)]
    async fn liveness_names_the_loop_that_overslept() {
        let board = empty_board();
        let served = serve(&board).await;
        let cell = add(&board, "orders", |_| {});
        cell.lock().wake_up = Some(board.clock().now());
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(served.get("/live").await.status, 200);
        tokio::time::advance(Duration::from_secs(2)).await;
        let answer = served.get("/live").await;
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("target orders"), "{}", answer.body);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_with_slashes_is_found_in_either_spelling() {
        let board = empty_board();
        let served = serve(&board).await;
        add(&board, "host/db", |_| {});
        add(&board, "/run/postgresql/db", |_| {});
        for path in ["/targets/host/db", "/targets/host%2Fdb", "/targets/%2Frun%2Fpostgresql%2Fdb"] {
            assert_eq!(served.get(path).await.status, 200, "{path}");
        }
        for path in ["/targets/host", "/targets/host/db/", "/targets/%FF", "/targets/", "/targets/../live"] {
            let answer = served.get(path).await;
            assert_eq!(answer.status, 404, "{path}");
            let document: Value = serde_json::from_str(&answer.body).unwrap();
            assert!(document["error"].is_string(), "{path}: {}", answer.body);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_reading_is_allowed() {
        let served = serve(&full_board().await).await;
        for path in ["/", "/live", "/health", "/targets", "/targets/orders", "/metrics"] {
            for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
                assert_eq!(served.ask(method, path).await.status, 405, "{method} {path}");
            }
            let head = served.ask("HEAD", path).await;
            assert_eq!((head.status, head.body.as_str()), (served.get(path).await.status, ""), "{path}");
        }
    }
}

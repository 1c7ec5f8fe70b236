//! Requests a document from the status listener of a running daemon. The commands that inspect a daemon from outside
//! use it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::{CONNECTION, DATE, HOST};
use axum::http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::config::{self, LoadError, Purpose, Sources};
use crate::drivers::Drivers;
use crate::time::clock::{self, Clock};

/// How long the whole exchange may take. A daemon answers from memory; a container's health check has 30 s.
const DEADLINE: Duration = Duration::from_secs(5);
/// Far more than `/targets` needs for thousands of targets.
const LONGEST: usize = 64 * 1024 * 1024;

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatusAddress {
    authority: String,
    path: String,
}

/// What the daemon answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) document: Value,
    /// The daemon's clock, from its `Date` header.
    pub(super) date: Option<String>,
}

/// Where the daemon of this configuration listens, by the file, the environment or the default.
pub(super) fn configured(file: Option<PathBuf>) -> Result<SocketAddr, LoadError> {
    let environment = config::process_environment()?;
    let sources = Sources { file, urls: Vec::new(), environment, purpose: Purpose::Command };
    let listen = config::status_address(&sources, &Drivers::built_in())?;
    // A listener on every address also answers on loopback.
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

impl StatusAddress {
    /// Reads `http://HOST:PORT/path`, `HOST:PORT`, or a path alone, which refers to the `configured` address. `path` is
    /// the default path.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub(super) fn parse(
        text: Option<&str>,
        path: &str,
        configured: impl FnOnce() -> Result<SocketAddr, LoadError>,
    ) -> Result<Self, LoadError> {
        let text = text.unwrap_or(path);
        if text.starts_with('/') {
            return Ok(Self { authority: configured()?.to_string(), path: text.to_owned() });
        }
        let expected = || LoadError::Usage(format!("{text}: expected an address like http://127.0.0.1:2328{path}"));
        let uri: Uri = if text.contains("://") { text.parse() } else { format!("http://{text}").parse() }
            .map_err(|_| expected())?;
        if uri.scheme_str() == Some("https") {
            return Err(LoadError::Usage(format!("{text}: heartbeatd serves its status without TLS: write http://")));
        }
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(expected)?;
        let authority = if authority.port().is_some() { authority.to_string() } else { format!("{authority}:80") };
        let path = if matches!(uri.path(), "" | "/") { path } else { uri.path() };
        Ok(Self { authority, path: path.to_owned() })
    }

    /// Sends the request; the answer must come within five seconds.
    ///
    /// # Errors
    /// A sentence that names the address: no program listens there, no answer came, or another program than heartbeatd
    /// answered.
    ///
    /// Cancel-safe.
    pub(super) async fn ask(&self) -> Result<Answer, String> {
        let deadline = Clock::system().now().plus(DEADLINE).mono;
        let answer = clock::timeout_at(deadline, Box::pin(self.exchange())).await;
        answer.unwrap_or_else(|_| Err(format!("{self} did not answer within {} s", DEADLINE.as_secs())))
    }

    async fn exchange(&self) -> Result<Answer, String> {
        let failed = |error: &dyn std::error::Error| format!("{self} did not answer: {error}");
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|error| format!("cannot reach heartbeatd at {self}: {error}"))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        let request = Request::get(&self.path).header(HOST, &self.authority).header(CONNECTION, "close");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let status = response.status();
            let date = response.headers().get(DATE).and_then(|date| Some(date.to_str().ok()?.to_owned()));
            let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|error| failed(&*error))?;
            let document = serde_json::from_slice(&body.to_bytes())
                .map_err(|_| format!("{self} answered {status} and not as heartbeatd does: check the address"))?;
            Ok(Answer { status, document, date })
        };
        // The connection moves the bytes; if it ends first, the answer says what was missing.
        let (answer, _) = futures_util::join!(answer, connection);
        answer
    }
}

impl std::fmt::Display for StatusAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: Option<&str>) -> Result<String, String> {
        let configured = || Ok(SocketAddr::from(([127, 0, 0, 1], 2328)));
        let address = StatusAddress::parse(text, "/health", configured);
        address.map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_address_may_be_a_url_a_host_a_path_or_missing() {
        for (text, address) in [
            (None, "http://127.0.0.1:2328/health"),
            (Some("/live"), "http://127.0.0.1:2328/live"),
            (Some("http://db-1:2328"), "http://db-1:2328/health"),
            (Some("http://db-1:2328/"), "http://db-1:2328/health"),
            (Some("http://db-1:2328/ready"), "http://db-1:2328/ready"),
            (Some("db-1:2328"), "http://db-1:2328/health"),
            (Some("[::1]:2328/live"), "http://[::1]:2328/live"),
            (Some("http://db-1"), "http://db-1:80/health"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(address), "{text:?}");
        }
        for text in ["https://db-1:2328", "postgres://h/d", "", "http://", "a b"] {
            assert!(parsed(Some(text)).is_err_and(|error| error.starts_with(text)), "{text}");
        }
    }
}

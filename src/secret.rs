//! Passwords and their sources, and the only type that may hold a password. `config` chooses the source; the drivers
//! read it at every connect, so heartbeatd uses a rotated password without a restart.

mod command;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::bounded_read::{Accept, Bounds, read_file};
use crate::descriptors::is_shortage;
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::Instant;

pub use command::COMMAND_DEADLINE;

/// A larger file is not a password; the path is wrong.
const MAX_BYTES: usize = 64 * 1024;

/// heartbeatd reads a password file at each connection; a pipe would give its content only once.
const FILE: Bounds = Bounds { bytes: MAX_BYTES as u64, within: Duration::from_secs(5), accept: Accept::RegularFiles };

/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A secret value: cleared from memory on drop, shown by neither `Debug` nor `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

/// Where a password is read from, at each connect.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the URL or the file itself.
    Literal(Secret),
    /// The content of a file, one trailing line break removed.
    File(PathBuf),
    /// An environment variable of this process.
    Env(String),
    /// A credential that systemd passed to this service (`LoadCredential=`), by its name.
    Credential(String),
    /// The standard output of a program (first word) with its arguments; no shell is involved.
    Command(Vec<String>),
}

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value. Use it only to pass it to a driver.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Names the source, never the value: `[redacted]`, `file /run/secrets/x`, `env X`, `credential x`, `command
/// vault`.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("[redacted]"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
            // Arguments may contain a token, so only the program is named.
            Self::Command(words) => write!(f, "command {}", words.first().map_or("", String::as_str)),
        }
    }
}

impl SecretSource {
    /// Reads the secret now, by `deadline` and within five seconds.
    ///
    /// # Errors
    /// Kind `secret_source` when the source cannot be read in time, is not a regular file, is empty, longer than 64 KiB
    /// or not UTF-8, or (a command) fails. The error never contains a command's output.
    ///
    /// Cancel-safe: dropping the future ends a running command, with all that it started.
    pub async fn read(&self, deadline: Instant) -> Result<Secret, Failure> {
        match self {
            Self::Literal(secret) => Ok(secret.clone()),
            Self::File(path) => read_password_file(path, "the password file", deadline).await,
            Self::Credential(name) => {
                let Some(folder) = std::env::var_os(CREDENTIALS) else {
                    let message = format!("cannot read the credential {name}: {CREDENTIALS} is not set");
                    return Err(Failure::new(ErrorKind::SecretSource, message).with_remedy(format!(
                        "add LoadCredential={name}:/PATH to the unit of systemd that starts heartbeatd"
                    )));
                };
                read_password_file(&PathBuf::from(folder).join(name), "the credential", deadline).await
            }
            Self::Env(name) => match std::env::var(name) {
                Ok(value) => accept(value.into_bytes(), &format!("the environment variable {name}")),
                Err(_) => Err(failed(format!("the environment variable {name} is not set, or is not UTF-8"))),
            },
            Self::Command(words) => {
                let Some((program, arguments)) = words.split_first() else {
                    return Err(failed("the password command is empty".to_owned()));
                };
                let printed = Box::pin(command::run(program, arguments, MAX_BYTES, deadline)).await;
                let printed = printed.map_err(|error| unread(error.to_string(), error))?;
                accept(printed, &format!("the password command {program}"))
            }
        }
    }
}

async fn read_password_file(path: &Path, what: &str, deadline: Instant) -> Result<Secret, Failure> {
    let shown = path.display();
    let bytes = read_file(path, FILE, deadline).await;
    let bytes = bytes.map_err(|error| unread(format!("cannot read {what} {shown}: {error}"), error))?;
    accept(bytes, &format!("{what} {shown}"))
}

fn accept(mut bytes: Vec<u8>, origin: &str) -> Result<Secret, Failure> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(failed(format!("{origin} gave an empty password")));
    }
    if bytes.contains(&b'\n') || bytes.contains(&b'\r') {
        return Err(failed(format!(
            "{origin} gave several lines, or ends in several line breaks: a password is one line"
        )));
    }
    if bytes.len() > MAX_BYTES || bytes.contains(&0) {
        return Err(failed(format!("{origin} gave something that is not a password")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Secret::new(text)),
        Err(_) => Err(failed(format!("{origin} gave bytes that are not UTF-8"))),
    }
}

/// A source that cannot be read, unless this process has no file descriptor left.
fn unread(message: String, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    if is_shortage(&error) {
        return Failure::new(ErrorKind::Limit, message).with_source(error);
    }
    failed(message).with_source(error)
}

fn failed(message: String) -> Failure {
    Failure::new(ErrorKind::SecretSource, message)
        .with_remedy("put the password where the configuration says, readable by the user that runs heartbeatd")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock::Clock;

    fn soon() -> Instant {
        Clock::system().now().mono + Duration::from_secs(60)
    }

    #[test]
    fn a_secret_shows_nothing() {
        let source = SecretSource::Literal(Secret::new("hunter2"));
        assert_eq!(format!("{source:?} {source} {:?}", Secret::new("hunter2")), "[redacted] [redacted] [redacted]");
        let command = SecretSource::Command(vec!["vault".into(), "--token=hunter2".into()]);
        assert_eq!(format!("{command:?}"), "command vault");
    }

    #[tokio::test]
    async fn text_of_more_than_one_line_is_not_a_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = SecretSource::File(file.path().to_owned());
        for text in ["hunter2\n\n", "hunter2\r\n\r\n", "hunter2\nsecond line\n"] {
            std::fs::write(file.path(), text).unwrap();
            let failure = source.read(soon()).await.unwrap_err();
            assert!(failure.message().contains("a password is one line"), "{failure}");
            assert!(!failure.to_string().contains("hunter2"), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_file_is_read_again_each_time_and_loses_one_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = SecretSource::File(file.path().to_owned());
        for value in ["first", "second "] {
            std::fs::write(file.path(), format!("{value}\r\n")).unwrap();
            assert_eq!(source.read(soon()).await.unwrap().expose(), value);
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_never_shows_what_it_printed() {
        let source = SecretSource::Command(vec!["sh".into(), "-c".into(), "echo hunter2; exit 3".into()]);
        let failure = source.read(soon()).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::SecretSource);
        assert!(!format!("{failure:?} {failure}").contains("hunter2"));
    }

    #[tokio::test]
    async fn an_empty_or_missing_source_is_named() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        for source in [
            SecretSource::File(empty.path().to_owned()),
            SecretSource::File("/nonexistent/secret".into()),
            SecretSource::Env("HEARTBEATD_TEST_SURELY_UNSET".into()),
            SecretSource::Command(vec!["/nonexistent/program".into()]),
        ] {
            assert_eq!(source.read(soon()).await.unwrap_err().kind(), ErrorKind::SecretSource, "{source}");
        }
    }
}

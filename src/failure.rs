//! The one error type that people see: kind, code, message and the exact next step. `heartbeat` re-exports it for every
//! room; of this crate it imports `plain_text` and `remedy`.

mod kind;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

pub use kind::{ErrorClass, ErrorKind, KeptSession, Outcome, Pace};

use crate::plain_text;
use crate::remedy::Remedy;

/// A failure of one target, ready to be shown: kind, the database's own code, a message, the next step.
///
/// Holds no secret: drivers build the message from the server's text or their own words, never from a URL.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: ErrorKind,
    code: Option<String>,
    message: String,
    // Boxed, because every result of a driver reserves room for a failure.
    remedy: Option<Box<Remedy>>,
    unknown_outcome: bool,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of this kind. The message becomes one line, see [`plain_text::one_line`].
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        let message = plain_text::one_line(message.as_ref());
        Self { kind, code: None, message, remedy: None, unknown_outcome: false, source: None }
    }

    /// Adds the database's own code, e.g. a SQLSTATE.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(plain_text::one_line(&code.into()));
        self
    }

    /// Adds the exact next step.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Remedy>) -> Self {
        self.remedy = Some(Box::new(remedy.into()));
        self
    }

    /// Keeps the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Replaces the kind, where a caller knows more than the code shows.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Marks a beat that was sent and got no answer: the server may have written it.
    #[must_use]
    pub fn with_unknown_outcome(mut self) -> Self {
        self.unknown_outcome = true;
        self
    }

    /// Whether the failed beat may have been written: the value found next may be ours.
    #[must_use]
    pub fn has_unknown_outcome(&self) -> bool {
        self.unknown_outcome
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The class of the kind.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.kind.class()
    }

    /// The database's own code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What happened, one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exact next step, if one is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&Remedy> {
        self.remedy.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_is_cut_wherever_it_enters() {
        let hostile = format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(2_000));
        let failure = Failure::new(ErrorKind::Unknown, &hostile).with_code("1\n2").with_remedy("SELECT 1;\n\u{202e}");
        assert!(failure.message().starts_with("a b [31m\u{fffd}x"));
        assert_eq!(failure.message().chars().count(), plain_text::MAX_CHARS + 1);
        assert_eq!(failure.code(), Some("1 2"));
        assert_eq!(failure.remedy().map(ToString::to_string).as_deref(), Some("SELECT 1;\n\u{fffd}"));
    }
}

//! The result of one question to a server: the answer, or the server's refusal. The drivers' facts and checks use it;
//! its form is part of the files of saved facts.

use serde::{Deserialize, Serialize};

use crate::finding::{Check, Finding};

/// The result of one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer<T> {
    /// The answer.
    Seen(T),
    /// The server's refusal.
    Refused(Refusal),
}

/// A refusal, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// The database's own code.
    pub(super) code: String,
    pub(super) message: String,
}

impl<T> Answer<T> {
    /// The answer, or the server's refusal.
    pub(super) fn seen(&self) -> Result<&T, &Refusal> {
        match self {
            Self::Seen(answer) => Ok(answer),
            Self::Refused(refusal) => Err(refusal),
        }
    }

    /// Converts the answer.
    ///
    /// # Errors
    /// Those of `make`.
    #[cfg(feature = "mysql")]
    pub(super) fn map<U, E>(self, make: impl FnOnce(T) -> Result<U, E>) -> Result<Answer<U>, E> {
        Ok(match self {
            Self::Seen(answer) => Answer::Seen(make(answer)?),
            Self::Refused(refusal) => Answer::Refused(refusal),
        })
    }

    /// Converts the answer with a function that cannot fail.
    #[cfg(any(feature = "mongodb", feature = "oracle"))]
    pub(super) fn make<U>(self, make: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Seen(answer) => Answer::Seen(make(answer)),
            Self::Refused(refusal) => Answer::Refused(refusal),
        }
    }

    /// The answer, if there is one.
    pub(super) fn answer(&self) -> Option<&T> {
        self.seen().ok()
    }

    /// Judges an answer. If the server refused it, the check is unknown, with the required privilege; `passing` as for
    /// [`Refusal::unless`].
    pub(super) fn judge(
        &self,
        check: &Check,
        subject: &str,
        privilege: &str,
        passing: &[&str],
        judge: impl FnOnce(&T) -> Finding,
    ) -> Finding {
        match self.seen() {
            Ok(answer) => judge(answer),
            Err(refusal) => check.unknown(subject, refusal.unless(privilege, passing)),
        }
    }
}

impl Refusal {
    /// The refusal, and what is required to get an answer. `passing` holds the driver's codes for a lock of another
    /// session, a server under load, or one that is not ready: no grant would help there.
    pub(super) fn unless(&self, privilege: &str, passing: &[&str]) -> String {
        if passing.contains(&self.code.as_str()) {
            format!("{self}; requires another look, when the server can answer it")
        } else {
            format!("{self}; requires {privilege}")
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

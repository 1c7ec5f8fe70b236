//! What one question to a server gave: the answer, or the server's refusal. Used by the drivers' facts and checks; its
//! form is part of the files that facts are saved in.

use serde::{Deserialize, Serialize};

use crate::finding::{Check, Finding};

/// What one question gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer<T> {
    /// The answer.
    Seen(T),
    /// The server would not say.
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
    /// The answer, or what the server said instead.
    pub(super) fn seen(&self) -> Result<&T, &Refusal> {
        match self {
            Self::Seen(answer) => Ok(answer),
            Self::Refused(refusal) => Err(refusal),
        }
    }

    /// Makes something else of the answer.
    ///
    /// # Errors
    /// What `make` gives.
    #[cfg(feature = "mysql")]
    pub(super) fn map<U, E>(self, make: impl FnOnce(T) -> Result<U, E>) -> Result<Answer<U>, E> {
        Ok(match self {
            Self::Seen(answer) => Answer::Seen(make(answer)?),
            Self::Refused(refusal) => Answer::Refused(refusal),
        })
    }

    /// Makes something else of the answer, which always can.
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

    /// Judges an answer. What the server did not show is unknown, with the required privilege; `passing` as for
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
    /// The refusal, and what it takes to get an answer. `passing` are the driver's codes for a lock that somebody holds,
    /// a server under load, or one that is not ready: no grant would help.
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

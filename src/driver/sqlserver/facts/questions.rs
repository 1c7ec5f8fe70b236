//! Sends each question as one batch. The other files of this folder use it.

use tiberius::Row;

use crate::driver::answer::Answer;
use crate::driver::sqlserver::query::{self, Expressions, Limits, SqlClient, Values};
use crate::heartbeat::{ErrorKind, Failure};

/// Sends questions to one server.
pub(super) struct Questions<'a> {
    client: &'a mut SqlClient,
    limits: Limits,
}

impl<'a> Questions<'a> {
    /// Questions through this client, all within these limits.
    pub(super) fn of(client: &'a mut SqlClient, limits: Limits) -> Self {
        Self { client, limits }
    }

    /// Runs one batch and converts each row with `make`. A refusal of the server is part of the facts.
    ///
    /// # Errors
    /// A failure that did not come from the server, or an error of `make`.
    pub(super) async fn ask<T>(
        &mut self,
        sql: &str,
        make: impl Fn(&Row) -> Result<T, Failure>,
    ) -> Result<Answer<Vec<T>>, Failure> {
        match query::send(self.client, sql, self.limits).await {
            Ok(answer) => Ok(Answer::Seen(answer.last_set().iter().map(make).collect::<Result<_, _>>()?)),
            Err(failure) => refused(failure),
        }
    }

    /// Reads the values of expressions. A lookalike may lack some of them.
    ///
    /// # Errors
    /// A failure that did not come from the server.
    pub(super) async fn ask_values(&mut self, expressions: &Expressions) -> Result<Answer<Values>, Failure> {
        match query::values(self.client, expressions, self.limits).await {
            Ok(values) => Ok(Answer::Seen(values)),
            Err(failure) => refused(failure),
        }
    }

    /// As [`ask`](Self::ask), for an answer of one row.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); `protocol` without a row.
    pub(super) async fn ask_one<T>(
        &mut self,
        sql: &str,
        make: impl Fn(&Row) -> Result<T, Failure>,
    ) -> Result<Answer<T>, Failure> {
        match self.ask(sql, make).await? {
            Answer::Refused(refusal) => Ok(Answer::Refused(refusal)),
            Answer::Seen(mut rows) => match rows.pop() {
                Some(row) => Ok(Answer::Seen(row)),
                None => Err(Failure::new(ErrorKind::Protocol, "not the answer that was asked for")),
            },
        }
    }
}

fn refused<T>(failure: Failure) -> Result<Answer<T>, Failure> {
    query::refusal(&failure).map(Answer::Refused).ok_or(failure)
}

/// Text of a column; NULL is empty.
pub(super) fn text(row: &Row, column: &str) -> Result<String, Failure> {
    Ok(query::text(row, column)?.unwrap_or_default())
}

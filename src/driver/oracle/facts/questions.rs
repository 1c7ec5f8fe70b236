//! Sends one question to the server in one round trip: a block runs the query and returns its lines, or the code of the
//! server's refusal. The other files of this folder use it.

use crate::driver::answer::{Answer, Refusal};
use crate::driver::oracle::call_thread::CallThread;
use crate::driver::oracle::client::{Bind, Block, LONGEST_TEXT};
use crate::driver::oracle::errors;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plain_text::one_line;
use crate::time::clock::Instant;

/// Separates the columns of a line.
pub(super) const SEPARATOR: &str = " || CHR(9) || ";

/// A session that answers questions.
pub(super) struct Questions<'a> {
    thread: &'a mut CallThread,
    limit: Instant,
}

/// Returns the lines of a query with one column, or the server's refusal. An answer that exceeds the buffer counts as
/// refused, like ORA-01406 for one long value: half of a list does not show what is missing.
pub(super) const BLOCK: &str = "\
DECLARE
  question CONSTANT VARCHAR2(4000) := :question;
  answer VARCHAR2(4000);
  line VARCHAR2(4000);
  lines SYS_REFCURSOR;
  code NUMBER := 0;
  message VARCHAR2(1000);
BEGIN
  BEGIN
    OPEN lines FOR question;
    LOOP
      FETCH lines INTO line;
      EXIT WHEN lines%NOTFOUND OR NVL(LENGTHB(answer), 0) + NVL(LENGTHB(line), 0) > 3900;
      answer := answer || line || CHR(10);
    END LOOP;
    IF lines%FOUND THEN
      code := 1406;
      message := 'ORA-01406: the answer is longer than heartbeatd reads';
    END IF;
    CLOSE lines;
  EXCEPTION
    WHEN OTHERS THEN
      code := ABS(SQLCODE);
      message := SUBSTR(SQLERRM, 1, 250);
  END;
  :answer := answer;
  :code := code;
  :message := message;
END;";

impl<'a> Questions<'a> {
    pub(super) fn of(thread: &'a mut CallThread, limit: Instant) -> Self {
        Self { thread, limit }
    }

    /// Runs a query. Each line of the answer is split into its columns; an empty text is NULL.
    ///
    /// # Errors
    /// The server cannot be queried.
    pub(super) async fn ask(&mut self, question: &str) -> Result<Answer<Vec<Vec<String>>>, Failure> {
        debug_assert!(question.len() < LONGEST_TEXT, "{question}");
        let binds = vec![
            ("question", Bind::Text(question.to_owned())),
            ("answer", Bind::TextOut),
            ("code", Bind::NumberOut),
            ("message", Bind::TextOut),
        ];
        let block = Block { sql: BLOCK.to_owned(), binds };
        let call = self.thread.call(
            move |place| match place {
                Some(session) => session.run(&block),
                None => Err(Failure::new(ErrorKind::Internal, "the session was closed before its last use")),
            },
            self.limit,
        );
        let values = call.await?;
        let code = values.number(1)?.unwrap_or_default();
        if code != 0 {
            let code = u32::try_from(code).unwrap_or_default();
            let failure = errors::of_server(code, &values.text(2)?.unwrap_or_default());
            return Ok(Answer::Refused(Refusal { code: errors::shown(code), message: failure.message().to_owned() }));
        }
        let text = values.text(0)?.unwrap_or_default();
        let columns = |line: &str| line.split('\t').map(one_line).collect();
        Ok(Answer::Seen(text.lines().map(columns).collect()))
    }
}

/// A column of a line; `None` for NULL.
pub(super) fn column(line: &[String], place: usize) -> Option<String> {
    line.get(place).filter(|text| !text.is_empty()).cloned()
}

/// A whole number in a column.
pub(super) fn number(line: &[String], place: usize) -> Option<i64> {
    line.get(place).and_then(|text| text.parse().ok())
}

/// Joins the columns of a query into one.
pub(super) fn joined(columns: &[&str]) -> String {
    columns.join(SEPARATOR)
}

/// Names as a list in SQL.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| super::super::identifier::literal(name)).collect::<Vec<_>>().join(", ")
}

/// SQL for the microseconds since 1970 of a time without a zone. See the beat's block.
pub(super) fn micros(moment: &str) -> String {
    format!(
        "((TO_NUMBER(TO_CHAR({moment}, 'J')) - 2440588) * 86400000000 + TO_NUMBER(TO_CHAR({moment}, 'SSSSS')) * 1000000 + \
         TO_NUMBER(TO_CHAR({moment}, 'FF6')))"
    )
}

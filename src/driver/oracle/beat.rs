//! The beat: one anonymous block in one round trip, its commit included, on the server's clock. The session's `beat`
//! and `observe` call it.

use std::time::Duration;

use super::client::{Bind, Block, Values};
use super::connect::{Column, Opened, limit_of, role_of};
use super::facts;
use super::identifier::{literal, quoted_table};
use super::remedies::mend;
use crate::driver::Observation;
use crate::driver::answer::Answer;
use crate::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::plan::columns;
use crate::target::HeartbeatTable;
use crate::time::clock::{Clock, Instant};

/// What the block depends on, besides the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Whether `last_update` has a zone.
    with_zone: bool,
    /// Whether to query the position in the redo log.
    position: bool,
}

/// Writes the heartbeat row, or only reads it.
///
/// # Errors
/// The server's error, classified; `column_type` where `last_update` cannot hold a time.
pub(super) async fn beat(
    opened: &mut Opened,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let with_zone = match &opened.column {
        Some(Column::WithZone) => true,
        // Without the column, the server's own error says best what is missing.
        Some(Column::WithoutZone) | None => false,
        Some(Column::Other(found)) => {
            let message = format!("the column LAST_UPDATE is of type {found}, which holds no time");
            return Err(Failure::new(ErrorKind::ColumnType, message));
        }
    };
    let shape = Shape { with_zone, position: opened.position };
    let limit = limit_of(deadline);
    let left = limit.saturating_duration_since(Clock::system().now().mono);
    let answer = run(opened, block(table, writing, shape, lock_wait(left)), limit).await?;
    report(&answer, writing)
}

/// Adds the column faults that the catalogue shows, with their remedy, to a failure that is about columns.
pub(super) async fn with_remedy(
    opened: &mut Opened,
    table: &HeartbeatTable,
    failure: Failure,
    deadline: Instant,
) -> Failure {
    if !matches!(failure.kind(), ErrorKind::MissingColumn | ErrorKind::ColumnType) || !opened.thread.is_idle() {
        return failure;
    }
    match facts::columns(opened, table, deadline).await {
        Ok(Answer::Seen(found)) if !found.is_empty() => {
            let faults = columns::judge(&found, false);
            columns::explain(failure, &faults, mend(&quoted_table(table), &faults))
        }
        _ => failure,
    }
}

/// Reads the row and the database's role.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn observe(
    opened: &mut Opened,
    table: &HeartbeatTable,
    deadline: Instant,
) -> Result<Observation, Failure> {
    let shape = Shape { with_zone: opened.column == Some(Column::WithZone), position: false };
    let answer = run(opened, block(table, Writing::Never, shape, 0), limit_of(deadline)).await?;
    let report = report(&answer, Writing::Never)?;
    Ok(Observation {
        value: report.value,
        rows: report.seen,
        server_time: report.server_time,
        role: role_of(answer.text(7)?.as_deref()),
    })
}

async fn run(opened: &mut Opened, block: Block, limit: Instant) -> Result<Values, Failure> {
    let call = opened.thread.call(
        move |place| match place {
            Some(session) => session.run(&block),
            None => Err(Failure::new(ErrorKind::Internal, "the session was closed before its last use")),
        },
        limit,
    );
    call.await
}

/// How many whole seconds the server waits for the row's lock; less than the caller's limit. An UPDATE has no limit of
/// its own for a lock. It would still change the row after the caller gave up.
fn lock_wait(left: Duration) -> i64 {
    i64::try_from((left * 9 / 10).as_secs()).unwrap_or(i64::MAX)
}

fn report(answer: &Values, writing: Writing) -> Result<RowReport, Failure> {
    let count = |place| answer.number(place).map(|count| count.unwrap_or_default().unsigned_abs());
    let stamp = |place| answer.number(place).map(|micros| micros.map(Stamp));
    let (seen, changed, previous) = (count(0)?, count(1)?, stamp(3)?);
    Ok(RowReport {
        seen,
        changed,
        stale: writing != Writing::Never && count(2)? > 0,
        previous,
        value: if changed > 0 { stamp(4)? } else { previous },
        server_time: stamp(5)?,
        position: answer.text(6)?,
    })
}

/// The block reads the row without a lock, so a fresh row costs no redo. If a write is due, the block locks the row,
/// judges it again, writes and commits.
///
/// The statements are dynamic. If a static statement does not compile, the whole block fails with ORA-06550, and only
/// its text contains the true code. The COMMIT requires a wait for the disk, because the server's default may be not to
/// wait. A block that fails is rolled back, so no lock remains.
fn block(table: &HeartbeatTable, writing: Writing, shape: Shape, lock_wait: i64) -> Block {
    let (read, now) = if shape.with_zone {
        ("SYS_EXTRACT_UTC(LAST_UPDATE)", "SYSTIMESTAMP")
    } else {
        // The column may be a DATE.
        ("CAST(LAST_UPDATE AS TIMESTAMP(9))", "SYS_EXTRACT_UTC(SYSTIMESTAMP)")
    };
    let name = quoted_table(table);
    let select = format!("SELECT {read} FROM {name} WHERE ID = :1");
    let update = format!("UPDATE {name} SET LAST_UPDATE = {now} WHERE ID = :1 RETURNING {read} INTO :2");
    let position = if shape.position {
        "\n    BEGIN\n      EXECUTE IMMEDIATE 'SELECT TO_CHAR(CURRENT_SCN) FROM V$DATABASE' INTO position;\n    \
         EXCEPTION WHEN OTHERS THEN position := NULL;\n    END;"
    } else {
        ""
    };
    let sql = BLOCK
        .replace("{select}", &literal(&select))
        .replace("{update}", &literal(&update))
        .replace("{position}", position);
    let (mode, last_seen, period) = match writing {
        Writing::Never => (0, None, Duration::ZERO),
        Writing::WhenStale { last_seen, period } => (1, last_seen.map(|stamp| stamp.0), period),
        Writing::Always => (2, None, Duration::ZERO),
    };
    let ZoneGuess { step, tolerance, furthest } = ZoneGuess::for_period(period);
    let oldest = i64::try_from((period / 4 * 3).as_micros()).unwrap_or(i64::MAX);
    let number = |value| Bind::Number(Some(value));
    let binds = vec![
        ("row_id", number(table.row_number())),
        ("writing", number(mode)),
        ("last_seen", Bind::Number(last_seen)),
        ("oldest", number(oldest)),
        ("step", number(step)),
        ("tolerance", number(tolerance)),
        ("furthest", number(furthest)),
        ("lock_wait", number(lock_wait)),
        ("seen", Bind::NumberOut),
        ("changed", Bind::NumberOut),
        ("stale", Bind::NumberOut),
        ("previous", Bind::NumberOut),
        ("value", Bind::NumberOut),
        ("server_time", Bind::NumberOut),
        ("position", Bind::TextOut),
        ("role", Bind::TextOut),
    ];
    Block { sql, binds }
}

/// Times are microseconds since 1970. They are computed from the Julian day, the second of the day and the fraction,
/// because no setting of the session changes those. 2440588 is the Julian day of 1970-01-01.
const BLOCK: &str = "\
DECLARE
  row_id CONSTANT NUMBER := :row_id;
  writing CONSTANT NUMBER := :writing;
  last_seen CONSTANT NUMBER := :last_seen;
  oldest CONSTANT NUMBER := :oldest;
  step CONSTANT NUMBER := :step;
  tolerance CONSTANT NUMBER := :tolerance;
  furthest CONSTANT NUMBER := :furthest;
  lock_wait CONSTANT NUMBER := :lock_wait;
  seen NUMBER := 0;
  changed NUMBER := 0;
  stale NUMBER := 0;
  previous NUMBER;
  value NUMBER;
  server_time NUMBER;
  position VARCHAR2(40);
  written TIMESTAMP(9);
  FUNCTION micros(moment TIMESTAMP) RETURN NUMBER IS
  BEGIN
    RETURN (TO_NUMBER(TO_CHAR(moment, 'J')) - 2440588) * 86400000000
      + TO_NUMBER(TO_CHAR(moment, 'SSSSS')) * 1000000 + TO_NUMBER(TO_CHAR(moment, 'FF6'));
  END;
  PROCEDURE look(lock_clause VARCHAR2) IS
    found TIMESTAMP(9);
  BEGIN
    EXECUTE IMMEDIATE {select} || lock_clause INTO found USING row_id;
    seen := 1;
    previous := micros(found);
  EXCEPTION
    WHEN NO_DATA_FOUND THEN seen := 0;
    WHEN TOO_MANY_ROWS THEN seen := 2;
  END;
  PROCEDURE judge IS
    age NUMBER;
  BEGIN
    server_time := micros(SYS_EXTRACT_UTC(SYSTIMESTAMP));
    age := server_time - previous;
    stale := 0;
    IF writing = 2 OR previous IS NULL OR previous = last_seen THEN
      stale := 1;
    ELSIF age NOT BETWEEN 0 AND oldest AND NOT (
      ABS(age) BETWEEN step - tolerance AND furthest + tolerance
      AND ABS(ABS(age) - TRUNC((ABS(age) + step / 2) / step) * step) <= tolerance) THEN
      stale := 1;
    END IF;
  END;
BEGIN
  look('');
  judge;
  IF writing > 0 AND seen = 1 AND stale = 1 THEN
    look(CASE WHEN lock_wait > 0 THEN ' FOR UPDATE WAIT ' || TO_CHAR(lock_wait) ELSE ' FOR UPDATE NOWAIT' END);
    judge;
    IF seen = 1 AND stale = 1 THEN
      EXECUTE IMMEDIATE {update} USING row_id RETURNING INTO written;
      changed := SQL%ROWCOUNT;
      value := micros(written);
      server_time := micros(SYS_EXTRACT_UTC(SYSTIMESTAMP));
    END IF;
  END IF;
  IF changed = 1 THEN
    COMMIT WRITE IMMEDIATE WAIT;{position}
  ELSE
    ROLLBACK;
  END IF;
  :seen := seen;
  :changed := changed;
  :stale := stale;
  :previous := previous;
  :value := value;
  :server_time := server_time;
  :position := position;
  :role := SYS_CONTEXT('USERENV', 'DATABASE_ROLE');
EXCEPTION
  WHEN OTHERS THEN
    ROLLBACK;
    RAISE;
END;";

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { with_zone: false, position: true };

    #[test]
    fn the_beat_is_one_block_that_returns_what_it_saw_and_what_it_changed() {
        let table =
            HeartbeatTable { schema: "streamkap_user".to_owned(), ..super::super::family::defaults().heartbeat };
        insta::assert_snapshot!(block(&table, Writing::Always, SHAPE, 8).sql);
    }

    #[test]
    fn the_block_is_the_same_for_every_way_of_writing() {
        let table = super::super::family::defaults().heartbeat;
        let stale = Writing::WhenStale { last_seen: Some(Stamp(17)), period: Duration::from_secs(60) };
        let blocks = [Writing::Never, Writing::Always, stale].map(|writing| block(&table, writing, SHAPE, 3));
        assert!(blocks.iter().all(|block| block.sql == blocks[0].sql));
        assert_eq!(blocks[2].binds[2].1, Bind::Number(Some(17)));
        assert_eq!(blocks[2].binds[3].1, Bind::Number(Some(45_000_000)));
    }

    #[test]
    fn every_value_of_the_block_is_bound_in_the_order_in_which_it_is_named() {
        let block = block(&super::super::family::defaults().heartbeat, Writing::Always, SHAPE, 3);
        let places: Vec<usize> = block
            .binds
            .iter()
            .map(|(name, _)| {
                block
                    .sql
                    .find(&format!(":{name};"))
                    .unwrap_or_else(|| block.sql.find(&format!(":{name} :=")).expect(name))
            })
            .collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn names_are_quoted_everywhere() {
        let table = HeartbeatTable { schema: "it's".to_owned(), table: "a b".to_owned(), row: (-3).into() };
        let block = block(&table, Writing::Always, SHAPE, 3);
        assert!(
            block.sql.contains("'SELECT CAST(LAST_UPDATE AS TIMESTAMP(9)) FROM \"it''s\".\"a b\" WHERE ID = :1'"),
            "{}",
            block.sql
        );
    }

    #[test]
    fn the_server_gives_up_a_lock_before_its_caller_gives_up_the_beat() {
        for (millis, seconds) in [(0, 0), (900, 0), (1_900, 1), (9_900, 8), (59_900, 53)] {
            let wait = lock_wait(Duration::from_millis(millis));
            assert_eq!(wait, seconds);
            assert!(wait == 0 || u64::try_from(wait).unwrap() * 1_000 < millis);
        }
    }
}

//! What `LAST_UPDATE` keeps of a time, by its type, and what the beat's statements read back. The double's machine and
//! its sessions are two hours east of UTC, so a time that is not written or read in UTC is two hours off.

/// Two hours, in microseconds.
const EAST: i64 = 2 * 3_600 * 1_000_000;

/// What the column keeps when the statements write at this time, in microseconds since 1970: UTC if the column has a
/// zone, otherwise the literal value.
pub(super) fn write(column: &str, sql: &str, clock: i64) -> i64 {
    let in_utc = has_zone(column) || sql.contains("LAST_UPDATE = SYS_EXTRACT_UTC(SYSTIMESTAMP)");
    let written = if in_utc { clock } else { clock + EAST };
    match (column, digits(column)) {
        // A date drops the fraction; a timestamp rounds it.
        ("DATE", _) => written - written.rem_euclid(1_000_000),
        (_, Some(digits)) => {
            let step = 10_i64.pow(6_u32.saturating_sub(digits));
            (written + step / 2).div_euclid(step) * step
        }
        (_, None) => written,
    }
}

/// What the statements read back.
pub(super) fn read(column: &str, sql: &str, kept: i64) -> i64 {
    let converted = sql.contains("SELECT SYS_EXTRACT_UTC(LAST_UPDATE)");
    match (has_zone(column), converted) {
        (true, true) | (false, false) => kept,
        (true, false) => kept + EAST,
        (false, true) => kept - EAST,
    }
}

fn has_zone(column: &str) -> bool {
    column.contains("TIME ZONE")
}

/// The digits of `TIMESTAMP(3)`.
fn digits(column: &str) -> Option<u32> {
    column.split_once('(')?.1.split_once(')')?.0.parse().ok()
}

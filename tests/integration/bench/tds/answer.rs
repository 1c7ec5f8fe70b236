//! Answers as tokens: rows, errors, the end. <https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-tds/>, 2.2.7.

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// `bigint`.
    Number(Option<i64>),
    /// `nvarchar`.
    Text(Option<String>),
    /// `datetime2(7)`, in its ticks of 100 ns since 1970.
    Time(Option<i64>),
}

/// One result set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// The answer to one batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    sets: Vec<Rows>,
    error: Option<(u32, String)>,
    attention: bool,
}

/// The token for a change of the session's environment; 2.2.7.9 there.
const ENVIRONMENT: u8 = 0xe3;

/// Ticks from 0001-01-01 to 1970.
const EPOCH_DAYS: i64 = 719_162;
const TICKS_A_DAY: i64 = 864_000_000_000;

impl Cell {
    pub(crate) fn number(number: impl Into<i64>) -> Self {
        Self::Number(Some(number.into()))
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl Rows {
    /// One row.
    pub(crate) fn one(cells: Vec<(&'static str, Cell)>) -> Self {
        let (columns, row) = cells.into_iter().unzip();
        Self { columns, rows: vec![row] }
    }

    /// Rows of these columns.
    pub(crate) fn of(columns: &[&'static str], rows: Vec<Vec<Cell>>) -> Self {
        Self { columns: columns.to_vec(), rows }
    }
}

impl From<Rows> for Answer {
    fn from(rows: Rows) -> Self {
        Self { sets: vec![rows], ..Self::default() }
    }
}

impl Answer {
    /// An error alone.
    pub(crate) fn error(number: u32, words: &str) -> Self {
        Self { error: Some((number, words.to_owned())), ..Self::default() }
    }

    /// The same answer, followed by an error.
    pub(crate) fn and_error(self, number: u32, words: &str) -> Self {
        Self { error: Some((number, words.to_owned())), ..self }
    }

    pub(super) fn attention() -> Self {
        Self { attention: true, ..Self::default() }
    }

    /// The answer to a login: the server's name and version, and where it redirects to.
    pub(super) fn let_in(version: &[u8], redirect: Option<u16>, by_token: bool) -> Vec<u8> {
        let mut ack = vec![1];
        ack.extend(version.iter().rev());
        ack.extend(short("TDS double"));
        ack.extend([16, 0, 0, 1]);
        let mut bytes = with_length(0xad, &ack);
        if by_token {
            // The feature is acknowledged, with nothing to say.
            bytes.extend([0xae, 2, 0, 0, 0, 0, 0xff]);
        }
        if let Some(port) = redirect {
            let mut route = vec![0];
            route.extend(port.to_le_bytes());
            route.extend(long("localhost"));
            let mut change = vec![20];
            change.extend(u16::try_from(route.len()).unwrap().to_le_bytes());
            change.extend(route);
            change.extend([0, 0]);
            bytes.extend(with_length(ENVIRONMENT, &change));
        }
        // The database, its collation (Latin1_General) and the size of packets: Microsoft's driver in Rust requires all
        // of them.
        let database = [vec![1], short(super::DATABASE), short("master")].concat();
        let packet = [vec![4], short("4096"), short("4096")].concat();
        bytes.extend(with_length(ENVIRONMENT, &packet));
        bytes.extend(with_length(ENVIRONMENT, &database));
        bytes.extend(with_length(ENVIRONMENT, &[7, 5, 0x09, 0x04, 0xd0, 0x00, 0x34, 0]));
        bytes.extend(done(0));
        bytes
    }

    /// Its tokens; a talkative server adds others between them, and sends rows in their other form.
    pub(super) fn bytes(&self, chatty: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        if chatty && !self.attention {
            bytes.extend(chatter());
            // A transaction has begun.
            bytes.extend(with_length(ENVIRONMENT, &[[8, 8].as_slice(), &[7; 8], &[0]].concat()));
            // A trigger's own answer.
            let own = Rows::one(vec![("text", Cell::text("of a trigger")), ("nothing", Cell::Number(None))]);
            bytes.extend(own.bytes(true));
            bytes.extend(done_of(0xff, 1));
        }
        for set in &self.sets {
            bytes.extend(set.bytes(chatty));
            // More follows.
            bytes.extend(done_of(if chatty { 0xff } else { 0xfd }, 1));
        }
        if chatty {
            // The transaction has ended, and a procedure has returned.
            bytes.extend(with_length(ENVIRONMENT, &[[9, 0, 8].as_slice(), &[7; 8]].concat()));
            bytes.extend([0x79, 0, 0, 0, 0]);
            bytes.extend(done_of(0xfe, 1));
        }
        if let Some((number, words)) = &self.error {
            bytes.extend(message(0xaa, *number, 16, words));
        }
        bytes.extend(done(if self.attention { 0x20 } else { u16::from(self.error.is_some()) * 2 }));
        bytes
    }
}

/// What a server may send at any time: messages that are no errors, and changes of the session's environment.
pub(super) fn chatter() -> Vec<u8> {
    let language = [vec![2], short("us_english"), short("")].concat();
    let mut bytes = message(0xab, 5701, 10, "Changed database context to 'orders'.");
    bytes.extend(with_length(ENVIRONMENT, &language));
    bytes.extend(message(0xab, 0, 0, "printed by a trigger"));
    bytes
}

fn message(token: u8, number: u32, class: u8, words: &str) -> Vec<u8> {
    let mut message = number.to_le_bytes().to_vec();
    message.extend([1, class]);
    message.extend(long(words));
    message.extend(short("double"));
    message.extend(short(""));
    message.extend(1_u32.to_le_bytes());
    with_length(token, &message)
}

impl Rows {
    fn bytes(&self, chatty: bool) -> Vec<u8> {
        let mut bytes = vec![0x81];
        bytes.extend(u16::try_from(self.columns.len()).unwrap().to_le_bytes());
        for (index, name) in self.columns.iter().enumerate() {
            // No user-defined type; it may be NULL.
            bytes.extend([0, 0, 0, 0, 1, 0]);
            match self.rows.first().map(|row| &row[index]) {
                Some(Cell::Time(_)) => bytes.extend([0x2a, 7]),
                Some(Cell::Text(_)) => {
                    bytes.push(0xe7);
                    bytes.extend(8_000_u16.to_le_bytes());
                    bytes.extend([0x09, 0x04, 0xd0, 0x00, 0x34]);
                }
                Some(Cell::Number(_)) | None => bytes.extend([0x26, 8]),
            }
            bytes.extend(short(name));
        }
        if chatty {
            // The order of the rows: by the first column.
            bytes.extend(with_length(0xa9, &1_u16.to_le_bytes()));
        }
        for row in &self.rows {
            if !chatty {
                bytes.push(0xd1);
                row.iter().for_each(|cell| bytes.extend(cell.bytes()));
                continue;
            }
            // One bit per column for NULL, then only the other values.
            let mut nulls = vec![0; row.len().div_ceil(8)];
            for (index, _) in row.iter().enumerate().filter(|(_, cell)| cell.is_null()) {
                nulls[index / 8] |= 1 << (index % 8);
            }
            bytes.push(0xd2);
            bytes.extend(nulls);
            row.iter().filter(|cell| !cell.is_null()).for_each(|cell| bytes.extend(cell.bytes()));
        }
        bytes
    }
}

impl Cell {
    fn is_null(&self) -> bool {
        matches!(self, Self::Number(None) | Self::Text(None) | Self::Time(None))
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Number(None) | Self::Time(None) => vec![0],
            Self::Text(None) => vec![0xff, 0xff],
            Self::Number(Some(number)) => [&[8], &number.to_le_bytes()[..]].concat(),
            Self::Text(Some(text)) => {
                let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                [&u16::try_from(text.len()).unwrap().to_le_bytes()[..], &text].concat()
            }
            Self::Time(Some(ticks)) => {
                let (day, time) = (ticks.div_euclid(TICKS_A_DAY) + EPOCH_DAYS, ticks.rem_euclid(TICKS_A_DAY));
                [&[8], &time.to_le_bytes()[..5], &day.to_le_bytes()[..3]].concat()
            }
        }
    }
}

/// The text of a batch, after its headers.
pub(super) fn text_of_batch(payload: &[u8]) -> String {
    let headers = payload.get(..4).map_or(0, |length| u32::from_le_bytes(length.try_into().unwrap()));
    utf16(payload.get(usize::try_from(headers).unwrap()..).unwrap_or_default())
}

/// Text from its bytes.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

fn done(status: u16) -> Vec<u8> {
    done_of(0xfd, status)
}

/// The end of a statement (`0xfd`), of one within a procedure (`0xff`), or of a procedure (`0xfe`).
fn done_of(token: u8, status: u16) -> Vec<u8> {
    let mut bytes = vec![token];
    bytes.extend(status.to_le_bytes());
    bytes.extend([0; 10]);
    bytes
}

fn with_length(token: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![token];
    bytes.extend(u16::try_from(content.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// Text with a length of one byte.
fn short(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.encode_utf16().count()).unwrap()];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

/// Text with a length of two bytes.
fn long(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.encode_utf16().count()).unwrap().to_le_bytes().to_vec();
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

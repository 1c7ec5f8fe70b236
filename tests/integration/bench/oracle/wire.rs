//! TNS packets and TTC's primitive values, as Oracle 18 sends and accepts them.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

/// What a client sends.
#[derive(Debug)]
pub(super) enum Packet {
    Data(Vec<u8>),
    Marker(Vec<u8>),
    /// The client's last packet.
    End,
}

const CONNECT: u8 = 1;
const ACCEPT: u8 = 2;
const REFUSE: u8 = 4;
const DATA: u8 = 6;
const MARKER: u8 = 12;

/// Version 317 of the protocol (Oracle 18), in packets of 8 KiB, without native encryption.
const ACCEPTED: [u8; 33] =
    [0x01, 0x3d, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 41, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0x20, 0, 0];

/// Packets over a connection.
pub(super) struct Packets<S> {
    stream: S,
    /// After the acceptance a packet's length has four bytes.
    long: bool,
}

impl<S: Read + Write> Packets<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, long: false }
    }

    fn read(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let length = match self.long {
            true => u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize,
            false => usize::from(u16::from_be_bytes([head[0], head[1]])),
        };
        let mut body = vec![0; length.saturating_sub(8)];
        self.stream.read_exact(&mut body)?;
        Ok((head[4], body))
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let bytes = self.packet(kind, body);
        self.raw(&bytes)
    }

    fn packet(&self, kind: u8, body: &[u8]) -> Vec<u8> {
        let length = body.len() + 8;
        let mut bytes = match self.long {
            true => u32::try_from(length).unwrap().to_be_bytes().to_vec(),
            false => [&u16::try_from(length).unwrap().to_be_bytes()[..], &[0, 0]].concat(),
        };
        bytes.extend([kind, 0, 0, 0]);
        bytes.extend(body);
        bytes
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Receives the client's first packet; returns the connect descriptor in it, or after it if the descriptor is long.
    pub(super) fn connect(&mut self) -> io::Result<String> {
        let (kind, body) = self.read()?;
        assert_eq!(kind, CONNECT, "the first packet");
        let length = usize::from(u16::from_be_bytes([body[16], body[17]]));
        let offset = usize::from(u16::from_be_bytes([body[18], body[19]])) - 8;
        let mut descriptor = body[offset.min(body.len())..].to_vec();
        if descriptor.len() < length {
            let (_, rest) = self.read()?;
            descriptor = rest[2..].to_vec();
        }
        Ok(String::from_utf8_lossy(&descriptor).into_owned())
    }

    pub(super) fn accept(&mut self) -> io::Result<()> {
        self.write(ACCEPT, &ACCEPTED)?;
        self.long = true;
        Ok(())
    }

    pub(super) fn refuse(&mut self, code: u32) -> io::Result<()> {
        let reason =
            format!("(DESCRIPTION=(TMP=)(VSNNUM=301989888)(ERR={code})(ERROR_STACK=(ERROR=(CODE={code})(EMFI=4))))");
        let mut body = vec![0x22, 0];
        body.extend(u16::try_from(reason.len()).unwrap().to_be_bytes());
        body.extend(reason.as_bytes());
        self.write(REFUSE, &body)
    }

    pub(super) fn receive(&mut self) -> io::Result<Packet> {
        loop {
            let (kind, body) = self.read()?;
            match kind {
                DATA if body[1] & 0x40 != 0 => return Ok(Packet::End),
                DATA => return Ok(Packet::Data(body[2..].to_vec())),
                MARKER => return Ok(Packet::Marker(body)),
                _ => {}
            }
        }
    }

    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let body = [&[0, 0], message].concat();
        self.write(DATA, &body)
    }

    /// One byte at a time.
    pub(super) fn drip(&mut self, message: &[u8], pause: Duration) -> io::Result<()> {
        for byte in self.packet(DATA, &[&[0, 0], message].concat()) {
            self.raw(&[byte])?;
            thread::sleep(pause);
        }
        Ok(())
    }

    /// Answers a break with the server's own marker and the error of a cancelled call.
    pub(super) fn answer_break(&mut self) -> io::Result<()> {
        self.write(MARKER, &[1, 0, 2])?;
        self.send(&failure(1013))
    }

    /// Reads everything without an answer, until the client leaves.
    pub(super) fn swallow(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(|_| ())
    }
}

/// Reads TTC's values.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    /// A whole number: its length in bytes, then the bytes.
    pub(super) fn ub(&mut self) -> u64 {
        let count = usize::from(self.u8() & 0x7f);
        self.take(count).iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Bytes preceded by their length; in pieces if there are many.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        match self.u8() {
            0 | 255 => Vec::new(),
            254 => {
                let mut all = Vec::new();
                loop {
                    let count = usize::try_from(self.ub()).unwrap();
                    if count == 0 {
                        return all;
                    }
                    all.extend(self.take(count));
                }
            }
            count => self.take(usize::from(count)).to_vec(),
        }
    }

    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

/// Writes TTC's values.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn u8(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn ub(&mut self, value: u64) {
        let bytes = value.to_be_bytes();
        let bytes = &bytes[usize::try_from(value.leading_zeros() / 8).unwrap()..];
        self.0.push(u8::try_from(bytes.len()).unwrap());
        self.0.extend(bytes);
    }

    pub(super) fn value(&mut self, bytes: &[u8]) {
        if bytes.len() < 252 {
            self.u8(u8::try_from(bytes.len()).unwrap());
            self.0.extend(bytes);
            return;
        }
        self.u8(254);
        for piece in bytes.chunks(8_000) {
            self.ub(piece.len() as u64);
            self.0.extend(piece);
        }
        self.u8(0);
    }

    /// A text preceded by its length twice, as in the pairs of a login.
    pub(super) fn text(&mut self, text: &str) {
        self.ub(text.len() as u64);
        if !text.is_empty() {
            self.value(text.as_bytes());
        }
    }

    /// Which values are inputs, and which are outputs.
    pub(super) fn directions(&mut self, out: &[bool]) {
        self.u8(11);
        self.u8(5);
        self.ub(out.len() as u64);
        for value in [0, 1, 0, 0, 0] {
            self.ub(value);
        }
        self.0.extend(out.iter().map(|out| if *out { 0x10 } else { 0x20 }));
    }

    pub(super) fn out_values<'a>(&mut self, values: impl Iterator<Item = &'a super::Value>) {
        self.u8(7);
        for value in values {
            self.value(&value.bytes());
            // Nothing was cut.
            self.u8(0);
        }
    }

    /// The end of an answer without an error.
    pub(super) fn end(&mut self, cursor: u64) {
        self.0.extend(status(0, cursor, &[]));
    }
}

/// A warning before the rest of an answer.
pub(super) fn warning(code: u32) -> Vec<u8> {
    let words = format!("ORA-{code:05}: the double's words for it\n");
    let mut message = Writer::default();
    message.u8(15);
    for value in [u64::from(code), words.len() as u64, 0] {
        message.ub(value);
    }
    message.value(words.as_bytes());
    message.bytes()
}

/// An error as the end of an answer.
pub(super) fn failure(code: u32) -> Vec<u8> {
    status(code, 0, &[])
}

/// An error of a statement in a block, followed by the call stack.
pub(super) fn raised(code: u32) -> Vec<u8> {
    status(code, 0, &["ORA-06512: at line 74\n", "ORA-06512: at line 26\n", "ORA-06512: at line 52\n"])
}

/// A block that does not compile: only the text contains the code of the cause.
pub(super) fn does_not_compile(cause: u32) -> Vec<u8> {
    let cause = format!("PL/SQL: ORA-{cause:05}: the double's words for it\n");
    status(6550, 0, &[cause.as_str(), "ORA-06550: line 3, column 3:\n", "PL/SQL: SQL Statement ignored\n"])
}

fn status(code: u32, cursor: u64, more: &[&str]) -> Vec<u8> {
    let mut answer = Writer::default();
    answer.u8(4);
    for value in [1, 1, 0, u64::from(code.min(65_535)), 0, 0, cursor, 0] {
        answer.ub(value);
    }
    answer.0.extend([0; 6]);
    // No row's address.
    answer.0.extend([0; 5]);
    // The operating system's error, statement and call, what was done, and no errors of a batch.
    answer.0.extend([0; 9]);
    answer.ub(u64::from(code));
    answer.ub(0);
    if code != 0 {
        let first = format!("ORA-{code:05}: the double's words for it\n");
        answer.value(format!("{first}{}", more.concat()).as_bytes());
    }
    answer.bytes()
}

/// The answer to a message that needs none.
pub(super) fn done() -> Vec<u8> {
    vec![9, 1, 1, 1, 1]
}

/// The server's protocol, character sets and capabilities: those of Oracle 18.
pub(super) fn protocol() -> Vec<u8> {
    const FIELD_VERSION: u8 = 11;
    let mut answer = Writer::default();
    answer.0.extend([1, 6, 0]);
    answer.0.extend(b"heartbeatd's double\0");
    answer.0.extend(873_u16.to_le_bytes());
    answer.0.extend([1, 0, 0]);
    let mut sets = vec![0; 9];
    sets.extend(2_000_u16.to_be_bytes());
    answer.0.extend(u16::try_from(sets.len()).unwrap().to_be_bytes());
    answer.0.extend(sets);
    let mut abilities = [0; 42];
    abilities[0] = 6;
    abilities[4] = 0x6f;
    abilities[7] = FIELD_VERSION;
    answer.value(&abilities);
    let mut at_run_time = [0; 11];
    at_run_time[0] = 2;
    answer.value(&at_run_time);
    answer.bytes()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// A whole number in Oracle's own format: an exponent, and digits in base 100.
pub(super) fn number(value: i64) -> Vec<u8> {
    if value == 0 {
        return vec![0x80];
    }
    let (mut rest, mut digits) = (value.unsigned_abs(), Vec::new());
    while rest > 0 {
        digits.insert(0, u8::try_from(rest % 100).unwrap());
        rest /= 100;
    }
    let count = u8::try_from(digits.len()).unwrap();
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let mut bytes = vec![if value > 0 { 192 + count } else { 63 - count }];
    bytes.extend(digits.iter().map(|digit| if value > 0 { digit + 1 } else { 101 - digit }));
    if value < 0 && digits.len() < 20 {
        bytes.push(102);
    }
    bytes
}

/// The whole number of a value in Oracle's format.
pub(super) fn unnumber(bytes: &[u8]) -> i64 {
    if bytes == [0x80] {
        return 0;
    }
    let positive = bytes[0] & 0x80 != 0;
    let count = if positive { bytes[0] - 192 } else { 63 - bytes[0] };
    let digits: Vec<i64> = bytes[1..]
        .iter()
        .filter(|byte| positive || **byte != 102)
        .map(|byte| i64::from(if positive { byte - 1 } else { 101 - byte }))
        .collect();
    let value = (0..usize::from(count)).fold(0_i64, |value, place| value * 100 + digits.get(place).unwrap_or(&0));
    if positive { value } else { -value }
}

#[test]
fn numbers_come_back_as_they_went() {
    for value in [0, 1, 99, 100, 101, 1_000_000, -1, -100, -123_456, 1_795_000_000_000_001, i64::from(u32::MAX) * 1_000]
    {
        assert_eq!(unnumber(&number(value)), value);
    }
    // From Oracle's documentation.
    assert_eq!(number(123), [0xc2, 2, 24]);
    assert_eq!(number(-123), [61, 100, 78, 102]);
}
